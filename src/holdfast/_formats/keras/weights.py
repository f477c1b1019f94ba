"""Position-keyed Keras weights (``.weights.h5``, ``model.weights.h5`` in ``.keras``, shards) as a catalog.

One place for all three: objects and their variables come as paths ``…/vars/N``, whichever files they lie in.
Layout:
``keras/src/saving/saving_lib.py`` (``H5IOStore``, ``ShardedH5IOStore``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..._core.errors import DamagedCheckpoint
from ..._core.fault import Fault
from ..._core.spec import OptimizerSpec, Role, TensorSpec
from ..._facts.keras_layers import kernel_layout
from ..._facts.optimizers import GENERATIONS
from ..hdf5.file import Dataset, H5File
from .catalog import Place, stored_at
from .holders import Holder, holders_of
from .missing import numbers_skipped, short_layers
from .names import Weight, name_weights
from .optimizer_names import OptimizerNames, backend_of
from .slots import State, optimizer_config, spec_of, state_of

__all__ = ["WeightsReader", "generation_of", "layout_of"]

_OPTIMIZERS = ("optimizer", "_optimizer")


def generation_of(version: str | None) -> int | None:
    """2 or 3 out of a ``keras_version``; 2 for anything older, ``None`` where there is none."""
    head = (version or "").split(".")[0]
    if not head.isdigit():
        return None
    return 3 if int(head) >= 3 else 2


class WeightsReader:
    """Names, roles and owners for the datasets of one or several weight files.

    ``files`` are read as one tree (shards hold parts of it). ``config`` is the model's configuration,
    ``compiled`` its
    ``compile_config``, ``version`` the ``keras_version``, each ``None`` where the file lacks it.
    """

    def __init__(
        self,
        files: list[H5File],
        places: Place,
        *,
        config: Mapping[str, Any] | None = None,
        compiled: Mapping[str, Any] | None = None,
        version: str | None = None,
        prefix: str = "",
    ) -> None:
        self.files, self.places, self.prefix = files, places, prefix
        self._first = files[0].source.name if files else ""
        self.config, self.compiled = config, compiled
        self.faults: list[Fault] = [fault for file in files for fault in file.faults]
        self.datasets: dict[str, Dataset] = {}
        groups: dict[str, H5File] = {}
        for file in files:
            for path in file.groups:
                groups.setdefault(path, file)
            for key, dataset in file.datasets.items():
                if key in self.datasets:
                    self._twice(key, file)
                    continue
                self.datasets[key] = dataset
        self.groups = groups
        self.holders, self.stray = holders_of(groups, self.datasets, self._label)
        self.faults += numbers_skipped(self.holders.values(), self._first)
        self.generation = generation_of(version) or self._generation()
        self.specs: list[TensorSpec] = []
        self.optimizers: list[OptimizerSpec] = []
        self._build()

    def _twice(self, key: str, file: H5File) -> None:
        self.faults.append(
            Fault(
                "duplicate-key",
                f"{key} stands in several parts",
                file=file.source.name,
                tensor=key,
                seen=file.source.name,
                expected=self.datasets[key].file.source.name,
            )
        )

    def _label(self, group: str) -> str | None:
        for file in self.files:
            if group in file.groups:
                try:
                    value = file.attribute(group, "name")
                except DamagedCheckpoint as error:
                    self.faults.append(
                        Fault("malformed", error.message, file=file.source.name, seen=error.found)
                    )
                    continue
                if isinstance(value, str):
                    return value
        return None

    def _generation(self) -> int | None:
        """2 or 3 by content: Keras 3 labels its groups (3.4 on) and stores the learning rate after the
        iteration.
        """
        if any(h.label for h in self.holders.values()):
            return 3
        if any(p.split("/")[-1] == "_layer_checkpoint_dependencies" for p in self.groups):
            return 2
        state = self._optimizer_holder()
        if state is not None and len(state.variables) > 1:
            first, second = state.variables.get(0), state.variables.get(1)
            if first is not None and second is not None and first.shape == ():
                if second.shape == () and second.raw is not None and second.raw.kind == "f":
                    return 3
                if first.raw is not None and first.raw == np.dtype("int32"):
                    return 3  # JAX and torch backends
                if first.raw is not None and first.raw == np.dtype("int64"):
                    # TensorFlow, of either generation: a schedule holds the learning rate in Keras 3
                    return None
        return None

    def _optimizer_holder(self) -> Holder | None:
        return next((self.holders[p] for p in _OPTIMIZERS if p in self.holders), None)

    # -- specs -----------------------------------------------------------------------------------------------
    def _build(self) -> None:
        weights = name_weights(self.groups, self.holders, self.config, self.generation)
        if any(w.role == "weight" for w in weights):
            self.faults += short_layers(
                self.holders.values(), self.groups, self.config is not None, self._first
            )
        _part_namesakes(weights)
        order = 0
        for weight in weights:
            ordered = order if weight.role in ("weight", "buffer") else None
            order += ordered is not None
            self.specs.append(self._weight(weight, ordered))
        self._build_optimizer(weights)
        for dataset in self.stray:
            self.specs.append(self._by_word(dataset))
        shared: dict[int, list[int]] = {}
        for place, spec in enumerate(self.specs):
            found = self.datasets[spec.key]
            shared.setdefault(hash((id(found.file), found.address)), []).append(place)
        for places in shared.values():
            if len(places) > 1:
                label = f"h5:{self.datasets[self.specs[places[0]].key].address:#x}"
                for place in places:
                    self.specs[place] = self.specs[place].with_(shares=label)

    def _by_word(self, dataset: Dataset) -> TensorSpec:
        """Of what a layer saves by a word of its own, the weights of a lookup's terms are known, which a ``TextVectorization``
        writes a second time in its own name (``index_lookup.py``, ``save_own_variables``)."""
        holder, _, word = dataset.path.rpartition("/vars/")
        twice = any(other.path == f"{holder}/_lookup_layer/vars/{word}" for other in self.stray)
        if word != "idf_weights" or twice:
            return self._spec(dataset, dataset.path, "other", (), {})
        label = self._label(holder.removesuffix("/_lookup_layer"))
        name = f"{label}/{word}" if label else dataset.path
        taken = any(spec.name == name for spec in self.specs)
        return self._spec(dataset, dataset.path if taken else name, "buffer", (), {}, trainable=False)

    def _spec(
        self,
        dataset: Dataset,
        name: str,
        role: Role,
        aliases: tuple[str, ...],
        attributes: dict[str, Any],
        **more: Any,
    ) -> TensorSpec:
        full = (f"{self.prefix}{dataset.path}",) if self.prefix else ()
        if dataset.filters:
            attributes["hdf5_filters"] = [f.code for f in dataset.filters]
        if dataset.problem is not None:
            attributes["unreadable"] = dataset.problem.message
        return TensorSpec(
            name=name,
            shape=dataset.shape,
            dtype=dataset.dtype,
            key=dataset.path,
            role=role,
            aliases=tuple(dict.fromkeys(a for a in (*aliases, *full) if a not in (name, dataset.path))),
            dialect="keras",
            nbytes=dataset.nbytes,
            stored=stored_at(dataset, self.places),
            attributes=attributes,
            **more,
        )

    def _weight(self, weight: Weight, order: int | None) -> TensorSpec:
        attributes: dict[str, Any] = {}
        if not weight.proved:
            attributes["name_unproved"] = True
        if weight.class_name:
            attributes["class"] = weight.class_name
        return self._spec(
            weight.dataset,
            weight.name,
            weight.role,
            weight.aliases,
            attributes,
            trainable=weight.trainable,
            layout=layout_of(weight),
            order=order,
        )

    # -- optimizer -------------------------------------------------------------------------------------------
    def _build_optimizer(self, weights: list[Weight]) -> None:
        outer = self._optimizer_holder()
        if outer is None:
            return
        class_name, config = optimizer_config((self.compiled or {}).get("optimizer"))
        module = ((self.compiled or {}).get("optimizer") or {}) if isinstance(self.compiled, dict) else {}
        backend = backend_of(module.get("module") if isinstance(module, dict) else None, self.compiled)
        inner = next((h for p, h in self.holders.items() if p.startswith(outer.path + "/")), None)
        generation = {3: GENERATIONS[0], 2: GENERATIONS[1]}.get(self.generation or 0)
        if class_name == "LossScaleOptimizer" and isinstance(config, dict):
            class_name, config = optimizer_config(config.get("inner_optimizer"))
        label = (inner.label if inner is not None else None) or (outer.label if outer is not None else None)
        if isinstance(config, dict) and isinstance(config.get("name"), str):
            label = label or config["name"]
        variables = [outer.variables[i] for i in sorted(outer.variables)]
        state = state_of(variables, weights, class_name, config, generation, label)
        wrapper = (
            outer.label if inner is not None and outer.label else "loss_scale_optimizer" if inner else None
        )
        naming = OptimizerNames(self.generation, label, class_name or state.class_likely, wrapper, backend)
        name = naming.optimizer
        taken: set[str] = set()
        for slot in state.slots:
            self._slot(slot.dataset, slot, naming, name, taken, state)
        self.optimizers.append(
            spec_of(
                name,
                class_name,
                config,
                state,
                **({"wrapper": "LossScaleOptimizer"} if inner is not None else {}),
            )
        )
        if inner is not None:
            self._inner(inner, weights, class_name, config, generation, naming, state)

    def _slot(
        self,
        dataset: Dataset,
        slot: Any,
        naming: OptimizerNames,
        optimizer: str,
        taken: set[str],
        state: State,
        copy: bool = False,
    ) -> None:
        attributes: dict[str, Any] = {}
        names = naming.names(slot.slot, slot.owner, dataset.path)
        if copy:
            attributes["copy_of"] = names[0]
            names = (dataset.path,)
        name = names[0] if names[0] not in taken else dataset.path
        taken.add(name)
        owner = slot.owner
        if slot.role in ("slot", "average", "gradient") and not slot.proved:
            attributes["owner_unproved"] = True
            if owner:
                attributes["owner_candidates"] = [owner]
            owner = None
        if state.class_likely and slot.role in ("slot", "average", "gradient"):
            attributes["slot_likely"] = True
        self.specs.append(
            self._spec(
                dataset,
                name,
                slot.role,
                names[1:],
                attributes,
                owner=owner,
                slot=slot.slot if slot.role in ("slot",) else None,
                optimizer=optimizer,
            )
        )

    def _inner(
        self,
        inner: Holder,
        weights: list[Weight],
        class_name: str | None,
        config: Mapping[str, Any] | None,
        generation: str | None,
        naming: OptimizerNames,
        outer: State,
    ) -> None:
        """A loss scale optimizer's file holds the inner optimizer's variables a second time, under its own
        path.
        """
        variables = [inner.variables[i] for i in sorted(inner.variables)]
        state = state_of(variables, weights, class_name, config, generation, inner.label or naming.label)
        for slot in state.slots:
            if slot.slot and slot.role in ("counter", "hyperparameter"):
                slot.slot = "inner/" + slot.slot.removeprefix("inner/")
            self._slot(slot.dataset, slot, naming, naming.optimizer, set(), state, copy=True)


def layout_of(weight: Weight) -> str | None:
    """Axis order of a kernel as Keras keeps it; see :func:`kernel_layout`."""
    return kernel_layout(weight.class_name or "", weight.variable, len(weight.dataset.shape))


def _part_namesakes(weights: list[Weight]) -> None:
    """Two variables of one name (nested models may repeat layer names) are told apart by their group
    paths.
    """
    seen: dict[str, list[Weight]] = {}
    for weight in weights:
        seen.setdefault(weight.name, []).append(weight)
    for same in seen.values():
        if len(same) > 1:
            for weight in same:
                longer = max(weight.aliases, key=lambda a: a.count("/"), default=weight.name)
                taken = seen.keys() | {w.name for w in same if w is not weight}
                weight.aliases = (*weight.aliases, weight.name)
                weight.name = longer if longer not in taken else weight.dataset.path
