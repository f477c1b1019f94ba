"""Folders whose files together are one checkpoint, and what the names in a folder tell.

Markers, each with its source: Orbax ``_CHECKPOINT_METADATA``, ``_METADATA``, ``manifest.ocdbt``,
``commit_success.txt`` (orbax/checkpoint/_src/metadata, path/format_utils.py); DCP ``.metadata``,
``__<rank>_<n>.distcp`` (torch/distributed/checkpoint/filesystem.py); DeepSpeed
``mp_rank_00_model_states.pt``, ``*zero_pp_rank_*_optim_states.pt`` (deepspeed/runtime/engine.py); Megatron
``latest_checkpointed_iteration.txt``, ``iter_0000100`` (megatron/training/checkpointing.py); Hugging Face
names (transformers/utils/__init__.py: WEIGHTS_NAME ..., peft/utils/constants.py,
diffusers/utils/constants.py); the members of a ``torch.save`` zip (torch/serialization.py, ``_save``), which browsers and
macOS unpack into a folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from .._formats.registry import Format
from .._storage import Store
from .._storage.source import Entry

__all__ = ["PRIMARY", "SHARD", "UNPACKED", "age", "folder_format", "is_run_folder"]

PRIMARY = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "adapter_model.safetensors",
    "adapter_model.bin",
    "diffusion_pytorch_model.safetensors.index.json",
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.bin",
    "tf_model.h5",
    "flax_model.msgpack",
)
"""Names under which a Hugging Face folder keeps its weights, in the order in which its loaders ask for them.
"""

SHARD = re.compile(r"(?P<stem>.+?)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<suffix>\.[A-Za-z0-9_.]+)")
"""``model-00001-of-00003.safetensors`` (counted from one)."""

_RANKED = re.compile(r"__\d+_\d+\.distcp")
_DEEPSPEED = re.compile(
    r"(?:mp_rank_\d+_model_states|(?:bf16_|fp16_)?zero_pp_rank_\d+_mp_rank_\d+(?:_\d+)?_(?:model|optim)_states|"
    r"layer_\d+-model_\d+-model_states|layer_\d+_expert_\d+_mp_rank_\d+_model_states)\.pt"
)
_STEP = re.compile(r"(\d+)(?!.*\d)")

_ORBAX_ITEMS = frozenset(
    {"default", "state", "pytree", "params", "model", "opt_state", "train_state", "items"}
)

_DCP_HINT = (
    "`python -m torch.distributed.checkpoint.format_utils dcp_to_torch {folder} {out}` makes one torch file "
    "of it, which Holdfast reads."
)
ORBAX = Format(
    "orbax",
    "Orbax checkpoint (folder)",
    lambda source: False,
    family="jax",
    hint="Restore it with orbax.checkpoint (PyTreeCheckpointer().restore(path) gives numpy arrays); "
    "Holdfast has no reader yet.",
)
DCP = Format(
    "torch-dcp",
    "distributed PyTorch checkpoint (DCP folder)",
    lambda source: False,
    family="torch",
    hint=_DCP_HINT,
)
DEEPSPEED = Format(
    "deepspeed",
    "DeepSpeed checkpoint (folder)",
    lambda source: False,
    family="torch",
    hint="`python {parent}/zero_to_fp32.py {parent} {out} --tag {tag}` (DeepSpeed puts that script there) "
    "makes one file of its weights. Each *.pt in it can be opened by name.",
)
MEGATRON = Format(
    "megatron",
    "Megatron-LM checkpoint (folder)",
    lambda source: False,
    family="torch",
    hint="Convert it with Megatron's tools/checkpoint/convert.py; single model_optim_rng.pt files can be "
    "opened by name.",
)
UNPACKED = Format(
    "torch-unpacked",
    "PyTorch checkpoint that was unpacked (folder)",
    lambda source: False,
    family="torch",
    hint="torch.save writes a zip, and a browser or the system unpacked it; nothing is lost. `python -m zipfile -c {out} "
    "{folder}` packs it again, for torch.load and Holdfast.",
)


def folder_format(store: Store, entries: Iterable[Entry]) -> Format | None:
    """The format of a folder that is one checkpoint as a whole and has no reader of its own, or ``None``."""
    names = {e.name: e for e in entries}
    if "data.pkl" in names and names.keys() & {"version", "byteorder", ".format_version"}:
        return UNPACKED
    if ".metadata" in names or any(_RANKED.fullmatch(n) for n in names):
        if "common.pt" in names or "metadata.json" in names:
            return MEGATRON
        return DCP
    if any(re.fullmatch(r"__\d+\.metadata", n) for n in names):
        return DCP
    if any(_DEEPSPEED.fullmatch(n) for n in names):
        return DEEPSPEED
    if any(re.fullmatch(r"mp_rank_\d+(?:_\d+)?", n) and e.is_folder for n, e in names.items()):
        return MEGATRON
    if names.keys() & {
        "_CHECKPOINT_METADATA",
        "_METADATA",
        "manifest.ocdbt",
        "commit_success.txt",
        "orbax.checkpoint",
    }:
        return ORBAX
    if names.keys() & {"_sharding", "array_metadatas"} or any(n.startswith("ocdbt.process_") for n in names):
        return ORBAX
    items = [e.name for e in names.values() if e.is_folder]
    for item in _ORBAX_ITEMS.intersection(items):
        # An Orbax step whose metadata is gone: its items are folders that bear the marks.
        if any(store.exists(f"{item}/{mark}") for mark in ("_METADATA", "manifest.ocdbt", "_sharding")):
            return ORBAX
    # Old zarr leaves: a folder per parameter, each with .zarray or chunk files and nothing else.
    if items and all(store.exists(f"{item}/.zarray") for item in items):
        return ORBAX
    return None


def is_run_folder(name: str) -> bool:
    """Whether a folder's name says step, epoch or iteration (``checkpoint-500``, ``iter_0000100``,
    ``ckpt_000003``, ``12``).
    """
    return bool(
        re.fullmatch(r"(?:.*(?:checkpoint|ckpt|step|steps|iter|epoch)[-_=]?)?\d+(?:[._-].*)?", name, re.I)
    )


def age(name: str) -> tuple[int, int, str]:
    """A key that sorts newest last: by the last number in the name, counted names after uncounted, then by
    name.
    """
    base = name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
    base = re.sub(
        r"\.(?:index|data)(?:-\d{5}-of-\d{5})?$|\.h5$|\.pt$|\.safetensors$|-\d{5}-of-\d{5}", "", base
    )
    found = _STEP.search(base)
    return (1, int(found.group(1)[:18]), name) if found else (0, 0, name)
