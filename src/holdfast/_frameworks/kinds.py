"""What an object plainly is, told by the names of its classes alone: enough to say that model and optimizer were
passed the wrong way round, or a class instead of its instance. Nothing is imported and nothing is called."""

from __future__ import annotations

from collections.abc import Mapping
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

from .._core.errors import UsageError

__all__ = ["is_optimizer", "named", "refuse_mixed_up"]

_ROOTS = frozenset({"torch", "keras", "tf_keras", "tensorflow", "lightning", "pytorch_lightning", "optax"})
"""Not flax: its optimizers hold the model, and are passed as either."""
_MODELS = frozenset({"Module", "Layer", "LightningModule"})
_OPTIMIZERS = frozenset({"Optimizer", "BaseOptimizer", "OptimizerV2", "GradientTransformation"})
_CORE = ("model", "optimizer", "scheduler", "scaler")


def _bases(thing: Any) -> set[str]:
    """Names of the frameworks' own classes that an object is of."""
    return {c.__name__ for c in type(thing).__mro__ if c.__module__.partition(".")[0] in _ROOTS}


def is_optimizer(thing: Any) -> bool:
    """Whether it is an optimizer of torch, Keras or TensorFlow, or a transformation of optax."""
    return bool(_bases(thing) & _OPTIMIZERS)


def _is_model(thing: Any) -> bool:
    return bool(_bases(thing) & _MODELS) and not is_optimizer(thing)


def named(thing: Any) -> str:
    """What an object is, in words: ``the class train.Net``, ``a torch.optim.adam.Adam``."""
    if isinstance(thing, type):
        return f"the class {thing.__module__}.{thing.__qualname__}"
    if isinstance(thing, (FunctionType, BuiltinFunctionType, MethodType)):
        return f"the function {thing.__module__}.{thing.__qualname__}"
    if isinstance(thing, str):
        return f"the text {thing[:80]!r}"
    kind = type(thing)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def refuse_mixed_up(parts: Mapping[str, Any]) -> None:
    """Raise :class:`UsageError` where a part is plainly not what its word says: a class, a function or a text, an
    optimizer as ``model=``, a model as ``optimizer=``."""
    for part, thing in parts.items():
        if isinstance(thing, type):
            raise UsageError(
                f"{part}= is a class, not an object made of it",
                found=named(thing),
                remedy=f"Call it: {thing.__name__}(...).",
            )
        if part in _CORE and isinstance(thing, (str, FunctionType, BuiltinFunctionType, MethodType)):
            raise UsageError(
                f"{part}= is {'a text' if isinstance(thing, str) else 'a function'}, not the {part} itself",
                found=named(thing),
                remedy=None if isinstance(thing, str) else "Call it, and pass what it gives.",
            )
        if part == "model" and is_optimizer(thing):
            raise UsageError(
                "model= is an optimizer",
                found=named(thing),
                remedy="An optimizer alone is given as optimizer=; with its model, the model comes first.",
            )
        if part == "optimizer" and _is_model(thing):
            raise UsageError(
                "optimizer= is a model",
                found=named(thing),
                remedy="Several models are given as one dict: model={'generator': g, 'critic': c}.",
            )
        if part == "model" and isinstance(thing, Mapping):
            inside = [str(word) for word, one in thing.items() if is_optimizer(one)]
            if inside:
                raise UsageError(
                    f"the dict given as model= holds an optimizer, `{inside[0]}`",
                    found=", ".join(str(word) for word in thing)[:200],
                    expected="model and optimizer apart: {'model': ..., 'optimizer': ...}",
                )
