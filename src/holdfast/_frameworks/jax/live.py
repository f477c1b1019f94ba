"""JAX's live objects as one catalog: pytrees, linen variables and train states, nnx objects, optax states.

``describe`` takes ``model=`` (a pytree of arrays, linen variables, a ``TrainState``, an nnx Module, a dict of
these), ``optimizer=`` (an optax state, an ``nnx.Optimizer``, a dict of these), ``tx=`` (the optax transformation,
so that readiness can try the next update on shapes alone), ``module=`` (the linen module), and further parts by
their own words (``ema=``, ``rng=``, ``batch_stats=``). Nothing is computed, drawn or copied.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import jax
import numpy as np

from ..._core.errors import UsageError
from ..._core.fault import Fault
from ..._core.spec import Role, TensorSpec
from ..live import LiveCatalog, Setting, Variable
from . import arrays, modules, nnx, readiness
from .beginnings import Beginnings
from .naming import aliases_of, layout_of, role_in_model
from .parts import Entry, Parts
from .states import States
from .trees import flatten, is_array, is_masked

__all__ = ["describe", "recognises"]


def recognises(thing: Any) -> bool:
    """Whether it is an nnx object, or a pytree with a jax array (or its description) or an optax state in it."""
    if nnx.is_object(thing) or nnx.is_variable(thing):
        return True
    try:
        leaves, _ = flatten(thing)
    except (TypeError, ValueError):  # keys that jax cannot sort: no pytree
        return False
    return (
        any(
            isinstance(leaf, (jax.Array, jax.ShapeDtypeStruct))
            or nnx.is_variable(leaf)
            or nnx.is_object(leaf)
            or is_masked(leaf)
            for _, leaf in leaves
        )
        or _holds_optax(thing)
        or _is_node(thing, leaves)
    )


def _is_node(thing: Any, leaves: list[tuple[Any, Any]]) -> bool:
    """Whether it is a node that was registered with jax (a ``TrainState``), with arrays in it, be they numpy's: what flax
    reads back from bytes."""
    plain = isinstance(thing, (Mapping, list, tuple, np.ndarray))
    return not plain and any(isinstance(leaf, np.ndarray) and leaf is not thing for _, leaf in leaves)


def _holds_optax(thing: Any) -> bool:
    """Whether a state tuple of optax is in it, be it empty (plain SGD keeps no tensor)."""
    if isinstance(thing, Mapping):
        return any(_holds_optax(one) for one in thing.values())
    if not isinstance(thing, (tuple, list)):
        return False
    if type(thing).__module__.startswith("optax") and not hasattr(thing, "update"):
        return True
    return any(_holds_optax(one) for one in thing)


def describe(parts: Mapping[str, Any]) -> LiveCatalog:
    """The catalog of the objects given by part.

    ``result()`` gives every part anew (the same object where it changed in place, see ``attributes["in_place"]``).
    Raises :class:`UsageError` where nothing that was given holds a tensor or a value.
    """
    was = gc.isenabled()
    gc.disable()  # tens of thousands of small objects without a cycle among them: walking them doubles the time
    try:
        return _described(parts)
    finally:
        if was:
            gc.enable()


def _described(parts: Mapping[str, Any]) -> LiveCatalog:
    held = Parts(parts)
    if not held.entries and not held.trees:
        raise UsageError(
            "nothing here holds a tensor",
            found=", ".join(f"{word}={type(thing).__name__}" for word, thing in parts.items()),
            expected="the variables of a model (what module.init returned), not the module or the transformation",
        )
    tensors = [entry for entry in held.entries if is_array(entry.cell.get())]
    roles = {entry.name: _role(entry) for entry in tensors}
    weights = {e.name: e.cell.words for e in tensors if e.part == "model" and roles[e.name] == "weight"}
    states = States(held, weights)
    optimizers = tuple(states.optimizers())
    beginnings = Beginnings(tensors, states, {one.name: one.step for one in optimizers})
    variables: list[Variable] = []
    settings: list[Setting] = []
    deleted: list[str] = []
    averages = _Averages(weights)
    for entry in held.entries:
        value = entry.cell.get()
        if not is_array(value):
            settings.append(_setting(entry))
            continue
        spec = _spec(entry, value, states, roles, averages, len(variables))
        if arrays.is_deleted(value):
            deleted.append(entry.name)
        variable = _variable(spec, entry)
        variable.initial = beginnings.of(entry, spec)
        variables.append(variable)
    catalog = JaxCatalog(
        variables,
        framework="jax",
        parts=held.words(),
        settings=settings,
        modules=_modules(held),
        attributes=_attributes(held, variables),
        optimizers=optimizers,
        faults=[_deleted(deleted)] if deleted else (),
        readiness=lambda gradients: readiness.examine(held, states, gradients),
        result=held.result,
    )
    catalog.raw = dict(zip(catalog, (entry.cell.get for entry in tensors), strict=True))
    return catalog


def _deleted(names: list[str]) -> Fault:
    one = len(names) == 1
    shown = f"{', '.join(names[:3])}{'' if len(names) < 4 else f' and {len(names) - 3} more'}"
    return Fault(
        "not-stored",
        f"{shown} {'was' if one else 'were'} donated to a compiled function (or deleted): {'its' if one else 'their'} values are "
        f"gone and any use of {'it' if one else 'them'} raises",
        tensor=names[0],
        tensors=tuple(names),
        attributes={"remedy": "Use what that function returned in the place of what it was given."},
    )


def _role(entry: Entry) -> Role:
    value = entry.cell.get()
    if entry.inner is not None:
        return "slot"
    shape, dtype = arrays.shape_of(value), arrays.dtype_text(value)
    return role_in_model(entry.part, entry.cell, shape, dtype, arrays.is_key(value))


class _Averages:
    """The weight that an averaged copy is of: the one whose path it has, below where the copy's tree begins."""

    def __init__(self, weights: Mapping[str, tuple[str, ...]]) -> None:
        self._by_end: dict[tuple[str, ...], list[str]] = {}
        for name, words in weights.items():
            for cut in range(len(words)):
                self._by_end.setdefault(words[cut:], []).append(name)

    def owner(self, words: tuple[str, ...]) -> str | None:
        for cut in range(len(words)):
            found = self._by_end.get(words[cut:], [])
            if found:
                return found[0] if len(found) == 1 else None
        return None


def _spec(
    entry: Entry, value: Any, states: States, roles: Mapping[str, Role], averages: _Averages, order: int
) -> TensorSpec:
    shape, dtype = arrays.shape_of(value), arrays.dtype_text(value)
    role, owner, slot = roles[entry.name], None, None
    attributes: dict[str, Any] = {}
    cell = entry.cell
    if entry.inner is not None:
        role, owner, slot = states.meaning(entry, shape, dtype, arrays.is_key(value))
        place = states.places[entry.name]
        if place.state:
            attributes["transform"] = place.state
        if role == "slot" and owner is None:
            attributes["owner_unproved"] = True
        if role == "hyperparameter" and states.scheduled(entry):
            attributes["scheduled"] = True
    elif role == "average" or entry.part in ("ema", "average", "ema_params"):
        owner = averages.owner(cell.words if entry.part != "model" else cell.words[1:])
        role = "average"
    if cell.variable is not None:
        attributes["class"] = nnx.variable_kind(cell.variable)[0]
    if arrays.is_key(value):
        attributes["key_impl"] = str(value.dtype)
    if isinstance(value, jax.ShapeDtypeStruct):
        attributes["abstract"] = True
    if getattr(value, "weak_type", False):
        attributes["weak_type"] = True
    placed = arrays.placement(value)
    if placed is not None:
        attributes["sharding"] = placed
    trainable = None
    if cell.variable is not None and entry.part == "model":
        trainable = role == "weight"
    return TensorSpec(
        entry.name,
        shape,
        dtype,
        role=role,
        owner=owner,
        slot=slot,
        optimizer=entry.optimizer,
        aliases=aliases_of(entry.part, cell, entry.name),
        dialect="jax",
        layout=layout_of(entry.name, shape) if role in ("weight", "average") else None,
        trainable=trainable,
        order=order,
        attributes=attributes,
    )


class JaxCatalog(LiveCatalog):
    """A live catalog that says of an array without values why it has none. ``raw``: name -> the array."""

    raw: dict[str, Callable[[], Any]]

    def read(self, name: str) -> np.ndarray:
        spec = self[name]
        variable = self.variables[spec.name]
        return variable.read() if variable.read is not None else arrays.read(self.raw[spec.name](), spec.name)


def _variable(spec: TensorSpec, entry: Entry) -> Variable:
    """Sharding, weak type and kind of key stay those of the array that is there now; an array without values
    (donated, abstract) gets some by ``write`` and is put back by ``clear``."""
    cell, like = entry.cell, entry.cell.get()

    def read() -> np.ndarray:
        return arrays.read(cell.get(), spec.name)

    def put(values: np.ndarray) -> None:
        cell.set(arrays.fresh(values, like))

    if not isinstance(like, jax.ShapeDtypeStruct) and not arrays.is_deleted(like):
        return Variable(
            spec, read, put
        )  # without a circle, which would keep the arrays until the collector comes

    def write(values: np.ndarray) -> None:
        cell.set(arrays.fresh(values, like))
        variable.read = read

    def clear() -> None:
        cell.set(like)
        variable.read = None

    variable = Variable(spec, None, write, clear=clear)
    return variable


def _setting(entry: Entry) -> Setting:
    cell = entry.cell
    value = cell.get()
    words = cell.words
    role: Role = "counter" if isinstance(value, int) and not isinstance(value, bool) else "other"
    if entry.inner is not None and (role != "counter" or "hyperparams" in words):
        role = "hyperparameter"
    elif role == "counter" and entry.inner is None:
        role = role_in_model(entry.part, cell, (), "int64", False)
        role = "other" if role == "weight" else role
    return Setting(
        entry.name,
        role,
        cell.get,
        partial(_write_setting, cell.set, value),
        "optimizer" if entry.inner is not None else entry.part,
        aliases=aliases_of(entry.part, cell, entry.name),
        optimizer=entry.optimizer,
        group=0 if role == "hyperparameter" else None,
        key=words[-1] if words else entry.part,
    )


def _write_setting(put: Any, like: Any, value: Any) -> None:
    """Set it, as the type it has had: what is a Python float stays one."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(()).item()
    if isinstance(like, np.generic):
        value = like.dtype.type(value)
    elif isinstance(like, (bool, int, float, complex)):
        value = type(like)(value)
    put(value)


def _modules(held: Parts) -> Iterator[Any]:
    for module in held.linen:
        yield from modules.linen_modules(module)
    for path, thing in held.objects:
        yield from modules.nnx_modules(thing, path)


def _attributes(held: Parts, variables: list[Variable]) -> dict[str, Any]:
    found: dict[str, Any] = {"in_place": held.in_place(), "jax": jax.__version__}
    for library in ("flax", "optax"):
        version = getattr(sys.modules.get(library), "__version__", None)
        if version is not None:
            found[library] = version
    config: Any = jax.config
    found["x64"] = bool(config.jax_enable_x64)
    meshes = [v.spec.attributes["sharding"] for v in variables if "sharding" in v.spec.attributes]
    if meshes:
        found["topology"] = {
            "processes": jax.process_count(),
            "devices": max(one["devices"] for one in meshes),
            "mesh": next((one["mesh"] for one in meshes if "mesh" in one), None),
        }
    return found
