"""What a save consists of: tensors by file, plain values, and the specs that name them.

Weights and buffers go to ``model.safetensors``, optimizer state to ``optimizer.safetensors``; what has no bytes
(learning rates, scheduler fields, texts) to ``state.json``. Tied tensors are written once. What cannot be saved is named
before anything is written.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..._compare.optimizers import belongs_to_optimizer
from ..._core.dtypes import carrier, dtype_of, known
from ..._core.errors import NotStored, UsageError
from ..._core.pattern import matches
from ..._core.plain import DEPTH, masked, pack, texts_of
from ..._core.spec import OptimizerSpec, TensorSpec
from ..._core.words import plural
from ..._frameworks import LiveCatalog
from ..._frameworks.native import Prepared

__all__ = ["Item", "Payload", "gather", "stored_bytes"]

_MEMORY = "memory:"
MODEL, OPTIMIZER = "model.safetensors", "optimizer.safetensors"


@dataclass(frozen=True, slots=True)
class Item:
    """One tensor to write: its spec, how to get its values, and the names that share its bytes."""

    spec: TensorSpec
    read: Callable[[], np.ndarray]
    others: tuple[TensorSpec, ...] = ()


@dataclass(slots=True)
class Payload:
    """All of one save. ``files``: file -> items in order. ``values``: JSON-able, by the live setting's name.
    ``texts``: tensors whose elements are texts; they go to ``state.json``. ``digests``: name -> digest of the values
    that were proved to be there, where they were (:mod:`holdfast._vault.freezing.proof`). ``frozen``: names of tensors that
    the caller says training leaves as they are. ``documents``: small files that stand beside them, by name. ``linked``: bytes
    that need not be written again (:mod:`holdfast._vault.saving.incremental`)."""

    files: dict[str, list[Item]]
    values: dict[str, Any]
    optimizers: tuple[OptimizerSpec, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    texts: list[Item] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)
    frozen: frozenset[str] = frozenset()
    documents: dict[str, bytes] = field(default_factory=dict)
    linked: int = 0
    native: tuple[Prepared, ...] = ()

    def items(self) -> Iterator[Item]:
        """All tensors and texts, file by file."""
        for items in self.files.values():
            yield from items
        yield from self.texts

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors as they are written; those that are linked are not."""
        return sum(stored_bytes(item.spec) for items in self.files.values() for item in items) - self.linked


def stored_bytes(spec: TensorSpec) -> int:
    """Bytes of a tensor in its file: one byte at least for each element (``int4``), as :func:`canonical_bytes` has it."""
    return math.prod(spec.shape) * carrier(spec.dtype).itemsize


def gather(
    live: LiveCatalog, extra: Mapping[str, Any] | None = None, frozen: str | Iterable[str] = ()
) -> Payload:
    """Take stock of live objects. ``extra`` is any nest of JSON-able values and numpy arrays; ``frozen``: patterns over
    names of the model's tensors.

    Raises :class:`UsageError` naming everything that cannot be saved, or a pattern that covers nothing.
    """
    bad: list[str] = []
    empty: dict[str, NotStored] = {}
    files: dict[str, list[Item]] = {MODEL: [], OPTIMIZER: []}
    shared: dict[str, list[TensorSpec]] = {}
    for spec in live.values():
        if spec.shares is not None:
            shared.setdefault(spec.shares, _first_of(live, spec.shares)).append(spec)
    texts: list[Item] = []
    for name, variable in live.variables.items():
        spec = variable.spec
        if variable.virtual:
            continue
        if (why := _unsavable(spec)) is not None:
            bad.append(why)
            continue
        if variable.read is None or spec.attributes.get("device") == "meta":
            empty[name] = _why_empty(live, name)
            continue
        group = shared.get(spec.shares or f"{_MEMORY}{name}", [])
        if group and group[0].name != name:
            continue  # written with the first of its group
        item = Item(spec, variable.read, tuple(group[1:]))
        if carrier(spec.dtype).hasobject:
            if texts_of(np.asarray(variable.read())) is None:
                bad.append(f"{name}: objects that are no texts")
            texts.append(item)
        else:
            files[OPTIMIZER if belongs_to_optimizer(spec) else MODEL].append(item)
    values: dict[str, Any] = {}
    for name, setting in live.settings.items():
        values[name] = pack(setting.read(), name, bad)
    for name, value in _leaves(extra or {}, "extra"):
        if isinstance(value, np.ndarray) and not masked(value) and texts_of(value) is None:
            spec = TensorSpec(name, value.shape, dtype_of(value.dtype), role="other", dialect="numpy")
            if (why := _unsavable(spec)) is not None or value.dtype.hasobject:
                bad.append(why or f"{name}: an array of objects")
                continue
            files[MODEL].append(Item(spec, lambda value=value: value))  # type: ignore[misc]
        else:
            values[name] = pack(value, name, bad)
    if empty:
        first = next(iter(empty.values()))
        raise UsageError(
            f"{plural(len(empty), 'tensor')} cannot be saved: {first.message}", tensor=first.tensor,
            found=", ".join([*empty][:8]) + (f" and {len(empty) - 8} more" if len(empty) > 8 else ""),
            remedy=first.remedy,
        )  # fmt: skip
    if bad:
        raise UsageError(
            f"{len(bad)} things cannot be saved" if len(bad) > 1 else "one thing cannot be saved",
            found="; ".join(bad[:8]) + (f" and {len(bad) - 8} more" if len(bad) > 8 else ""),
            expected="numpy arrays, numbers, texts, booleans, None, and lists and dicts of these",
            remedy=_turned(bad),
        )
    held = _covered([frozen] if isinstance(frozen, str) else frozen, files[MODEL])
    files = {f: items for f, items in files.items() if items}
    return Payload(files, values, live.optimizers, texts=texts, frozen=held)


def _covered(patterns: Iterable[str], items: list[Item]) -> frozenset[str]:
    found: set[str] = set()
    names = [item.spec.name for item in items]
    for pattern in patterns:
        here = [name for name in names if matches(pattern, name)]
        if not here:
            raise UsageError(
                "frozen= names no tensor of the model", found=pattern,
                expected=", ".join(names[:5]) or "a model with tensors",
                remedy="A pattern covers whole names; `*` stands for any run of characters.",
            )  # fmt: skip
        found.update(here)
    return frozenset(found)


def _first_of(live: LiveCatalog, shares: str) -> list[TensorSpec]:
    """Where a tie is named after its first tensor, which does not bear it itself: that one."""
    name = shares.removeprefix(_MEMORY)
    if name == shares or name not in live or live[name].name != name or live[name].shares is not None:
        return []
    return [live[name]]


def _why_empty(live: LiveCatalog, name: str) -> NotStored:
    """Why a tensor has no values, in the words of what reads it."""
    try:
        live.read(name)
    except NotStored as error:
        if error.tensor is not None:
            return error
        remedy = error.remedy
        if live[name].attributes.get("device") == "meta":
            remedy = "Give the model memory (`model.to_empty(device='cpu')`) and its weights first."
        return NotStored(error.message, tensor=name, remedy=remedy)
    return NotStored("it has no value", tensor=name)


def _turned(bad: list[str]) -> str:
    """What to do about things that cannot be saved."""
    extra = all(text.startswith("extra/") for text in bad)
    start = "Leave it out of extra=, or turn it into one of these" if extra else "Turn it into one of these"
    tensors = any(text.endswith(("Tensor", "Parameter", "ArrayImpl", "Variable")) for text in bad)
    return start + (": `np.asarray(x)` makes an array of a tensor." if tensors else ".")


def _unsavable(spec: TensorSpec) -> str | None:
    """Why a tensor cannot be saved: its dtype has no array form that a restore could read, or no file can say its name."""
    try:
        spec.name.encode()
    except UnicodeEncodeError:
        return f"{spec.name!r}: a name that is no valid Unicode"
    if spec.dtype == "variant" or not known(spec.dtype):
        return f"{spec.name}: dtype {spec.dtype}"
    return None


def _leaves(tree: Any, path: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Arrays and values of a nest by their path. Mappings with keys that would be lost in a path, empty ones, and what
    lies too deep are values as a whole."""
    if not isinstance(tree, Mapping) or depth > DEPTH:
        yield path, tree
    elif tree and all(isinstance(key, str) and "/" not in key for key in tree):
        for key, value in tree.items():
            yield from _leaves(value, f"{path}/{key}", depth + 1)
    elif tree or path != "extra":
        yield path, tree
