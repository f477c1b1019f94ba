"""Holdfast's own saves and restores under watch."""

from __future__ import annotations

from typing import Any

from .._frameworks.patches import Patches
from .digests import digest_of, leaves, random_digests
from .saving import Saves
from .trace import Trace

__all__ = ["watch_vault"]

_DIES_AT = 4
"""The operation on the disk at which a save dies that was chosen: files are open then, and nothing is committed."""


def watch_vault(trace: Trace, saves: Saves, patches: Patches) -> None:
    """Put the watchers in place."""
    from .._storage.local_sink import LocalSink
    from .._vault.saving.writer import Writer
    from .._vault.vault import Vault

    dying: dict[str, int] = {}

    def save(inner: Any, self: Any, step: int, *args: Any, **kwargs: Any) -> Any:
        about = {"step": step, "pending": saves.pending(), "rng": random_digests(), "whole": False}
        trace.event("save", path=_path(self), **about)
        if trace.dies_in(_path(self)):
            dying.setdefault("left", _DIES_AT)
        if kwargs.get("model") is not None and not trace.automatic:
            trace.held["model"] = kwargs["model"]
        handle = inner(self, step, *args, **kwargs)
        trace.event("saved", path=_path(self), step=step)
        return handle

    def write(inner: Any, self: Any, handle: Any, *args: Any, **kwargs: Any) -> None:
        try:
            inner(self, handle, *args, **kwargs)
        finally:
            if handle.path is not None:  # committed, whatever became of older steps
                trace.event("committed", path=_path(self), step=handle.step)

    def restore(inner: Any, self: Any, *args: Any, **kwargs: Any) -> Any:
        outcome = inner(self, *args, **kwargs)
        trace.event("load", path=_path(self), step=getattr(outcome, "step", None))
        return outcome

    def call(inner: Any, self: Any, kind: str, name: str, call: Any) -> Any:
        if "left" in dying:
            dying["left"] -= 1
            if dying["left"] <= 0:
                trace.strike()
        return inner(self, kind, name, call)

    patches.wrap(Vault, "save", save)
    patches.wrap(Writer, "write", write)
    patches.wrap(Vault, "restore", restore)
    patches.wrap(LocalSink, "call", call)


def _path(vault: Any) -> str:
    from .saving import _name

    return _name(vault.path)


def explicit_record(
    loss: Any, batch: Any, state: Any, lr: Any, rng: Any, values: dict[str, Any]
) -> dict[str, Any]:
    """What a call of :func:`holdfast.drill.step` says, as a record; what was not given is not there."""
    found: dict[str, Any] = {"rng": random_digests()}
    if loss is not None:
        found["loss"] = [float(loss)]
    if batch is not None:
        found["batches"] = [_ids(batch)]
    if lr is not None:
        found["lr"] = [float(lr)]
    if state is not None:
        found["left"] = {name: digest_of(value) for name, value in leaves(state)}
    if rng is not None:
        found["seeds"] = {"rng": digest_of(rng)}
    if values:
        found["values"] = {name: _value(value) for name, value in values.items()}
    return found


def _ids(batch: Any) -> Any:
    flat = batch.tolist() if hasattr(batch, "tolist") else batch
    if isinstance(flat, (list, tuple)) and len(flat) <= 4096 and all(isinstance(i, (int, str)) for i in flat):
        return list(flat)
    return flat if isinstance(flat, (int, str)) else digest_of(batch)


def _value(value: Any) -> Any:
    if value is None or isinstance(value, (str, bool, int)):
        return value
    try:
        return float(value)
    except (TypeError, ValueError):
        return digest_of(value)
