"""Which saver a word of ``--save`` means."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .._core.errors import UsageError
from .failure import Failure
from .isolating import TellingSaver

__all__ = ["SAVES", "fitting", "saver_of"]

SAVES = ("torch", "keras", "keras-weights", "keras-h5", "tf", "savedmodel", "orbax", "vault")
"""``keras``: a ``.keras`` archive; ``keras-weights``: ``.weights.h5``; ``keras-h5``: ``.h5``; ``tf``: ``tf.train.Checkpoint``."""


def fitting(given: Any) -> str:
    """The word for what a factory gave, where none was said. Raises :class:`UsageError` where that is not plain."""
    things = (
        list(given.values())
        if isinstance(given, dict)
        else list(given)
        if isinstance(given, (tuple, list))
        else [given]
    )
    inside = list(_inside(given))
    modules = {c.__module__.partition(".")[0] for thing in inside for c in type(thing).__mro__}
    names = {c.__name__ for thing in things for c in type(thing).__mro__}
    if not modules & {
        "torch",
        "lightning",
        "pytorch_lightning",
        "keras",
        "tf_keras",
        "tensorflow",
        "jax",
        "jaxlib",
        "flax",
    }:
        imported = [word for word in ("torch", "tensorflow", "jax") if word in sys.modules]
        modules |= set(imported) if len(imported) == 1 else set()
    if modules & {"keras", "tf_keras"} and names & {"Model", "Sequential", "Functional"} and len(things) == 1:
        return "keras"
    if modules & {"torch", "lightning", "pytorch_lightning"}:
        return "torch"
    if modules & {"keras", "tf_keras", "tensorflow"}:
        return "tf"
    if modules & {"jax", "jaxlib", "flax"}:
        return "orbax"
    raise UsageError("which save?", expected=", ".join(SAVES), remedy="Name it: --save torch")


def _inside(given: Any, most: int = 5000) -> Iterator[Any]:
    """What plain containers hold, and they in turn."""
    waiting, seen = [given], 0
    while waiting and seen < most:
        thing = waiting.pop()
        seen += 1
        if type(thing) is dict:
            waiting.extend(thing.values())
        elif type(thing) in (list, tuple):
            waiting.extend(thing)
        else:
            yield thing


def saver_of(
    save: str, given: Any, folder: Path, visit: Callable[[str], Failure | None], *, limit: float, live: bool
) -> TellingSaver:
    """The saver for a word. ``folder``: where it writes. ``live``: whether ``given`` is in use outside of this, and must be left
    exactly as it is. Raises :class:`UsageError` for another word, what cannot be given to it, and a framework that is not here.
    """
    try:
        if save == "torch":
            from .torch_save import TorchSaver

            return TorchSaver(given, folder, visit, limit=limit)
        if save in ("keras", "keras-weights", "keras-h5"):
            from .keras_save import KerasSaver

            return KerasSaver(given, folder, visit, save=save, live=live)
        if save in ("tf", "savedmodel"):
            from .tf_save import TensorFlowSaver

            return TensorFlowSaver(given, folder, visit, save=save, live=live)
        if save == "orbax":
            from .orbax_save import OrbaxSaver

            return OrbaxSaver(given, folder)
        if save == "vault":
            from .vault_save import VaultSaver

            return VaultSaver(given, folder)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"--save {save} needs {error.name}, which is not installed",
            remedy=f"Install it in the environment of holdfast ({sys.prefix}).",
        ) from error
    raise UsageError("no such save", found=save, expected=", ".join(SAVES))
