"""Nested dicts and lists of numpy arrays: the embedded default, everything works on it without a framework.

Names are the keys joined with ``/``. Python numbers, texts and ``None`` in the tree are settings. Arrays are
written in place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .._core.dtypes import dtype_of
from .._core.errors import UsageError
from .._core.fault import Fault
from .._core.roles import guess_role
from .._core.spec import OptimizerSpec, TensorSpec
from .live import LiveCatalog, Setting, Variable

__all__ = ["describe", "recognises"]

_DEPTH = 200
_SCALARS = (bool, int, float, complex, str, bytes, type(None), np.generic)


def recognises(thing: Any) -> bool:
    """Whether it is a nested mapping (or list) with a numpy array somewhere, and nothing but values."""
    leaves = list(_leaves(thing, (), strict=False))
    return any(isinstance(leaf, np.ndarray) for _, _, _, leaf in leaves) and all(
        isinstance(leaf, (np.ndarray, *_SCALARS)) for _, _, _, leaf in leaves
    )


def _leaves(
    tree: Any, path: tuple[str, ...], *, strict: bool = True
) -> Iterator[tuple[tuple[str, ...], Any, Any, Any]]:
    """Every leaf as (path, its container, its key there, itself)."""
    if len(path) > _DEPTH:
        raise UsageError("nested too deeply (or in a circle)", tensor="/".join(path[:4]) + "/…")
    pairs: Any = ()
    if isinstance(tree, Mapping):
        pairs = tree.items()
    elif isinstance(tree, (list, tuple)):
        pairs = enumerate(tree)
    for key, value in pairs:
        at = (*path, str(key))
        if isinstance(value, (Mapping, list, tuple)):
            yield from _leaves(value, at, strict=strict)
        else:
            yield at, tree, key, value


def _read_only(names: list[str]) -> list[Fault]:
    if not names:
        return []
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return [
        Fault(
            "not-writable",
            f"`{names[0]}`{more} {'are' if more else 'is'} read-only: nothing can be restored into "
            f"{'them' if more else 'it'}",
            tensor=names[0],
            tensors=tuple(names),
            attributes={"remedy": "Pass copies: array.copy()."},
        )
    ]


def describe(parts: Mapping[str, Any]) -> LiveCatalog:
    """The catalog of the trees given by part. Weights are named by their path in ``model=``; other parts'
    leaves get the part's name in front, and arrays of ``optimizer=`` whose path ends in a weight's name, or
    has it between, are slots of that weight.

    Raises :class:`UsageError` for a leaf that is neither an array nor a plain value.
    """
    variables: list[Variable] = []
    settings: list[Setting] = []
    seen: dict[int, str] = {}
    weights: dict[str, TensorSpec] = {}
    optimizers: list[OptimizerSpec] = []
    fixed: list[str] = []
    for part, tree in sorted(parts.items(), key=lambda item: item[0] != "model"):
        slots: dict[str, None] = {}
        for path, container, key, leaf in _leaves(tree, () if part == "model" else (part,)):
            name = "/".join(path)
            if isinstance(leaf, np.ndarray):
                spec = _spec(name, leaf, part, weights, seen, len(variables))
                if part == "model":
                    weights[name] = spec
                elif spec.slot is not None:
                    slots[spec.slot] = None
                if not leaf.flags.writeable:
                    fixed.append(name)
                variables.append(_variable(spec, leaf))
            elif isinstance(leaf, _SCALARS):
                settings.append(_setting(name, container, key, leaf, part))
            else:
                raise UsageError("neither an array nor a plain value", tensor=name, found=type(leaf).__name__)
        if part == "optimizer":
            optimizers.append(OptimizerSpec(part, slots=tuple(slots)))
    return LiveCatalog(
        variables,
        framework="numpy",
        parts=parts,
        settings=settings,
        optimizers=optimizers,
        faults=_read_only(fixed),
    )


def _spec(
    name: str,
    array: np.ndarray,
    part: str,
    weights: Mapping[str, TensorSpec],
    seen: dict[int, str],
    order: int,
) -> TensorSpec:
    role = guess_role(name, dtype_of(array.dtype), array.shape)
    owner = slot = None
    if part == "optimizer":
        owner, slot = _owner(name, array, weights)
        if owner is not None:
            role = "slot"
    shares = None
    first = seen.setdefault(id(array), name)
    if first != name:
        shares = f"memory:{first}"
    return TensorSpec(
        name,
        array.shape,
        dtype_of(array.dtype),
        aliases=(name.replace("/", "."),) if "/" in name else (),
        role=role,
        owner=owner,
        slot=slot,
        optimizer="optimizer" if part == "optimizer" else None,
        order=order,
        dialect="numpy",
        shares=shares,
    )


def _owner(name: str, array: np.ndarray, weights: Mapping[str, TensorSpec]) -> tuple[str | None, str | None]:
    """The weight whose whole path stands in the slot's path, and what the rest says: ``m/encoder/kernel``,
    ``encoder/kernel/m``. The longest such weight; none where the shapes differ."""
    inner = name.split("/", 1)[-1]
    words = inner.split("/")
    runs = (
        "/".join(words[i : i + size])
        for size in range(len(words), 0, -1)
        for i in range(len(words) - size + 1)
    )
    best = max((run for run in runs if run in weights), key=len, default=None)
    if best is None or weights[best].shape != array.shape:
        return None, None
    rest = f"/{inner}/".replace(f"/{best}/", "/", 1).strip("/")
    return best, rest or "state"


def _variable(spec: TensorSpec, array: np.ndarray) -> Variable:
    def read() -> np.ndarray:
        view = array.view()
        view.flags.writeable = False
        return view

    def write(values: np.ndarray) -> None:
        array[...] = values

    def memory() -> np.ndarray | None:
        plain = array.flags.c_contiguous and array.flags.writeable and array.dtype.isnative
        return array if plain and not array.dtype.hasobject else None

    return Variable(spec, read, write if array.flags.writeable else None, memory)


def _setting(name: str, container: Any, key: Any, leaf: Any, part: str) -> Setting:
    def read() -> Any:
        return container[key]

    def write(value: Any) -> None:
        container[key] = value

    word = str(key)
    role = guess_role(name, "int64" if isinstance(leaf, int) else "float64", ())
    if role not in ("counter", "rng"):
        role = "hyperparameter" if part == "optimizer" else "other"
    return Setting(name, role, read, write, part, optimizer=part if part == "optimizer" else None, key=word)
