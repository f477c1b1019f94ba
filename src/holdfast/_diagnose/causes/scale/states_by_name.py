"""What torch's distributed checkpoints and FSDP say of state that is kept by name, shard and rank.

Messages: torch/distributed/checkpoint/{state_dict,utils,filesystem,state_dict_saver,state_dict_loader,format_utils},
torch/distributed/fsdp/{_optim_utils,_state_dict_utils,_flat_param}, torch/distributed/_shard/sharded_tensor.
"""

from __future__ import annotations

from ...knowledge import Entry, Guess, Look, ranked
from ...where import storing_or_alone

_SAME = "Save and load by `torch.distributed.checkpoint.state_dict.get_state_dict`/`set_state_dict`, the same on both sides."


def kinds_mixed(look: Look) -> list[Guess]:
    """A copy of one kind into the other is a load's; another operation on both is any step's."""
    said = look.reading.lower
    sure = 0.9 if "mixed" not in look.match[0] or look.around.storing or "copy_" in said else 0.3
    rows = (("topology", sure), ("format-mismatch", sure * 0.58), ("shape-mismatch", sure * 0.44))
    return [look.entry.guess(look, label, confidence=level) for label, level in rows]


ENTRIES = (
    Entry(
        "names-of-the-root-only",
        "unexpected-tensor",
        ("exists. fqn is",),
        r"An unexpected key, (?P<key>[\w.]+), exists\. FQN is (?P<name>[\w.]+)",
        why="the state dict has `{key}`, which the wrapped model names `{name}`: it was saved by another wrapper, or by hand",
        remedy=_SAME,
        weigh=ranked(("unexpected-tensor", 0.83), ("renamed", 0.8), ("topology", 0.5)),
        test="entries",
        example="RuntimeError: An unexpected key, module.fc.weight, exists. FQN is fc.weight",
    ),
    Entry(
        "shard-asked-without-a-place",
        "topology",
        (
            "since its a shardedtensor",
            "is not a shardedtensor, can't find by offset",
            "could not find shard at",
        ),
        r"Cannot lookup (?P<key>[\w.]+) since its a ShardedTensor|FQN: '(?P<key2>[\w.]+)' is not a ShardedTensor, can't find by"
        r" offset|Could not find shard at '[^']*' for FQN: '(?P<key3>[\w.]+)'",
        why="`{key}` is kept whole on one side and in shards on the other",
        remedy=_SAME,
        weigh=ranked(("topology", 0.85), ("missing-tensor", 0.5), ("shape-mismatch", 0.44)),
        test="entries",
        example="ValueError: Cannot lookup model.fc.weight since its a ShardedTensor and no offset was provided",
    ),
    Entry(
        "tensor-kinds-mixed",
        "topology",
        (
            "got mixed torch.tensor and dtensor",
            "cannot handle nested dtensor",
            "cannot handle dtensor nested inside",
            "before loading shardedtensor",
            "at save time was",
            "no rrefs to remote shards available",
            "only has one metadata for local rank",
            "should only map to one parameter name",
            "optim_input to be none and rank0_only",
            "expected a fsdp_state with a fsdp module",
            "cannot writeback when the",
        ),
        r"got mixed torch\.Tensor and DTensor|Cannot handle (?:nested DTensor|DTensor nested inside)"
        r"|before loading ShardedTensor|(?:Local|Global) (?:rank|world size) at save time was \d+"
        r"|Cannot writeback when the (?:parameter|gradient) shape changes|no RRefs to remote shards available"
        r"|only has one metadata for local rank|should only map to one parameter name"
        r"|optim_input to be None and rank0_only|Expected a fsdp_state with a fsdp module",
        why="whole tensors and sharded ones meet: what was saved under one wrapping or number of ranks is loaded into another",
        remedy=(
            "Load on all ranks by `torch.distributed.checkpoint.load`, or `set_model_state_dict(model, full, "
            "options=StateDictOptions(full_state_dict=True, broadcast_from_rank0=True))` for a whole state dict."
        ),
        where=storing_or_alone,
        weigh=kinds_mixed,
        example=(
            "RuntimeError: aten.copy_.default: got mixed torch.Tensor and DTensor, need to convert all torch.Tensor to "
            "DTensor before calling distributed operators!"
        ),
    ),
    Entry(
        "flat-state-not-there",
        "optimizer-structure",
        (
            "this should happen when use_orig_params",
            "is not in the optimizer state. the fsdpparaminfo",
            "is not in the output state. the fsdpparaminfo",
            "differing optimizer state",
            "find the corresponding param id",
            "optimizer state does not have same shape as its parameter",
            "a valid optimizer state dict",
            "parameters comprising a single flat parameter must have",
            "tensor optim state:",
        ),
        r"The state of (?P<key>[\w.]+) is empty\. This should happen when use_orig_params"
        r"|is not in the (?:optimizer|output) state\. The FSDPParamInfo|Differing optimizer state (?:names|types) for"
        r"|find the corresponding param id|Tensor optimizer state does not have same shape as its parameter"
        r"|to be a valid optimizer state dict|parameters comprising a single flat parameter must have"
        r"|tensor optim state: \S+ flat parameter",
        why=(
            "the optimizer's state does not follow FSDP's flat parameters: built before the wrapping, stepped for some "
            "only, or of another `use_orig_params`"
        ),
        remedy=(
            "Build the optimizer after wrapping; save by `FSDP.optim_state_dict(model, optimizer)` after a step, and load by "
            "`FSDP.optim_state_dict_to_load`, with the same `use_orig_params`."
        ),
        weigh=ranked(("optimizer-structure", 0.82), ("topology", 0.74), ("shape-mismatch", 0.4)),
        example="RuntimeError: The state of layers.0.weight is empty. This should happen when use_orig_params=True.",
    ),
    Entry(
        "key-among-flat-names",
        "optimizer-structure",
        (" from ['",),
        r"Can't find (?P<key>\w+\.[\w.]+) from \['[^\]]*\]",
        why="the optimizer's state names `{key}`, which is no parameter of the wrapped model",
        remedy=_SAME + " `FSDP.rekey_optim_state_dict` turns numbers into names.",
        weigh=ranked(("optimizer-structure", 0.72), ("renamed", 0.6), ("topology", 0.56)),
        example="KeyError: \"Can't find head.weight from ['body.weight'].\"",
    ),
    Entry(
        "fsdp-weight-left-out",
        "topology",
        (
            "the weight will not be filled if you expect",
            "this state_dict entry could point to invalid memory",
        ),
        "",
        why="FSDP goes over what it wraps, and this weight was not wrapped, or is not whole on this rank",
        remedy=_SAME,
        weigh=ranked(("topology", 0.7), ("missing-tensor", 0.62), ("memory", 0.4)),
        example="Did not find param with FQN layers.0.weight, skipping it. The weight will not be filled if you expect it to be.",
    ),
    Entry(
        "deepcopy-of-a-sharded-model",
        "unserialisable",
        ("does not support deepcopy",),
        r"(?:FSDP|DDP) does not support deepcopy",
        why="a model that lies over several processes cannot be copied as an object (for an average of weights, or a save)",
        remedy=(
            "Keep only `state_dict()`s, tensors and plain values in what is saved; an average of weights is kept by "
            "`state_dict()` too."
        ),
        weigh=ranked(("unserialisable", 0.86), ("topology", 0.5), ("custom-object", 0.4)),
        example="AssertionError: FSDP does not support deepcopy. Please use state dict for serialization.",
    ),
    Entry(
        "not-materialised-on-a-rank",
        "lazy-build",
        ("parameters should be materialized from meta", "still on meta device:"),
        r"parameters should be materialized from meta device|were still on meta device: \[",
        why="the model was made without memory (the meta device), and nothing has filled it on this rank",
        remedy="`model.to_empty(device=...)`, then the load (`assign=True` for a plain state dict), before the first step.",
        weigh=ranked(("lazy-build", 0.84), ("topology", 0.6), ("missing-tensor", 0.5)),
        example=(
            "RuntimeError: FSDP parameters should be materialized from meta device before training, but the following "
            "were still on meta device: ['fc.weight']"
        ),
    ),
    Entry(
        "existing-step-overwritten",
        "retention",
        ("detected an existing checkpoint in",),
        r"Detected an existing checkpoint in (?P<path>[^,\s]+)",
        why="a checkpoint is there already ({path}), and this save replaces it (torch writes over it unless `overwrite=False`)",
        remedy="Give each step a folder of its own; `FileSystemWriter(path, overwrite=False)` refuses instead.",
        weigh=ranked(("retention", 0.8), ("storage", 0.46), ("concurrency", 0.4)),
        example="UserWarning: Detected an existing checkpoint in runs/step_100, overwriting since self.overwrite=True.",
    ),
    Entry(
        "metadata-of-a-rank-only",
        "incomplete-save",
        ("global metadata is not found", "rank local metadata", "global metadata read failed"),
        r"Global metadata is not found|Rank local metadata is not found|(?:global|rank local) metadata read failed",
        why="the folder has no `.metadata`, which rank 0 writes last: the save was stopped, or the path is of another folder",
        remedy="Take the step before it: without `.metadata` no tensor is found; copy hidden files too (`cp -a`).",
        weigh=ranked(("incomplete-save", 0.84), ("not-found", 0.72), ("topology", 0.4)),
        test="whole",
        example="Global metadata is not found. Falling back to rank local metadata.",
    ),
    Entry(
        "reader-or-writer-not-told",
        "other",
        ("storage_reader/storage_writer", "assuming the intent"),
        r"must be specified if storage_reader/storage_writer is None|Please specify the storage_reader/storage_writer"
        r"|torch\.distributed is (?:disabled, )?unavailable or uninitialized, assuming the intent",
        why="the call was not told where: no path (`checkpoint_id`) and no reader or writer; or it runs in one process alone",
        remedy="Pass `checkpoint_id=PATH`; start the processes and `init_process_group` first where there are several.",
        weigh=ranked(("other", 0.62), ("format-mismatch", 0.52), ("topology", 0.5), ("not-found", 0.46)),
        example="RuntimeError: `checkpoint_id` must be specified if storage_reader/storage_writer is None.",
    ),
    Entry(
        "stage-of-another-optimizer",
        "topology",
        (
            "loading zero stage",
            "is not consistent across all ranks",
            "expected tp degree",
        ),
        r"Loading ZeRO stage \d checkpoint into ZeRO stage \d|checkpoint tag name '[^']*' is not consistent across all ranks"
        r"|expected TP degree \d+, got \d+",
        why="the parts are those of another ZeRO stage, parallel degree, or tag than this run's",
        remedy="Load with the stage and degrees that saved, or convert by `ds_to_universal.py` and `load_universal: true`.",
        weigh=ranked(("topology", 0.84), ("format-mismatch", 0.5), ("concurrency", 0.46)),
        example="AssertionError: [Rank 1] The checkpoint tag name 'global_step3' is not consistent across all ranks.",
    ),
    Entry(
        "destination-not-empty",
        "storage",
        ("destination directory",),
        r"Checkpoint destination directory \(?(?P<path>[^)\s]+)\)? is not empty",
        why="the folder that is to be written holds something already ({path}), and the writer does not write over it",
        remedy="Give the save a folder of its own, or delete what an interrupted save has left there.",
        weigh=ranked(("storage", 0.72), ("retention", 0.66), ("incomplete-save", 0.5)),
        example="CheckpointingException: Checkpoint destination directory (ckpt/iter_0000100) is not empty",
    ),
    Entry(
        "keys-not-in-the-checkpoint",
        "missing-tensor",
        ("(not present in the checkpoint)", "(missing from the checkpoint)"),
        r"Unexpected keys \(not present in the checkpoint\): \{?'?(?P<key>[\w.]+)?|keys \(missing from the checkpoint\)",
        why="the run asks for `{key}`, which the distributed checkpoint has not",
        remedy=(
            "`--dist-ckpt-strictness log_all` goes on without; the architecture (or `--no-load-optim`) must be that of the "
            "save."
        ),
        weigh=ranked(("missing-tensor", 0.78), ("unexpected-tensor", 0.66), ("version-mismatch", 0.52)),
        test="entries",
        example="CheckpointingException: Unexpected keys (not present in the checkpoint): {'decoder.final_layernorm.bias'}",
    ),
    Entry(
        "scheduler-of-other-values",
        "optimizer-hyperparameters",
        ("class input value",),
        r"(?:OptimizerParamScheduler|AnnealingLR): class input value (?P<now>\S+) and checkpoint ?value (?P<then>\S+) for "
        r"(?P<what>[\w ]+?) do not match",
        why="the run says {now} for {what}, and the checkpoint's schedule was made with {then}",
        remedy=(
            "`--override-opt_param-scheduler` takes the run's values, `--use-checkpoint-opt_param-scheduler` the "
            "checkpoint's."
        ),
        weigh=ranked(("optimizer-hyperparameters", 0.92), ("resume-state", 0.5)),
        example=(
            "AssertionError: OptimizerParamScheduler: class input value 0.0001 and checkpointvalue 0.0002 for learning "
            "rate do not match"
        ),
    ),
)
