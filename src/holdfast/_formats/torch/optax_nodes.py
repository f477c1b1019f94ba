"""optax's state among a pickle's nodes: named tuples of known classes, in tuples where transformations were chained."""

from __future__ import annotations

from typing import Any

from ..._facts.optax_states import fields_of_state
from ..pickles.nodes import fields_of

__all__ = ["OptaxNodes", "optax_fields"]

_DEEPEST = 30


def optax_fields(node: Any) -> list[tuple[str, Any]] | None:
    """Fields and values of one of optax's states, ``None`` for anything else."""
    made = fields_of(node)
    if made is None:
        return None
    kind, values = made
    names = fields_of_state(kind.module, kind.name, len(values))
    return None if names is None else [*zip(names, values, strict=True)]


class OptaxNodes:
    """Tells whether a node is the state of a transformation, or of a chain of them."""

    def __init__(self) -> None:
        self._known: dict[int, bool] = {}  # a chain can refer to one tuple many times

    def is_state(self, node: Any, depth: int = 0) -> bool:
        """Whether it is one of optax's states, or a tuple that holds such ones and nothing that is none (a user's own
        named tuple and ``()`` may stand among them)."""
        if type(node) is not tuple:
            return optax_fields(node) is not None
        known = self._known.get(id(node))
        if known is None:
            states = [self.is_state(item, depth + 1) for item in node] if depth < _DEEPEST else []
            known = any(states) and all(
                told or item == () or _is_own(item) for told, item in zip(states, node, strict=True)
            )
            self._known[id(node)] = known
        return known


def _is_own(node: Any) -> bool:
    """A named tuple called as states are."""
    made = fields_of(node)
    return made is not None and made[0].name.endswith("State")
