"""What a save was given as ``extra``, given back."""

from __future__ import annotations

from typing import Any

from ..._core.catalog import Catalog
from ..._layouts.opening import open_path
from ..._restore.recorded import arrays_of

__all__ = ["extra_in", "extra_of"]

_FRONT = "extra/"


def extra_of(path: str) -> dict[str, Any]:
    """The nest of ``extra`` of one step: plain values, and copies of arrays, each compared with its digest.

    Raises :class:`ChecksumMismatch` where an array is not what was saved.
    """
    with open_path(path) as step:
        return extra_in(step)


def extra_in(step: Catalog) -> dict[str, Any]:
    """The same of a step that is open."""
    found: dict[str, Any] = {}
    for name, value in step.attributes.get("values", {}).items():
        if name.startswith(_FRONT):
            _put(found, name[len(_FRONT) :], value)
    for name, values in arrays_of(step, "", _FRONT).items():
        _put(found, name, values)
    return found


def _put(tree: dict[str, Any], path: str, value: Any) -> None:
    *folders, last = path.split("/")
    for folder in folders:
        inner = tree.setdefault(folder, {})
        if not isinstance(inner, dict):  # a key that itself holds a slash
            tree[path] = value
            return
        tree = inner
    tree[last] = value
