"""The content proof: what was copied is what was there, all of it at one instant.

After every tensor is copied the live objects are described and digested a second time. Where each copy agrees with its
source *then*, all sources had these values at the instant in between: nothing was torn. Between the two readings lies a
pause in which every other thread may run, so that a writer that happens to be suspended in the middle of its update
shows itself. (One that holds still for longer than the pause, half way through, cannot be told from one that is done.)

PyTorch's version counters would be cheaper and do not tell: fused optimizers, ``.data``, numpy views and BatchNorm
leave them as they are.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import numpy as np

from ..._core.errors import NotStored, SaveFailed
from ..._core.spec import TensorSpec
from ..._integrity.digest import digest_array
from ..contents.payload import Payload
from .races import changed_while_saved

__all__ = ["PAUSE", "disagreeing", "pause", "same_bytes", "structure"]

PAUSE = 0.05
"""Seconds between the copies and the second reading."""

Structure = dict[str, tuple[tuple[int, ...], str, str | None, tuple[str, ...]]]


def structure(payload: Payload) -> Structure:
    """What of a payload must not change while it is saved: names, shapes, dtypes, ties, and the other names of each."""

    def of(
        spec: TensorSpec, others: tuple[TensorSpec, ...]
    ) -> tuple[tuple[int, ...], str, str | None, tuple[str, ...]]:
        return tuple(spec.shape), spec.dtype, spec.shares, tuple(s.name for s in others)

    return {item.spec.name: of(item.spec, item.others) for item in payload.items()}


def disagreeing(held: Payload, now: Payload, later: frozenset[str] = frozenset()) -> list[str]:
    """Names whose held value is not the live one; ``held.digests`` is filled with what was proved.

    ``now`` is gathered anew from the live objects, after the pause; what is in ``later`` is proved by somebody else.
    Raises :class:`SaveFailed` where their structure is another than it was.
    """
    before, after = structure(held), structure(now)
    if before != after:
        raise _changed(before, after)
    torn = []
    held.digests.clear()
    for copy, live in zip(held.items(), now.items(), strict=True):
        name = copy.spec.name
        if name in later:
            continue
        try:
            second = digest_array(np.asarray(live.read()))
        except NotStored:  # donated or deleted meanwhile: what was there is there no more
            torn.append(name)
            continue
        first = digest_array(np.asarray(copy.read()))
        if first == second:
            held.digests[name] = first
        else:
            torn.append(name)
    torn += [name for name in {**held.values, **now.values} if _value(held, name) != _value(now, name)]
    return torn


_PIECE = 256 << 10


def same_bytes(source: np.ndarray, copy: np.ndarray) -> bool:
    """Whether two arrays of one shape and dtype have the same bits. Piece by piece, in the processor's cache; ``copy``
    is in C order."""
    if source.shape != copy.shape or source.dtype != copy.dtype:
        return False
    if not source.flags.c_contiguous:
        return digest_array(source) == digest_array(copy)
    one, other = (array.reshape(-1).view(np.uint8) for array in (source, copy))
    starts = range(0, one.size, _PIECE)
    return all(np.array_equal(one[at : at + _PIECE], other[at : at + _PIECE]) for at in starts)


_NOTHING = object()


def _value(payload: Payload, name: str) -> object:
    return payload.values.get(name, _NOTHING)


def pause(seconds: float = PAUSE) -> None:
    """Let every other thread run: for so long, and then until each that wants to has had the processor (on a busy
    machine one may lie suspended in the middle of an update for tens of milliseconds)."""
    began = _threads()
    end = time.monotonic() + _LONGEST
    time.sleep(seconds)
    while time.monotonic() < end:
        now = _threads()
        # one that sleeps waits for something of its own; one that is new began after the copies
        if not any(runs and n in began and spent - began[n][1] < _SLICE for n, (runs, spent) in now.items()):
            return
        time.sleep(0.005)


_SLICE = 4_000_000
"""Nanoseconds of processor time after which a thread has shown itself."""
_LONGEST = 1.0


def _threads() -> dict[str, tuple[bool, int]]:
    """The other threads of this process: whether each runs or waits for a processor, and the time it has had; empty
    where the system does not tell (man 5 proc, ``/proc/pid/task/tid/stat`` and ``schedstat``)."""
    found: dict[str, tuple[bool, int]] = {}
    own = str(threading.get_native_id())
    try:
        threads = [name for name in os.listdir("/proc/self/task") if name != own]  # noqa: PTH208 - a system folder
    except OSError:
        return found
    for thread in threads:
        place = Path("/proc/self/task", thread)
        try:
            state = (place / "stat").read_text().rpartition(")")[2].split()[0]
            found[thread] = (state == "R", int((place / "schedstat").read_text().split()[0]))
        except (OSError, ValueError, IndexError):
            continue  # it has ended, or the system does not tell
    return found


def _changed(before: Structure, after: Structure) -> SaveFailed:
    names = [n for n in {**before, **after} if before.get(n) != after.get(n)]
    first = names[0]

    def say(found: Structure) -> str:
        entry = found.get(first)
        return "not there" if entry is None else f"{entry[1]}{list(entry[0])}"

    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return changed_while_saved(
        f"the structure changed while it was saved: {first}{more}; nothing was written",
        first,
        expected=say(before),
        found=say(after),
    )
