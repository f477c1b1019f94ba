"""A Keras model as a tree: layers by the attributes that have them, entries of their configs, variables, what it was compiled
with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from .failure import Failure, failure_of
from .node import Node

__all__ = ["Part", "grow", "layer_of"]

_PLAIN = (str, int, float, bool, type(None))
_INTERNAL = frozenset(
    [
        "_functional",
        "_tracker",
        "_inbound_nodes",
        "_outbound_nodes",
        "_operations",
        "_nodes",
        "_metrics",
        "_layers",
        "_loss_tracker",
        "_compile_metrics",
        "_compile_loss",
        "_optimizer",
        "optimizer",
        "_trainable_variables",
        "_non_trainable_variables",
        "_seed_generators",
        "_parent_path",
        "_operations_by_depth",
        "_nodes_by_depth",
        "_jax_state",
        "train_function",
        "test_function",
        "predict_function",
        "_compile_config",
        "_self_tracked_trackables",
        "_auto_config",
        "_build_shapes_dict",
        "_dtype_policy",
        "_obj_reference_counts",
        "_checkpoint",
        "_trackable_saver",
    ]
)


@dataclass
class Part:
    """What a node is: a ``layer``, an ``entry`` of a config (``owner`` has it, under ``key``), a ``variable`` of
    ``owner``, what the model was compiled with (``compile``), or one such argument (``argument``). ``error``: how
    asking it for its config fails."""

    kind: str
    owner: Any = None
    key: Any = None
    error: Failure | None = None


def grow(
    root: Node, visit: Callable[[str], Failure | None], *, weights_only: bool, legacy: bool = False
) -> None:
    """Add the tree below a model. ``weights_only``: configs do not matter. ``legacy``: the optimizer is saved with
    the rest of what the model was compiled with, or not at all."""
    seen = {id(root.thing)}
    waiting = [root]
    while waiting:
        node = waiting.pop()
        made = []
        for path, layer in _layers(node.thing, node.path):
            if id(layer) not in seen:
                seen.add(id(layer))
                removable = (
                    type(layer).__name__ != "InputLayer"
                )  # the graph hangs on it, and it holds nothing
                made.append(Node(path, layer, node, removable=removable, data=Part("layer")))
        waiting.extend(reversed(made))
        if not made and not weights_only and node is not root:
            _entries(node, visit)
        for n, variable in enumerate(_own_variables(node.thing)):
            Node(
                f"{node.path}.weights[{n}] ({variable.name})",
                variable,
                node,
                data=Part("variable", node.thing),
            )
    config = getattr(getattr(root.thing, "_compile_config", None), "config", None)
    if isinstance(config, dict) and config and not weights_only:
        compiled = Node(f"{root.path}.compile(...)", None, root, data=Part("compile", root.thing))
        for key, value in config.items():
            if value and not isinstance(value, (bool, int, float)) and not (legacy and key == "optimizer"):
                Node(
                    f"{root.path}.compile({key}=...)", value, compiled, data=Part("argument", root.thing, key)
                )


def layer_of(node: Node) -> Node | None:
    """The node of the layer that a node is, or belongs to; ``None`` for what a model was compiled with."""
    if node.data is None or node.data.kind == "layer":
        return node
    if node.data.kind in ("compile", "argument"):
        return None
    return node.parent


def _entries(node: Node, visit: Callable[[str], Failure | None]) -> None:
    """The entries of a layer's config, without those that are plain values."""
    ended = visit(node.path)
    if ended is not None:
        node.data.error = ended
        return
    try:
        config = node.thing.get_config()
    except Exception as error:  # noqa: BLE001 - told where it matters
        node.data.error = failure_of(error, "save")
        return
    if not isinstance(config, dict):
        return
    for key, value in config.items():
        if type(value) not in _PLAIN:
            Node(f'{node.path}.get_config()["{key}"]', value, node, data=Part("entry", node.thing, key))


def _is_layer(thing: Any) -> bool:
    return any(
        c.__name__ == "Layer" and c.__module__.startswith(("keras.", "tf_keras."))
        for c in type(thing).__mro__
    )


def _layers(owner: Any, path: str) -> Iterator[tuple[str, Any]]:
    kinds = {c.__name__ for c in type(owner).__mro__}
    if kinds & {"Functional", "Sequential"}:
        for n, layer in enumerate(owner.layers):
            yield f"{path}.layers[{n}]", layer
    names = [name for name in vars(owner) if name not in _INTERNAL]
    for name in sorted(names, key=lambda name: name.startswith("_")):
        yield from _in_value(vars(owner)[name], f"{path}.{name}", 3)
    yield from _in_value(vars(owner).get("_layers"), f"{path}._layers", 2)


def _in_value(value: Any, path: str, depth: int) -> Iterator[tuple[str, Any]]:
    if _is_layer(value):
        yield path, value
    elif depth and isinstance(value, (list, tuple)):
        for n, one in enumerate(value):
            yield from _in_value(one, f"{path}[{n}]", depth - 1)
    elif depth and isinstance(value, dict):
        for key, one in value.items():
            yield from _in_value(one, f"{path}[{key!r}]", depth - 1)


def _own_variables(layer: Any) -> list[Any]:
    """Those that ``add_weight`` or an attribute gave to this very layer."""
    return [*getattr(layer, "_trainable_variables", ()), *getattr(layer, "_non_trainable_variables", ())]
