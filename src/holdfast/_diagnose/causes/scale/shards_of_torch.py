"""What torch's sharded state says of itself: DCP, FSDP's flat parameters, sharded tensors, ZeRO-1, Lightning's strategies.

Messages: torch/distributed/checkpoint/{state_dict,optimizer,hf_storage,utils}.py, torch/distributed/fsdp/_optim_utils.py,
torch/distributed/_shard, torch/distributed/optim, lightning/{fabric,pytorch}/strategies, torchdata/stateful_dataloader.
"""

from __future__ import annotations

from ...knowledge import Entry, ranked
from ...where import storing_or_alone

_WHOLE = "Gather the whole state on save (`get_state_dict` with `full_state_dict=True`), or load with as many processes."

ENTRIES = (
    Entry(
        "shards-do-not-cover",
        "topology",
        (
            "local shards' tensor",
            "shardedtensor have no local shards",
            "total volume of shards",
            "but shards rank is",
            "exceeds tensor dim",
            "inconsistent ranks for shards",
            "match with metadata.shard_lengths",
            "local shard metadata's rank",
            "property does not match from different ranks",
            "not in the placement",
            "has only one metadata for local rank",
            "sub-tensor dimension",
            "nested inside shardedtensor",
            "cannot handle nested dtensor",
            "st with multiple shards",
            "times the world size should equal",
            "glb metadata must be greater",
            "inner tensor with more than 1 shard",
            "global rank",
        ),
        r"Local shards' tensor \S+ property|ShardedTensor have no local shards|Total volume of shards|but shards rank is"
        r"|Shard offset [^\n]{0,200}exceeds tensor dim|inconsistent ranks for shards|match with metadata\.shard_lengths"
        r"|Local shard metadata's rank|property does not match from different ranks|not in the placement"
        r"|has only one metadata for local rank|Sub-tensor dimension \S+ at position|nested inside ShardedTensor"
        r"|Cannot handle nested DTensor|ST with multiple shards|times the world size should equal"
        r"|glb metadata must be greater|inner tensor with more than 1 shard"
        r"|Global rank \S+ does not exist in input process group",
        why="the shards are those of other ranks, or do not cover the tensor: saved by another number of processes",
        remedy=_WHOLE,
        weigh=ranked(("topology", 0.86), ("shape-mismatch", 0.6), ("version-mismatch", 0.5)),
        test="whole",
        example="ValueError: Total volume of shards: 4 does not match tensor volume: 8",
    ),
    Entry(
        "flat-parameters-state",
        "optimizer-structure",
        (
            "unflattened parameter",
            "differing optimizer state",
            "optimizer state does not have same shape as its parameter",
            "param_key_to_param",
            "len(param_to_param_key)",
            "fqn_to_fsdp_param_info",
            "optim_state_key_type",
            "flattening a zero-dimension parameter",
            "tensor optim state:",
            "requires_grad information",
        ),
        r"unflattened parameters? (?:comprising|names?|corresponding)|Differing optimizer state (?:names|types)"
        r"|optimizer state does not have same shape as its parameter|`param_key_to_param`|len\(param_to_param_key\)"
        r"|fqn_to_fsdp_param_info|optim_state_key_type|Flattening a zero-dimension parameter|tensor optim state:"
        r"|should have requires_grad information",
        why="the optimizer's state does not fit the flat parameters that FSDP makes of this model",
        remedy="`use_orig_params=True`, the same wrapping as saved; or `torch.distributed.checkpoint.state_dict`. "
        + _WHOLE,
        weigh=ranked(("optimizer-structure", 0.82), ("topology", 0.74), ("version-mismatch", 0.5)),
        example="ValueError: Differing optimizer state names for the unflattened parameters: a",
    ),
    Entry(
        "optimizers-of-state-dict",
        "optimizer-structure",
        (
            "param groups that have zero parameters",
            "same saved param_group value",
            "in osd_mapping",
            "multiple optimizers are not supported",
            "flattening optimizer state_dict only supports",
            "expects equal param_group size",
            "expects equal number of shards as",
            "expects the optim to be initialized",
            "number of source and destination parameter groups",
            "local and global parameter",
            "optimizers but the checkpoint contains",
            "does not seem to reference any",
        ),
        r"param groups that have zero parameters|same saved param_group value|in osd_mapping"
        r"|multiple optimizers are not supported|Flattening optimizer state_dict only supports"
        r"|Expects equal (?:param_group size|number of shards) as|Expects the optim to be initialized"
        r"|Mismatch between number of (?:source and destination parameter groups|local and global parameter)"
        r"|optimizers but the checkpoint contains|does not seem to reference any \w*FSDP parameters",
        why="the groups of the optimizer are not those of the saved state",
        remedy="Build the optimizer after wrapping, with the same groups (and as many optimizers) as when saved.",
        weigh=ranked(("optimizer-structure", 0.84), ("resume-state", 0.56), ("topology", 0.54)),
        example="RuntimeError: You have configured 1 optimizers but the checkpoint contains 2 optimizers to load.",
    ),
    Entry(
        "names-of-state-dict",
        "missing-tensor",
        (
            "model state_dict is empty",
            "could not find fqn",
            "an unexpected key",
            "in weight_map",
            "find full tensor shape for",
            "not all files were processed",
            "expected 1 fqn for",
            "fqns for a submodule",
        ),
        r"model state_dict is empty|Could not find FQN: '(?P<tensor>[^']+)'|An unexpected key, \S+, exists\. FQN is"
        r"|tensor \S+ not found in weight_map|find full tensor shape for|Not all files were processed: \d+ out of"
        r"|Expected 1 FQN for|FQNs for a submodule",
        why="names in the model and names in the checkpoint do not meet ({tensor})",
        remedy="Compare the names (`holdfast inspect FOLDER`); load after the same wrapping as saved.",
        weigh=ranked(("missing-tensor", 0.76), ("renamed", 0.66), ("topology", 0.58)),
        test="names",
        example="ValueError: Could not find FQN: 'decoder.weight'",
    ),
    Entry(
        "target-of-another-size",
        "shape-mismatch",
        ("does not match source tensor size", "inplace tensor storage must be the same size"),
        r"does not match source tensor size|inplace tensor storage must be the same size",
        why="the tensor that is filled has another size than the one that was saved",
        remedy="Build the model as it was saved (`holdfast inspect FOLDER`).",
        weigh=ranked(("shape-mismatch", 0.8), ("topology", 0.66), ("dtype-mismatch", 0.5)),
        test="names",
        example="RuntimeError: Target tensor size=4 dtype=a does not match source tensor size=8 dtype=a for key w",
    ),
    Entry(
        "strategy-wants-a-model",
        "format-mismatch",
        (
            "at least a model instance to reload",
            "multiple deepspeed engine modules",
            "multiple distributed models in the given state",
            "single file containing the full state dict",
            "point to valid sharded checkpoints",
            "point to a valid full checkpoint",
            "without any xlafsdp wrapper",
            "loading sharded filtered checkpoints",
            "loading distributed filtered checkpoints",
        ),
        r"at least a model instance to reload|multiple (?:DeepSpeed engine modules|distributed models) in the given state"
        r"|single file containing the full state dict|point to (?:valid sharded checkpoints|a valid full checkpoint)"
        r"|without any XLAFSDP wrapper|loading (?:sharded|distributed) filtered checkpoints",
        why="this strategy loads another kind of checkpoint (whole file, or folder of shards), or into another kind of object",
        remedy="Give what it asks for; turn shards into one file with `lightning.pytorch.utilities.consolidate_checkpoint`.",
        weigh=ranked(("format-mismatch", 0.8), ("topology", 0.72), ("not-found", 0.54)),
        test="whole",
        example="ValueError: The path runs/a does not point to valid sharded checkpoints.",
    ),
    Entry(
        "path-of-another-kind",
        "retention",
        ("checkpoint path exists and is a directory",),
        r"checkpoint path exists and is a directory",
        why="a folder of shards lies where one file is to be written",
        remedy="Save under another name, or with the strategy that wrote the folder.",
        weigh=ranked(("retention", 0.66), ("topology", 0.62), ("format-mismatch", 0.6)),
        test="whole",
        example="IsADirectoryError: The checkpoint path exists and is a directory: runs/a",
    ),
    Entry(
        "shards-on-other-hosts",
        "storage",
        ("do not have a shared filesystem", "does not have a shared filesystem", "no shared file system"),
        r"do(?:es)? not have a shared filesystem|no shared file system",
        why="the shards lie on the disks of several machines, and no process sees them all",
        remedy="Save to storage that all machines mount, or bring the shards together before they are merged.",
        where=storing_or_alone,
        weigh=ranked(("storage", 0.8), ("topology", 0.76), ("incomplete-save", 0.5)),
        test="space",
        example="OSError: Multihost setups do not have a shared filesystem",
    ),
    Entry(
        "loaders-state",
        "resume-state",
        (
            "state doesn't contain key",
            "last_yielded_worker_id",
            "a worker has failed during resume",
            "states in the checkpoint. please make sure you define the same dataloaders",
        ),
        r"State doesn't contain key \S+ expected for \S+ process dataloader|last_yielded_worker_id does not match"
        r"|A worker has failed during Resume"
        r"|states in the checkpoint\. Please make sure you define the same dataloaders",
        why="the data loader's state is of another set-up (number of workers, loaders, or the data)",
        remedy="Resume with the same loaders and `num_workers`, or begin the epoch anew.",
        weigh=ranked(("resume-state", 0.86), ("topology", 0.6), ("version-mismatch", 0.5)),
        example="ValueError: last_yielded_worker_id does not match, the dataset may have changed",
    ),
    Entry(
        "dcp-process-of-saving",
        "async-save",
        (
            "expected init_complete response",
            "expected metadata response",
            "_checkpoint_process must not be none",
            "write future is unexpectedly none",
            "only one checkpointer per parent training",
            "dcp needs master_",
        ),
        r"Expected (?:INIT_COMPLETE|Metadata) response|_CHECKPOINT_PROCESS must not be None|Write future is unexpectedly None"
        r"|only one checkpointer per parent training|DCP needs MASTER_\w+",
        why="the process that saves in the background did not start, or ended before it answered",
        remedy="Look for its own first error; save in a thread (`AsyncCheckpointerType.THREAD`) or synchronously.",
        weigh=ranked(("async-save", 0.84), ("memory", 0.56), ("concurrency", 0.52)),
        example="AssertionError: Expected INIT_COMPLETE response, got a",
    ),
    Entry(
        "stream-compressed",
        "version-mismatch",
        ("unknown extension version=", "zstandard"),
        r"Unknown extension version=|(?:ZStandard (?:compression|extension)) (?:cannot be processed|is unavailable)",
        why="the files are packed by an extension that this installation does not have",
        remedy="Install `pyzstd` or `zstandard`, and the torch version that saved.",
        weigh=ranked(("version-mismatch", 0.8), ("format-mismatch", 0.6), ("custom-object", 0.36)),
        example="ValueError: Unknown extension version=3",
    ),
    Entry(
        "code-named-by-a-checkpoint",
        "unsafe-pickle",
        ("blocked to prevent arbitrary code execution",),
        r"blocked to prevent arbitrary code execution",
        why="the checkpoint names a class or function to call, and Lightning does not call what it was not told to trust",
        remedy="Import the class before the load, or allow it by name, if you trust where the file comes from.",
        weigh=ranked(("unsafe-pickle", 0.84), ("custom-object", 0.66), ("version-mismatch", 0.56)),
        example="ValueError: The class a.B was blocked to prevent arbitrary code execution.",
    ),
)
