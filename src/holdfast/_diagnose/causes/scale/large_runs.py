"""Checkpoints cut in parts: Megatron, DeepSpeed, FSDP, distributed checkpoints, and what loads them elsewhere.

Messages: megatron/training/checkpointing.py, megatron/core/dist_checkpointing, deepspeed/runtime/{engine,zero}.py and
utils/zero_to_fp32.py, torch/distributed/fsdp/_optim_utils.py, torch/distributed/checkpoint, lightning/fabric/strategies.
"""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look
from ...where import loading, loading_or_alone, storing, storing_or_alone

_SAME = (
    "Load with the same sizes and strategy, or convert: DeepSpeed's universal checkpoint or "
    "`zero_to_fp32.py`, DCP's resharding, Megatron's converter."
)
_PARALLEL = re.compile(r"parallel|world|_size$|num_gpus|dp|tp|pp|zero|shard", re.IGNORECASE)


def argument(look: Look) -> list[Guess]:
    """Megatron compares its arguments with those in the checkpoint: sizes of parallel groups, or of the model."""
    name = look.match["name"]
    if _PARALLEL.search(name) and not re.search(r"hidden|ffn|vocab|seq|kv|head", name):
        return [look.entry.guess(look), look.entry.guess(look, "shape-mismatch", confidence=0.45)]
    why = f"`{name}` is {look.match['then']} in the checkpoint and {look.match['now']} on the command line: another model"
    return [
        look.entry.guess(
            look,
            "shape-mismatch",
            confidence=0.84,
            why=why,
            remedy="Give the arguments that were saved (`--use-checkpoint-args`).",
        ),
        look.entry.guess(look, "missing-tensor", confidence=0.5, why=why),
        look.entry.guess(look, confidence=0.4),
    ]


def flat_sizes(look: Look) -> list[Guess]:
    """Long flat vectors are partitions of an optimizer's state; short ones are widths of layers."""
    facts = look.facts()
    a, b = int(facts["a"]), int(facts["b"])
    big, small = max(a, b), min(a, b)
    if big < 100_000 and not re.search(r"zero_pp_rank|deepspeed|zero_", look.reading.lower):
        return []
    times = f", {big / small:g} times the other" if small and big % small == 0 else ""
    why = (
        f"a flat partition of the optimizer's state has {a} elements where {b} are expected{times}: it "
        f"was cut for another number of processes"
    )
    return [
        look.entry.guess(look, why=why),
        look.entry.guess(look, "optimizer-structure", confidence=0.6),
        look.entry.guess(look, "shape-mismatch", confidence=0.5),
    ]


def of_the_background(look: Look) -> list[Guess]:
    """Every save of Orbax ends in a wait: a traceback that goes through it tells that it failed, and the message tells why."""
    only_waited = look.match[0] == "wait_until_finished" and look.reading.frames
    return [look.entry.guess(look, confidence=0.5)] if only_waited else [look.entry.guess(look)]


ENTRIES = (
    Entry(
        "megatron-argument",
        "topology",
        ("value from checkpoint (",),
        r"(?P<name>[\w.\-]+) value from checkpoint \((?P<then>[^)]*)\) is not equal to the input "
        r"argument value \((?P<now>[^)]*)\)",
        why="`{name}` was {then} when the checkpoint was saved, and is {now} now: its parts are cut otherwise",
        remedy=_SAME,
        weigh=argument,
        weight=0.93,
        example=(
            "AssertionError: tensor_model_parallel_size value from checkpoint (1) is not equal to the "
            "input argument value (2)."
        ),
    ),
    Entry(
        "zero-partition-size",
        "topology",
        ("must match the size of tensor", "exceeds dimension size", "is invalid for input of size"),
        r"The size of tensor a \((?P<a>\d+)\) must match the size of tensor b \((?P<b>\d+)\)"
        r"|start \((?P<a2>\d+)\) \+ length \((?P<b2>\d+)\) exceeds dimension size",
        why="a partition of the state does not fit: it was cut for another number of processes",
        remedy=_SAME,
        where=loading,
        context=("zero", "deepspeed", "fsdp", "global_step", "flat", "resum"),
        only_in=True,
        weigh=flat_sizes,
        weight=0.84,
        example=(
            "Loaded checkpoint from ckpt/global_step250/zero_pp_rank_0_mp_rank_00_model_states.pt\nRuntime"
            "Error: The size of tensor a "
            "(800000) must match the size of tensor b (200000) at non-singleton dimension 0"
        ),
    ),
    Entry(
        "shards-counted",
        "incomplete-save",
        (
            "overwrite of an old checkpoint",
            "saved by one or more processes",
            "expect",
            "find shard",
            "missing shard",
            "missing some shard",
            "missing checkpoint shard",
            "incomplete set of",
        ),
        r"possibly due to an overwrite of an old checkpoint|didn't get saved by one or more processes"
        r"|(?:expected|expecting)(?: to find)? (?P<want>\d+)[^.]{0,60}?(?:files|shards|checkpoints"
        r"|ranks)[^.]{0,40}?(?:but )?(?:found|got) (?P<got>\d+)"
        r"|(?:cannot|could not) find shard|missing (?:some |checkpoint )?shards?|incomplete set of",
        why=(
            "not all parts of the checkpoint are there: some ranks did not save, or an older checkpoint "
            "with another number lies among them"
        ),
        remedy="`holdfast FOLDER` lists the parts that are missing; take an older checkpoint, and save from all ranks.",
        where=loading_or_alone,
        also=("topology", "concurrency", "not-found"),
        weight=0.86,
        test="whole",
        example=(
            "ValueError: Expected 8 of '*_optim_states.pt' under 'ckpt' but found 4 files. Possibly due "
            "to an overwrite of an old "
            "checkpoint, or a checkpoint didn't get saved by one or more processes."
        ),
    ),
    Entry(
        "megatron-no-metadata",
        "not-found",
        (
            "could not find the metadata file",
            "will not load any checkpoints and will start from random",
            "latest_checkpointed_iteration",
        ),
        r"could not find the metadata file (?P<path>\S+)|will not load any checkpoints and will start "
        r"from random|latest_checkpointed_iteration\S*.{0,60}(?:not|no such)",
        why=(
            "Megatron's `latest_checkpointed_iteration.txt` is not there, so that nothing is loaded and "
            "training starts from random weights"
        ),
        remedy="Give the folder that holds it (not the iteration's own), or write the iteration's number into it.",
        also=("resume-state", "incomplete-save"),
        weight=0.88,
        test="path",
        example=(
            "WARNING: could not find the metadata file ckpt/latest_checkpointed_iteration.txt\n    will "
            "not load any checkpoints and will start from random"
        ),
    ),
    Entry(
        "deepspeed-wrong-folder",
        "not-found",
        ("passed the path to a", "client provided", "no checkpoint found to resume"),
        r"passed the path to a (?:subfolder|file inside)|client provided (?:tag"
        r"|checkpoint) .{0,80}(?:not|does)|no checkpoint found to resume",
        why="the path leads into a DeepSpeed checkpoint, not to the folder that holds it",
        remedy="Give the parent folder, which holds `latest` and `global_step...`.",
        also=("format-mismatch",),
        weight=0.88,
        test="path",
        example=(
            "FileNotFoundError: x. It looks like you passed the path to a subfolder. Try to load using "
            "this parent directory instead: y"
        ),
    ),
    Entry(
        "deepspeed-cannot-load",
        "format-mismatch",
        (
            "deepspeed was unable to load the checkpoint",
            "not a zero checkpoint",
            "empty ds_version",
            "keyerror: 'ds_version'",
            "not deepspeed checkpoint",
            "load_full_weights",
            "does not point to a valid checkpoint",
            "is not a distributed checkpoint",
            "not a sharded checkpoint",
        ),
        "",
        why="the path is no checkpoint of the kind that this strategy reads (sharded against whole, DeepSpeed against plain)",
        remedy=(
            "Load it with the strategy that saved, or convert it to one file first (`zero_to_fp32.py`, "
            "`consolidate_checkpoint`)."
        ),
        where=loading_or_alone,
        also=("topology", "not-found", "version-mismatch"),
        weight=0.8,
        test="whole",
        example=(
            "RuntimeError: DeepSpeed was unable to load the checkpoint. Ensure you passed in a DeepSpeed "
            "compatible checkpoint"
        ),
    ),
    Entry(
        "dist-checkpoint-keys",
        "missing-tensor",
        (
            "keys found in the checkpoint are missing in the provided",
            "keys in the checkpoint",
            "are not present in the checkpoint",
            "cannot find global shape metadata",
            "shardedtensor.key",
            "unexpected keys (not found",
        ),
        r"keys found in the checkpoint are missing in the provided"
        r"|(?:Some )?keys are not present in the checkpoint|Cannot find global shape metadata"
        r"|Unexpected keys \(not found",
        why="the sharded state that is asked for names other tensors than the checkpoint holds",
        remedy="Compare both (`holdfast inspect FOLDER`); another model size, another optimizer, or another version of the code.",
        where=loading_or_alone,
        also=("topology", "unexpected-tensor", "version-mismatch"),
        weight=0.72,
        test="names",
        example="CheckpointingException: Cannot find global shape metadata for N-D flattened tensor ShardedTensor(key='w')",
    ),
    Entry(
        "fsdp-optimizer-keys",
        "topology",
        (
            "the fsdpparaminfo has",
            "optim_state_dict",
            "local_state_dict",
            "use_orig_params",
            "expects to be sharded",
            "flat_param",
            "shard_metadata",
            "sharded_state_dict",
            "state_dict_type",
            "fsdp checkpoint",
            "full_state_dict",
            "fully_shard",
        ),
        r"The FSDPParamInfo has|(?:optim_state_dict|LOCAL_STATE_DICT|use_orig_params|flat_param"
        r"|SHARDED_STATE_DICT|FULL_STATE_DICT|fully_shard)"
        r"[^\n]{0,200}?(?:Error|not supported|mismatch|expected|incompatible|must|cannot|only|different)",
        why="FSDP's state is cut and named by how the model was wrapped; it does not fit this wrapping or number of processes",
        remedy="Save and load through `torch.distributed.checkpoint.state_dict` (canonical names), with the same wrapping.",
        where=storing_or_alone,
        also=("optimizer-structure", "version-mismatch", "renamed"),
        weight=0.66,
        example="RuntimeError: w is not in the optimizer state. The FSDPParamInfo has the param keys a while the optimizer has b",
    ),
    Entry(
        "tensors-dense-cuda",
        "device-mismatch",
        (
            "no backend type associated with device type",
            "tensors must be cuda and dense",
            "expects tensors on",
        ),
        "",
        why=(
            "a collective inside the save or load meets tensors on the CPU (or offloaded), for which the "
            "process group has no backend"
        ),
        remedy="`init_process_group('cpu:gloo,cuda:nccl')`, or move the state to the GPU first.",
        where=storing_or_alone,
        context=("checkpoint", "state_dict", "save", "load", "dcp", "optim", "broadcast", "resum"),
        only_in=True,
        also=("topology", "concurrency"),
        weight=0.76,
        example="RuntimeError: No backend type associated with device type cpu (dcp.save state_dict)",
    ),
    Entry(
        "dcp-background",
        "async-save",
        (
            "background",
            "checkpointer process",
            "checkpoint save failed for",
            "wait_until_finished",
            "async",
            "checkpoint writer thread",
        ),
        r"Checkpoint background process|response from checkpointer process"
        r"|Checkpoint save failed for checkpoint_id|wait_until_finished"
        r"|async_(?:write|commit)_complete|previous async save_checkpoint has not finished"
        r"|async (?:save )?thread|checkpoint writer thread"
        r"|(?:background save|async(?:hronous)? (?:checkpoint|save)).{0,160}(?:fail|error|exception"
        r"|dead|died|timed? ?out|hang|before|not (?:finished|impl|support|available|allowed))",
        why="the save in the background failed, or was not finished when it had to be",
        remedy="Wait for it before the next save and before the program ends, and look at what it raised; one save at a time.",
        weigh=of_the_background,
        also=("incomplete-save", "concurrency", "storage"),
        weight=0.84,
        example="RuntimeError: Checkpoint background process is dead. Exit code: -9",
    ),
    Entry(
        "one-process-saves",
        "concurrency",
        (
            "multiple jax processes detected",
            "will hang if this function is only called on process 0",
            "called only on rank 0",
            "only called on rank 0",
            "some ranks did not",
        ),
        "",
        why="a save that all processes must enter is called on one only (or the other way round), and hangs",
        remedy="Call it on every process; let rank 0 alone do what is no collective.",
        also=("topology",),
        weight=0.86,
        example="WARNING: Multiple JAX processes detected when calling single-process `save_checkpoint`. Your devices will HANG",
    ),
    Entry(
        "deadlock-in-save",
        "concurrency",
        ("hang", "hung", "stuck", "deadlock", "frozen", "freezes", "timed out", "timeout", "time out"),
        r"(?:hang(?:s|ing)?|hung|stuck|deadlock(?:s|ed)?|frozen|freezes).{0,80}(?:sav(?:e|ing)|checkpoint|state_dict|barrier)"
        r"|(?:sav(?:e|ing)|checkpoint|state_dict|barrier).{0,80}\b(?:hang(?:s|ing)?|hung|stuck|deadlock(?:s|ed)?|freezes)\b"
        r"|(?:barrier|broadcast|all_?gather|all_?reduce|allreduce|gloo|nccl|rendezvous|store"
        r"|collective).{0,160}(?:timed out|time ?out)"
        r"|(?:timed out|time ?out).{0,160}(?:barrier|broadcast|all_?gather|all_?reduce|gloo|nccl|rendezvous|peers?|ranks?)",
        why="some processes wait in a collective for others that never come to it, around a save or load",
        remedy="Let every rank enter the save; put no collective under `if rank == 0`; a long write needs a longer `timeout=`.",
        where=storing,
        also=("topology", "storage", "async-save"),
        weight=0.66,
        example="Training hangs at saving checkpoint with 2 GPUs",
    ),
    Entry(
        "mesh-differs",
        "topology",
        (
            "parallel",
            "world_size",
            "world size",
            "number of gpus",
            "number of ranks",
            "number of processes",
            "mp_size",
            "tp_size",
            "num_shards",
            "device mesh",
            "devicemesh",
            "number of nodes",
            "number of devices",
        ),
        r"(?:(?:checkpoint|saved|loaded|resum\w+|restor\w+).{0,160}?(?:tensor|model|pipeline|data|expert).parallel|"
        r"(?:tensor|model|pipeline|data|expert).parallel.{0,160}?(?:checkpoint|saved|resum\w+"
        r"|restor\w+)|(?:world(?:_size| size)|number of (?:gpus|ranks|processes|nodes|devices)"
        r"|mp_size|tp_size|num_shards|device ?mesh).{0,160}?(?:checkpoint|saved|resum\w+|restor\w+)"
        r"|(?:checkpoint|saved|resum\w+|restor\w+)"
        r".{0,160}?(?:world(?:_size| size)|(?:different )?number of (?:gpus|ranks|processes|nodes"
        r"|devices)|mp_size|tp_size|device ?mesh))",
        why="the checkpoint was saved under another number of processes, or another way of cutting the model, than load it",
        remedy=_SAME,
        where=loading_or_alone,
        also=("shape-mismatch", "optimizer-structure"),
        weight=0.56,
        example="ValueError: checkpoint saved with a different number of GPUs",
    ),
    Entry(
        "overwrite-refused",
        "retention",
        (
            "checkpoint already exists",
            "already exists and self.overwrite",
            "checkpoint for step",
            "destination",
            "trying to save an outdated checkpoint",
            "exists and is not empty",
            "output directory",
            "overwrite_output_dir",
        ),
        r"Checkpoint already exists and self\.overwrite|Checkpoint for step (?P<step>\d+) already "
        r"exists|Trying to save an outdated checkpoint"
        r"|(?:checkpoint|output) director(?:y|ies) ?\(?(?P<path>[^\s)]+)?\)? (?:already )?exists and is not empty",
        why="a checkpoint lies there already, and is not overwritten (an earlier run's, or the same step saved twice)",
        remedy="Give each run a folder of its own, or resume from it on purpose; `overwrite=True` where it may go.",
        also=("concurrency", "resume-state"),
        weight=0.78,
        test="path",
        example="ValueError: Checkpoint for step 100 already exists.",
    ),
)
