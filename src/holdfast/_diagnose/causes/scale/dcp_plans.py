"""torch.distributed.checkpoint and FSDP: plans, names, shards, staging; accelerate's folders of a whole state.

Messages: torch/distributed/checkpoint/{default_planner,state_dict,state_dict_loader,filesystem}.py, torch/distributed/fsdp,
torch/distributed/_shard, torch/distributed/optim, fairscale, accelerate/{accelerator,checkpointing}.py and utils/fsdp_utils.py.
"""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look, ranked
from ...where import apart_from_steps, loading_or_alone, saving_or_alone, storing_or_alone

_OPTIMIZER = re.compile(
    r"(?:^|\.)(?:optim\w*|opt|optimizers?)\.|exp_avg|momentum|param_groups|\.step$|max_exp|state\.\d+\.", re.I
)
_OF_A_RANK = re.compile(r"dp_rank|rank_?\d|shard_?\d|dataloader\.|\bep_?rank|tp_rank", re.I)
_PROGRESS = re.compile(
    r"lr_scheduler|scheduler|train_state|rng|global_step|iteration|sampler|^step$|epoch", re.I
)
_WRAPPED = re.compile(
    r"_orig_mod|_checkpoint_wrapped_module|_fsdp_wrapped_module|_forward_module|^module\.(?!decoder|encoder|embedding)"
)
_CANONICAL = (
    "Save and load through `torch.distributed.checkpoint.state_dict` (`get_state_dict`, `set_state_dict`): canonical "
    "names, "
    "any number of processes."
)


def missing_key(look: Look) -> list[Guess]:
    """The name tells of what the missing entry is."""
    key = look.facts().get("key", "")

    def so(*rows: tuple[str, float]) -> list[Guess]:
        return [look.entry.guess(look, label, confidence=sure) for label, sure in rows]

    if "_extra_state" in key:
        return so(("version-mismatch", 0.85), ("missing-tensor", 0.74), ("topology", 0.5))
    if _OF_A_RANK.search(key):
        return so(("topology", 0.84), ("resume-state", 0.7), ("missing-tensor", 0.66))
    if _WRAPPED.search(key):
        return so(("renamed", 0.85), ("missing-tensor", 0.72), ("topology", 0.4))
    if _OPTIMIZER.search(key):
        return so(
            ("optimizer-structure", 0.84),
            ("missing-tensor", 0.76),
            ("version-mismatch", 0.6),
            ("renamed", 0.4),
        )
    if _PROGRESS.search(key):
        return so(("resume-state", 0.76), ("missing-tensor", 0.74), ("version-mismatch", 0.5))
    return []


def sizes_of_parts(look: Look) -> list[Guess]:
    """Two lengths that should be one: flat partitions are long; rows of a layer are few."""
    a, b = sorted((int(look.match["a"]), int(look.match["b"])))
    flat = a >= 300_000 or (a >= 20_000 and b % a == 0)
    times = b // a if a >= 1024 and b % a == 0 else 1  # a layer's rows in two, four, eight ... parts
    around = look.around
    told = re.search(
        r"set_\w*state_dict|load_\w*state|resum|restor|checkpoint|fsdp|dtensor", look.reading.lower
    )
    if not (around.loading or (around.alone and (flat or told or times in (2, 4, 8, 16)))):
        return []
    rows: tuple[tuple[str, float], ...] = (
        ("shape-mismatch", 0.7),
        ("topology", 0.62),
        ("optimizer-structure", 0.58),
    )
    if flat:
        rows = (("topology", 0.82), ("optimizer-structure", 0.6), ("shape-mismatch", 0.56))
    elif times in (2, 4, 8, 16):
        rows = (("topology", 0.74), ("shape-mismatch", 0.7), ("optimizer-structure", 0.4))
    return [look.entry.guess(look, label, confidence=sure) for label, sure in rows]


def given_away(look: Look) -> list[Guess]:
    """An array that was given away: by a step that donates its arguments as often as under a save."""
    sure = (
        0.78
        if look.around.saving or "future" in look.match[0].lower() or "ocdbt" in look.match[0].lower()
        else 0.34
    )
    return [
        look.entry.guess(look, confidence=sure),
        look.entry.guess(look, "graph-lifecycle", confidence=sure * 0.6),
        look.entry.guess(look, "incomplete-save", confidence=sure * 0.58),
    ]


ENTRIES = (
    Entry(
        "sizes-of-parts",
        "topology",
        ("must match the size of tensor b",),
        r"The size of tensor a \((?P<a>\d+)\) must match the size of tensor b \((?P<b>\d+)\)",
        why=(
            "a part of the state has {a} elements where {b} are expected: it was cut for another number of processes, "
            "or model"
        ),
        remedy="Load with as many processes as saved, or through a format that reshards. " + _CANONICAL,
        weigh=sizes_of_parts,
        test="whole",
        example=(
            "RuntimeError: The size of tensor a (56000000) must match the size of tensor b (14000000) at "
            "non-singleton dimension 0"
        ),
    ),
    Entry(
        "dcp-index",
        "topology",
        ("metadataindex(",),
        r"KeyError: MetadataIndex\(fqn='(?P<key>[^']+)'",
        why=(
            "the part of `{key}` that is asked for is not among those that were saved: cut otherwise, or written by "
            "no rank"
        ),
        remedy="Save anew from all ranks; " + _CANONICAL[0].lower() + _CANONICAL[1:],
        weigh=ranked(("topology", 0.7), ("incomplete-save", 0.6), ("missing-tensor", 0.58)),
        test="whole",
        example="KeyError: MetadataIndex(fqn='decoder.weight', offset=torch.Size([2, 0]), index=4)",
    ),
    Entry(
        "dcp-missing-kind",
        "missing-tensor",
        (
            "missing key in checkpoint",
            "not found in checkpoint state_dict",
        ),
        r"Missing key in checkpoint(?: state_dict)?: '?(?P<key>[\w\-]+(?:[./][\w\-]+)*)"
        r"|(?P<key2>[\w\-]+(?:\.[\w\-]+)*) (?:is )?not found in checkpoint state_dict",
        why="the distributed checkpoint has no `{key}`",
        remedy="Compare the names (`holdfast inspect FOLDER`). " + _CANONICAL,
        weigh=missing_key,
        test="names",
        example="RuntimeError: Missing key in checkpoint state_dict: optim.state.layer.weight.exp_avg.",
    ),
    Entry(
        "dcp-no-optimizer-state",
        "optimizer-structure",
        (
            "missing optimizer state for parameter",
            'must have the keys "state"',
            "optim state_dict is empty",
            "number of states used by optimizer",
        ),
        r"Missing optimizer state for parameter '?(?P<key>[\w.]+)|must have the keys \"state\"|optim state_dict is empty"
        r"|number of states used by optimizer",
        why="the state of the optimizer that is loaded does not cover the parameters that are trained now ({key})",
        remedy="Build the optimizer as it was saved (same parameters frozen); or load the model alone. "
        + _CANONICAL,
        also=("missing-tensor", "topology"),
        weight=0.86,
        example="RuntimeError: Missing optimizer state for parameter 'layer.weight' in checkpoint.",
    ),
    Entry(
        "dcp-no-metadata",
        "incomplete-save",
        (
            "assert metadata is not none",
            "metadata is none",
            "metadata is not none",
            "has no attribute 'state_dict_metadata'",
            "storage_data must not be none",
        ),
        r"assert metadata is not None|metadata is (?:not )?None|NoneType' object has no attribute 'state_dict_metadata'"
        r"|storage_data must not be None",
        why=(
            "the checkpoint's `.metadata`, which is written last, is not there or cannot be read: the save never came "
            "to its end"
        ),
        remedy="Take an older checkpoint; give the folder that holds `.metadata` (it is a hidden file).",
        weigh=ranked(("incomplete-save", 0.74), ("async-save", 0.66), ("not-found", 0.6)),
        test="whole",
        example='  File "state_dict_loader.py", line 9, in local_step\n    assert metadata is not None\nAssertionError',
    ),
    Entry(
        "dcp-size",
        "shape-mismatch",
        ("size mismatch between saved", "mismatch sizes"),
        r"Size mismatch between saved (?P<got>torch\.Size\([^)]*\)) and current: (?P<want>torch\.Size\([^)]*\)) for "
        r"(?P<tensor>\S+)"
        r"|req (?:MetadataIndex\(fqn='(?P<key>[^']+)'[^\n]{0,120}?\)|\S+) mismatch sizes",
        why="`{tensor}` has size {got} in the checkpoint and {want} in the model",
        remedy="Build the model as it was saved (`holdfast inspect FOLDER` shows the sizes).",
        also=("topology", "version-mismatch"),
        weight=0.9,
        test="names",
        example=(
            "ValueError: Size mismatch between saved torch.Size([8, 4]) and current: torch.Size([9, 4]) for "
            "head.weight"
        ),
    ),
    Entry(
        "sharded-tensor-ranks",
        "topology",
        (
            "at save time was",
            "could not find shard at",
            "is not a shardedtensor",
            "number of local shards",
            "failed to validate global plan",
            "local shard size =",
            "0 or 1 shard per rank",
            "present in other ranks but not this one",
            "different values for",
        ),
        r"(?P<what>Local|Global) (?P<of>rank|world size) at save time was (?P<then>\d+), but at load time was (?P<now>\d+)"
        r"|Could not find shard at|is not a ShardedTensor|Number of local shards|Failed to validate global plan"
        r"|Local shard size =|0 or 1 shard per rank|present in other ranks but not this one|Rank \d+ has different "
        r"values for",
        why="the shards do not fit these processes: {of} {then} saved, {now} load (sharded tensors keep their ranks)",
        remedy="Load with as many processes as saved, or through DCP, which reshards.",
        where=storing_or_alone,
        weigh=ranked(("topology", 0.86), ("concurrency", 0.5), ("shape-mismatch", 0.48)),
        test="whole",
        example="RuntimeError: Global world size at save time was 4, but at load time was 2",
    ),
    Entry(
        "flat-parameters",
        "topology",
        ("flat_param", "flatparameter", "fsdp assumes", "_fpw_module"),
        r"(?:size mismatch for|shape[^\n]{0,80}?|(?:missing|unexpected) key[^\n]{0,120}?)[\w.\" "
        r"]*(?:_?flat_param(?:_\d+)?|_fpw_module)\b"
        r"|FSDP assumes (?P<key>\S+) is in the state_dict|No `?FlatParameter`? in `?state_dict",
        why="FSDP's flat parameters are cut by the number of processes and by what was wrapped; these differ now",
        remedy=_CANONICAL,
        where=loading_or_alone,
        weigh=ranked(("topology", 0.94), ("shape-mismatch", 0.62), ("renamed", 0.6)),
        test="names",
        example=(
            "size mismatch for _fsdp_wrapped_module._flat_param: copying a param with shape torch.Size([900]) "
            "from checkpoint"
        ),
    ),
    Entry(
        "state-not-consolidated",
        "topology",
        ("consolidate_state_dict", "has not been consolidated"),
        r"state has not been consolidated|consolidate_state_dict\(",
        why="each process holds a part of the optimizer's state; nobody has gathered the whole",
        remedy="Call `optimizer.consolidate_state_dict(to=0)` on *every* rank, then save on rank 0.",
        weigh=ranked(("topology", 0.76), ("concurrency", 0.72), ("optimizer-structure", 0.6)),
        example="RuntimeError: Optimizer state has not been consolidated on this rank.",
    ),
    Entry(
        "fsdp-settings",
        "topology",
        (
            "same state_dict_type",
            "same state dict settings",
            "expected state_dict_config of type",
            "expected optim_state_dict_config",
            "type of state_dict_config",
            "can only be used when parameters are flatten",
            "can only be called when parameters are flatten",
            "_state_dict_type_to_config",
            "not the root module",
            "devicemesh is not compatible with",
            "prev_state_dict_type is not none",
            "and no_shard is not supported",
        ),
        r"same state_dict_type|same state dict settings|Expected (?:optim_)?state_dict_config of type|type of "
        r"state_dict_config"
        r"|can only be (?:used|called) when parameters are flatten\w*|_state_dict_type_to_config|not the root module"
        r"|DeviceMesh is not compatible with|prev_state_dict_type is not None|and NO_SHARD is not supported",
        why="the kind of state that is asked for (full, sharded, local) does not fit how this model is wrapped",
        remedy=_CANONICAL + " Wrap (`prepare`) first, then load.",
        weigh=ranked(("topology", 0.7), ("version-mismatch", 0.62), ("format-mismatch", 0.5)),
        example="RuntimeError: Expected state_dict_config of type FullStateDictConfig but got ShardedStateDictConfig",
    ),
    Entry(
        "async-needs-cpu-backend",
        "async-save",
        (
            "backend must be enabled for async save",
            "staging_executor",
            "async staging",
            "cached storage size",
            "failed to persist state_dict",
        ),
        r"backend must be enabled for async save|staging_executor|async staging|Cached storage size|Failed to persist "
        r"state_dict",
        why=(
            "the background save cannot take its copy of the state (no CPU backend, or the state changed since the "
            "last one)"
        ),
        remedy="`init_process_group('cpu:gloo,cuda:nccl')`; wait for one save before the next.",
        weigh=ranked(("async-save", 0.8), ("device-mismatch", 0.66), ("topology", 0.4)),
        example=(
            "AssertionError: A CPU backend must be enabled for async save; try initializing process group with "
            "'cpu:gloo,cuda:nccl'"
        ),
    ),
    Entry(
        "dcp-reader",
        "format-mismatch",
        (
            "which storagereader or storagewriter",
            "non-tensor value identified",
            "invalid checkpoint metadata for",
            "no dcp custom metadata",
            "expected bytesstoragemetadata",
            "unknown extension name=",
        ),
        r"which StorageReader or StorageWriter|Non-tensor value identified|Invalid checkpoint metadata for (?P<key>\S+),"
        r"|No DCP custom metadata|expected BytesStorageMetadata|Unknown extension name=",
        why="what lies at the path is of another kind than this reader takes ({key})",
        remedy="`holdfast PATH` says what it is; DCP reads folders with `.metadata`, other files need their own loader.",
        weigh=ranked(("format-mismatch", 0.78), ("not-found", 0.56), ("version-mismatch", 0.54)),
        example="RuntimeError: Cannot detect which StorageReader or StorageWriter to use.",
    ),
    Entry(
        "accelerate-folder",
        "not-found",
        ("but folder does not exist", "tried to find"),
        r"Tried to find (?P<path>\S+) but folder does not exist",
        why="the folder of the saved state, `{path}`, is not there",
        remedy="Check path and step; `holdfast FOLDER` lists what was saved.",
        also=("retention", "incomplete-save"),
        weight=0.88,
        test="path",
        example="ValueError: Tried to find run/checkpoint_3 but folder does not exist",
    ),
    Entry(
        "accelerate-iteration",
        "retention",
        ("manually override `self.save_iteration`", "self.save_iteration"),
        r"(?:Checkpoint directory (?P<path>\S+) \(\d+\) already exists[^\n]{0,40})?.{0,40}self\.save_iteration",
        why="automatic names count from 0 again after a restart, and meet the folders of the first run",
        remedy="Set `accelerator.project_configuration.iteration` after loading, or another folder.",
        also=("resume-state", "concurrency"),
        weight=0.84,
        test="path",
        example="Checkpoint directory run/checkpoint_0 (0) already exists. Please manually override `self.save_iteration`",
    ),
    Entry(
        "accelerate-custom-objects",
        "resume-state",
        ("number of custom checkpoints in folder", "does not match the number of registered objects"),
        "",
        why="another number of objects was registered for checkpointing when it was saved",
        remedy="Register the same objects in the same order before `load_state`.",
        also=("format-mismatch", "custom-object"),
        weight=0.74,
        example="RuntimeError: Number of custom checkpoints in folder run does not match the number of registered objects",
    ),
    Entry(
        "dcp-other",
        "version-mismatch",
        ("torch/distributed/checkpoint/", "checkpointexception", "distributed/checkpoint"),
        r"(?:torch/distributed/checkpoint/|CheckpointException).{0,4000}?(?P<kind>\w*(?:Error|Exception))\b",
        why="loading or saving the distributed checkpoint fails in a way that has no known wording",
        remedy="Look at the first error of each rank; " + _CANONICAL[0].lower() + _CANONICAL[1:],
        where=apart_from_steps,
        weigh=ranked(("topology", 0.47), ("incomplete-save", 0.46), ("version-mismatch", 0.46)),
        example='  File "torch/distributed/checkpoint/planner.py", line 3, in resolve\nIndexError: tuple index',
    ),
    Entry(
        "background-state-changed",
        "async-save",
        ("has been deleted", "deleted or donated", "chainedfuture", "per-process ocdbt checkpoint subdirs"),
        r"(?:Array|Buffer) has been deleted|deleted or donated|ChainedFuture completed (?P<done>\d+)/(?P<all>\d+) futures"
        r"|No per-process OCDBT checkpoint subdirs",
        why=(
            "what is being saved in the background was given away (donated, deleted) or never finished before its "
            "time was over"
        ),
        remedy=(
            "Wait for the copy to the host (`wait_until_finished()`) before the step that donates its arguments; "
            "raise the timeout."
        ),
        where=saving_or_alone,
        weigh=given_away,
        example="checkpointer.save: RuntimeError: Array has been deleted with shape=float32[8].",
    ),
    Entry(
        "tensordict-key",
        "version-mismatch",
        ("tensordict", "in dict without"),
        r"key [\"'`(]+(?P<key>[\w.]+)[\"'`),]+ (?:which is )?not (?:found )?in (?:dict without|TensorDict)",
        why="the saved TensorDict has no `{key}`, which this version of tensordict writes and asks for",
        remedy="Load with the version of tensordict that saved, and save the plain `state_dict` anew.",
        where=loading_or_alone,
        weigh=ranked(("version-mismatch", 0.8), ("missing-tensor", 0.66), ("format-mismatch", 0.62)),
        test="names",
        example="KeyError: 'key \"__size\" not found in TensorDict with keys [\\'0\\']'",
    ),
)
