"""What flax puts into a target: a state dict in memory, as a catalog; Orbax's part stands in ``orbax_state``.

Facts: flax 0.12.8, serialization.py (``from_state_dict``: the target's structure counts, no shape and no dtype).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ..._core.finding import Finding
from ..._frameworks.events import Call
from . import State
from .orbax_state import afterwards
from .trees import apart, described, in_memory, leaves_of

if TYPE_CHECKING:
    from ..loaded import Loaded
    from ..origins import Origins

__all__ = ["afterwards", "state", "told_by"]


def state(call: Call, origins: Origins, models: Sequence[Any]) -> State | None:
    """What ``from_state_dict`` puts into its target; ``None`` for a target without arrays."""
    target = call.parts.get("model")
    leaves = {words: leaf for words, leaf in leaves_of(call.state) if hasattr(leaf, "shape")}
    if not leaves or not any(hasattr(leaf, "shape") for _, leaf in leaves_of(target)):
        return None
    path = call.path or origins.of(call.state)
    name = path or "the state dict"
    after = partial(_values, call.state, name, target) if call.load.stored else None
    return State(
        partial(in_memory, call.state, name, target),
        {"model": target},
        path=path,
        after=after,
        described=described,
    )


def _values(tree: Any, name: str, target: Any, loaded: Loaded) -> None:
    """Add what the rules say of values that come out of stored bytes, which no reader of ours has seen."""
    from ..by_framework import value_findings

    loaded.findings = [*loaded.findings, *value_findings(in_memory(tree, name, target), name)]


def told_by(target: Any, result: Any) -> Iterator[Finding]:
    """Arrays that came in another shape or dtype than the target has at their place."""
    yield from apart(
        *({w: leaf for w, leaf in leaves_of(tree) if hasattr(leaf, "shape")} for tree in (target, result))
    )
