"""A save as ``model.save("model.keras")`` would have written it, from the frozen values.

Keras writes the values that its variables have; within ``keras.StatelessScope`` these are the ones that it is given, in
this thread alone (keras/src/backend/common/stateless_scope.py). So the file can be written beside the training. Where a
version of Keras does not let that be, the file is made within ``save()``, in memory.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
from keras.src.backend.common import global_state
from keras.src.saving import saving_lib

from ..._core.dtypes import carrier
from ..._core.errors import UsageError
from ..live import LiveCatalog
from ..native import Prepared, Reader, Stream, Writer
from . import values
from .live import Held
from .objects import holders

__all__ = ["prepare"]


_KINDS = ("Layer", "Functional", "Sequential", "Metric", "Optimizer", "Loss")
"""What Keras saves, in its own words (``_obj_type``)."""


def prepare(
    parts: Mapping[str, Any], live: LiveCatalog, step: int, extra: Mapping[str, Any] | None
) -> Prepared:
    """One ``.keras`` file for each model: ``model.keras``, or by the names of a mapping of models. It holds the optimizer
    that the model was compiled with. Raises :class:`UsageError` where there is no Keras model, or one that is not built."""
    models = dict(_models(parts))
    if not models:
        raise UsageError('payload="keras" needs a keras.Model', found=", ".join(parts), expected="model=")
    files: dict[str, Writer] = {}
    total, warm = 0, _warm()
    for name, model in models.items():
        if not model.built:
            raise UsageError("a model that is not built has nothing to save yet", found=name)
        if not warm:
            held = io.BytesIO()
            saving_lib.save_model(model, held)
            total += held.tell()
            files[f"{name}.keras"] = _carry(held)
            continue
        frozen, copies = _values(model, live)
        total += sum(_bytes(variable) for variable, _ in (*frozen, *copies))
        files[f"{name}.keras"] = _writer(model, frozen, copies)
    return Prepared("keras", files, total + (1 << 20), live=not warm)


def _warm() -> bool:
    """Let Keras learn, for this thread, which attributes of its own it passes over: it makes an optimizer to find out,
    which a scope forbids. Whether it keeps what it learnt. (3.0 to 3.15 look it up by another name than they keep it by.)"""
    for kind in _KINDS:
        found = saving_lib.get_attr_skipset(kind)
        if saving_lib.get_attr_skipset(kind) is not found:
            global_state.set_global_attribute(f"saving_attr_skiplist_{kind}", found)
        if saving_lib.get_attr_skipset(kind) is not found:
            return False
    return True


def _carry(held: io.BytesIO) -> Writer:
    return lambda stream, read: stream.write(held.getbuffer())


def _writer(model: Any, frozen: list[tuple[Any, str]], copies: list[tuple[Any, np.ndarray]]) -> Writer:
    def write(stream: Stream, read: Reader) -> None:
        given = [(variable, _tensor(read(name))) for variable, name in frozen]
        given += [(variable, _tensor(array)) for variable, array in copies]
        _warm()
        with keras.StatelessScope(state_mapping=given):
            saving_lib.save_model(model, stream)

    return write


def _tensor(array: np.ndarray) -> Any:
    if values.backend() == "torch":  # which knows no bfloat16 of numpy's
        return keras.ops.convert_to_tensor(
            array.astype("float32") if array.dtype.name == "bfloat16" else array
        )
    return array


def _models(parts: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for part, thing in parts.items():
        if isinstance(thing, keras.Model):
            yield part, thing
        elif isinstance(thing, Mapping):
            yield from ((str(name), item) for name, item in thing.items() if isinstance(item, keras.Model))
        elif isinstance(thing, (list, tuple)):
            yield from (
                (f"{part}-{n}", item) for n, item in enumerate(thing) if isinstance(item, keras.Model)
            )


def _bytes(variable: Any) -> int:
    return math.prod(values.shape_of(variable)) * carrier(values.dtype_name(variable)).itemsize


def _values(model: Any, live: LiveCatalog) -> tuple[list[tuple[Any, str]], list[tuple[Any, np.ndarray]]]:
    """Which of the model's variables the save freezes, and under which name; copies of the others' values now."""
    frozen: list[tuple[Any, str]] = []
    copies: list[tuple[Any, np.ndarray]] = []
    names = _names(live)
    for variable in _all(model):
        name = names.get(id(variable))
        if name is not None:
            frozen.append((variable, name))
        else:
            copies.append((variable, np.array(values.read(variable), copy=True)))
    return frozen, copies


def _names(live: LiveCatalog) -> dict[int, str]:
    """``id`` of a live Keras variable -> its name in the catalog."""
    found = {}
    for name, variable in live.variables.items():
        if isinstance(variable, Held):
            found[id(variable.held)] = name
    return found


def _all(model: Any) -> list[Any]:
    """Every variable that Keras may write: of layers, of the optimizer and of metrics, each once."""
    found: dict[int, Any] = {}
    for holder in holders(model):
        for variable in (*holder.layer.variables,):
            found.setdefault(id(variable), variable)
    optimizer = getattr(model, "optimizer", None)
    while optimizer is not None:
        for variable in optimizer.variables:
            found.setdefault(id(variable), variable)
        optimizer = getattr(optimizer, "inner_optimizer", None)
    for variable in getattr(model, "metrics_variables", ()):
        found.setdefault(id(variable), variable)
    return list(found.values())
