"""What a preprocessing step is: its class, its settings, the numbers it was fitted to, and the code that the user wrote.

Told by what objects of the usual kinds show of themselves: torchvision's transforms keep settings as attributes and steps
in ``transforms``; scikit-learn has ``get_params()`` and fitted attributes that end in ``_`` (its developers' guide); Keras
layers have ``get_config()`` and ``weights``; torch modules have parameters, buffers and children. Nothing is called that
transforms anything.
"""

from __future__ import annotations

import functools
import hashlib
import json
import types
from collections.abc import Mapping, Sequence
from contextlib import suppress
from enum import Enum
from typing import Any

import numpy as np

from .code import callable_digest, code_digest, is_user_code

__all__ = ["describe_transform", "fingerprint_of", "transform_changes"]

_SMALL = 64
_DEPTH = 8
_MOST = 2000
_IGNORED = frozenset(
    {
        "training",
        "name",
        "seed_generator",
        "generator",
        "built",
        "dtype_policy",
        "registered_name",
        "trainable",
    }
)


def describe_transform(transform: Any) -> dict[str, Any]:
    """Path -> setting, flat and JSON-able; ``class`` at the end of a path is what stands there, ``code`` the digest of the
    user's source. ``transform``: a function, an object that can be called, a fitted estimator, a layer, or a list of such
    steps."""
    found: dict[str, Any] = {}
    _describe(transform, "", found, set(), 0)
    return found


def fingerprint_of(description: Mapping[str, Any]) -> str:
    """A digest of a description, 16 hex digits."""
    return hashlib.sha256(json.dumps(description, sort_keys=True, default=str).encode()).hexdigest()[:16]


def transform_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """(path, before, now) of each setting that differs; ``None`` for what is not there. Where a step is of another class, or
    steps were added or left out, that alone is told and not what follows from it."""
    changes: list[tuple[str, Any, Any]] = []
    told: list[str] = []
    for path in sorted({*before, *now}, key=lambda p: (p.count("."), not p.endswith("class"), p)):
        if any(path.startswith(front) for front in told):
            continue
        if path.endswith(("steps", "class")):
            if before.get(path) != now.get(path):
                changes.append((path, before.get(path), now.get(path)))
                told.append(path.removesuffix("class").removesuffix("steps"))
        elif path not in before or path not in now or not _same(before[path], now[path]):
            changes.append((path, before.get(path), now.get(path)))
    return changes


def _same(a: Any, b: Any) -> bool:
    """Equal, or numbers equal to within float32's rounding: settings go through casts."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, float) and isinstance(b, (int, float)) and not isinstance(b, bool):
        return a == b or abs(a - b) <= 1e-6 * max(abs(a), abs(b))
    return bool(a == b)


def _key(path: str, word: str) -> str:
    return f"{path}.{word}" if path else word


def _describe(value: Any, path: str, found: dict[str, Any], above: set[int], depth: int) -> None:
    if len(found) >= _MOST:
        return
    plain, text = _plain(value)
    if plain:
        found[path or "value"] = text
        return
    if id(value) in above or depth > _DEPTH:
        found[_key(path, "class")] = _class(value)
        return
    inside = above | {id(value)}
    if isinstance(value, Mapping):
        for key, item in value.items():
            _describe(item, _key(path, str(key)), found, inside, depth + 1)
    elif isinstance(value, (list, tuple)):
        found[_key(path, "steps")] = [_class(item) for item in value]
        for number, item in enumerate(value):
            _describe(item, _key(path, str(number)), found, inside, depth + 1)
    elif isinstance(value, functools.partial):
        _describe(value.func, path, found, inside, depth + 1)
        given = {**{str(n): item for n, item in enumerate(value.args)}, **value.keywords}
        for name, item in given.items():
            _describe(item, _key(path, name), found, inside, depth + 1)
    elif isinstance(value, types.MethodType):
        _describe(value.__self__, path, found, inside, depth + 1)
        found[_key(path, "method")] = value.__func__.__name__
        _code(value, path, found)
    elif isinstance(value, (types.FunctionType, types.BuiltinFunctionType, np.ufunc, type)):
        found[_key(path, "class")] = _class(value)
        _code(value, path, found)
        for name, item in _closure(value):
            if not _plain(item)[0] or callable(item):
                _describe(item, _key(path, name), found, inside, depth + 1)
            else:
                found[_key(path, name)] = _plain(item)[1]
    else:
        found[_key(path, "class")] = _class(value)
        _code(type(value), path, found)
        for name, item in _settings(value):
            _describe(item, _key(path, name), found, inside, depth + 1)


def _plain(value: Any) -> tuple[bool, Any]:
    """Whether a value says all of itself, and how it is written."""
    if isinstance(value, Enum):
        return True, f"{type(value).__name__}.{value.name}"
    if value is None or isinstance(value, (bool, int, float, str)):
        return True, value
    if isinstance(value, bytes):
        return True, hashlib.sha256(value).hexdigest()[:16]
    if isinstance(value, np.generic):
        return True, value.item()
    if isinstance(value, (list, tuple, set, frozenset)):
        items = sorted(value, key=repr) if isinstance(value, (set, frozenset)) else value
        if all(item is None or isinstance(item, (bool, int, float, str, np.generic)) for item in items):
            return True, _short([item.item() if isinstance(item, np.generic) else item for item in items])
        return False, None
    if hasattr(value, "shape") and hasattr(value, "dtype") and not isinstance(value, type):
        return True, _array(value)
    return False, None


def _short(items: list[Any]) -> Any:
    if len(items) <= _SMALL:
        return items
    return f"{len(items)} values, {hashlib.sha256(repr(items).encode()).hexdigest()[:16]}"


def _array(value: Any) -> Any:
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    try:
        array = np.asarray(value)
    except (TypeError, ValueError, RuntimeError):
        return _class(value)
    if array.size <= _SMALL and array.dtype.kind in "fiubUS":
        found = array.tolist()
        return found.decode("utf-8", "replace") if isinstance(found, bytes) else found
    digest = hashlib.sha256(
        repr(array.tolist()).encode() if array.dtype.hasobject else np.ascontiguousarray(array).tobytes()
    ).hexdigest()[:16]
    return f"{array.dtype.name}{list(array.shape)} {digest}"


def _class(value: Any) -> str:
    if isinstance(value, functools.partial):
        return _class(value.func)
    kind = value if isinstance(value, (type, types.FunctionType, types.MethodType)) else type(value)
    if isinstance(value, (types.BuiltinFunctionType, np.ufunc)):
        return f"{getattr(value, '__module__', None) or 'numpy'}.{value.__name__}"
    module, name = getattr(kind, "__module__", ""), getattr(kind, "__qualname__", type(value).__name__)
    own = is_user_code(kind)  # where the user's module stands says nothing
    return name.rpartition(".<locals>.")[2] if own or not module else f"{module}.{name}"


def _code(thing: Any, path: str, found: dict[str, Any]) -> None:
    digest = code_digest(thing) if isinstance(thing, type) else callable_digest(thing)
    if digest is not None:
        found[_key(path, "code")] = digest[:21]


def _closure(function: Any) -> list[tuple[str, Any]]:
    cells = getattr(function, "__closure__", None) or ()
    names = function.__code__.co_freevars if cells else ()
    found = []
    for name, cell in zip(names, cells, strict=False):
        try:
            found.append((name, cell.cell_contents))
        except ValueError:  # not bound yet
            continue
    defaults = getattr(function, "__defaults__", None) or ()
    code = getattr(function, "__code__", None)
    if code is not None and defaults:
        found += zip(
            code.co_varnames[code.co_argcount - len(defaults) : code.co_argcount], defaults, strict=False
        )
    return found


def _settings(value: Any) -> list[tuple[str, Any]]:
    """Names and values of what an object was set to and fitted to."""
    module = {c.__module__.partition(".")[0] for c in type(value).__mro__}
    rows: dict[str, Any] = {}
    if "keras" in module and hasattr(value, "get_config"):
        with suppress(NotImplementedError):  # a layer of the user's that has none
            rows.update(value.get_config())
        weights: Sequence[Any] = getattr(value, "weights", ())
        rows.update(
            {str(getattr(w, "name", n)): w.numpy() for n, w in enumerate(weights) if hasattr(w, "numpy")}
        )
        for word in ("mean", "variance"):  # Normalization's, where they were given and are no weights
            held = getattr(value, f"input_{word}", None)
            if held is not None:
                rows[word] = held
        return [(name, item) for name, item in rows.items() if name not in _IGNORED]
    if hasattr(value, "get_params") and "sklearn" in module:
        rows.update(value.get_params(deep=False))
        rows.update({n: v for n, v in vars(value).items() if n.endswith("_") and not n.startswith("_")})
        return list(rows.items())
    if "torch" in module and hasattr(value, "named_children"):
        rows.update(dict(value.named_parameters(recurse=False)))
        rows.update(dict(value.named_buffers(recurse=False)))
        rows.update(dict(value.named_children()))
    rows.update({n: v for n, v in getattr(value, "__dict__", {}).items() if not n.startswith("_")})
    for kind in type(value).__mro__:
        slots = vars(kind).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if not name.startswith("_") and hasattr(value, name):
                rows[name] = getattr(value, name)
    return [(name, item) for name, item in rows.items() if name not in _IGNORED]
