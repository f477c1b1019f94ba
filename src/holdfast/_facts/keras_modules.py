"""A Keras configuration as a list of modules: every layer with what decides its function.

Sources: ``keras/src/saving/serialization_lib.py`` (``class_name``, ``config``, ``registered_name``),
``keras/src/models/functional.py`` and ``sequential.py`` (``layers``, ``inbound_nodes``), and their forerunners in
Keras 1 and 2 (``inbound_nodes`` as lists; a Sequential's configuration that is itself the list of layers).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

from .._core.modules import ModuleSpec
from .keras_config import is_layer, keras_module_config
from .keras_layers import CHILDREN, MODELS, SUBLAYERS, VARIABLES, WITHOUT_VARIABLES
from .keras_vocabulary import listed_terms, terms_of_asset, vocabulary_digest

__all__ = ["keras_modules"]

_NONE: Mapping[str, str] = MappingProxyType({})
_DEEPEST = 40
_MOST = 200_000
_KERAS_CLASSES = frozenset({*VARIABLES, *CHILDREN, *SUBLAYERS, *MODELS, *WITHOUT_VARIABLES})
_HOLDS_NO_FUNCTION = frozenset({"InputLayer", "Input"})


def keras_modules(node: Any, vocabularies: Mapping[str, str] = _NONE) -> tuple[ModuleSpec, ...]:
    """The modules of a serialised Keras model or layer, outermost first, in the order of its configuration.

    ``node`` is what ``config.json`` (or ``model_config`` of an HDF5 file) holds, or what
    ``keras.saving.serialize_keras_object`` gives for a live model. Paths are the names of the layers, joined with
    ``/`` within nested models and wrappers; the model itself has ``""``. Input layers are left out. ``code`` is
    ``None``: a configuration has none. Anything else than such a node gives no modules.

    ``vocabularies``: path of a layer -> the text of the vocabulary file that is kept for it beside the configuration.
    """
    if not isinstance(node, Mapping) or not isinstance(node.get("class_name"), str):
        return ()
    found: list[ModuleSpec] = []
    for path, inner in _walk(node, "", 0):
        if len(found) >= _MOST:
            break
        found.append(_module(path, inner, len(found), vocabularies.get(path)))
    return tuple(found)


def _walk(node: Mapping[str, Any], path: str, depth: int) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield path, node
    if depth >= _DEEPEST:
        return
    for word, inner in _children(node):
        if inner["class_name"] not in _HOLDS_NO_FUNCTION:
            yield from _walk(inner, f"{path}/{word}" if path else word, depth + 1)


def _children(node: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The layers within a layer, each with its name (where it has none, the option that holds it)."""
    for key, value in _options(node).items():
        several = isinstance(value, (list, tuple))
        for number, item in enumerate(value if several else (value,)):
            inside = _is_node(item) if key == "layers" else is_layer(item)
            if inside:
                config = item.get("config")
                own = config.get("name") if isinstance(config, Mapping) else None
                given = item.get("name") or own
                yield (given if isinstance(given, str) else f"{key}_{number}" if several else key), item


def _is_node(item: Any) -> bool:
    return isinstance(item, Mapping) and isinstance(item.get("class_name"), str)


def _options(node: Mapping[str, Any]) -> Mapping[str, Any]:
    config = node.get("config")
    if isinstance(config, Mapping):
        return config
    return {"layers": config} if isinstance(config, list) else {}


def _module(path: str, node: Mapping[str, Any], order: int, vocabulary: str | None = None) -> ModuleSpec:
    class_name = str(node["class_name"])
    options = _options(node)
    module, registered = node.get("module"), node.get("registered_name")
    package = module.partition(".")[0] if isinstance(module, str) else ""
    if module is None and isinstance(registered, str) and ">" in registered:
        package = registered.partition(">")[0]
    elif not package:
        # Keras 1 and 2, and .h5 to this day, record no module; what is not a class of Keras's may be anybody's
        package = class_name.rpartition(">")[0] or ("keras" if class_name in _KERAS_CLASSES else "")
    layers = options.get("layers")
    config = keras_module_config(options)
    if isinstance(layers, (list, tuple)) and class_name != "Sequential":
        wiring = _wiring(layers)
        if wiring is not None:
            config["wiring"] = wiring
    if class_name in MODELS:
        config = {key: value for key, value in config.items() if key == "wiring"}
    terms: Callable[[], Sequence[str]] | None = None
    if "vocabulary" in config:  # load_assets leaves such a layer as its configuration made it
        terms = partial(listed_terms, options)
    elif vocabulary is not None and (found := terms_of_asset(vocabulary, options)):
        config["vocabulary"] = vocabulary_digest(found)
        terms = partial(terms_of_asset, vocabulary, options)
    return ModuleSpec(path, class_name.rpartition(">")[2], package, config, None, order, terms)


def _wiring(layers: Sequence[Any]) -> list[Any] | None:
    """Which layers each layer is called on, by their numbers in the list; ``None`` where the list has no calls."""
    number: dict[str, int] = {}
    for place, layer in enumerate(layers):
        if _is_node(layer):
            config = layer.get("config")
            name = layer.get("name") or (config.get("name") if isinstance(config, Mapping) else None)
            number.setdefault(str(name), place)
    wired, calls = [], False
    for layer in layers:
        nodes = layer.get("inbound_nodes") if isinstance(layer, Mapping) else None
        inputs = [_sources(node, number) for node in nodes] if isinstance(nodes, (list, tuple)) else []
        calls = calls or bool(inputs)
        wired.append(inputs)
    return wired if calls else None


def _sources(node: Any, number: Mapping[str, int]) -> list[Any]:
    """The tensors that one call takes, as the number of the layer that makes each (and which of its outputs, where
    that is not the first)."""
    found: list[Any] = []
    stack: list[Any] = [node]
    while stack and len(found) < 10_000:
        item = stack.pop()
        history: Any = None
        if isinstance(item, Mapping):
            config = item.get("config")
            if item.get("class_name") == "__keras_tensor__" and isinstance(config, Mapping):
                history = config.get("keras_history")
            else:
                stack.extend(reversed(list(item.values())))
        elif isinstance(item, (list, tuple)):
            if len(item) >= 3 and isinstance(item[0], str) and isinstance(item[2], int):
                history = item
                stack.extend(reversed(list(item[3:])))  # keyword arguments of Keras 2 may hold tensors too
            else:
                stack.extend(reversed(item))
        if isinstance(history, (list, tuple)) and len(history) >= 3 and str(history[0]) in number:
            made_by, output = number[str(history[0])], history[2]
            found.append([made_by, output] if output else made_by)
    return found
