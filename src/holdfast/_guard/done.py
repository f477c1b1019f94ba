"""Loads that were made, and the objects into which, without keeping those alive."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .seen import Seen

__all__ = ["Done", "reference"]


@dataclass(slots=True)
class Done:
    """A load that was made: what was seen of it, and into what."""

    seen: Seen
    parts: Mapping[str, Callable[[], Any]]
    path: str | None
    passed_over: tuple[str, ...] = ()
    """State of an optimizer in the checkpoint that the call did not load, as the optimizer had no variables yet."""

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
