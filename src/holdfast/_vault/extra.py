"""What a save was given as ``extra``, given back."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._core.errors import ChecksumMismatch
from .._integrity.digest import digest_array
from .._layouts.opening import open_path

__all__ = ["extra_of"]

_FRONT = "extra/"


def extra_of(path: str) -> dict[str, Any]:
    """The nest of ``extra`` of one step: plain values, and copies of arrays, each compared with its digest.

    Raises :class:`ChecksumMismatch` where an array is not what was saved.
    """
    found: dict[str, Any] = {}
    with open_path(path) as step:
        for name, value in step.attributes.get("values", {}).items():
            if name.startswith(_FRONT):
                _put(found, name[len(_FRONT) :], value)
        digests = {row.name: row.digest for row in getattr(step, "record").tensors}  # noqa: B009 - of steps only
        for name in step:
            if not name.startswith(_FRONT):
                continue
            values = np.array(step.read(name), copy=True)
            digest = digest_array(values)
            if digests.get(name) != digest:
                raise ChecksumMismatch(
                    "an array of extra= is not what was saved", file=path, tensor=name, expected=digests.get(name),
                    found=digest,
                )  # fmt: skip
            _put(found, name[len(_FRONT) :], values)
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
