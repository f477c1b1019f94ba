"""Running a live model on a batch, watching and forcing its mode, without leaving a trace.

One module ``probing`` in each framework's package has ``run(model, batch, tell, apply, settings) -> outputs``,
``watched(model, see)`` and ``forced(model, training)``; see the functions here for what they mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np

from .._core.errors import HoldfastError, UsageError
from .._record.random_state import put_random_state, random_state
from . import adapter_of, live_catalog

__all__ = ["forced", "kept", "run_model", "watched", "with_values"]

Tell = Callable[[str, str, str, np.ndarray, str], None]
"""Gets path, class, which output (``""``: the only one), values and the framework's name of their type."""
See = Callable[..., None]
"""Gets what the model is called with (name -> array), before it runs, and whether it is in training mode; where that shows
only afterwards, it is called twice: with the fields and ``None``, then with no fields and the mode. A third argument is the
model's values, where the program hands them over with each call (JAX)."""

_ROOMS = ("torch", "keras", "jax")


def _room(model: Any) -> tuple[str, ModuleType | None]:
    library = adapter_of(model) or "?"
    return library, import_module(f"{__package__}.{library}.probing") if library in _ROOMS else None


def run_model(
    model: Any, batch: Any, tell: Tell, apply: Callable[..., Any] | None = None
) -> tuple[dict[str, np.ndarray], str, dict[str, Any]]:
    """Outputs of ``model`` for ``batch`` in inference mode, whose model it is, and settings of its layers by path, where
    the model itself does not tell them (a tree that a linen module computes with). ``tell`` gets every layer's outputs as
    the layers end. Everything is put back.

    Raises :class:`UsageError` where the model cannot be called with the batch, with what it said.
    """
    library, room = _room(model)
    state = random_state()
    settings: dict[str, Any] = {}
    try:
        if room is not None:
            outputs = room.run(model, batch, tell, apply, settings)
        elif apply is not None:
            outputs = apply(model, batch)
        else:
            raise UsageError(
                "this model cannot be called", found=type(model).__name__,
                expected="a torch.nn.Module, a Keras model, an nnx Module; or apply=, a function of model and batch",
            )  # fmt: skip
    except HoldfastError:
        raise
    except Exception as error:
        raise UsageError(
            f"the model cannot be run on the probe's batch: {type(error).__name__}: {str(error)[:300]}",
            remedy="Give one batch of what the model is fed in evaluation; apply=function for another way to call it.",
        ) from error
    finally:
        _put_back(state)
    return named_arrays(outputs), library, settings


def _put_back(state: Mapping[str, Any]) -> None:
    """Generators that drew: setting one that did not may begin its sequence anew (``tf.random.set_seed`` does)."""
    now = random_state()
    put_random_state({name: held for name, held in state.items() if not _same(held, now.get(name))})


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, (tuple, list)) and isinstance(b, (tuple, list)):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.array_equal(a, b)
    return bool(a == b)


def named_arrays(outputs: Any) -> dict[str, np.ndarray]:
    """Every array of a nest by its path; ``0`` and so on in sequences, ``output`` for a lone one."""
    found: dict[str, np.ndarray] = {}

    def gather(value: Any, path: str) -> None:
        if isinstance(value, Mapping):
            for key, item in value.items():
                gather(item, f"{path}.{key}" if path else str(key))
        elif isinstance(value, (tuple, list)):
            for n, item in enumerate(value):
                gather(item, f"{path}.{n}" if path else str(n))
        elif hasattr(value, "shape") and hasattr(value, "dtype"):
            found[path or "output"] = as_numpy(value)

    gather(outputs, "")
    return found


def as_numpy(value: Any) -> np.ndarray:
    """A copy of a framework's array; bfloat16 and float8 as float32, which holds them exactly."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        if value.dtype.is_floating_point and str(value.dtype) not in ("torch.float32", "torch.float64"):
            value = value.float()
    array = np.array(value)
    return array.astype(np.float32) if array.dtype.kind == "V" or array.dtype.name == "bfloat16" else array


def watched(model: Any, see: See) -> AbstractContextManager[None]:
    """While it lasts, ``see`` is told what every call of the model is fed, and whether it is in training mode. Compiled
    functions of TensorFlow run eagerly meanwhile. Models that are no callable objects are not watched."""
    _, room = _room(model)
    watch: AbstractContextManager[None] = room.watched(model, see) if room is not None else nullcontext()
    return watch


@contextmanager
def forced(model: Any, training: bool) -> Iterator[Callable[[], bool] | None]:
    """While it lasts, every layer is in training (or inference) mode, whatever the program says. Gives ``None`` where that
    cannot be done for this model, else a function that says, once the program has run, whether it was done."""
    _, room = _room(model)
    if room is None or not room.can_force(model):
        yield None
        return
    with room.forced(model, training) as acted:
        yield acted


@contextmanager
def kept(model: Any) -> Iterator[None]:
    """Puts all tensors of ``model``, its training flags and the random state back at the end. Costs a copy of them."""
    _, room = _room(model)
    live = live_catalog(model=model)
    values = {name: np.array(live.read(name)) for name, v in live.variables.items() if v.read is not None}
    flags = room.flags(model) if room is not None else None
    state = random_state()
    try:
        yield
    finally:
        if room is not None:
            room.put_flags(model, flags)
        # hooks and casts of an evaluation may have replaced tensors: they are looked up anew
        there = live_catalog(model=model)
        for name, before in values.items():
            variable = there.variables.get(name)
            if variable is None or variable.read is None or variable.write is None:
                continue
            now = variable.read()
            if now.dtype != before.dtype:
                before = before.astype(now.dtype)
            if now.tobytes() != before.tobytes():
                variable.write(np.ascontiguousarray(before).reshape(before.shape))
        there.finish()
        _put_back(state)


def with_values(model: Any, values: Mapping[str, np.ndarray]) -> Any:
    """``model`` with other values in the tensors that are named: the same object where it changes in place, else a new
    one. Raises :class:`UsageError` for a tensor that cannot be set or has another shape."""
    live = live_catalog(model=model)
    for name, new in values.items():
        variable = live.variables.get(name)
        if variable is None or variable.write is None or variable.spec.shape != tuple(new.shape):
            raise UsageError("this tensor of the model cannot be set", found=name)
        dtype = variable.read().dtype if variable.read is not None else new.dtype
        variable.write(np.ascontiguousarray(new.astype(dtype)).reshape(variable.spec.shape))
    live.finish()
    return live.result().get("model", model)
