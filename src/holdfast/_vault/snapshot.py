"""The freeze: values as they are at one instant, held so that training may go on.

JAX arrays are immutable, and a numpy view of one keeps the runtime from reusing its memory; a numpy view of a TensorFlow
read shares the buffer, which every later write copies first. Both are held as they are. Everything else (PyTorch, numpy)
is copied, into buffers that are kept for the next save: fresh memory costs four to seven times as much as warm memory.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from threading import Lock

import numpy as np

from .._core.dtypes import carrier
from .._core.errors import SaveFailed
from .._frameworks import LiveCatalog
from .payload import Item, Payload
from .proof import disagreeing, pause

__all__ = ["Buffers", "freeze", "proved"]

_TRIES = 5


class Buffers:
    """Host memory that saves take turns in using."""

    def __init__(self) -> None:
        self._free: dict[tuple[tuple[int, ...], np.dtype], list[np.ndarray]] = {}
        self._lock = Lock()

    def copy(self, values: np.ndarray) -> np.ndarray:
        """A copy in C order, in a buffer that is free or new."""
        key = (values.shape, values.dtype)
        with self._lock:
            free = self._free.get(key)
            buffer = free.pop() if free else None
        if buffer is None:
            buffer = np.empty(values.shape, values.dtype)
        np.copyto(buffer, values)
        return buffer

    def give(self, buffer: np.ndarray) -> None:
        """Take a buffer back."""
        with self._lock:
            self._free.setdefault((buffer.shape, buffer.dtype), []).append(buffer)


def freeze(live: LiveCatalog, payload: Payload, buffers: Buffers) -> tuple[Payload, list[np.ndarray]]:
    """The payload with its values held, and the buffers to give back once they are written.

    Raises :class:`SaveFailed` where a tensor no longer has the shape and dtype that it was described with.
    """
    hold = _may_hold(live)
    taken: list[np.ndarray] = []
    files: dict[str, list[Item]] = {}
    try:
        for file, items in payload.files.items():
            files[file] = []
            for item in items:
                values = np.asarray(item.read())
                _demand_same(item, values)
                if not (hold and _steady(values)):
                    values = buffers.copy(values)
                    taken.append(values)
                files[file].append(replace(item, read=lambda values=values: values))  # type: ignore[misc]
        texts = []
        for item in payload.texts:
            values = np.array(item.read(), copy=True)
            texts.append(replace(item, read=lambda values=values: values))  # type: ignore[misc]
    except BaseException:
        give_all(buffers, taken)
        raise
    return replace(payload, files=files, texts=texts), taken


def proved(
    describe: Callable[[], tuple[LiveCatalog, Payload]], buffers: Buffers, *, tries: int = _TRIES
) -> tuple[LiveCatalog, Payload, list[np.ndarray], int]:
    """A freeze that is proved by content: (live catalog, payload, buffers, how many times it was tried).

    ``describe`` takes stock of the live objects. A disagreement is a torn snapshot, and taken anew up to ``tries`` times,
    with growing pauses. Raises :class:`SaveFailed` naming the tensors that would not hold still, or whose structure
    changed; nothing is kept then.
    """
    torn: list[str] = []
    for attempt in range(1, tries + 1):
        live, payload = describe()
        held, taken = freeze(live, payload, buffers)
        try:
            pause()
            torn = disagreeing(held, describe()[1])
        except BaseException:
            give_all(buffers, taken)
            raise
        if not torn:
            return live, held, taken, attempt
        give_all(buffers, taken)
        if attempt < tries:
            pause(0.01 * attempt)
    raise SaveFailed(
        f"the snapshot was torn {tries} times: {_some(torn)} changed while it was taken; nothing was written",
        tensor=torn[0],
        found=f"{len(torn)} changed",
        expected="nothing changes during save()",
        remedy="Another thread writes to these. Call save() where it holds still (between two steps), or make it wait "
        "until save() has returned.",
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def give_all(buffers: Buffers, taken: list[np.ndarray]) -> None:
    """Give buffers back."""
    for buffer in taken:
        buffers.give(buffer)


def _demand_same(item: Item, values: np.ndarray) -> None:
    spec = item.spec
    kind = carrier(spec.dtype)
    if values.shape == tuple(spec.shape) and values.dtype.newbyteorder("=") == kind.newbyteorder("="):
        return
    raise SaveFailed(
        "a tensor changed its shape or dtype while it was saved; nothing was written",
        tensor=spec.name,
        expected=f"{spec.dtype}{list(spec.shape)}",
        found=f"{values.dtype}{list(values.shape)}",
        remedy="Save where nothing else builds, converts or replaces parts of the model.",
    )


def _may_hold(live: LiveCatalog) -> bool:
    """Whether a read-only numpy view of a live value stays what it is (measured for these runtimes)."""
    if live.framework == "jax":
        return True
    if live.framework in ("keras", "tensorflow"):
        keras = sys.modules.get("keras")
        return (
            live.framework == "tensorflow"
            or keras is None
            or keras.backend.backend() in ("tensorflow", "jax")
        )
    return False


def _steady(values: np.ndarray) -> bool:
    """Whether an array is a read-only view of a runtime's own memory. A read-only view of a numpy array is not: whoever
    has that array can write to it (numpy leaves of a JAX tree, ``extra``)."""
    base: object = values
    while isinstance(base, np.ndarray):
        if base.flags.writeable:
            return False
        base = base.base
    return base is not None
