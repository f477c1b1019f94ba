"""Legacy Keras HDF5: weights by layer and name, with ``model_config``, ``training_config``,
``optimizer_weights``.

Layout (``keras/src/legacy/saving/legacy_h5_format.py``; ``keras/engine/saving.py`` of Keras 2;
``keras/engine/topology.py``
of Keras 1): the root (or its group ``model_weights``) has an attribute ``layer_names``; each layer's group
has
``weight_names``, the paths of its datasets within that group. Lists over 64 KB are split into
``layer_names0``, ``1``, …
``optimizer_weights`` is one such group for the optimizer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..._core.errors import DamagedCheckpoint, HoldfastError
from ..._core.fault import Fault
from ..._core.spec import OptimizerSpec, Role, TensorSpec
from ..._facts.keras_layers import role_of
from ..._facts.optimizers import known_slots
from ..hdf5.file import Dataset, H5File
from .catalog import stored_at
from .config import executable, model_attributes, parsed
from .names import Weight
from .slots import Slot, State, optimizer_config, role_of_slot, spec_of, state_of
from .weights import generation_of, layout_of

__all__ = ["LegacyReader"]

_COUNTERS = re.compile(r"(^|/)(iter|iterations?|step_counter)(_\d+)?(:0)?$")
_HYPER = re.compile(r"(^|/)(learning_rate|lr|decay|dynamic_scale|momentum_cache|cond/.*)(:0)?$")


class LegacyReader:
    """Specs, optimizer and attributes of a legacy file."""

    def __init__(self, file: H5File) -> None:
        self.file = file
        self.faults: list[Fault] = list(file.faults)
        self.attributes: dict[str, Any] = {}
        self.optimizers: list[OptimizerSpec] = []
        self.specs: list[TensorSpec] = []
        self.root = "model_weights" if "model_weights" in file.groups else ""
        self.places = {file.source.name: (file.source.name, 0)}
        self.config: Any = None
        self.training: Any = None
        self._read_attributes()
        self.generation = generation_of(self.attributes.get("keras_version"))
        self._seen: set[str] = set()
        weights = self._weights()
        for order, weight in enumerate(weights):
            self._add_weight(weight, order)
        self._optimizer(weights)
        for key, dataset in file.datasets.items():
            if key not in self._seen:
                self._spec(dataset, key, "other", (), attributes={"unlisted": True})

    # -- attributes ------------------------------------------------------------------------------------------
    def _attribute(self, path: str, name: str) -> Any:
        try:
            return self.file.attribute(path, name)
        except HoldfastError as error:
            self._fault("malformed", error.message, seen=error.found)
            return None

    def _fault(self, slug: str, message: str, **more: Any) -> None:
        self.faults.append(Fault(slug, message, file=self.file.source.name, **more))

    def _texts(self, path: str, name: str) -> list[str] | None:
        """A list attribute that may be split into ``name0``, ``name1``, …; ``None`` where there is none."""
        value = self._attribute(path, name)
        if value is None:
            parts: list[Any] = []
            while True:
                part = self._attribute(path, f"{name}{len(parts)}")
                if part is None:
                    break
                parts.append(part)
            if not parts:
                return None
            value = [item for part in parts for item in (part if isinstance(part, list) else [part])]
        return [str(v) for v in (value if isinstance(value, list) else [value])]

    def _read_attributes(self) -> None:
        for name in ("keras_version", "backend"):
            value = self._attribute("", name)
            if value is None and self.root:
                value = self._attribute(self.root, name)
            if isinstance(value, str):
                self.attributes[name] = value
        version = self.attributes.get("keras_version")
        self.attributes["writer"] = f"Keras {version}" if version else "Keras 1 or older"
        if self.attributes.get("backend") not in (None, "tensorflow", "jax", "torch", "numpy"):
            # Theano convolves with flipped kernels and, in Keras 1, keeps them as (out, in, rows, columns).
            self.attributes["layout_hint"] = f"kernels as the {self.attributes['backend']} backend keeps them"
        self.config = self._json("model_config")
        self.training = self._json("training_config")
        name = self.file.source.name
        self.attributes.update(model_attributes(self.config, self.training))
        if self.config is not None:
            self.faults.extend(executable(self.config, name))

    def _json(self, name: str) -> Any:
        text = self._attribute("", name)
        if isinstance(text, str):
            try:
                return parsed(text, self.file.source.name, name)
            except DamagedCheckpoint as error:
                self._fault("malformed", error.message, seen=error.found)
        return None

    # -- weights ---------------------------------------------------------------------------------------------
    def _path(self, *parts: str) -> str:
        return "/".join(p for p in parts if p)

    def _layers(self) -> list[tuple[str, str]]:
        """Layer groups in recorded order, as ``(name, path)``."""
        names = self._texts(self.root, "layer_names")
        if names is None:
            count = self._attribute(self.root, "nb_layers")
            if isinstance(count, int):  # Keras 0.x
                names = [f"layer_{i}" for i in range(min(count, len(self.file.groups)))]
            else:
                names = []
                if self.root or self.config is not None:
                    self._fault(
                        "malformed", "the list of layers (layer_names) is missing", seen=self.root or "/"
                    )
        found = [(n, self._path(self.root, n)) for n in names]
        for extra in ("top_level_model_weights",):
            path = self._path(self.root, extra)
            if path in self.file.groups and extra not in names:
                found.append(("", path))
        return found

    def _weights(self) -> list[Weight]:
        options = _layer_options(self.config)
        found: list[Weight] = []
        layers: list[str] = []
        for layer, path in self._layers():
            if path not in self.file.groups:
                self._fault(
                    "malformed", f"the layer {layer!r} is listed, but its group is missing", seen=path
                )
                continue
            names = self._texts(path, "weight_names")
            if names is None:
                count = self._attribute(path, "nb_params")
                names = [f"param_{i}" for i in range(min(count, 10_000))] if isinstance(count, int) else []
            for name in names:
                dataset = self._dataset(self._path(path, name), name)
                if dataset is None:
                    continue
                plain = name.split("/")[-1].split(":")[0]
                variable = re.sub(r"_\d+$", "", plain)
                class_name, trainable = options.get(layer, (None, None))
                role = role_of(variable)
                if role == "buffer" and "_" not in variable and class_name not in ("Normalization", None):
                    role = "weight"
                aliases = (self._path(layer, name),) if layer else ()
                kept = trainable if role == "weight" else False
                found.append(Weight(dataset, name, role, aliases, kept, True, True, class_name, variable))
                layers.append(layer)
        self._part(found)
        return found

    def _part(self, weights: list[Weight]) -> None:
        """Names that several layers use (``kernel:0``) are preceded by their layer's."""
        count: dict[str, int] = {}
        for weight in weights:
            count[weight.name] = count.get(weight.name, 0) + 1
        for weight in weights:
            if count[weight.name] > 1 and weight.aliases:
                weight.name, weight.aliases = weight.aliases[0], (weight.name,)

    def _dataset(self, path: str, name: str) -> Dataset | None:
        found = self.file.datasets.get(path)
        if found is None:
            self._fault(
                "tensor-missing",
                f"{name} is listed, but its dataset is missing",
                tensor=name,
                seen=path,
                tensors=(name,),
            )
        return found

    # -- specs -----------------------------------------------------------------------------------------------
    def _spec(self, dataset: Dataset, name: str, role: Role, aliases: tuple[str, ...], **more: Any) -> None:
        if dataset.path in self._seen:
            return
        self._seen.add(dataset.path)
        attributes = dict(more.pop("attributes", {}))
        if dataset.filters:
            attributes["hdf5_filters"] = [f.code for f in dataset.filters]
        if dataset.problem is not None:
            attributes["unreadable"] = dataset.problem.message
        plain = name.removesuffix(":0")
        self.specs.append(
            TensorSpec(
                name=name,
                shape=dataset.shape,
                dtype=dataset.dtype,
                key=dataset.path,
                role=role,
                aliases=tuple(dict.fromkeys(a for a in (*aliases, plain) if a not in (name, dataset.path))),
                dialect="keras",
                nbytes=dataset.nbytes,
                stored=stored_at(dataset, self.places),
                attributes=attributes,
                **more,
            )
        )

    def _add_weight(self, weight: Weight, order: int) -> None:
        attributes = {"class": weight.class_name} if weight.class_name else {}
        self._spec(
            weight.dataset,
            weight.name,
            weight.role,
            weight.aliases,
            attributes=attributes,
            trainable=weight.trainable,
            layout=layout_of(weight) if self.attributes.get("backend") != "theano" else None,
            order=order,
        )

    # -- optimizer -------------------------------------------------------------------------------------------
    def _optimizer(self, weights: list[Weight]) -> None:
        path = "optimizer_weights"
        node = (self.training or {}).get("optimizer_config") if isinstance(self.training, dict) else None
        class_name, config = optimizer_config(node)
        wrapper: dict[str, Any] = {}
        if class_name == "LossScaleOptimizer" and isinstance(config, dict) and "inner_optimizer" in config:
            wrapper = {"wrapper": class_name}
            class_name, config = optimizer_config(config["inner_optimizer"])
        names = self._texts(path, "weight_names") if path in self.file.groups else None
        listed: list[tuple[str, Dataset]] = []
        for name in names or ():
            dataset = self._dataset(self._path(path, name), name)
            if dataset is not None:
                listed.append((name, dataset))
        if not listed:
            if class_name:
                self.optimizers.append(
                    spec_of((config or {}).get("name") or class_name, class_name, config, State(), **wrapper)
                )
            return
        state = self._state(listed, weights, class_name, config)
        label = (config or {}).get("name") if isinstance((config or {}).get("name"), str) else None
        title = label or class_name or "optimizer"
        for (name, dataset), slot in zip(listed, state.slots, strict=True):
            attributes: dict[str, Any] = {}
            if slot.role in ("slot", "average") and not (slot.owner and slot.proved):
                attributes["owner_unproved"] = True
            self._spec(
                dataset,
                f"optimizer/{name}",
                slot.role,
                (name, f"optimizer/{title}/u_product") if slot.slot == "u_product" else (name,),
                owner=slot.owner if slot.proved else None,
                slot=slot.slot if slot.role == "slot" else None,
                optimizer=title,
                attributes=attributes,
            )
        self.optimizers.append(spec_of(title, class_name, config, state, **wrapper))

    def _state(
        self, listed: list[tuple[str, Dataset]], weights: list[Weight], class_name: str | None, config: Any
    ) -> State:
        """Owners by the names that newer Keras gives its slots, else by recorded order and shapes."""
        by_flat: dict[str, Weight] = {}
        for weight in weights:
            by_flat.setdefault(weight.name.removesuffix(":0"), weight)
            by_flat.setdefault(weight.name.removesuffix(":0").replace("/", "_"), weight)
        state = State()
        for name, dataset in listed:
            state.slots.append(_by_name(name, dataset, by_flat, class_name))
        if all(s.role not in ("slot", "average") or s.owner for s in state.slots):
            return state
        generation = "keras-1"
        version = (self.attributes.get("keras_version") or "1").split(".")
        old = version[0] in ("0", "1") or version[:2] == ["2", "0"]
        guessed = state_of(
            [d for _, d in listed],
            weights,
            class_name,
            _old_options(class_name, config),
            generation,
            by_name=old,
        )
        if guessed.fitted:
            for slot, (name, _) in zip(guessed.slots, listed, strict=True):
                if _COUNTERS.search(name):
                    slot.role, slot.slot = "counter", "iteration"
            return guessed
        return state


def _old_options(class_name: str | None, config: Any) -> Mapping[str, Any] | None:
    """Older Keras keeps momentum even when it is 0, and writes no option for what it always keeps."""
    if class_name == "SGD" or not isinstance(config, dict):
        return {"momentum": 1}
    return None if class_name in ("Adam", "AdamW") else config


def _by_name(name: str, dataset: Dataset, weights: Mapping[str, Weight], class_name: str | None) -> Slot:
    """What an optimizer variable's own name tells.

    ``Adam/conv/kernel/m:0`` and ``training/Adam/conv/kernel/m:0`` (TF 1.13-2.10), ``Adam/m/conv/kernel:0``
    (2.11-2.15),
    ``adam/conv_kernel_momentum`` (Keras 3).
    """
    plain = name.removesuffix(":0")
    if dataset.shape == () and _COUNTERS.search(plain):
        return Slot(dataset, "counter", slot="iteration")
    if dataset.shape == () and _HYPER.search(plain):
        return Slot(dataset, "hyperparameter", slot=plain.rsplit("/", 1)[-1])
    parts = plain.split("/")
    for start in range(min(4, len(parts))):
        rest = parts[start:]
        for slot, key in (
            (rest[-1], "/".join(rest[:-1])),
            (rest[0], "/".join(rest[1:])),
        ):
            if key in weights:
                return _slot(dataset, slot, weights[key])
    last = parts[-1]
    if class_name == "Nadam" and dataset.shape == () and re.fullmatch(r"variable(_\d+)?", last):
        return Slot(dataset, "counter", slot="u_product")  # keras/src/optimizers/nadam.py gives it no name
    known = (*known_slots(class_name, "keras-3"), "average", "gradient_accumulator")
    for slot in sorted(known, key=len, reverse=True):
        flat = last.removesuffix("_" + slot)
        if flat != last and flat in weights:
            return _slot(dataset, slot, weights[flat])
    return Slot(dataset, "slot", proved=False)


def _slot(dataset: Dataset, slot: str, weight: Weight) -> Slot:
    return Slot(dataset, role_of_slot(slot), slot=slot, owner=weight.name)


def _layer_options(config: Any, depth: int = 0) -> dict[str, tuple[str | None, bool | None]]:
    """Layer name -> (class, trainable), out of ``model_config``, top-level layers only."""
    inner = config.get("config") if isinstance(config, dict) else None
    layers = inner.get("layers") if isinstance(inner, dict) else inner
    found: dict[str, tuple[str | None, bool | None]] = {}
    for node in layers if isinstance(layers, list) else ():
        if isinstance(node, dict):
            options = node.get("config")
            name = node.get("name") or (options.get("name") if isinstance(options, dict) else None)
            if isinstance(name, str):
                trainable = options.get("trainable", True) if isinstance(options, dict) else None
                kind = node.get("class_name")
                found[name] = (
                    kind if isinstance(kind, str) else None,
                    trainable if isinstance(trainable, bool) else None,
                )
    return found
