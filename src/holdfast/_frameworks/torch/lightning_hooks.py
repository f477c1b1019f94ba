"""Lightning's own calls as events: ``Trainer.save_checkpoint``, ``Fabric.save`` and a ``ckpt_path`` that finds nothing, or
another checkpoint than it says.

What ``fit(ckpt_path=...)``, ``load_from_checkpoint`` and ``Fabric.load`` load is seen through PyTorch's calls, of which they are
made. Facts: lightning/pytorch/trainer/trainer.py (``save_checkpoint(filepath, weights_only, storage_options)``),
trainer/connectors/checkpoint_connector.py (``_select_ckpt_path(state_fn, ckpt_path, ...)``: ``None`` for ``"last"`` where there
is none, with a warning), fabric/fabric.py (``save(path, state, filter)``).
"""

from __future__ import annotations

import os
import sys
from typing import Any

from ..call_options import LoadOptions
from ..events import Call, Watcher, watched
from ..patches import Patches
from .lightning_best import best_of_the_first, tell
from .lightning_best import install as install_best

__all__ = ["install"]


def install(lightning: Any, watcher: Watcher, patches: Patches) -> None:
    """Hand the calls of ``lightning.pytorch`` (or ``pytorch_lightning``), or of ``lightning.fabric``, to ``watcher``."""
    trainer = getattr(lightning, "Trainer", None)
    if trainer is not None:
        patches.wrap(trainer, "save_checkpoint", _saving("Trainer.save_checkpoint", watcher))
        room = sys.modules.get(f"{lightning.__name__}.trainer.connectors.checkpoint_connector")
        connector = getattr(room, "_CheckpointConnector", None)
        if hasattr(connector, "_select_ckpt_path"):
            patches.wrap(connector, "_select_ckpt_path", _choosing(watcher))
        install_best(lightning, watcher, patches)
    fabric = getattr(lightning, "Fabric", None)
    if fabric is not None:
        patches.wrap(fabric, "save", _saving("lightning.Fabric.save", watcher))


def _saving(api: str, watcher: Watcher) -> Any:
    def save(inner: Any, self: Any, filepath: Any, *args: Any, **kwargs: Any) -> Any:
        path = os.fsdecode(filepath) if isinstance(filepath, (str, os.PathLike)) else None
        remote = path is not None and "://" in path
        state = args[0] if api.endswith("Fabric.save") and args else kwargs.get("state")
        # of several processes only one writes, and the others would wait for a file that is never there
        alone = getattr(self, "world_size", 1) == 1
        call = Call("torch", api, "save", None if remote else path, state=state, movable=alone and not remote)
        return watched(
            watcher, call,
            lambda given: inner(self, filepath if given == call.path else given, *args, **kwargs),
        )  # fmt: skip

    return save


def _choosing(watcher: Watcher) -> Any:
    def choose(inner: Any, self: Any, state_fn: Any, ckpt_path: Any = None, *args: Any, **kwargs: Any) -> Any:
        chosen = inner(self, state_fn, ckpt_path, *args, **kwargs)
        word = getattr(state_fn, "value", state_fn)
        asked = ckpt_path in (None, "best") and chosen is not None
        if asked and (odd := best_of_the_first(self.trainer, chosen)) is not None:
            tell(watcher, f"Trainer.{word}(ckpt_path={ckpt_path!r})", odd)
        if ckpt_path is not None and chosen is None:
            options = LoadOptions(
                because=("there is none to be found, and Lightning goes on without it", "warning")
            )
            call = Call("torch", f"Trainer.{word}(ckpt_path={ckpt_path!r})", "restore", load=options)
            watched(watcher, call, lambda _: None)
        return chosen

    return choose
