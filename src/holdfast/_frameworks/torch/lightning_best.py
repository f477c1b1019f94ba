"""Which checkpoint Lightning's ``ModelCheckpoint`` calls the best, and by what number.

Facts: lightning/pytorch/callbacks/model_checkpoint.py (``_save_monitor_checkpoint(trainer, monitor_candidates)`` where the best
are chosen; without ``monitor`` the last file is ``best_model_path``), trainer/trainer.py (``checkpoint_callback`` is the first of
several), trainer/connectors/logger_connector/result.py (a metric that is logged by step and by epoch bears one name for both; the
last batch's value is its ``_forward_cache``; ``meta.sync.should`` is ``sync_dist``).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any
from weakref import WeakSet

from ..call_options import Told
from ..events import Call, Watcher, watched
from ..patches import Patches

__all__ = ["best_of_the_first", "install"]

SLUG = "best-by-another-number"


def install(lightning: Any, watcher: Watcher, patches: Patches) -> None:
    """Look on where a ``ModelCheckpoint`` chooses the best."""
    room = sys.modules.get(f"{lightning.__name__}.callbacks.model_checkpoint")
    kind = getattr(room, "ModelCheckpoint", None)
    if not hasattr(kind, "_save_monitor_checkpoint"):
        return
    told: WeakSet[Any] = WeakSet()

    def choose(inner: Any, self: Any, trainer: Any, candidates: Any, *args: Any, **kwargs: Any) -> Any:
        if self not in told:
            text = next(_odd(str(self.monitor), trainer, candidates), None)
            if text is not None:
                told.add(self)
                tell(watcher, f"ModelCheckpoint(monitor={self.monitor!r})", text)
        return inner(self, trainer, candidates, *args, **kwargs)

    patches.wrap(kind, "_save_monitor_checkpoint", choose)


def tell(watcher: Watcher, api: str, text: str) -> None:
    """Hand it on as a call of which its hook knows what is wrong."""
    call = Call("torch", api, "restore", told=Told(SLUG, "warning", text))
    watched(watcher, call, lambda _: None)


def best_of_the_first(trainer: Any, chosen: Any) -> str | None:
    """What is odd about ``ckpt_path="best"``: the first of several callbacks was asked, and it monitors nothing."""
    callbacks = [c for c in getattr(trainer, "checkpoint_callbacks", ()) if hasattr(c, "best_model_path")]
    if len(callbacks) < 2 or callbacks[0].monitor is not None or callbacks[0].best_model_path != chosen:
        return None
    other = next((c for c in callbacks[1:] if c.monitor is not None and c.best_model_path), None)
    if other is None or other.best_model_path == chosen:
        return None
    return (
        f"{chosen} is the last file of a ModelCheckpoint that monitors nothing, the first of {len(callbacks)}; the best by "
        f"{other.monitor!r} is {other.best_model_path}"
    )


def _odd(monitor: str, trainer: Any, candidates: Any) -> Iterator[str]:
    current = candidates.get(monitor)
    for item in _logged(trainer):
        meta = item.meta
        if meta.name != monitor or not getattr(item, "is_tensor", False) or current is None:
            continue
        if meta.on_step and meta.on_epoch and _is_last_batch(item, current):
            yield (
                f"{monitor!r} is logged by step and by epoch, and is the last batch's value at this moment "
                f"({float(current):.6g}; the epoch's mean so far is {_mean(item):.6g}): the best are chosen by one batch"
            )
        if trainer.world_size > 1 and not meta.sync.should and not meta.sync.rank_zero_only:
            yield (
                f"{monitor!r} is each rank's own value (logged without sync_dist=True, on {trainer.world_size} ranks): the best "
                "are chosen by numbers of parts of the data, and what is shown is rank 0's"
            )


def _logged(trainer: Any) -> Iterator[Any]:
    """What was logged in training and in validation."""
    loop = getattr(getattr(trainer, "fit_loop", None), "epoch_loop", None)
    for owner in (loop, getattr(loop, "val_loop", None)):
        results = getattr(owner, "_results", None)
        if isinstance(results, dict):
            yield from (item for item in list(results.values()) if hasattr(item, "meta"))


def _is_last_batch(item: Any, current: Any) -> bool:
    cached = getattr(item, "_forward_cache", None)
    if cached is None or not item.meta.is_mean_reduction:
        return False
    value, mean = float(current), _mean(item)
    return float(cached) == value and abs(mean - value) > 1e-6 * max(abs(mean), abs(value))


def _mean(item: Any) -> float:
    """Of the batches so far, on this rank."""
    count = float(getattr(item, "cumulated_batch_size", 0))
    return float(item.value) / count if count else float("nan")
