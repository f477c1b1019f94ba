"""A torch checkpoint as a catalog: what zip files, legacy streams and plain pickles have in common.

The container tells where the bytes of a storage lie (a :class:`Bank`); the pickle tells everything else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from ..._core.catalog import Catalog
from ..._core.effort import most_tensors
from ..._core.errors import DamagedCheckpoint, HoldfastError
from ..._core.fault import Check, Fault
from ..._core.spec import OptimizerSpec, TensorSpec
from ..flat_optax import optax_state
from ..pickles.arrays import NumpyArray
from ..pickles.machine import Pickle
from ..pickles.nodes import mapping_of
from .leaves import plain
from .optimizers import Ownership, optimizer_spec, owners_of
from .read import Bank, read_tensor, stretch_of
from .roles import average_homes
from .specs import SpecBuilder, names_by_storage, unfold_nested
from .tensors import Reader
from .views import Tensor
from .walk import Walk

__all__ = ["Bank", "TorchCatalog", "open_torch"]

_PROMOTED = {
    "epoch": "epoch",
    "global_step": "step",
    "step": "step",
    "iteration": "step",
    "iter": "step",
    "steps": "step",
    "loss": "loss",
    "arch": "arch",
    "pytorch-lightning_version": "lightning_version",
    "hparams_name": "hparams_name",
    "transformers_version": "transformers_version",
}


class TorchCatalog(Catalog):
    """A catalog over a :class:`Bank`."""

    def __init__(
        self,
        specs: list[TensorSpec],
        parts: list[Tensor | NumpyArray],
        bank: Bank,
        names: Callable[[], dict[str, list[str]]],
        close: Callable[[], None],
        **more: Any,
    ) -> None:
        super().__init__(specs, **more)
        # A clash of names gives the second one a free name; the order stays.
        self._parts = dict(zip(self._specs, parts, strict=True))
        self._bank, self.names_by_storage, self._close = bank, names, close
        self._derived: dict[str, tuple[TensorSpec, str]] = {}
        for name, spec in self._specs.items():
            if name.endswith(".int_repr") and "qscheme" in spec.attributes:
                name = spec.name[: -len("int_repr")] + "dequantized"
                if name not in self._specs:
                    self._derived[name] = (
                        TensorSpec(name, spec.shape, "float32", stored=spec.stored),
                        spec.name,
                    )

    def __getitem__(self, name: str) -> TensorSpec:
        if name in self._derived:
            return self._derived[name][0]
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        return name in self._derived or super().__contains__(name)

    def read(self, name: str) -> np.ndarray:
        """The tensor's values, read-only; zero-copy for plain little-endian tensors, views where they are
        strided.

        ``NAME.dequantized`` of a quantised tensor gives float32 values (derived, hence not listed). Raises
        :class:`NotStored` for meta tensors, :class:`Truncated`, :class:`PartMissing`,
        :class:`DamagedCheckpoint`.
        """
        derived = self._derived.get(name)
        if derived is not None:
            return self._dequantised(derived[1])
        spec = self[name]
        return self._read_part(spec.name, self._parts[spec.name])

    def _read_part(self, name: str, part: Tensor | NumpyArray) -> np.ndarray:
        file = self.files[0] if self.files else None
        try:
            if isinstance(part, NumpyArray):
                return part.read()
            return read_tensor(part, self._bank)
        except HoldfastError as error:
            error.tensor = error.tensor or name
            error.file = error.file or file
            raise

    def stretch(self, name: str) -> Callable[[int, int], memoryview] | None:
        """See :meth:`Catalog.stretch`."""
        part = None if name in self._derived else self._parts[self[name].name]
        return stretch_of(part, self._bank) if isinstance(part, Tensor) else None

    def _dequantised(self, name: str) -> np.ndarray:
        """``(q - zero_point) * scale`` in float32 (ATen/native/quantized/AffineQuantizerBase.cpp)."""
        spec, stored = self[name], self.read(name)
        words = spec.attributes
        scheme = str(words["qscheme"])
        if not scheme.startswith("per_channel"):
            scale, zero = words.get("scale"), words.get("zero_point")
            if not isinstance(scale, (int, float)) or not isinstance(zero, int):
                raise DamagedCheckpoint("the quantisation parameters make no sense", tensor=name)
            return (stored.astype(np.float32) - np.float32(zero)) * np.float32(scale)
        base = name[: -len("int_repr")]
        scales = words.get("scales") or self.read(base + "scales")
        zeros = words.get("zero_points") or self.read(base + "zero_points")
        axis = words.get("axis", 0)
        if not isinstance(axis, int) or not 0 <= axis < stored.ndim:
            raise DamagedCheckpoint("the quantisation axis makes no sense", tensor=name)
        shape = [-1 if d == axis else 1 for d in range(stored.ndim)]
        scales = np.asarray(scales, np.float32).reshape(shape)
        zeros = np.asarray(zeros, np.float32).reshape(shape)
        return (stored.astype(np.float32) - zeros) * scales

    def checks(self) -> Iterator[Check]:
        return self._bank.checks(self.names_by_storage())

    def close(self) -> None:
        self._close()


# -- building --------------------------------------------------------------------------------------------


def open_torch(
    pickle: Pickle,
    bank: Bank,
    *,
    format: str,
    file: str,
    label: str,
    base: int,
    file_size: int,
    pickle_size: int,
    attributes: dict[str, Any],
    faults: list[Fault],
    close: Callable[[], None],
) -> TorchCatalog:
    """Walk the object of ``pickle`` and build the catalog.

    ``label`` and ``base`` place the pickle for its own faults: a file or member, and what to add to opcode
    offsets.
    """
    reader = Reader(bank.inline)
    most = most_tensors(file_size, 128 if format == "torch-legacy" else 300)
    walk = Walk(reader, visits=200_000 + 2 * pickle_size, tensors=most)
    walk.run(pickle.value)
    leaves = unfold_nested(walk.leaves, bank)
    homes = {home: [leaf for leaf in found if leaf.optimizer is None] for home, found in walk.order.items()}
    homes = {home: found for home, found in homes.items() if found}
    averages = average_homes(homes)
    owned = [owners_of(i, o, leaves, homes, averages) for i, o in enumerate(walk.optimizers)]
    builder = SpecBuilder(walk, leaves, homes, averages, owned, bank, file)
    specs = builder.specs()
    states: tuple[OptimizerSpec, ...] = ()
    if builder.arrays_alone:  # as JAX's users pickle them, and numpy's
        specs, states = optax_state(specs, walk.states)
    faults = [*faults, *pickle.faults(label, base), *builder.faults()]
    if walk.cut:
        faults.append(Fault("limit", f"the listing stops early: {walk.cut}", file=label))
    for text, offset in reader.odd[:64]:
        faults.append(Fault("malformed", text, file=label, offset=base + offset if offset else None))
    steps = [builder.step_of(i) for i in range(len(walk.optimizers))]
    catalog = TorchCatalog(
        specs,
        [leaf.part for leaf in leaves],
        bank,
        partial(names_by_storage, builder.on),
        close,
        files=[file],
        attributes=_attributes(attributes, walk, pickle),
        optimizers=[*_optimizers(walk, owned, steps), *states],
        faults=faults,
    )
    catalog.format = format
    catalog.modules = tuple(walk.specs)
    catalog.pickle_globals = tuple(f"{g.module}.{g.name}" for g in pickle.globals.values())
    return catalog


def _optimizers(walk: Walk, owned: list[Ownership], steps: list[int | None]) -> list[OptimizerSpec]:
    return [optimizer_spec(o, w, s) for o, w, s in zip(walk.optimizers, owned, steps, strict=True)]


def _attributes(given: dict[str, Any], walk: Walk, pickle: Pickle) -> dict[str, Any]:
    made = dict(given)
    for word, name in _PROMOTED.items():
        value = walk.values.get(word)
        if isinstance(value, (int, float, str)) and not isinstance(value, bool):
            made.setdefault(name, value)
    if "lightning_version" in made:
        made["writer"] = f"Lightning {made['lightning_version']}, {made.get('writer', 'PyTorch')}"
        top = _top(pickle.value, "hyper_parameters")
        if top is not None:
            made["hyper_parameters"] = plain(top)
    if walk.values:
        made["values"] = dict(walk.values)
    if walk.modules:
        made["modules"] = dict(walk.modules)
    if walk.versions:
        made["module_versions"] = walk.versions
    if pickle.python2:
        made["python2"] = True
    return made


def _top(node: Any, word: str) -> Any:
    return (mapping_of(node) or {}).get(word)
