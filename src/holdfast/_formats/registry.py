"""What formats there are, and which one a file is.

A format is a :class:`Format`: a name, a test on the content, and an ``open`` that gives a catalog. The built-in ones are
listed here; third parties add theirs through the entry point group ``holdfast.formats`` (each entry is a ``Format``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import PurePath

from .._core.catalog import Catalog
from .._core.errors import NotReadable
from .._storage import Source, Store

__all__ = ["Format", "formats", "recognise", "format_named"]


@dataclass(frozen=True, slots=True)
class Format:
    """One format.

    Attributes
    ----------
    name: ``"torch-zip"``. title: ``"PyTorch zip checkpoint"``.
    recognise: told by content whether a source is of this format; reads only head and tail; never raises on junk.
    open: ``(source, store) -> Catalog`` for the main file and the folder it lies in; ``None`` where Holdfast can name
        the format but has no reader. suffixes: usual file endings, to tell a wrong extension; no part in recognising.
    family: the framework whose dialect it speaks. hint: for formats without reader, what to do with such a file.
    """

    name: str
    title: str
    recognise: Callable[[Source], bool]
    open: Callable[[Source, Store], Catalog] | None = None
    suffixes: tuple[str, ...] = ()
    family: str = ""
    hint: str | None = None

    def read(self, source: Source, store: Store) -> Catalog:
        """Open as a catalog; raises :class:`NotReadable` where there is no reader."""
        if self.open is None:
            raise NotReadable(
                f"{self.title}: recognised, but Holdfast cannot read it", file=source.name, remedy=self.hint
            )
        return self.open(source, store)


# In the order in which they are asked; a format that contains another (a .keras is a zip) comes first.
_MODULES = (
    "tf_bundle",
    "keras_archive",
    "torch_zip",
    "npz",
    "keras_h5",
    "keras_shards",
    "torch_legacy",
    "shard_index",
    "safetensors",
    "npy",
    "foreign",
    "pickle_file",  # after foreign: the metadata of a DCP folder is a pickle too
)


@lru_cache(maxsize=1)
def formats() -> tuple[Format, ...]:
    """All formats, in the order in which they are asked; third-party ones before the catch-all ``foreign``."""
    found: list[Format] = []
    for name in _MODULES:
        if name == "foreign":
            for point in entry_points(group="holdfast.formats"):
                found.append(point.load())
        found.extend(import_module(f"{__package__}.{name}").FORMATS)
    return tuple(found)


def recognise(source: Source) -> Format | None:
    """The format of a file by its content, or ``None``."""
    if source.size == 0:
        return None
    return next((f for f in formats() if f.recognise(source)), None)


def format_named(name: str) -> Format | None:
    """The format of that name, or ``None``."""
    return next((f for f in formats() if f.name == name), None)


def suffix_of(path: str) -> str:
    """The ending that matters: ``.weights.h5``, ``.index.json`` and ``.pth.tar`` count as one."""
    base = PurePath(path).name.lower()
    for double in (".weights.h5", ".weights.json", ".index.json", ".pth.tar", ".tar.gz"):
        if base.endswith(double):
            return double
    return PurePath(base).suffix
