"""What has no state that can be saved, and what to pass instead."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any

from ..._core.errors import UsageError
from .nest import class_of

__all__ = ["refusal"]

_SEEN = "or the number of samples seen so far (data={'train': 51200})"


def refusal(thing: Any, path: str) -> UsageError:
    """The error for an object of no known kind."""
    path = path.removeprefix("state").removeprefix("/")
    where = f"`{path}`: " if path else ""
    names = {f"{cls.__module__.partition('.')[0]}.{cls.__name__}" for cls in type(thing).__mro__}
    if "torch.DataLoader" in names:
        text, remedy = (
            "a plain DataLoader cannot say where it is",
            f"Pass a torchdata.stateful_dataloader.StatefulDataLoader, {_SEEN}.",
        )
    elif names & {"tensorflow.DatasetV2", "tensorflow.Dataset"}:
        text, remedy = (
            "a tf.data.Dataset is a recipe and stands nowhere",
            f"Pass the iterator that training draws from (it = iter(dataset)), {_SEEN}.",
        )
    elif any(name.startswith("grain.") for name in names):
        text, remedy = "this stands nowhere; its iterator does", f"Pass it = iter(loader), {_SEEN}."
    elif isinstance(thing, (types.FunctionType, types.BuiltinFunctionType, types.LambdaType)):
        text, remedy = "a function has no state", "Pass the fitted object that it uses."
    elif isinstance(thing, Iterator):
        text, remedy = "an iterator of Python's own cannot say where it is", f"Pass one that can, {_SEEN}."
    else:
        text, remedy = (
            "an object whose state is not known",
            "Give its class state_dict() and load_state_dict(), or pass numbers, texts, arrays, and lists and dicts of these.",
        )
    return UsageError(
        f"{where}{text}", found=class_of(thing), expected="an object that can say its state", remedy=remedy
    )
