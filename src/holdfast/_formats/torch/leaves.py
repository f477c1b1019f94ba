"""What a walk through a checkpoint's objects brings home: tensors, optimizers, keys and plain values.

Names of keys as in torch/nn/modules/module.py and torch/optim/optimizer.py: texts as they are, others by
``str`` or ``repr``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..pickles.arrays import NumpyArray, numpy_scalar
from ..pickles.nodes import Global, Made, SetNode, as_text, class_of, items_of, pairs_of
from .views import Tensor

__all__ = ["Leaf", "Optimizer", "class_text", "key_text", "plain"]

_LONGEST_TEXT = 2000


@dataclass(slots=True)
class Leaf:
    """One tensor found: its name, raw path, where it lay.

    ``home`` is the name of the mapping or module it lies in, ``local`` its name there; ``kind`` is
    ``"parameter"`` or ``"buffer"`` where a pickled module tells; ``optimizer``, ``position`` and ``slot``
    where it lies in an optimizer.
    """

    name: str
    key: str
    part: Tensor | NumpyArray
    home: str
    local: str
    kind: str | None = None
    optimizer: int | None = None
    position: int | None = None
    slot: str | None = None
    hyper: bool = False


@dataclass(slots=True)
class Optimizer:
    """One optimizer found: groups as dicts of plain values, positions, plain values of its state."""

    name: str
    class_name: str | None = None
    defaults: dict[str, Any] = field(default_factory=dict)
    groups: list[dict[str, Any]] = field(default_factory=list)
    members: list[list[Any]] = field(default_factory=list)  # per group the state keys, in order
    names: list[list[str]] = field(
        default_factory=list
    )  # per group the recorded parameter names, where there are any
    parameters: dict[int, Tensor] = field(
        default_factory=dict
    )  # position -> the very parameter, for whole objects
    slots: list[str] = field(default_factory=list)
    values: dict[int, dict[str, Any]] = field(default_factory=dict)  # position -> slot -> plain value
    keys: dict[int, str] = field(default_factory=dict)  # position -> the state's key as text

    @property
    def count(self) -> int:
        """How many parameters all groups together have."""
        return sum(len(m) for m in self.members)


def key_text(key: Any) -> str:
    """A dict key as the name's segment: texts as they are, numbers by ``str``, tuples by ``repr``."""
    if isinstance(key, str):
        return key
    text = as_text(key)
    if text is not None:
        return text
    if isinstance(key, (bool, int, float)) or key is None:
        return str(key)
    if isinstance(key, tuple):
        inner = ", ".join(
            repr(k) if isinstance(k, (str, bool, int, float, bytes)) else key_text(k) for k in key[:8]
        )
        return f"({inner}{',' if len(key) == 1 else ''})"
    if isinstance(key, Global):
        return key.text
    return f"<{type(key).__name__}>"


def class_text(node: Made) -> str:
    """``module.Class`` of an object, as the pickle names it."""
    found = class_of(node)
    return found.text if found is not None else "unknown"


def plain(value: Any) -> Any:
    """A value as JSON could hold it: numbers, short texts, lists and dicts of them; anything else by its
    class.

    At most a few thousand values come out, however often the containers refer to each other.
    """
    return _plain_inner(value, 0, [4000])


def _plain_inner(value: Any, depth: int, left: list[int]) -> Any:
    left[0] -= 1
    if value is None or isinstance(value, (bool, int, float)):
        return value
    text = as_text(value)
    if text is not None:
        return text[:_LONGEST_TEXT]
    if depth < 8 and left[0] > 0:
        items = items_of(value) if isinstance(value, (list, tuple, SetNode, Made)) else None
        if items is not None:
            return [_plain_inner(v, depth + 1, left) for v in items[: min(256, left[0])]]
        pairs = pairs_of(value)
        if pairs is not None:
            return {key_text(k): _plain_inner(v, depth + 1, left) for k, v in pairs[: min(256, left[0])]}
    if isinstance(value, Global):
        return value.text
    if isinstance(value, Made):
        scalar = numpy_scalar(value)
        return scalar if scalar is not None else f"<{class_text(value)}>"
    return f"<{type(value).__name__}>"
