"""How the frameworks' own calls write a checkpoint: at once, or aside first.

Measured, not read up: each writer was killed (SIGKILL) at random moments of a save over the same name, and run into a full
disk (a tmpfs of 8 MB), on torch 2.13, TensorFlow 2.21, Keras 3.15, safetensors 0.8, lightning 2.6, orbax-checkpoint 0.12. What
each does was then found in its source, which is named.
"""

from __future__ import annotations

import re
import sys
from typing import NamedTuple

__all__ = ["Saver", "saver_of"]


class Saver(NamedTuple):
    """``atomic``: a save that is broken off leaves the checkpoint of that name that was there. ``how``: what it does, put so
    that it follows the call's name. ``source``: where that stands."""

    atomic: bool
    how: str
    source: str


_IN_PLACE = "empties the file and writes into it"
_ROWS: tuple[tuple[str, Saver], ...] = (
    (r"torch\.save", Saver(False, _IN_PLACE, "torch/serialization.py, _open_zipfile_writer_file")),
    (r".*Trainer\.save_checkpoint|lightning.*", Saver(
        True, "writes into the temporary folder and moves the file, which is a copy where that is another disk",
        "lightning/fabric/utilities/cloud_io.py, _atomic_save")),
    (r".*(?:dcp|distributed\.checkpoint)\..*", Saver(
        False, "writes its files into the folder one after the other, and the metadata last",
        "torch/distributed/checkpoint/filesystem.py")),
    (r".*train\.Checkpoint\.\w+|.*CheckpointManager\.save|.*Saver\.save", Saver(
        True, "writes into a temporary folder and renames", "tensorflow/core/kernels/save_restore_v2_ops.cc")),
    (r".*(?:Standard|PyTree|Async)?Checkpointer\.save|ocp\.save\w*|.*save_pytree\w*", Saver(
        False, "deletes the folder that is there (force, overwrite) before it writes the new one",
        "orbax/checkpoint/_src/checkpointers/checkpointer.py")),
    (r".*save_weights|.*Model\.save|.*save_model|.*saving\.save_\w+", Saver(
        False, _IN_PLACE, "keras/src/saving/saving_lib.py")),
    (r"numpy\..*|np\..*", Saver(False, _IN_PLACE, "numpy/lib/_npyio_impl.py")),
)  # fmt: skip
_SAFETENSORS = (
    Saver(
        True, "writes a .tmp file beside it and renames", "safetensors/src/tensor.rs, serialize_to_file, 0.8"
    ),
    Saver(False, _IN_PLACE, "safetensors/src/tensor.rs, serialize_to_file, before 0.8"),
)


def saver_of(api: str) -> Saver | None:
    """What is known of a call (``"torch.save"``, ``"safetensors.torch.save_file"``), as installed in this process."""
    if api.startswith("safetensors"):
        version = getattr(sys.modules.get("safetensors"), "__version__", "")
        return _SAFETENSORS[0 if _at_least(version, (0, 8)) else 1]
    for pattern, saver in _ROWS:
        if re.fullmatch(pattern, api):
            return saver
    return None


def _at_least(version: str, wanted: tuple[int, int]) -> bool:
    found = re.match(r"(\d+)\.(\d+)", version)
    return found is not None and (int(found[1]), int(found[2])) >= wanted
