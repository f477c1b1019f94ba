"""What the large trainers say when they convert, merge, save and resume: DeepSpeed, Megatron-Core, Composer, torchtune, verl.

Messages: deepspeed/{checkpoint,runtime,utils/zero_to_fp32}, megatron/core/{dist_checkpointing,optimizer}, composer,
torchtune/training/checkpointing, verl/{utils/checkpoint,model_merger}, accelerate/utils.
"""

from __future__ import annotations

from ...knowledge import Entry, ranked
from ...where import loading_or_alone, storing_or_alone

_SAME = (
    "Load with the parallel sizes that saved, or convert to a layout that reshards (universal, `torch_dist`)."
)

ENTRIES = (
    Entry(
        "parts-of-another-degree",
        "topology",
        (
            "number of unpadded elements",
            "model-state file count",
            "zero file count",
            "dp_degree mismatch",
            "tensor slice numel",
            "!= src numel",
            "parameter placement topology",
            "target ep topology",
            "recorded shard widths",
            "shard width entries",
            "dp index",
            "device_mesh mismatch during loading",
            "only regular grid of local tensors",
            "merge lists of different lengths",
            "merge two lists with different lengths",
            "not divisible by axis fragmentation",
            "must be divisible by local shape",
            "invalid rank offsets",
            "parameter-alignment layout",
            "sharding strategy mismatch for parameter",
            "differs between rank 0 and rank",
        ),
        r"Number of unpadded elements|Checkpoint model-state file count|Checkpoint ZeRO file count|dp_degree mismatch"
        r"|full param numel \S+ != tensor slice numel|dst numel \S+ != src numel|parameter placement topology"
        r"|target EP topology|recorded shard widths|shard width entries|DP index \S+ >= DP degree"
        r"|device_mesh mismatch during loading|Only regular grid of local tensors|merge lists of different lengths"
        r"|merge two lists with different lengths|not divisible by axis fragmentation|must be divisible by local shape"
        r"|Invalid rank offsets|parameter-alignment layout|Sharding strategy mismatch for parameter"
        r"|differs between rank 0 and rank",
        why="the parts were cut for other parallel sizes than those of this run",
        remedy=_SAME,
        weigh=ranked(("topology", 0.85), ("shape-mismatch", 0.62), ("optimizer-structure", 0.52)),
        example="AssertionError: Number of unpadded elements must be same in current run (4) and checkpoint (8)",
    ),
    Entry(
        "parts-not-all-there",
        "incomplete-save",
        (
            "missing zero-3 checkpoint file",
            "missing zero optimizer checkpoint",
            "rank sets do not match",
            "no model/optimizer rank files",
            "object shards after fully parallel",
            "missing loaded item shard",
            "something is wrong",
            "incomplete hugging face model output",
            "expected file to have been saved",
            "duplicate zero rank",
        ),
        r"Missing ZeRO-3 checkpoint file|Missing ZeRO optimizer checkpoint|rank sets do not match"
        r"|no model/optimizer rank files|object shards after fully parallel|Missing loaded item shard"
        r"|consumed \S+ numels out of \S+ - something is wrong|Incomplete Hugging Face model output"
        r"|Expected file to have been saved|Duplicate ZeRO rank",
        why="not all of the ranks' files are there, or files of two saves lie together",
        remedy="Bring the files of all ranks of one save into one folder (`holdfast FOLDER` lists them); or take an older step.",
        weigh=ranked(("incomplete-save", 0.78), ("topology", 0.7), ("not-found", 0.56)),
        test="whole",
        example="RuntimeError: Missing ZeRO-3 checkpoint file for tp_rank=0, dp_rank=3",
    ),
    Entry(
        "whole-against-sharded",
        "topology",
        (
            "but checkpoint is not sharded",
            "but checkpoint is sharded",
            "requires passing an fsdp config",
            "must be a directory when using sharded",
            "longer support saving or loading local state dicts",
            "can only be generated for fsdp models",
            "consolidated_16bit_state_dict is only applicable",
            "this function requires zero-3",
            "`sync_module_states` flag",
            "switched to its sharded version",
            "missing from full state dict",
            "optimizers for models that have been sharded",
        ),
        r"but checkpoint is (?:not )?sharded|requires passing an FSDP config|must be a directory when using sharded"
        r"|longer support saving or loading local state dicts|can only be generated for FSDP models"
        r"|consolidated_16bit_state_dict is only applicable|this function requires ZeRO-3|`sync_module_states` flag"
        r"|switched to its sharded version|missing from full state dict|optimizers for models that have been sharded",
        why="one side is whole and the other is cut into shards: the model, or the checkpoint",
        remedy="Wrap the model as it was when saved, or make the checkpoint whole first. " + _SAME,
        weigh=ranked(("topology", 0.8), ("format-mismatch", 0.7), ("version-mismatch", 0.5)),
        example="ValueError: Model is sharded but checkpoint is not sharded.",
    ),
    Entry(
        "layout-of-another-kind",
        "format-mismatch",
        (
            "neither 'model' or 'module' keys",
            "both 'model' and 'module' keys",
            "checkpoint type is not supported",
            "deprecated megatron checkpoint layout",
            "found legacy peft checkpoint",
            "found exported hf peft adapter",
            "in megatron state_dict",
            "from megatron",
            "loading a checkpoint with the right format",
            "wrong state_dict format",
            "requires a bridge instance",
            "need a the pt format",
            "more than one `.index.json`",
            "values in the state dict to be torch.tensor",
            "ds_config must be a dictionary",
            "must contain dictionaries in",
            "valid tarfile extension",
            "reading from a single checkpoint file",
        ),
        r"neither 'model' or 'module' keys|both 'model' and 'module' keys|checkpoint type is not supported"
        r"|deprecated Megatron checkpoint layout|Found legacy PEFT checkpoint|Found exported HF PEFT adapter"
        r"|Invalid key (?P<key>\S+) in Megatron state_dict|convert layer name \S+ from megatron"
        r"|loading a checkpoint with the right format|Wrong state_dict format|requires a bridge instance"
        r"|need a the pt format|more than one `\.index\.json`|values in the state dict to be torch\.Tensor"
        r"|ds_config must be a dictionary|must contain dictionaries in|valid tarfile extension"
        r"|reading from a single checkpoint file",
        why="the checkpoint is laid out otherwise than this loader (or converter) reads it",
        remedy="`holdfast PATH` says what it is; use the converter of the version that wrote it.",
        weigh=ranked(("format-mismatch", 0.8), ("version-mismatch", 0.7), ("renamed", 0.5)),
        test="whole",
        example="AssertionError: checkpoint contains neither 'model' or 'module' keys, not sure how to proceed",
    ),
    Entry(
        "written-by-other-versions",
        "version-mismatch",
        (
            "affine map format version",
            "folding metadata version",
            "zero stage 1 is not supported in deepspeed",
            "elastic checkpointing is deprecated",
            "uneven sharding not supported for pytorch",
            "older checkpoints cannot",
            "`merge_fsdp_weights` requires",
            "get_dist_checkpoint_path is deprecated",
            "find a default strategy for:",
            "import a default strategy for:",
        ),
        r"affine map format version|folding metadata version|ZeRO Stage 1 is not supported in deepspeed"
        r"|elastic checkpointing is deprecated|Uneven sharding not supported for PyTorch|older checkpoints cannot"
        r"|`merge_fsdp_weights` requires PyTorch|get_dist_checkpoint_path is deprecated"
        r"|(?:find|import) a default strategy for:",
        why="the checkpoint, or the call, is of another version than the one installed",
        remedy="Load with the version that saved, and save anew in a layout that both know.",
        weigh=ranked(("version-mismatch", 0.84), ("format-mismatch", 0.62), ("topology", 0.48)),
        example="NotImplementedError: ZeRO-3 elastic checkpointing is deprecated and unsupported.",
    ),
    Entry(
        "parameter-of-no-shard",
        "optimizer-structure",
        (
            "not in model_sharded_state_dict",
            "does not match any model sharded param",
            "does not match model shape",
            "in param_to_group_meta",
            "in param_to_name mapping",
            "optimizer step differs per parameter",
            "matches in state dict",
            "must have the same step value",
            "zero parameter group for",
            "into zero_optimization.compute_grad_norm",
        ),
        r"not in model_sharded_state_dict|does not match any model sharded param"
        r"|Optimizer shape [^\n]{0,60} does not match model shape|in param_to_group_meta|in param_to_name mapping"
        r"|optimizer step differs per parameter|Parameter \S+ has \S+ matches in state dict|must have the same step value"
        r"|find ZeRO parameter group for|into zero_optimization\.compute_grad_norm",
        why="the optimizer's state and the model's parameters are not of one structure",
        remedy="Build model and optimizer as saved (same parameters trained, same groups); or load without the optimizer.",
        weigh=ranked(("optimizer-structure", 0.84), ("version-mismatch", 0.6), ("topology", 0.56)),
        example="ValueError: Model param decoder.w not in model_sharded_state_dict",
    ),
    Entry(
        "merged-names-differ",
        "missing-tensor",
        (
            "keys in collected state dict",
            "not exist in state_dict",
            "is not found in the checkpoint",
            "from model not in state dict",
            "fsdp2 mapping failed",
            "expected output.weight in",
            "from base model dict",
            "failed to load lora-only checkpoint",
        ),
        r"(?:Missing|Extra) keys in collected state dict|key: \S+ (?:not exist in state_dict|is not found in the checkpoint)"
        r"|\S+ from model not in state dict|FSDP2 mapping failed|Expected output\.weight in"
        r"|Missing non-LoRA key \S+ from base model dict|Failed to load LoRA-only checkpoint",
        why="names of the model are not among those of the checkpoint (tied weights, adapters, or another version)",
        remedy="Compare the names (`holdfast inspect PATH`); untie, or load the adapter into a model that has one.",
        where=storing_or_alone,
        weigh=ranked(("missing-tensor", 0.76), ("renamed", 0.68), ("version-mismatch", 0.58)),
        test="names",
        example="KeyError: decoder.w from model not in state dict: []",
    ),
    Entry(
        "saving-process-died",
        "async-save",
        (
            "checkpoint process died unexpectedly",
            "checkpoint commit timed out",
            "checkpoint process is not running",
            "unmatched async calls",
            "to a frozen asyncrequest",
            "async_save to non-async",
            "commit info mismatch",
            "worker failure:",
        ),
        r"Checkpoint process died unexpectedly|Checkpoint commit timed out|checkpoint process is not running"
        r"|Unmatched async calls|to a frozen AsyncRequest|async_save to non-async|Checkpoint commit info mismatch"
        r"|write_preloaded_data\w*.{0,400}?Worker failure:",
        why="the process that writes in the background ended, or the ranks do not agree on what it has written",
        remedy="Look for its own error (memory of the host above all); save synchronously, and do not trust the last step.",
        weigh=ranked(("async-save", 0.8), ("memory", 0.6), ("incomplete-save", 0.56)),
        example="RuntimeError: [0] Checkpoint process died unexpectedly. Check logs",
    ),
    Entry(
        "download-of-ranks",
        "not-found",
        (
            "this likely implies a download failed",
            "failed to download.",
            "no intermediate checkpoint was found",
        ),
        r"this likely implies a download failed|Ranks \S+(?: \S+)* failed to download\.|No intermediate checkpoint was found",
        why="the checkpoint did not come to this process: it is not at the path, or the fetch of another rank failed",
        remedy="Look for the first error of the rank that fetches; check path and rights.",
        where=loading_or_alone,
        weigh=ranked(("not-found", 0.76), ("storage", 0.7), ("concurrency", 0.5)),
        test="path",
        example="RuntimeError: Ranks [1] failed to download.",
    ),
    Entry(
        "there-and-not-overwritten",
        "retention",
        ("but overwrite was set to false", "overwrite is set to false", "set overwrite=true to overwrite"),
        r"but overwrite was set to False|overwrite is set to False|Set overwrite=True to overwrite",
        why="an earlier run left a checkpoint of that name, and it may not be overwritten",
        remedy="Give the run another name or folder, or `save_overwrite=True` once what lies there is not needed.",
        where=storing_or_alone,
        weigh=ranked(("retention", 0.76), ("concurrency", 0.5), ("storage", 0.46)),
        example="FileExistsError: Object a already exists, but overwrite was set to False.",
    ),
)
