"""The modules of a whole pickled ``torch.nn.Module``: class and settings, out of the inert nodes.

``torch.save(model)`` keeps each module as its class and its ``__dict__`` (torch/nn/modules/module.py
``__getstate__``); the plain values among its attributes are the settings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..._core.modules import ModuleSpec
from ..._facts.module_config import object_config
from ..pickles.nodes import Global, Made, as_text, class_of, items_of

__all__ = ["module_spec"]

_LONGEST = 64
_DTYPE = re.compile(r"^(b?float|double|half|u?int|long|short|complex|cfloat|cdouble|bool|q?u?int|bfloat)\d*")


def module_spec(node: Any, state: Mapping[str, Any], path: str, order: int) -> ModuleSpec:
    """The spec of one pickled module; ``state`` is its ``__dict__``, ``path`` its place as tensor names begin.

    No digest of code: a pickle names a class and holds nothing of it.
    """
    found = class_of(node)
    module, name = (found.module, found.name) if found is not None else ("", "unknown")
    package = module.partition(".")[0]
    plain = {key: value for key, held in state.items() if (value := _setting(held)) is not _NO_SETTING}
    name = name.rpartition(".")[2]
    return ModuleSpec(path, name, package, object_config(name, plain, known=package == "torch"), None, order)


_NO_SETTING = object()


def _setting(value: Any) -> Any:
    """A plain value, or the name of a function; :data:`_NO_SETTING` for all else (tensors, objects, long lists)."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    text = as_text(value)
    if text is not None:
        return text if len(text) <= 4096 else _NO_SETTING
    if isinstance(value, Global):
        return _NO_SETTING if value.module == "torch" and _DTYPE.match(value.name) else value.name
    if isinstance(value, (list, tuple)) or (isinstance(value, Made) and class_of(value) is not None):
        items = items_of(value)
        if items is None or len(items) > _LONGEST:
            return _NO_SETTING
        kept = [_scalar(item) for item in items]
        return _NO_SETTING if any(item is _NO_SETTING for item in kept) else kept
    return _NO_SETTING


def _scalar(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    text = as_text(value)
    return text if text is not None and len(text) <= 256 else _NO_SETTING
