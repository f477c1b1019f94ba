"""Live Keras 3 models and optimizers as a catalog, named as the files that Keras writes of them are read.

Weights are called by ``variable.path`` (``dense_1/kernel``, ``lstm/lstm_cell/kernel``), keyed by their dataset in
``model.weights.h5``; the paths of ``tf.train.Checkpoint(model=..., optimizer=...)`` are aliases on the TensorFlow
backend. Variables of optimizers stand below the word they were passed by: ``optimizer/adam/dense_kernel_momentum``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import keras
import numpy as np

from ..._core.errors import UsageError
from ..._core.fault import Fault
from ..._core.modules import ModuleSpec
from ..._core.spec import OptimizerSpec, TensorSpec
from ..._facts.keras_layers import kernel_layout, role_of
from ..live import Held, LiveCatalog, Setting, Variable
from . import values
from .derived import compile_anew, derive_anew, stale
from .lookups import lookups, term_weights
from .names import Named, named
from .objects import Holder, holders, not_built
from .optimizers import OwnVariable, initial_of, inner_of, optimizer_spec, own_variables, settings
from .readiness import duplicates, mark, readiness
from .virtual import foreseen, virtual_variables

__all__ = ["Held", "describe", "recognises"]


def recognises(thing: Any) -> bool:
    """Whether it is a Keras layer, model, optimizer or learning rate schedule, or a list or mapping of those."""
    if isinstance(thing, (keras.layers.Layer, keras.optimizers.Optimizer)):
        return True
    if isinstance(thing, keras.optimizers.schedules.LearningRateSchedule):
        return True
    if isinstance(thing, Mapping):
        return bool(thing) and all(isinstance(key, str) and recognises(item) for key, item in thing.items())
    return isinstance(thing, (list, tuple)) and bool(thing) and all(recognises(item) for item in thing)


def describe(parts: Mapping[str, Any]) -> LiveCatalog:
    """The catalog of the models and optimizers passed. Only what was passed: a compiled model's own optimizer
    counts where ``optimizer=model.optimizer`` says so (and for the next step, which is made with it: see
    :meth:`LiveCatalog.compiled`).

    Raises :class:`UsageError` for a part that is no object of Keras's.
    """
    models, optimizers = _sorted_out(parts)
    return _Description(models, optimizers).catalog(parts)


def _sorted_out(parts: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Models and optimizers by the prefix of their names; the only model has none."""
    models: dict[str, Any] = {}
    optimizers: dict[str, Any] = {}
    for part, thing in parts.items():
        for name, item in _items(part, thing):
            if isinstance(item, keras.layers.Layer):
                models[name] = item
            elif isinstance(item, keras.optimizers.Optimizer):
                optimizers[name] = item
            elif not isinstance(item, keras.optimizers.schedules.LearningRateSchedule):
                raise UsageError(
                    f"{name}= is no object of Keras's",
                    found=f"{type(item).__module__}.{type(item).__qualname__}",
                    expected="a keras.Model, a layer or a keras.optimizers.Optimizer",
                )
    return models, optimizers


def _items(part: str, thing: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(thing, Mapping):
        yield from ((str(key), item) for key, item in thing.items())
    elif isinstance(thing, (list, tuple)):
        yield from ((f"{part}/{index}", item) for index, item in enumerate(thing))
    else:
        yield part, thing


class _Description:
    """What is gathered on the way from live objects to their catalog."""

    def __init__(self, models: dict[str, Any], optimizers: dict[str, Any]) -> None:
        self.models, self.optimizers = models, optimizers
        self.known: dict[str, list[Holder]] = {name: holders(model) for name, model in models.items()}
        self.named: list[Named] = []
        self.trainable: list[Any] = []
        self.everything: list[Any] = []
        self.is_trained: set[int] = set()
        for name, model in models.items():
            self._add_model(name, model)
        self.names = {id(one.variable): one.name for one in self.named}
        self.paths = _tensorflow_paths(models, optimizers)
        self.settings_changed = False
        self.foreseen: dict[str, list[Any]] | None = None

    def _add_model(self, name: str, model: Any) -> None:
        found = named(self.known[name], "" if len(self.models) == 1 else name)
        place = {id(variable): at for at, variable in enumerate(model.variables)}
        last = len(place)
        self.named += sorted(found, key=lambda one: place.get(id(one.variable), last))
        self.everything += model.variables
        trained = model.trainable_variables
        self.trainable += [v for v in trained if id(v) not in self.is_trained]
        self.is_trained.update(map(id, trained))

    # -- the catalog -----------------------------------------------------------------------------------------
    def catalog(self, parts: Mapping[str, Any]) -> LiveCatalog:
        faults: list[Fault] = []
        unbuilt: list[str] = []
        modules: list[ModuleSpec] = []
        for name, model in self.models.items():
            prefix = "" if len(self.models) == 1 else f"{name}/"
            fault, paths = not_built(model, name, self.known[name])
            unbuilt += [prefix + path for path in paths]
            if fault is not None:
                faults.append(fault)
            faults += duplicates(self.known[name], self._name)
            modules += _modules(model, prefix, len(modules))
        terms = term_weights(self.known, self._aliases)
        variables = [*self._weights(), *terms, *self._metrics(), *self._states()]
        specs = [self._spec_of(name, optimizer) for name, optimizer in self.optimizers.items()]
        return LiveCatalog(
            variables,
            framework="keras",
            parts=parts,
            settings=self._settings(),
            modules=modules,
            unbuilt=unbuilt,
            attributes={
                "writer": f"Keras {keras.__version__}",
                "keras_version": keras.__version__,
                "backend": values.backend(),
                **self._policy(),
            },
            optimizers=specs,
            faults=faults,
            readiness=lambda gradients: self._readiness(gradients, faults),
            finish=self._finish,
            foresee=partial(self._foreseeing, parts) if self.foreseen is None else None,
            compiled=self._compiled(parts),
            lookups=lambda: lookups(self.models, self.known),
        )

    def _compiled(self, parts: Mapping[str, Any]) -> Callable[[], LiveCatalog] | None:
        own = [getattr(model, "optimizer", None) for model in self.models.values()]
        if "optimizer" in parts or len(own) != 1 or not isinstance(own[0], keras.optimizers.Optimizer):
            return None
        return lambda: describe({**parts, "optimizer": own[0]})

    def _foreseeing(self, parts: Mapping[str, Any], weights: Mapping[str, Sequence[str]]) -> LiveCatalog:
        """An optimizer is built over all weights of a model that it trains alone, and over its own of one that it shares
        with another."""
        self.foreseen = {}
        for part, mine in weights.items():
            names = frozenset(mine)
            others = {name for other, theirs in weights.items() if other != part for name in theirs}
            chosen: list[Any] = []
            for model in self.models.values():
                trained = model.trainable_variables
                own = [v for v in trained if self._name(v) in names]
                shared = any(self._name(v) in others for v in trained)
                chosen += own if shared else trained if own else []
            self.foreseen[part] = chosen
        return self.catalog(parts)

    def _name(self, variable: Any) -> str:
        found = self.names.get(id(variable))
        return found or str(getattr(variable, "path", None) or getattr(variable, "name", variable))

    def _policy(self) -> dict[str, Any]:
        policies = sorted({str(m.dtype_policy.name) for m in self.models.values()})
        return {"precision_policy": policies[0] if len(policies) == 1 else policies} if policies else {}

    def _weights(self) -> Iterator[Variable]:
        order = 0
        for one in self.named:
            spec = self._weight_spec(one, order)
            order += spec.order is not None
            yield _live(spec, one.variable)

    def _weight_spec(self, one: Named, order: int) -> TensorSpec:
        variable, layer = one.variable, one.holder.layer
        word = str(variable.path).rsplit("/", 1)[-1]
        stored = any(variable is v for v in one.holder.variables)
        own = any(variable is v for v in layer._trainable_variables)
        role = "weight" if own else role_of(word) if stored else "rng"
        if role == "weight" and not own and not _quantised(variable):
            role = "buffer"
        shape = values.shape_of(variable)
        kept = role in ("weight", "buffer")
        kind = type(layer).__name__
        return TensorSpec(
            one.name,
            shape,
            values.dtype_name(variable),
            key=one.key or one.name,
            role=role,
            aliases=tuple(
                dict.fromkeys(a for a in (*one.aliases, *self._aliases(variable)) if a != one.name)
            ),
            dialect="keras",
            layout=kernel_layout(kind, word, len(shape)),
            trainable=id(variable) in self.is_trained if kept else None,
            order=order if kept else None,
            attributes={"class": kind, "explicit_name": one.explicit, "automatic": one.automatic},
        )

    def _aliases(self, variable: Any) -> tuple[str, ...]:
        found: list[str] = []
        for paths in self.paths:
            key = paths.get(id(variable))
            if key is not None:
                found += (key, key.partition("/.ATTRIBUTES/")[0])
        return tuple(dict.fromkeys(found))

    def _metrics(self) -> Iterator[Variable]:
        """Variables of metrics: listed, and in none of Keras's own files."""
        seen = {id(one.variable) for one in self.named}
        for name, model in self.models.items():
            prefix = "metrics/" if len(self.models) == 1 else f"{name}/metrics/"
            for variable in model.metrics_variables:
                if id(variable) in seen:
                    continue
                seen.add(id(variable))
                spec = TensorSpec(
                    prefix + str(variable.path),
                    values.shape_of(variable),
                    values.dtype_name(variable),
                    role="metric",
                    aliases=self._aliases(variable),
                    dialect="keras",
                    trainable=False,
                )
                yield _live(spec, variable)

    # -- optimizers ------------------------------------------------------------------------------------------
    def _states(self) -> Iterator[Variable]:
        for part, optimizer in self.optimizers.items():
            for own in own_variables(optimizer):
                spec = self._state_spec(
                    part, own, values.shape_of(own.variable), values.dtype_name(own.variable)
                )
                made = _live(spec.with_(aliases=(*spec.aliases, *self._aliases(own.variable))), own.variable)
                made.initial = _begins_at(own)
                yield made
            for virtual in virtual_variables(optimizer, self._weights_of(part)):
                spec = self._state_spec(part, virtual.own, virtual.shape, virtual.dtype)
                yield Variable(
                    replace(spec, attributes={**spec.attributes, "virtual": True}), None, virtual.write,
                    initial=_begins_at(virtual.own),
                )  # fmt: skip

    def _state_spec(self, part: str, own: OwnVariable, shape: tuple[int, ...], dtype: str) -> TensorSpec:
        name = f"{part}/{own.path}"
        if own.owner is not None and self._name(own.owner) != own.owner.path:
            # the weight shares its path with others: so does the slot
            flat = own.owner.path.replace("/", "_")
            name = name.replace(flat, self._name(own.owner).replace("/", "_"))
        single = part == "optimizer" and len(self.models) == 1
        key = f"{part}/vars/{own.index}" if own.index is not None and single else name
        return TensorSpec(
            name,
            shape,
            dtype,
            key=key,
            role=own.role,
            owner=self._name(own.owner) if own.owner is not None else None,
            slot=own.slot if own.role == "slot" else None,
            optimizer=self._spec_name(part),
            aliases=(own.path,),
            dialect="keras",
            attributes=initial_of(self.optimizers[part], own),
        )

    def _spec_name(self, part: str) -> str:
        return str(inner_of(self.optimizers[part]).name) if len(self.optimizers) == 1 else part

    def _weights_of(self, part: str) -> list[Any]:
        """The weights that an optimizer which is not built will be built over: all that are trained, or those
        of the model of the same word, or those that a checkpoint tells."""
        if len(self.optimizers) == 1:
            return self.trainable
        if self.foreseen is not None and part in self.foreseen:
            return self.foreseen[part]
        model = self.models.get(part)
        return list(model.trainable_variables) if model is not None else []

    def _spec_of(self, part: str, optimizer: Any) -> OptimizerSpec:
        virtual = virtual_variables(optimizer, self._weights_of(part))
        if optimizer.built or not virtual:
            owned = [own for own in own_variables(optimizer) if own.owner is not None]
            weights = list(inner_of(optimizer)._trainable_variables)
        else:
            owned = [v.own for v in virtual if v.own.owner is not None]
            weights = self._weights_of(part)
        slots = tuple(dict.fromkeys(own.slot for own in owned if own.role == "slot" and own.slot))
        known = foreseen(optimizer, self._weights_of(part))
        more = {} if optimizer.built else {"built": False, "foreseen": known}
        return optimizer_spec(
            optimizer, self._spec_name(part), tuple(self._name(w) for w in weights), slots, **more
        )

    def _settings(self) -> list[Setting]:
        def changed() -> None:
            self.settings_changed = True

        return [
            setting
            for part, optimizer in self.optimizers.items()
            for setting in settings(optimizer, part, self._spec_name(part), changed)
        ]

    # -- afterwards ------------------------------------------------------------------------------------------
    def _readiness(self, gradients: Any, noticed: list[Fault]) -> list[Fault]:
        found = [*noticed, *(fault for known in self.known.values() for fault in stale(known))]
        single = len(self.optimizers) == 1
        for part, optimizer in self.optimizers.items():
            found += readiness(
                optimizer,
                self._trained_by(optimizer),
                self.everything,
                self._name,
                gradients if single else gradients.get(part) if isinstance(gradients, Mapping) else None,
            )
        return found

    def _trained_by(self, optimizer: Any) -> list[Any]:
        """The weights that the optimizer's next step will be given: with several models or optimizers those of
        the models of which it knows at least one."""
        if len(self.models) == 1 and len(self.optimizers) == 1:
            return self.trainable
        known = {mark(v) for v in inner_of(optimizer)._trainable_variables}
        chosen: list[Any] = []
        for model in self.models.values():
            weights = model.trainable_variables
            mine = [v for v in weights if mark(v) in known]
            # two optimizers may share a model: then each is given what it knows
            chosen += mine if len(self.models) == 1 else weights if mine else []
        return chosen

    def _finish(self) -> None:
        """What layers make of their variables is made anew; and compiled functions, which hold that as constants, and the
        training step plain hyperparameters, are traced anew."""
        for name, model in self.models.items():
            if derive_anew(self.known[name]):
                compile_anew(model)
            elif self.settings_changed:
                compile_anew(model, ("train_function",))


def _begins_at(own: OwnVariable) -> Callable[[], np.ndarray] | None:
    """The average of a weight (``use_ema``) begins at the weight: the first step sets it so, and no later one does
    (``base_optimizer.py``, ``_update_model_variables_moving_average``)."""
    return partial(values.read, own.owner) if own.role == "average" and own.owner is not None else None


def _live(spec: TensorSpec, variable: Any) -> Variable:
    def read() -> np.ndarray:
        return values.read(variable)

    def write(array: np.ndarray) -> None:
        values.write(variable, array)

    def fresh() -> tuple[np.ndarray, Callable[[], None]] | None:
        if values.backend() != "tensorflow":
            return None
        from ..tensorflow.fresh import fresh as of_tensorflow

        return of_tensorflow(variable)

    return Held(spec, read, write, fresh=fresh, held=variable)


def _quantised(variable: Any) -> bool:
    return "int" in str(variable.dtype) or "float8" in str(variable.dtype)


def _modules(model: Any, prefix: str, start: int) -> Iterator[ModuleSpec]:
    from ..module_specs import keras_live_modules

    for spec in keras_live_modules(model):
        path = f"{prefix}{spec.path}".rstrip("/") if prefix else spec.path
        yield replace(spec, path=path, order=start + spec.order)


def _tensorflow_paths(models: Mapping[str, Any], optimizers: Mapping[str, Any]) -> list[dict[int, str]]:
    """``id`` of a variable -> its key in a ``tf.train.Checkpoint``, of the models alone and of all together
    (the optimizer's list of weights is nearer to the root, and takes them over)."""
    if values.backend() != "tensorflow":
        return []
    from ..tensorflow.graph import object_paths

    plain = {name: model for name, model in models.items() if "/" not in name}
    both = {**plain, **{name: o for name, o in optimizers.items() if "/" not in name}}
    return [object_paths(roots) for roots in (plain, both if len(both) > len(plain) else {}) if roots]
