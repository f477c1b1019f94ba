"""What goes on around an error: a save, a load, or something else.

Entries for messages that any program may print ask here. Evidence is, in this order: functions on the way that only saving and
loading goes through, files of such code, and words of the log around it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from .reading import Raised, Reading

__all__ = ["FILES", "LOADS", "SAVES", "Around", "around", "files_of", "like_a_checkpoint"]

SAVES = frozenset(
    {
        "save_weights", "save_model", "save_checkpoint", "_save_checkpoint", "save_file", "save_pretrained", "torch_save",
        "save_state", "_legacy_save", "write_record", "save_state_dict", "async_save", "dcp_save", "save_model_to_hdf5",
        "save_weights_to_hdf5_group", "save_attributes_to_hdf5_group", "update_checkpoint_state", "save_to_checkpoint",
        "export_meta_graph", "_save_zero_checkpoint", "dump_checkpoint", "save_lora_weights", "save_trainer_state",
        "_save_optimizer_and_scheduler", "save_replay_buffer", "save_net", "save_variables", "serialize_keras_object",
        "savez", "_serialize_model", "model_metadata", "save_only", "atomic_save", "write_checkpoint", "_save_state",
        "save_full_checkpoint", "save_function", "model_to_json", "_write_file", "_maybe_log_save_evaluate",
    }
)  # fmt: skip
"""Functions that only saving goes through."""
LOADS = frozenset(
    {
        "load_state_dict", "load_weights", "load_model", "load_checkpoint", "load_from_checkpoint", "from_pretrained",
        "torch_load", "load_file", "safe_open", "load_own_variables", "load_variable", "latest_checkpoint",
        "_load_state_dict", "_legacy_load", "load_accelerator_state", "load_state", "read_checkpoint",
        "load_weights_from_hdf5_group", "find_class", "restore_checkpoint", "load_model_from_hdf5", "model_from_config",
        "deserialize_keras_object", "load_pretrained_model", "_load_pretrained_model",
        "_load_zero_checkpoint", "resume_training", "resume_from_checkpoint", "load_pretrained", "load_ckpt",
        "restore_state", "load_params", "load_pretrained_weights", "init_from_checkpoint", "load_lora_weights",
        "load_lora_adapter", "set_peft_model_state_dict", "unpickle", "from_state_dict", "restore_variables",
        "load_sharded_checkpoint", "_load_optimizer_and_scheduler", "_load_rng_state", "load_optimizer", "load_weight",
        "load_model_state_dict", "load_model_weights", "load_pretrained_checkpoint", "restore_optimizers",
        "load_variables_from_checkpoint", "restore_training_state", "restore_optimizers_and_schedulers", "load_own_state",
        "_load_state", "load_net", "load_network", "model_from_json", "set_state_dict", "load_snapshot",
        "load_from_single_file", "from_single_file", "load_pytorch_model", "_load_model_state", "read_state_dict",
        "load_partial", "load_trainer_state", "load_replay_buffer",
    }
)  # fmt: skip
"""Functions that only loading goes through."""

_ALSO_SAVE = frozenset({"save", "_save", "dump", "write"})
_ALSO_LOAD = frozenset({"load", "_load", "restore", "_restore", "resume", "build", "from_config", "read"})
"""Functions that other things go through too: they count where a word for checkpoints stands by."""
FILES = (
    "torch/serialization.py", "checkpoint", "saving", "save_and_load", "save_restore", "hdf5_format", "safetensors",
    "h5py", "saver.py",
)  # fmt: skip
"""Words in the paths of code that saves and loads."""
_SAVING = (
    r"\bsav(?:e|es|ed|ing)\b|\bsave_|_save\b|write_record|streamwriter|writing checkpoint|tempstate|\.tmp\b|"
    r"\bdump(?:s|ed|ing)?\(|serializ(?:e|ing)\b(?!d)|summoning checkpoint"
)
_LOADING = (
    r"\bload(?:s|ed|ing|er)?\b|load_|_load\b|restor|resum|pretrained|unpickl|init_checkpoint|warm.?start|reload|streamreader|"
    r"deserializ|map_location|(?:from|in|of|the) checkpoint|continu\w+ (?:training|from)|from_config"
)
_SAVED = (
    r"model\.save|save_(?:weights|model|checkpoint|pretrained|state|file)|torch\.save|saver\.save|saved_model\.save"
    r"|\.dump\(|\b(?:np|numpy|jnp)\.savez?(?:_compressed)?\("
)
_LOADED = (
    r"(?<![a-z])load_(?:model|weights|state_dict|checkpoint|from_checkpoint|file)|from_pretrained"
    r"|torch\.load|jit\.load|saver\.restore"
    r"|restore_checkpoint|\bload(?:ing|ed)? (?:the |a |my )?(?:saved |(?:pre-?)?trained )?(?:model"
    r"|weights)|find_class|unpickl|load_own_variables|latest_checkpoint|(?:pickle|joblib|dill|np|jnp"
    r"|numpy)\.load"
)
_KEPT = (
    r"checkpoint|ckpt|state_dict|\.pth?\b|\.pt\b|\.h5\b|\.hdf5|\.keras\b|safetensors|saved_?model|\bweights?\b|\.msgpack|"
    r"pytorch_model|\bsaver\b|orbax|h5py|torch/serialization|hdf5_format|saving_lib|snapshot|saveable|/saving/"
)
_CHECKPOINT = (
    r"(?:checkpoint|ckpt|\.pth?\b|\.pt$|\.h5|\.hdf5|\.keras|safetensors|pytorch_model|weights|tempstate|optimizer|\.index$"
    r"|\.data-\d|snapshot|\.msgpack|\.npz|global_step|step[-_]\d|epoch[-_=]?\d|model[\w.\-]*$|saved_model|best|last\.)"
)

_COMPUTES = frozenset(
    {
        "forward", "backward", "_call_impl", "_wrapped_call_impl", "training_step", "train_step", "__getitem__", "__next__",
        "_worker_loop", "_next_data", "_try_get_data", "collate",
    }
)  # fmt: skip
"""Functions of a step of training and of what reads its data."""
_DATA = r"iteratorgetnext|dataloader worker|tfrecord|forkingpickler|multiprocessing/(?:reduction|queues|connection|pool)"

_TOLD = (
    r"load|restor|resum|recover|sav(?:e[ds]?|ing)\b|save_|checkpoint|ckpt|re(?:start|launch)|interrupt|continu|snapshot|export|adapter"
    r"|pre-?train|published|released|trained model"
    r"|freez|frozen|weights|crash|backup|fine-?tun|second run|fresh start|new session|best\b|resume|saved_model|to -?inf\b"
)
"""Words without which what people tell is of something else."""
_ANOTHER = (
    r"\[(?:errno|winerror) \d+\][^\n'\"]{3,160}['\"][^'\"\n]{1,300}?"
    r"(?:\.(?:png|jpe?g|gif|svg|pdf|csv|tsv|parquet|lmdb|mp4|avi|wav|mp3|flac|ipynb)|tfevents[\w.\-]*)['\"]"
)
"""What the system says of a picture, a table or a recording is no matter of checkpoints."""
_PRINTED = (
    r"(?m)(?:Error|Exception|Warning)\b|^[^\S\n]*(?:Traceback|File \"|WARNING|INFO|ERROR|\[[\w :.\-]+\])"
    r"|\w\.(?:weight|bias|kernel|running_mean)\b"
    r"|[{}]|\w/\w+/\w|torch\.Size|==>|\bat 0x|^[^\S\n]*(?:import |from \w+ import )"
)
"""What programs print."""


class Around(NamedTuple):
    """``saving`` and ``loading``: functions on the way, or words beside words for checkpoints, say so. ``calls``: functions
    say so. ``files``: files on the way are those of saving and loading. ``alone``: the message stands alone, without any frame
    of a traceback, as people quote it, and names no picture or table. ``computing``: a step of training, or its data, was
    under way, and no save or load.
    ``prose``: nothing that a program prints: somebody tells of something saved. ``kept``: a checkpoint, its file or weights are
    named."""

    saving: bool
    loading: bool
    calls: bool
    files: bool
    alone: bool
    computing: bool
    prose: bool = False
    kept: bool = False

    @property
    def storing(self) -> bool:
        """A save or a load."""
        return self.saving or self.loading or self.files


def _told(reading: Reading) -> str:
    """The text, in small letters; of a log with a whole traceback what stands before it was over when it failed."""
    lower = reading.lower
    start = lower.find("traceback (most recent call last)")
    return lower[start:] if start > 0 and reading.frames else lower


def files_of(raised: Raised | None) -> str:
    """The files on the way to an exception, in small letters; without PyTorch's of computing activations anew, which are called
    checkpoints and kept nowhere."""
    frames = raised.frames if raised is not None else ()
    return (
        " ".join(frame.file for frame in frames)
        .replace("\\", "/")
        .lower()
        .replace("torch/utils/checkpoint.py", "")
    )


@lru_cache(maxsize=4)
def around(reading: Reading) -> Around:
    """What goes on around the error of ``reading``."""
    lower = _told(reading)
    kept = re.search(_KEPT, lower) is not None
    saves = not reading.calls.isdisjoint(SAVES) or (kept and not reading.calls.isdisjoint(_ALSO_SAVE))
    loads = not reading.calls.isdisjoint(LOADS) or (kept and not reading.calls.isdisjoint(_ALSO_LOAD))
    last = reading.last
    files = files_of(last)
    return Around(
        saves or re.search(_SAVED, lower) is not None or (kept and re.search(_SAVING, lower) is not None),
        loads or re.search(_LOADED, lower) is not None or (kept and re.search(_LOADING, lower) is not None),
        saves or loads,
        any(word in files for word in FILES),
        not reading.frames and len(lower) < 4000 and (kept or re.search(_ANOTHER, lower) is None),
        not (saves or loads)
        and (not reading.calls.isdisjoint(_COMPUTES) or re.search(_DATA, lower) is not None),
        _prose(reading, lower),
        kept,
    )


def _prose(reading: Reading, lower: str) -> bool:
    if reading.frames or reading.raised or reading.log or len(lower) > 4000:
        return False
    return re.search(_TOLD, lower) is not None and re.search(_PRINTED, reading.text) is None


def like_a_checkpoint(path: str) -> bool:
    """Whether a path is named as checkpoints are."""
    return re.search(_CHECKPOINT, path, re.IGNORECASE) is not None
