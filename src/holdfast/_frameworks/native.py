"""What a framework's own checkpoint format needs of a save: prepared while the live objects hold still, written later from
the frozen values.

One small writer per framework, ``<framework>/native.py``, with ``prepare(parts, live, step, extra) -> Prepared``.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from .._core.errors import UsageError
from .live import LiveCatalog

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["KINDS", "Pieces", "Prepared", "Reader", "Stream", "Writer", "prepare"]

KINDS = {"torch": "torch", "keras": "keras", "tf": "tensorflow"}
"""The words of ``payload=``, and our room for each."""

Reader = Callable[[str], np.ndarray]
"""The frozen values of a tensor of the save, by its name in the catalog."""


class Pieces(Protocol):
    """Where bytes go."""

    def write(self, data: memoryview) -> None:
        """Append all of ``data``."""


def _nothing() -> None:
    return None


@dataclass(slots=True)
class Prepared:
    """One native payload.

    Attributes
    ----------
    kind: the word of ``payload=``. files: name -> function that writes it, given where its bytes go and the frozen
        values. nbytes: about how many bytes they will have. live: whether values were taken from the live objects, within
        ``save()``, because the framework cannot write others. release: lets go of what was held for it.
    """

    kind: str
    files: Mapping[str, Writer]
    nbytes: int
    live: bool = False
    release: Callable[[], None] = _nothing


class Stream(io.RawIOBase):
    """A file object that only writes, for libraries that want one. What goes wrong underneath is kept in ``failed``: they
    tend to raise something else on the way out."""

    def __init__(self, pieces: Pieces) -> None:
        super().__init__()
        self._pieces = pieces
        self.failed: BaseException | None = None

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer, /) -> int:
        piece = memoryview(data).cast("B")
        if self.failed is None:  # a library that goes on regardless must not write beyond the gap
            try:
                self._pieces.write(piece)
            except BaseException as error:
                self.failed = error
                raise
        return len(piece)


Writer = Callable[[Stream, Reader], Any]


def prepare(
    kinds: tuple[str, ...],
    parts: Mapping[str, Any],
    live: LiveCatalog,
    step: int,
    extra: Mapping[str, Any] | None,
) -> Iterator[Prepared]:
    """The native payloads asked for. Raises :class:`UsageError` for a framework that the objects are not of, and for what
    its format cannot hold, naming it."""
    given = {name: thing for name, thing in parts.items() if thing is not None}
    for kind in kinds:
        if kind not in KINDS:
            raise UsageError("no such payload", found=kind, expected=", ".join(("safetensors", *KINDS)))
        fitting = ("keras", "tensorflow") if kind == "tf" else (KINDS[kind],)
        if live.framework not in fitting:
            raise UsageError(
                f'payload="{kind}" is for objects of its own framework',
                found=live.framework,
                expected=" or ".join(fitting),
            )
        module = import_module(f"{__package__}.{KINDS[kind]}.native")
        prepared: Prepared = module.prepare(given, live, step, extra)
        yield prepared
