"""Room on the disk: what a save needs, what the run will need, and what may go where it is full."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timezone

from ..._core.errors import HoldfastError
from ..contents.payload import Payload, stored_bytes
from ..folder.keep import Keep, Kept, dropped
from ..folder.listing import Checkpoint
from ..folder.steps import Steps

__all__ = [
    "SPARE",
    "frozen_bytes",
    "make_room",
    "needed",
    "needed_by",
    "newest_verified",
    "sound",
    "steps_at_once",
    "superfluous",
]

LOG = logging.getLogger("holdfast.vault")
SPARE = 256 << 10
"""For the record, ``state.json`` and the file system's own blocks, beside one 64th of the tensors' bytes."""


def needed(nbytes: int) -> int:
    """Bytes that must be free to save tensors of ``nbytes``."""
    return nbytes + nbytes // 64 + SPARE


def needed_by(payload: Payload) -> int:
    """Bytes that must be free to save all of a payload."""
    return needed(payload.nbytes) + sum(part.nbytes for part in payload.native)


def frozen_bytes(payload: Payload) -> int:
    """Bytes of tensors that training leaves as they are: a later step may share them."""
    return sum(
        stored_bytes(item.spec)
        for items in payload.files.values()
        for item in items
        if item.spec.trainable is False or item.spec.name in payload.frozen
    )


def steps_at_once(keep: Keep) -> int | None:
    """How many steps lie there while one is written: what ``keep`` keeps, and the new one. ``None`` where that has no
    bound."""
    if keep.everything or keep.every is not None:
        return None
    return (keep.last or 1) + keep.best + 1


def superfluous(keep: Keep, known: list[Checkpoint]) -> list[str]:
    """Names that ``keep`` would drop without a new step, the oldest first."""
    rows = [
        Kept(
            c.name, c.sequence, c.created or datetime.now(timezone.utc), c.metrics or {}, c.pinned, c.variant
        )
        for c in known
        if c.fault is None
    ]
    return dropped(keep, rows, newest_verified=None)


def newest_verified(known: list[Checkpoint], sound: Callable[[str], bool]) -> set[str]:
    """Of each variant the newest step whose bytes are what was saved: read anew, for what is dropped is gone."""
    found: dict[str, str] = {}
    for candidate in reversed(known):
        if candidate.fault is None and candidate.variant not in found and sound(candidate.path):
            found[candidate.variant] = candidate.name
    return set(found.values())


def sound(path: str) -> bool:
    """Whether every byte of a step is as its record says."""
    from ..._examine.verifying import verify_path

    try:
        return verify_path(path).verdict == "sound"
    except (HoldfastError, OSError):
        return False


def make_room(
    steps: Steps, keep: Keep, wanted: int, free: Callable[[], int | None], drop: Callable[[str], bool]
) -> list[str]:
    """Where less than ``wanted`` bytes are free: drop what ``keep`` would drop without the new step, the oldest first,
    until there is room; gives the names. Of each variant the newest step that verifies stays, and so do pinned ones;
    where the list of pins is damaged, or no step verifies, nothing goes. ``drop`` says whether it did. Raises
    :class:`SaveFailed` where dropping fails."""
    gone: list[str] = []
    room = free()
    if room is None or room >= wanted or steps.pins() is None:
        return gone
    known = steps.all()
    names = superfluous(keep, known)
    if not names:
        return gone  # nothing to win: no need to read whole steps
    stay = newest_verified(known, sound)
    variants = {c.name: c.variant for c in known}
    safe = {variants[name] for name in stay}
    for name in names:
        if name in stay or variants[name] not in safe or not drop(name):
            continue
        gone.append(name)
        LOG.warning("%s was dropped before its time: the disk is full", name)
        room = free()
        if room is None or room >= wanted:
            break
    return gone
