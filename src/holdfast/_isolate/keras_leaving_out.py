"""A Keras save, and its reading back, without some parts of the model.

The classes of these layers are changed for the time of one trial: a layer left out writes no config and no values,
and where the file is read back, it is handed in as it is in place of being made anew. All is put back afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from .keras_tree import layer_of
from .node import Node

__all__ = ["leaving_out"]


@contextmanager
def leaving_out(root: Node, removed: Iterable[Node], *, reading: bool) -> Iterator[dict[str, Any]]:
    """Within it the model of ``root`` saves without ``removed``; gives custom objects for reading back, and
    ``optimizer``: whether it is kept (for ``include_optimizer=``) under the key ``""``. ``reading``: whether it will
    be read back."""
    custom: dict[str, Any] = {}
    with ExitStack() as stack:
        stack.enter_context(_compile_config_kept(root.thing))
        keep_optimizer = True
        gone_variables: dict[int, tuple[Any, set[int]]] = {}
        gone_keys: dict[int, tuple[Any, set[Any]]] = {}
        layers: dict[int, Any] = {}
        for node in removed:
            part = node.data
            owner = layer_of(node)
            if owner is None:
                keep_optimizer &= part.kind == "argument" and part.key != "optimizer"
                _uncompile(part)
            elif part.kind == "layer" or (reading and owner is not root):
                for one in owner.walk():
                    if (
                        one.data is not None
                        and one.data.kind == "layer"
                        and type(one.thing).__name__ != "InputLayer"
                    ):
                        layers[id(one.thing)] = one.thing
            elif part.kind == "variable":
                gone_variables.setdefault(id(owner.thing), (owner.thing, set()))[1].add(id(node.thing))
            else:
                gone_keys.setdefault(id(owner.thing), (owner.thing, set()))[1].add(part.key)
        for layer in layers.values():
            stand_in = _stand_in(layer, f"HoldfastStandIn{len(custom)}")
            custom[stand_in.__name__] = stand_in
            stack.enter_context(_as_class(layer, stand_in))
            stack.enter_context(_name_apart(layer, stand_in.__name__))
        for ident, (layer, keys) in gone_keys.items():
            if ident not in layers:
                stack.enter_context(_own_method(layer, "get_config", _config_without(layer, keys)))
        for ident, (layer, variables) in gone_variables.items():
            if ident not in layers:
                stack.enter_context(_as_class(layer, _without_variables(type(layer), variables)))
        if not keep_optimizer and getattr(root.thing, "optimizer", None) is not None:
            stack.enter_context(_own_method(root.thing.optimizer, "save_own_variables", lambda store: None))
        yield {**custom, "": keep_optimizer}


def _stand_in(layer: Any, name: str) -> Any:
    kind = type(layer)

    def from_config(cls: Any, config: Any, **more: Any) -> Any:
        for nodes in _nodes(layer):  # its calls in the graph that is saved are none of the graph that is made
            nodes.clear()
        return layer

    def nothing(self: Any, *args: Any, **more: Any) -> None:
        return None

    def no_weights(self: Any) -> list[Any]:
        return []

    return type(
        name,
        (kind,),
        {
            "__module__": "holdfast",
            "get_config": lambda self: {"name": self.name},
            "from_config": classmethod(from_config),  # type: ignore[arg-type]
            "get_build_config": nothing,
            "build_from_config": nothing,
            "get_compile_config": nothing,
            "save_own_variables": nothing,
            "load_own_variables": nothing,
            "save_assets": nothing,
            "load_assets": nothing,
            "trainable_weights": property(no_weights),
            "non_trainable_weights": property(no_weights),
            "_holdfast_stands_for": kind,
        },
    )


def _without_variables(kind: type, gone: set[int]) -> Any:
    def left(name: str) -> Any:
        return property(lambda self: [v for v in getattr(super(made, self), name) if id(v) not in gone])

    made: Any = type(
        kind.__name__,
        (kind,),
        {
            "__module__": kind.__module__,
            "__qualname__": kind.__qualname__,
            "trainable_weights": left("trainable_weights"),
            "non_trainable_weights": left("non_trainable_weights"),
            "save_own_variables": lambda self, store: None,
        },
    )
    return made


def _config_without(layer: Any, keys: set[Any]) -> Any:
    def get_config() -> dict[str, Any]:
        return {key: value for key, value in type(layer).get_config(layer).items() if key not in keys}

    return get_config


def _uncompile(part: Any) -> None:
    config = part.owner._compile_config.config
    if part.kind == "compile":
        config.clear()
    else:
        config.pop(part.key, None)


@contextmanager
def _compile_config_kept(model: Any) -> Iterator[None]:
    """Keras' own ``.h5`` save takes the optimizer out of the live model's compile config
    (``saving_utils.model_metadata``): it is put back here."""
    config = getattr(getattr(model, "_compile_config", None), "config", None)
    before = dict(config) if isinstance(config, dict) else {}
    try:
        yield
    finally:
        if isinstance(config, dict):
            config.clear()
            config.update(before)


@contextmanager
def _as_class(layer: Any, kind: Any) -> Iterator[None]:
    before = type(layer)
    lists = _nodes(layer)
    held = [list(nodes) for nodes in lists]
    object.__setattr__(layer, "__class__", kind)
    try:
        yield
    finally:
        object.__setattr__(layer, "__class__", before)
        for nodes, before_it in zip(lists, held, strict=True):
            nodes[:] = before_it


def _nodes(layer: Any) -> list[list[Any]]:
    """The lists of its calls."""
    found = (getattr(layer, "_inbound_nodes", None), getattr(layer, "_outbound_nodes", None))
    return [nodes for nodes in found if isinstance(nodes, list)]


@contextmanager
def _name_apart(layer: Any, name: str) -> Iterator[None]:
    """Its name clashes with none, and is short."""
    if "name" not in vars(layer):
        yield
        return
    before = vars(layer)["name"]
    vars(layer)["name"] = name.lower()
    try:
        yield
    finally:
        vars(layer)["name"] = before


@contextmanager
def _own_method(thing: Any, name: str, method: Any) -> Iterator[None]:
    vars(thing)[name] = method
    try:
        yield
    finally:
        vars(thing).pop(name, None)
