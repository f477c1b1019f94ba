"""Whether values moved while they were being saved: a glance at each tensor before the call and after it.

Where some moved, the file is asked: it may hold all of them as they were before, and then it is one moment's.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from .._core.errors import HoldfastError
from .._frameworks.events import Call
from .._frameworks.sampling import Glance, glance, named_leaves, of_array
from .._layouts.opening import open_path

__all__ = ["Moved", "Still"]

_FRONT = 3

_MOST = 200_000
"""Tensors that are looked at; a state of more is not looked at beyond."""


class Moved(NamedTuple):
    """``names``: tensors that somebody wrote to during the save. ``torn``: whether the file mixes moments: ``False`` where it
    holds all of them as they were before, ``None`` where that cannot be told."""

    names: tuple[str, ...]
    torn: bool | None


class Still:
    """What the tensors of a save looked like before it."""

    def __init__(self, call: Call) -> None:
        self._rows: list[tuple[str, Any, Glance]] = []
        for name, value in named_leaves({"state": call.state, "parts": dict(call.parts)}):
            seen = glance(value)
            if seen is not None:
                self._rows.append((name.partition("/")[2], value, seen))
            if len(self._rows) >= _MOST:
                break

    @property
    def nbytes(self) -> int:
        """Bytes of all of them, about."""
        return sum(_nbytes(value) for _, value, _ in self._rows)

    def moved(self, place: str | None) -> Moved | None:
        """What moved since; ``None`` where nothing did. ``place``: the file that was written. Lets go of the tensors."""
        rows, self._rows = self._rows, []
        changed = [
            (name, value, before, after)
            for name, value, before in rows
            if (after := glance(value)) is not None and after != before
        ]
        if not changed:
            return None
        stored = _stored(place, [(name, tuple(value.shape)) for name, value, *_ in changed])
        names, torn = [], False
        known = True
        for name, value, before, after in changed:
            in_file = stored.get(name)
            if in_file is None:
                names.append(name)
                known = False
                continue
            if before.sample == after.sample:  # written to, and none of what was looked at is another
                now = _bytes_now(value)
                if now is not None and now == in_file.tobytes():
                    continue
                names.append(name)
                torn = True
                continue
            names.append(name)
            torn = torn or of_array(in_file) != before.sample
        if not names:
            return None
        return Moved(tuple(names), torn if known or torn else None)


def _stored(place: str | None, rows: list[tuple[str, tuple[int, ...]]]) -> dict[str, Any]:
    """What the file has under these names, in these shapes. Formats leave out what stands before (``model/``, the model's own
    name)."""
    if place is None:
        return {}
    found = {}
    try:
        with open_path(place) as catalog:
            for name, shape in rows:
                short = name
                for _ in range(_FRONT):
                    if short in catalog and tuple(catalog[short].shape) == shape:
                        found[name] = catalog.read(short)
                        break
                    short = short.partition("/")[2]
    except HoldfastError:
        return {}
    return found


def _bytes_now(value: Any) -> bytes | None:
    detach = getattr(value, "detach", None)
    try:
        array = detach().cpu().contiguous().numpy() if callable(detach) else value
        return bytes(array.tobytes())
    except (TypeError, AttributeError, RuntimeError):  # a dtype that numpy has not
        return None


def _nbytes(value: Any) -> int:
    size = getattr(value, "nbytes", None)
    if isinstance(size, int):
        return size
    length = 1
    for n in getattr(value, "shape", ()):
        length *= int(n or 0)
    return length * int(getattr(getattr(value, "dtype", None), "itemsize", 4) or 4)
