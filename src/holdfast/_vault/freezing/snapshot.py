"""The freeze: values as they are at one instant, held so that training may go on.

JAX arrays are immutable, and a numpy view of one keeps the runtime from reusing its memory; a numpy view of a TensorFlow
read shares the buffer, which every later write copies first. Both are held as they are, and let go of one by one as they
are written. Everything else (PyTorch, numpy) is copied, into memory that is kept for the next save.

What is copied is copied at once, or, where :mod:`holdfast._vault.freezing.overlap` says so, by a thread while training
goes on. A save that training waits for to its end copies nothing.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from ..._core.dtypes import carrier
from ..._frameworks import LiveCatalog
from ..contents.payload import Item, Payload, stored_bytes
from .buffers import Arena, Buffers, room_for
from .held import Held, Later, let_go
from .overlap import Overlap
from .proof import disagreeing, pause
from .quiet import uncollected
from .races import changed_while_saved, torn_snapshot

__all__ = ["Buffers", "freeze", "give_all", "proved"]

LOG = logging.getLogger("holdfast.vault")
_TRIES = 5


def freeze(
    live: LiveCatalog,
    payload: Payload,
    buffers: Buffers,
    overlap: Overlap | None = None,
    *,
    still: bool = False,
) -> tuple[Payload, list[Arena]]:
    """The payload with its values held, and the memory to give back once they are written.

    What ``overlap`` takes is copied later, and the items wait for it where they are read before. ``still``: nothing
    changes the live values until all is written, so they are held as they are. Raises
    :class:`SaveFailed` where a tensor no longer has the shape and dtype that it was described with.
    """
    hold = still or _may_hold(live)
    arena = buffers.lend(0 if hold else sum(room_for(stored_bytes(item.spec)) for item in _tensors(payload)))
    if arena.fresh and arena.capacity:
        LOG.info(
            "%d MB of host memory are taken for copies: the first save pays for its pages, later ones use it again",
            arena.capacity >> 20,
        )
    files: dict[str, list[Item]] = {}
    try:
        for file, items in payload.files.items():
            with uncollected():
                files[file] = [
                    replace(item, read=_hold(live, item, hold, arena, overlap, still)) for item in items
                ]
        texts = [replace(item, read=Held(np.array(item.read(), copy=True))) for item in payload.texts]
    except BaseException:
        buffers.give(arena)
        raise
    return replace(payload, files=files, texts=texts), [arena]


def _tensors(payload: Payload) -> Iterable[Item]:
    for items in payload.files.values():
        yield from items


def _hold(
    live: LiveCatalog, item: Item, hold: bool, arena: Arena, overlap: Overlap | None, still: bool
) -> Held:
    if hold and (pieces := _in_pieces(live, item)) is not None:
        return Held(pieces)
    values = np.asarray(item.read())
    _demand_same(item, values)
    if still or (hold and _steady(values)) or _already_copied(live, item, values):
        return Held(values)
    if overlap is not None:
        room = arena.room(values.shape, values.dtype)
        if overlap.take(item, values, room):
            return Later(room, overlap.finish)
        np.copyto(room, values)
        return Held(room)
    return Held(arena.copy(values))


def _in_pieces(live: LiveCatalog, item: Item) -> Callable[[], np.ndarray] | None:
    """A JAX array that lies on several devices: numpy would copy it, views of its shards hold it."""
    raw = getattr(live, "raw", {}).get(item.spec.name) if live.framework == "jax" else None
    if raw is None:
        return None
    from ..._frameworks.jax.holding import pieces

    return pieces(raw())


def _already_copied(live: LiveCatalog, item: Item, values: np.ndarray) -> bool:
    """Whether what was read is a copy that nobody else has: Keras on PyTorch reads so."""
    return (
        live.framework == "keras"
        and not values.flags.writeable
        and values.flags.owndata
        and item.spec.name in live.variables
        and _keras_backend() == "torch"
    )


def _keras_backend() -> str | None:
    keras = sys.modules.get("keras")
    return None if keras is None else str(keras.backend.backend())


def proved(
    describe: Callable[[], tuple[LiveCatalog, Payload]],
    buffers: Buffers,
    *,
    tries: int = _TRIES,
    overlap: Callable[[LiveCatalog], Overlap | None] = lambda _: None,
) -> tuple[LiveCatalog, Payload, list[Arena], int, Overlap | None]:
    """A freeze that is proved by content: (live catalog, payload, memory, how many times it was tried, what is proved
    later).

    ``describe`` takes stock of the live objects; ``overlap`` says of a catalog what a thread may prove while training
    goes on (all is copied at once all the same). A disagreement is a torn snapshot, and taken anew up to ``tries`` times,
    with growing pauses. Raises :class:`SaveFailed` naming the tensors that would not hold still, or whose structure
    changed; nothing is kept then.
    """
    torn: list[str] = []
    for attempt in range(1, tries + 1):
        live, payload = describe()
        later = overlap(live)
        held, taken = freeze(live, payload, buffers, later)
        try:
            pause()
            now = describe()[1]
            torn = disagreeing(held, now, frozenset(later.names) if later is not None else frozenset())
        except BaseException:
            give_all(buffers, taken)
            raise
        if not torn:
            return live, held, taken, attempt, later
        give_all(buffers, taken)
        if attempt < tries:
            pause(0.01 * attempt)
    raise torn_snapshot(
        f"the snapshot was torn {tries} times: {_some(torn)} changed while it was taken; nothing was written",
        torn,
        found=f"{len(torn)} changed",
        expected="nothing changes during save()",
        remedy="Another thread writes to these. Call save() where it holds still (between two steps), or make it wait "
        "until save() has returned.",
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def give_all(buffers: Buffers, taken: Iterable[Arena], payload: Payload | None = None) -> None:
    """Give memory back, and let go of everything that ``payload`` still holds."""
    for item in payload.items() if payload is not None else ():
        let_go(item)
    for arena in taken:
        buffers.give(arena)


def _demand_same(item: Item, values: np.ndarray) -> None:
    spec = item.spec
    kind = carrier(spec.dtype)
    if values.shape == tuple(spec.shape) and values.dtype.newbyteorder("=") == kind.newbyteorder("="):
        return
    raise changed_while_saved(
        "a tensor changed its shape or dtype while it was saved; nothing was written",
        spec.name,
        expected=f"{spec.dtype}{list(spec.shape)}",
        found=f"{values.dtype}{list(values.shape)}",
    )


def _may_hold(live: LiveCatalog) -> bool:
    """Whether a read-only numpy view of a live value stays what it is (measured for these runtimes)."""
    if live.framework == "jax":
        return True
    if live.framework in ("keras", "tensorflow"):
        return live.framework == "tensorflow" or _keras_backend() in (None, "tensorflow", "jax")
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
