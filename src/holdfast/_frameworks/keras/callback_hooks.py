"""``keras.callbacks.ModelCheckpoint`` under watch: a training that ends and has saved nothing, or not what was asked for; and
one whose first save goes over the best so far.

Facts: keras/src/callbacks/model_checkpoint.py (``_save_model`` is asked at each epoch or every ``save_freq`` batches; with
``save_best_only`` and a metric that is not in the logs older versions pass over the save, newer ones save every time, and
both warn once), keras/src/callbacks/callback_list.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from ..call_options import Told
from ..events import Call, Watcher, noticed, watched
from ..patches import Patches
from .best_so_far import BestSoFar

__all__ = ["watch_callbacks"]


@dataclass(slots=True)
class _Record:
    """Of one callback in one ``fit``: how often it was to save, how often a save ended, which metrics there were."""

    asked: int = 0
    saved: int = 0
    batches: int = 0
    lacking: tuple[str, ...] | None = None


@dataclass(slots=True)
class _Records:
    of: WeakKeyDictionary[Any, _Record] = field(default_factory=WeakKeyDictionary)

    def __call__(self, callback: Any) -> _Record:
        return self.of.setdefault(callback, _Record())


def watch_callbacks(keras: Any, watcher: Watcher, patches: Patches, ended_saves: Callable[[], int]) -> None:
    """Tell the watcher of checkpoint callbacks that came to nothing. ``ended_saves``: how many saves of models have ended."""
    kind = keras.callbacks.ModelCheckpoint
    records = _Records()
    bests = BestSoFar(lambda value: keras.ops.convert_to_numpy(value).item())

    def begun(inner: Callable[..., Any], self: Any, *args: Any, **kwargs: Any) -> Any:
        mine = [callback for callback in self.callbacks if isinstance(callback, kind)]
        for callback in mine:
            records.of[callback] = _Record()
        result = inner(self, *args, **kwargs)
        if mine:  # afterwards: other callbacks restore what they have saved
            noticed(watcher, Call("keras", "ModelCheckpoint", "save"), lambda: bests.begun(mine))
        return result

    def batch(inner: Callable[..., Any], self: Any, *args: Any, **kwargs: Any) -> Any:
        records(self).batches += 1
        return inner(self, *args, **kwargs)

    def save_model(inner: Callable[..., Any], self: Any, *args: Any, **kwargs: Any) -> Any:
        record = records(self)
        record.asked += 1
        logs = kwargs.get("logs", args[-1] if args else None) or {}
        if getattr(self, "save_best_only", False) and self.monitor not in logs:
            record.lacking = tuple(sorted(logs))
        before = ended_saves()
        result = inner(self, *args, **kwargs)
        new = ended_saves() - before
        record.saved += new
        if new:
            epoch = kwargs.get("epoch", args[0] if args else None)
            call = Call("keras", "ModelCheckpoint", "save", str(self.filepath))
            noticed(watcher, call, lambda: bests.saved(self, epoch))
        return result

    def ended(inner: Callable[..., Any], self: Any, *args: Any, **kwargs: Any) -> Any:
        result = inner(self, *args, **kwargs)
        for callback in self.callbacks:
            if isinstance(callback, kind) and (told := _came_to(callback, records(callback))) is not None:
                call = Call("keras", "ModelCheckpoint", "save", str(callback.filepath), told=told)
                watched(watcher, call, lambda _: None)
        return result

    patches.wrap(keras.callbacks.CallbackList, "on_train_begin", begun)
    patches.wrap(keras.callbacks.CallbackList, "on_train_end", ended)
    if hasattr(kind, "_save_model"):
        patches.wrap(kind, "_save_model", save_model)
        patches.wrap(kind, "on_train_batch_end", batch)


def _came_to(callback: Any, record: _Record) -> Told | None:
    """What is wrong; ``None`` where nothing is."""
    if not hasattr(callback, "_save_model"):
        return None
    if record.lacking is not None:
        there = ", ".join(record.lacking) or "no metric at all"
        then = (
            "each save went over the one before, and the last model is kept, not the best"
            if record.saved
            else "and nothing was saved"
        )
        return Told(
            "save-not-there", "warning" if record.saved else "error",
            f"the best model by {callback.monitor!r} was asked for, and there is no such metric (there is {there}): {then}",
        )  # fmt: skip
    if record.saved:
        return None
    if record.asked:
        return Told(
            "save-not-there", "error",
            f"the training has ended and ModelCheckpoint saved nothing: {callback.monitor!r} was never better than "
            f"{callback.best:g}, from where it was to begin",
        )  # fmt: skip
    if record.batches and callback.save_freq != "epoch":
        return Told(
            "save-not-there", "error",
            f"the training has ended and ModelCheckpoint saved nothing: it saves every {callback.save_freq} batches, and there "
            f"were {record.batches}",
        )  # fmt: skip
    return None
