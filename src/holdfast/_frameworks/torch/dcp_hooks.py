"""PyTorch's distributed checkpoints as events: ``save``, ``async_save`` and ``load`` of ``torch.distributed.checkpoint``.

``get_state_dict`` and ``set_state_dict`` are made of ``state_dict`` and ``load_state_dict``, and are seen through them. Facts:
torch/distributed/checkpoint/state_dict_saver.py, state_dict_loader.py (``load`` fills the tensors of the state dict that it is
given, and gives nothing back), filesystem.py (``FileSystemWriter.path``).
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import torch.distributed as dist

from ..call_options import LoadOptions, SaveOptions
from ..events import Call, Watcher, watched
from ..patches import Patches
from .dcp_staging import Staging

__all__ = ["install"]


def install(dcp: Any, watcher: Watcher, patches: Patches) -> None:
    """Hand the calls of ``torch.distributed.checkpoint`` to ``watcher``."""

    def save(inner: Any, state_dict: Any, *args: Any, **kwargs: Any) -> Any:
        call = Call(
            "torch", "dcp.save", "save", _place(args, kwargs), state=state_dict, save=_options(kwargs)
        )
        return watched(watcher, call, lambda _: inner(state_dict, *args, **kwargs))

    staging = Staging()

    def async_save(inner: Any, state_dict: Any, *args: Any, **kwargs: Any) -> Any:
        moved: list[str] = []
        options = replace(_options(kwargs), moved=moved)
        call = Call("torch", "dcp.async_save", "save", _place(args, kwargs), state=state_dict, save=options)

        def run(_: str | None) -> Any:
            begun = staging.begin(state_dict, moved)
            try:
                given = inner(state_dict, *args, **kwargs)
            except BaseException:
                staging.ended(begun)
                raise
            future = getattr(given, "upload_completion", given)
            future.add_done_callback(lambda _: staging.ended(begun))
            call.finished = future.result
            return given

        return watched(watcher, call, run)

    def load(inner: Any, state_dict: Any, *args: Any, **kwargs: Any) -> Any:
        path = _place(args, kwargs)
        call = Call(
            "torch",
            "dcp.load",
            "restore",
            path,
            state=state_dict,
            load=LoadOptions(by_framework=path is not None),
        )
        if path is None:  # a reader of somebody's own
            return inner(state_dict, *args, **kwargs)
        return watched(watcher, call, lambda _: inner(state_dict, *args, **kwargs))

    for name, around in (("save", save), ("async_save", async_save), ("load", load)):
        patches.wrap(dcp, name, around)
    if hasattr(dcp, "state_dict_saver"):
        staging.watch(dcp.state_dict_saver, patches)


def _options(kwargs: dict[str, Any]) -> SaveOptions:
    """Whether every rank of the process group takes part in the call, or this process saves for itself alone
    (``no_dist``, or no process group: state_dict_saver.py, ``_DistWrapper``)."""
    if kwargs.get("no_dist") or not dist.is_available() or not dist.is_initialized():
        return SaveOptions()
    return SaveOptions(together=dist.get_world_size(kwargs.get("process_group")) > 1)


def _place(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
    """The folder: ``checkpoint_id``, or that of the reader or writer that is given."""
    found = kwargs.get("checkpoint_id") or (args[0] if args else None)
    if found is None:
        found = getattr(kwargs.get("storage_writer") or kwargs.get("storage_reader"), "path", None)
    return os.fsdecode(found) if isinstance(found, (str, bytes, os.PathLike)) else None
