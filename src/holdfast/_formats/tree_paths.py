"""Names that are JAX's own spelling of a path in a tree: ``['params']['dense']['kernel']``, ``[0].mu['dense']['bias']``.

``jax.tree_util.keystr`` writes them, and people take them for the keys of an ``.npz`` or a safetensors file. They are read
as the path that they spell, ``params/dense/kernel``; the key stays as it is stored.

Source: jax/_src/tree_util.py (``DictKey``: ``[repr(key)]``; ``SequenceKey``: ``[index]``; ``GetAttrKey``: ``.name``;
``FlattenedIndexKey``: ``[<flat index 0>]``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from .._core.roles import guess_role
from .._core.spec import TensorSpec

__all__ = ["by_path"]

_STEP = re.compile(
    r"""\[(?:'(?P<one>[^'\\]+)'|"(?P<two>[^"\\]+)"|(?P<index>\d+)|<flat index (?P<flat>\d+)>)\]|\.(?P<name>\w+)"""
)


def by_path(specs: Iterable[TensorSpec]) -> list[TensorSpec]:
    """The specs by the paths that their names spell; unchanged where a name is none, or two would be one."""
    given = list(specs)
    if not any(spec.name.startswith(("['", '["', "[0", "[<")) for spec in given):
        return given
    names = [_path(spec.name) for spec in given]
    if None in names or len(set(names)) < len(names):
        return given
    return [
        spec.with_(
            name=name,
            role=guess_role(name, spec.dtype, spec.shape),
            aliases=tuple(_path(alias) or alias for alias in spec.aliases),
        )
        for spec, name in zip(given, names, strict=True)
        if name is not None
    ]


def _path(name: str) -> str | None:
    """The path with slashes; ``None`` for a name of another kind."""
    parts, at = [], 0
    while at < len(name):
        step = _STEP.match(name, at)
        if step is None:
            return None
        parts.append(step[str(step.lastgroup)])
        at = step.end()
    return "/".join(parts) or None
