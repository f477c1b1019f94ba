"""The layers of a live Keras model, at the places where Keras would save them.

Keras saves each object's variables under the attribute path by which it first reaches the object: the list of
``layers`` of a Sequential or functional model first, then attributes sorted by name, private ones last; within
lists and dicts by snake-cased class name with a count (``keras/src/saving/saving_lib.py``, ``_walk_saveable``,
``_save_container_state``). The walk reads attributes only: it builds nothing and evaluates no property of a
user's class.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import keras

from ..._core.fault import Fault
from ..._facts.keras_layers import snake_case

__all__ = ["Holder", "holders", "not_built", "own_variables", "seed_generators"]

_SKIPPED = frozenset(
    {
        "_layers",
        "_metrics",
        "_seed_generators",
        "_trainable_variables",
        "_non_trainable_variables",
        "_inbound_nodes",
        "_outbound_nodes",
        "_losses",
        "_loss_ids",
        "_self_unconditional_dependency_names",
        "_self_unconditional_checkpoint_dependencies",
        "_self_unconditional_deferred_dependencies",
        "_tracked",
        "_tracker",
        "_modules",
        "_parameters",
        "_buffers",
        "_auto_config",
        "_obj_reference_counts_dict",
        "_nodes",
        "_distribute_strategy",
    }
)
"""Instance attributes of every layer, which Keras passes over (``get_attr_skipset``)."""

_DEPTH = 200


@dataclass(slots=True)
class Holder:
    """A layer (or model) with the group path that Keras would give it in ``model.weights.h5``.

    ``above`` are the enclosing layers, the model first; ``variables`` its own variables in stored order.
    """

    layer: Any
    path: str
    above: tuple[Any, ...] = ()
    variables: list[Any] = field(default_factory=list)


@cache
def _base_names() -> frozenset[str]:
    return frozenset(dir(keras.layers.Layer)) | _SKIPPED


@cache
def _class_names(cls: Any) -> tuple[str, ...]:
    """Properties that Keras's own classes among ``cls``'s bases add to those of Layer: ``query_dense``,
    ``layers``."""
    found: set[str] = set()
    assert isinstance(cls, type)
    for base in cls.__mro__:
        if base.__module__.split(".")[0] == "keras":
            found.update(name for name, value in vars(base).items() if isinstance(value, property))
    return tuple(found - _base_names())


def _class_of(layer: Any) -> Any:
    return type(layer)


def _attributes(layer: Any) -> Iterator[tuple[str, Any]]:
    functional = not isinstance(layer, keras.Sequential) and _is_functional(layer)
    if functional or isinstance(layer, keras.Sequential):
        yield "layers", layer.layers
    names = set(vars(layer)) | set(vars(layer).get("_modules") or ()) | set(_class_names(_class_of(layer)))
    names -= _base_names()
    if functional:
        names -= {"operations", "_operations"}
    elif isinstance(layer, keras.Sequential):
        names -= {"_functional"}
    for name in sorted(names, key=lambda n: f"~{n}" if n.startswith("_") else n):
        try:
            yield name, getattr(layer, name)
        except (AttributeError, ValueError, RuntimeError):
            continue  # a property of Keras's own that has no value before the layer is built or compiled


def _is_functional(layer: Any) -> bool:
    kind = getattr(layer, "_obj_type", None)
    return callable(kind) and kind() == "Functional"


def own_variables(layer: Any) -> list[Any]:
    """The variables that the layer itself stores, trainable ones first (``Layer.save_own_variables``)."""
    return [*layer._trainable_variables, *layer._non_trainable_variables]


def holders(model: Any) -> list[Holder]:
    """The model and every layer below it, each once, in the order in which Keras visits them."""
    found: list[Holder] = []
    seen: set[int] = set()
    kinds = (keras.layers.Layer,)

    def visit(thing: Any, path: str, above: tuple[Any, ...]) -> None:
        if id(thing) in seen or len(above) > _DEPTH:
            return
        seen.add(id(thing))
        found.append(Holder(thing, path, above, own_variables(thing)))
        inside = (*above, thing)
        for name, value in _attributes(thing):
            inner = f"{path}/{name}" if path else name
            if isinstance(value, kinds):
                visit(value, inner, inside)
            elif isinstance(value, (list, dict, tuple)):
                container(value, inner, inside, set())

    def container(value: Any, path: str, above: tuple[Any, ...], entered: set[int]) -> None:
        if id(value) in entered or len(entered) > _DEPTH:
            return
        entered.add(id(value))
        used: dict[str, int] = {}
        for item in list(value.values()) if isinstance(value, dict) else value:
            if isinstance(item, kinds):
                visit(item, f"{path}/{_unique(snake_case(type(item).__name__), used)}", above)
            elif isinstance(item, (list, dict, tuple)):
                container(item, f"{path}/{_unique('container', used)}", above, entered)

    visit(model, "", ())
    return found


def _unique(name: str, used: dict[str, int]) -> str:
    if name in used:
        used[name] += 1
        return f"{name}_{used[name]}"
    used[name] = 0
    return name


def seed_generators(model: Any) -> list[Any]:
    """The random generators of the model's layers, each once, in the layers' order."""
    found: dict[int, Any] = {}
    for holder in holders(model):
        for generator in getattr(holder.layer, "_seed_generators", ()):
            found.setdefault(id(generator), generator)
    return list(found.values())


def not_built(
    model: Any, part: str, known: list[Holder] | None = None
) -> tuple[Fault | None, tuple[str, ...]]:
    """The layers that have no variables yet, as one fault (slug ``not-built``) and their paths."""
    paths = tuple(
        "/".join(item.name for item in (*holder.above[1:], holder.layer)) or model.name
        for holder in (holders(model) if known is None else known)
        if not holder.layer.built and _makes_variables(holder)
    )
    if not paths:
        return None, ()
    whole = not model.variables
    what = (
        f"{part} {model.name!r} is not built: it has no variables yet"
        if whole
        else f"{len(paths)} layers of {part} {model.name!r} are not built: {', '.join(paths[:3])}"
        + (" …" if len(paths) > 3 else "")
    )
    fault = Fault(
        "not-built",
        f"{what}; the first call makes them, at random values",
        tensors=paths[:50],
        seen="not built",
        expected="built",
        attributes={
            "fails": False,
            "remedy": "Build it first: model.build(input_shape), or call it once on a batch; then restore. "
            "tf.train.Checkpoint.restore before the first call leaves kernels of subclassed models random.",
        },
    )
    return fault, paths


def _makes_variables(holder: Holder) -> bool:
    """Whether building the layer can still make variables: not a layer without any (Dropout, Flatten ...)."""
    layer = holder.layer
    if isinstance(layer, keras.layers.InputLayer):
        return False
    if type(layer).__module__.split(".")[0] != "keras" or isinstance(layer, (keras.Model, keras.layers.RNN)):
        return True
    return type(layer).build is not keras.layers.Layer.build
