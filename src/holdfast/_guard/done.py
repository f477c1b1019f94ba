"""Loads that were made, and the objects into which, without keeping those alive.

A model is often put together from several files: the encoder from one, the decoder from another, each loaded into the whole with
``strict=False``. After the first nobody can tell that a second follows, so what it leaves at its initial value is told at once;
the load that sets the rest settles that.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .seen import Seen

__all__ = ["Done", "reference"]

_LEFT = frozenset({"T201", "T205", "T223"})
"""Findings on tensors that a load left at their initial values."""


@dataclass(slots=True)
class Done:
    """A load that was made: what was seen of it, and into what."""

    seen: Seen
    parts: Mapping[str, Callable[[], Any]]
    path: str | None
    passed_over: tuple[str, ...] = ()
    """State of an optimizer in the checkpoint that the call did not load, as the optimizer had no variables yet."""

    in_part: bool = False
    """Whether the call was told to load what fits, and no more (``skip_mismatch``, ``by_name``)."""

    left: frozenset[str] = frozenset()
    """Live names that this load and the later ones into the same objects have left at their initial values."""

    def settle(self, later: Done, restored: Collection[str]) -> bool:
        """A later load has set ``restored``: whether nothing is left now of what this one had left. Its findings on that become
        notes then."""
        if not self.left or self.left.isdisjoint(restored) or not self._same(later):
            return False
        self.left -= set(restored)
        if self.left:
            return False
        self.seen.findings = [
            replace(f, severity="note", message=f"{f.message}, until {later.seen.site} set them")
            if f.code in _LEFT
            else f
            for f in self.seen.findings
        ]
        return True

    def _same(self, other: Done) -> bool:
        """Whether the other went into the same objects, by the same parts."""
        mine, others = self.alive, other.alive
        return (
            mine.keys() == others.keys() and all(mine[part] is others[part] for part in mine) and bool(mine)
        )

    def touches(self, thing: Any) -> bool:
        """Whether it was made into ``thing``."""
        return any(thing is one for known in self.parts.values() for one in _single(known()))

    @property
    def alive(self) -> dict[str, Any]:
        """The objects, by part, of those that still are."""
        return {part: thing for part, known in self.parts.items() if (thing := known()) is not None}


def reference(thing: Any) -> Callable[[], Any]:
    """A weak reference where the object allows it; nothing is kept alive for us. Of a dict one of all that is in it."""
    if type(thing) is dict:
        inner = {name: reference(item) for name, item in thing.items()}

        def all_of_it() -> Any:
            found = {name: known() for name, known in inner.items()}
            return None if any(item is None for item in found.values()) else found

        return all_of_it
    try:
        return weakref.ref(thing)
    except TypeError:
        return lambda: None


def _single(thing: Any) -> Iterable[Any]:
    """The objects in a part: several by their names, or the one."""
    return thing.values() if type(thing) is dict else (thing,)
