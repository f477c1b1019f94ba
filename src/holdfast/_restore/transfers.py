"""Which stored tensors go into which live ones: straight over, or as parts that are joined first."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .._compare.edited import Entry
from .._compare.steps import joined
from .._core.dtypes import carrier
from .._core.errors import UsageError
from .._core.spec import TensorSpec
from .._examine.fitted import Fit
from .._frameworks import Variable
from .journal import Journal
from .reading import Transfer

__all__ = ["join_staged", "must_fit", "source_of", "transfers_of"]

_PART = " (part)"


def transfers_of(found: Fit) -> tuple[list[Transfer], list[tuple[Transfer, str]]]:
    """Tensors that go straight over, and those put together of several, with the live name of the whole."""
    direct: list[Transfer] = []
    staged: list[tuple[Transfer, str]] = []
    shared: set[str] = set()
    for name, source in found.pairs.items():
        variable = found.live.variables[name]
        spec = variable.spec
        if _decided(found, spec):
            continue
        if spec.shares is not None:
            if spec.shares in shared:
                continue
            shared.add(spec.shares)
        entry = found.stored.entries[source]
        if len(entry.parts) > 1:
            staged += [(_staging(found, part.source), name) for part in entry.parts]
        else:
            direct.append(Transfer(name, entry.parts[0].source, variable, _conversion(entry, spec)))
    return direct, staged


def _decided(found: Fit, spec: TensorSpec) -> bool:
    """Whether it is set by decision and not by copying, as a hyperparameter is that is one number."""
    number = spec.shape in ((), (1,)) or any(d.variable == spec.name for d in found.decisions)
    return spec.role == "hyperparameter" and (number or spec.optimizer is None)


def _conversion(entry: Entry, spec: TensorSpec) -> Callable[[np.ndarray], np.ndarray] | None:
    steps = entry.parts[0].steps
    if not steps and entry.spec.shape == spec.shape:
        return None

    def convert(values: np.ndarray) -> np.ndarray:
        for step in steps:
            values = step(values)
        # a scalar with or without an axis is one value all the same
        return values.reshape(spec.shape) if values.size == 1 and values.shape != spec.shape else values

    return convert


def _staging(found: Fit, source: str) -> Transfer:
    """A transfer into memory of our own, for a part of a tensor."""
    spec = found.stored.base[source]
    array = np.empty(spec.shape, carrier(spec.dtype))

    def write(values: np.ndarray) -> None:
        array[...] = values

    variable = Variable(spec, lambda: array, write, lambda: array)
    return Transfer(f"{source}{_PART}", source, variable)


def join_staged(found: Fit, staged: list[tuple[Transfer, str]], journal: Journal) -> None:
    """Put the parts of each tensor together, and into the live one."""
    parts: dict[str, list[np.ndarray]] = {}
    for one, name in staged:
        assert one.variable.read is not None
        parts.setdefault(name, []).append(one.variable.read())
    for name, arrays in parts.items():
        entry = found.stored.entries[found.pairs[name]]
        made = []
        for part, values in zip(entry.parts, arrays, strict=True):
            for step in part.steps:
                values = step(values)
            made.append(values)
        variable = found.live.variables[name]
        assert variable.write is not None
        journal.tensor(name)
        variable.write(np.ascontiguousarray(joined(made, entry.axis or 0)).reshape(variable.spec.shape))


def must_fit(found: Fit) -> None:
    """Every tensor has a way to be set, and fits; nothing has changed yet. Raises :class:`UsageError` else."""
    for name, source in found.pairs.items():
        variable, entry = found.live.variables[name], found.stored.entries[source]
        if _decided(found, variable.spec):
            continue
        if variable.write is None:
            raise UsageError(
                "this live tensor cannot be set",
                tensor=name,
                remedy="A read-only array or a constant: copy it first.",
            )
        a, b = entry.spec, variable.spec
        scalars = int(np.prod(a.shape)) == int(np.prod(b.shape)) == 1
        if (a.dtype != b.dtype and not {a.dtype, b.dtype} <= {"string", "object"}) or (
            a.shape != b.shape and not scalars
        ):
            raise UsageError(
                "a tensor does not fit after the edits", tensor=name,
                expected=f"{b.dtype}{list(b.shape)}", found=f"{a.dtype}{list(a.shape)}",
            )  # fmt: skip


def source_of(found: Fit, name: str) -> str:
    """The stored tensor that the transfer ``name`` reads."""
    part = name.removesuffix(_PART)
    return part if part != name else found.stored.entries[found.pairs[name]].parts[0].source
