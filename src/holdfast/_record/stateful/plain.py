"""Numbers, texts, arrays, tensors, keys of JAX, and nests and dataclasses of these, with stateful objects in between."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from .nest import Captured, Draft

__all__ = ["KIND", "against", "make", "put", "recognises", "take"]

KIND = "plain"
_SCALARS = (bool, int, float, complex, str, bytes, bytearray, np.generic, np.ndarray, slice, range, np.dtype)
_TENSORS = (("torch", "Tensor"), ("jax", "Array"), ("tensorflow", "Tensor"), ("tensorflow", "Variable"))
_FIELDS = "$fields"


def recognises(thing: Any) -> bool:
    """Whether it is one. A dataclass that has methods for its state is none, nor a generator that is a mapping."""
    if thing is None or isinstance(thing, (*_SCALARS, set, frozenset)) or _tensor(thing):
        return True
    if isinstance(thing, (list, tuple, Mapping)):
        return not hasattr(thing, "load_state_dict")
    return _is_data(thing)


def take(thing: Any, draft: Draft, path: str) -> Any:
    """Its value, its items, or its fields."""
    if _is_data(thing):
        fields = {f.name: getattr(thing, f.name) for f in dataclasses.fields(thing)}
        return {_FIELDS: draft.add(fields, path)}
    return draft.add(thing, path)


def make(captured: Captured) -> Any:
    """The value itself; of a dataclass, its fields as a dict."""
    about = captured.about
    return captured.value(about[_FIELDS] if _has_fields(about) else about)


def against(thing: Any, captured: Captured) -> list[str]:
    """Where a nest that holds objects lacks one of them, or one of another kind stands in its place."""
    return list(_against(thing, captured.about, captured, ""))


def _against(live: Any, about: Any, captured: Captured, path: str) -> Any:
    from .kinds import obstacles, stateful

    if _has_fields(about) != _is_data(live):
        yield f"`{path or 'it'}` was {'a dataclass' if _has_fields(about) else 'none'}"
        return
    for name, inner in _items(about):
        held = _get(live, name, about)
        where = f"{path}/{name}" if path else str(name)
        if isinstance(inner, dict) and "$part" in inner:
            if held is None:
                yield f"`{where}` was a {inner['$part']['class']}, and nothing is there to put it into"
            else:
                yield from (f"`{where}`: {text}" for text in obstacles(held, captured.part(inner)))
        elif held is not None and stateful(held):
            yield f"`{where}` is a {type(held).__name__}, and was none when it was saved"
        elif isinstance(inner, (dict, list)) and (isinstance(held, (list, tuple, Mapping)) or _is_data(held)):
            yield from _against(held, inner, captured, where)


def put(thing: Any, captured: Captured) -> Any:
    """Lists, dicts, dataclasses and writable arrays are changed in place; of everything else a new value is given."""
    return _put(thing, captured.about, captured)


def _put(live: Any, about: Any, captured: Captured) -> Any:
    from .kinds import put_back

    if isinstance(about, dict) and "$part" in about:
        return put_back(live, captured.part(about))
    if _is_data(live) and _has_fields(about):
        return _put_fields(live, about[_FIELDS], captured)
    items = _items(about)
    if isinstance(live, Mapping) and (isinstance(about, dict) and ("$pairs" in about or not _marked(about))):
        keys = _keys(about, captured)
        made = {
            key: _put(live.get(key), inner, captured) for key, (_, inner) in zip(keys, items, strict=True)
        }
        if not hasattr(live, "clear"):
            return made
        live.clear()
        live.update(made)  # type: ignore[attr-defined]
        return live
    if isinstance(live, (list, tuple)) and items and not isinstance(about, str):
        row = [
            _put(live[n] if n < len(live) else None, inner, captured) for n, (_, inner) in enumerate(items)
        ]
        if isinstance(live, list):
            live[:] = row
            return live
        return tuple(row) if type(live) is tuple else type(live)(*row)
    value = captured.value(about)
    if isinstance(live, np.ndarray) and isinstance(value, np.ndarray):
        if live.shape == value.shape and live.dtype == value.dtype and live.flags.writeable:
            np.copyto(live, value)
            return live
        return value
    if isinstance(live, list) and isinstance(value, list):
        live[:] = value
        return live
    return _put_tensor(live, value)


def _put_fields(live: Any, about: Any, captured: Captured) -> Any:
    names = {f.name for f in dataclasses.fields(live)}
    made = {
        name: _put(getattr(live, name), inner, captured) for name, inner in about.items() if name in names
    }
    if type(live).__dataclass_params__.frozen:
        return dataclasses.replace(live, **made)
    for name, value in made.items():
        setattr(live, name, value)
    return live


def _put_tensor(live: Any, value: Any) -> Any:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(live, torch.Tensor) and isinstance(value, torch.Tensor):
        if live.shape == value.shape and live.dtype == value.dtype:
            with torch.no_grad():
                live.copy_(value)
            return live
        return value
    if hasattr(live, "assign") and hasattr(live, "shape") and tuple(live.shape) == tuple(np.shape(value)):
        live.assign(value)  # a tf.Variable
        return live
    return value


def _items(about: Any) -> list[tuple[Any, Any]]:
    if isinstance(about, list):
        return list(enumerate(about))
    if not isinstance(about, dict):
        return []
    if _has_fields(about):
        return list(about[_FIELDS].items())
    if "$tuple" in about:
        return list(enumerate(about["$tuple"]))
    if "$pairs" in about:
        return [(str(key), inner) for key, inner in about["$pairs"]]
    return [] if _marked(about) else list(about.items())


def _keys(about: Any, captured: Captured) -> list[Any]:
    return [captured.value(key) for key, _ in about["$pairs"]] if "$pairs" in about else list(about)


def _get(live: Any, name: Any, about: Any) -> Any:
    if _is_data(live):
        return getattr(live, str(name), None)
    if isinstance(live, Mapping):
        return next((value for key, value in live.items() if key == name or str(key) == name), None)
    if isinstance(live, (list, tuple)) and isinstance(name, int):
        return live[name] if name < len(live) else None
    return None


def _marked(about: dict[str, Any]) -> bool:
    return any(key.startswith("$") for key in about)


def _has_fields(about: Any) -> bool:
    return isinstance(about, dict) and _FIELDS in about


def _is_data(thing: Any) -> bool:
    return (
        dataclasses.is_dataclass(thing)
        and not isinstance(thing, type)
        and not hasattr(thing, "load_state_dict")
        and not hasattr(thing, "set_state")
        and type(thing).__module__.partition(".")[0]
        not in ("keras", "torch", "tensorflow", "grain", "sklearn")
    )


def _tensor(thing: Any) -> bool:
    for library, name in _TENSORS:
        cls = getattr(sys.modules.get(library), name, None)
        if isinstance(cls, type) and isinstance(thing, cls):
            return True
    return False
