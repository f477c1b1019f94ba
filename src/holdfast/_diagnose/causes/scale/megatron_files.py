"""Megatron-LM, NeMo and their kin: trackers, parallel ranks' files, sharded state and its access.

Messages: megatron/training/checkpointing.py, megatron/core/dist_checkpointing/{validation,mapping,strategies}, nemo/lightning,
tools that convert between Megatron and other layouts.
"""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look, ranked
from ...where import loading_or_alone, storing_or_alone

_RESHARD = (
    "Load with the parallel sizes that saved, or convert (`tools/checkpoint/convert.py`, `--ckpt-format torch_dist` "
    "reshards)."
)


def rank_file(look: Look) -> list[Guess]:
    """A file of one parallel rank: of rank 0 the path is wrong, of others the sizes differ."""
    first = look.match["rank"].strip("_0") == ""
    deepspeed = re.search(r"\bglobal_step\d+\b|zero_to_fp32", look.reading.text)
    rows = (
        (("format-mismatch", 0.88), ("not-found", 0.66), ("topology", 0.6))
        if deepspeed and "iter_" in look.reading.text
        else (("not-found", 0.82), ("format-mismatch", 0.66), ("topology", 0.6))
        if first
        else (("topology", 0.8), ("not-found", 0.74))
    )
    return [
        look.entry.guess(look, label, confidence=sure) for label, sure in (*rows, ("incomplete-save", 0.5))
    ]


def access(look: Look) -> list[Guess]:
    """Parts that do not cover the whole; of Transformer Engine's extra states other versions write none."""
    rows = (
        (("version-mismatch", 0.88), ("topology", 0.7), ("missing-tensor", 0.66))
        if "_extra_state" in look.match[0]
        else (("topology", 0.86), ("missing-tensor", 0.6), ("version-mismatch", 0.56))
    )
    return [look.entry.guess(look, label, confidence=sure) for label, sure in rows]


ENTRIES = (
    Entry(
        "sharded-access",
        "topology",
        ("invalid access pattern", "shardedobject are missing", "duplicate shardedobject", "object shard"),
        r"Invalid access pattern(?: for|:)[^\n]{0,200}|ShardedObject are missing|Duplicate ShardedObject keys"
        r"|Object shard \S+ not found",
        why=(
            "the parts that all ranks ask for do not cover each tensor once: the parallel sizes (tensor, pipeline, "
            "expert) differ "
            "from those that saved, or their layout does"
        ),
        remedy=_RESHARD,
        where=storing_or_alone,
        weigh=access,
        test="whole",
        example="CheckpointingException: Invalid access pattern: 4 ShardedObject are missing.",
    ),
    Entry(
        "global-shape",
        "shape-mismatch",
        ("global shape mismatch", "shape mismatch for loaded"),
        r"(?:Global )?shape mismatch for loaded \((?P<got>[^)]*\)?)\)? and expected \(?(?P<want>[^)]*)\)+ tensor for "
        r"key (?P<tensor>\S+)",
        why=(
            "`{tensor}` is of shape {got} in the checkpoint, and {want} is expected: another model, or a vocabulary "
            "padded otherwise"
        ),
        remedy="Give the arguments that were saved (`--use-checkpoint-args`, `--make-vocab-size-divisible-by`).",
        also=("topology", "version-mismatch"),
        weight=0.9,
        test="names",
        example=(
            "CheckpointingException: Global shape mismatch for loaded (torch.Size([64, 8])) and expected ((32, "
            "8)) tensor for key w"
        ),
    ),
    Entry(
        "megatron-tracker",
        "corrupt",
        ("invalid metadata file", "error parsing metadata file", "unable to load iteration from checkpoint"),
        r"Invalid metadata file (?P<path>\S+)|error parsing metadata file|unable to load iteration from checkpoint",
        why="the tracker file `latest_checkpointed_iteration.txt` does not hold an iteration, or the checkpoint does not",
        remedy="Write the iteration's number (or `release`) into it; `holdfast FOLDER` says which are whole.",
        weigh=ranked(("corrupt", 0.72), ("format-mismatch", 0.68), ("not-found", 0.6)),
        test="path",
        example="ERROR: Invalid metadata file ck/latest_checkpointed_iteration.txt. Exiting",
    ),
    Entry(
        "megatron-rank-iterations",
        "storage",
        ("in the metadata while max iteration across the ranks",),
        r"found iteration (?P<then>\S+) in the metadata while max iteration across the ranks is (?P<now>\d+)",
        why="the nodes see different checkpoints ({then} and {now}): the folder is not shared by all of them",
        remedy="Keep checkpoints on a file system that all nodes mount, or copy them to each.",
        also=("concurrency", "not-found"),
        weight=0.8,
        example="WARNING: on rank 8 found iteration -1 in the metadata while max iteration across the ranks is 500",
    ),
    Entry(
        "megatron-rank-file",
        "not-found",
        ("model_optim_rng.pt", "model_rng.pt", "distrib_optim.pt", "mp_rank_", "tp_rank_"),
        r"(?:No such file or directory|FileNotFoundError|not found|does not exist)[^\n]{0,200}?(?:mp"
        r"|tp)_rank_(?P<rank>\d+(?:_\d+)*)"
        r"(?:[^\n]{0,60}?(?:rng\.pt|optim\.pt|/)|['\")])",
        why=(
            "the file of parallel rank {rank} is not in the checkpoint: another path, or other tensor and pipeline "
            "sizes saved"
        ),
        remedy="Give the folder that holds the tracker file; " + _RESHARD[0].lower() + _RESHARD[1:],
        weigh=rank_file,
        test="path",
        example="FileNotFoundError: [Errno 2] No such file or directory: 'ck/iter_0000005/mp_rank_02/model_optim_rng.pt'",
    ),
    Entry(
        "not-distributed-checkpoint",
        "format-mismatch",
        (
            "is not a distributed checkpoint",
            "not a distributed checkpoint folder",
            "is not a torch_dist",
            "unknown checkpoint format",
        ),
        r"(?P<path>\S+) is not a distributed checkpoint|is not a torch_dist|unknown checkpoint format",
        why="the folder is of another format than this loader reads (plain files against a distributed checkpoint)",
        remedy="Choose the reader of that format (`--ckpt-format`, the unsharded loader), or convert.",
        weigh=ranked(("format-mismatch", 0.86), ("incomplete-save", 0.6), ("not-found", 0.58)),
        test="path",
        example="CheckpointingException: ck/iter_5 is not a distributed checkpoint",
    ),
    Entry(
        "optimizer-sharding-type",
        "topology",
        (
            "sharding type",
            "sharding_type",
            "dp_zero_gather_scatter",
            "fully_sharded_model_space",
            "fully_reshardable",
            "dp_reshardable",
            "different data parallel",
            "distributed optimizer",
        ),
        r"(?:sharding type|sharding_type|dp_zero_gather_scatter|fully_sharded_model_space|fully_reshardable|dp_reshardable"
        r"|distributed optimizer)[^\n]{0,160}?(?:not|cannot|differ|mismatch|unsupported|expected|only|error)",
        why="the distributed optimizer's state was cut in a way that these ranks cannot read",
        remedy=_RESHARD,
        where=loading_or_alone,
        also=("optimizer-structure", "version-mismatch"),
        weight=0.74,
        example="KeyError: checkpoint: distributed optimizer sharding type not found",
    ),
    Entry(
        "extra-state",
        "version-mismatch",
        ("_extra_state", "extra_state"),
        r"(?:missing|unexpected|not found|unable|error|incorrect|invalid|mismatch)[^\n]{0,300}?extra_state"
        r"|extra_state[^\n]{0,200}?(?:missing|unexpected|not|error|invalid|mismatch)",
        why=(
            "Transformer Engine keeps an `_extra_state` beside each layer, which other versions do not write, or "
            "write otherwise"
        ),
        remedy="Use the version that saved, or load without these entries (`strict=False` for `_extra_state`).",
        where=loading_or_alone,
        weigh=ranked(("version-mismatch", 0.8), ("missing-tensor", 0.7), ("unexpected-tensor", 0.66)),
        example="RuntimeError: checkpoint: Unexpected key(s) in state_dict: core_attention._extra_state",
    ),
    Entry(
        "nemo-no-checkpoint",
        "not-found",
        ("there were no checkpoints found", "no checkpoint folder at", "no checkpoint folder found"),
        "",
        why="there is no checkpoint where the run looks for one to go on from",
        remedy="Check `exp_dir`, name and version of the run; or start anew.",
        also=("incomplete-save", "retention"),
        weight=0.84,
        test="path",
        example=(
            "NotFoundError: There were no checkpoints found in checkpoint_dir or no checkpoint folder at "
            "checkpoint_dir: x/checkpoints."
        ),
    ),
    Entry(
        "nemo-several-last",
        "retention",
        ("multiple checkpoints", "multiple multiple checkpoints", "-unfinished"),
        r"multiple checkpoints[^\n]{0,80}match|(?P<path>\S+)-unfinished",
        why="several checkpoints are called the last one, or one was never finished: an earlier run left them",
        remedy="Keep the one that is whole (`holdfast FOLDER`), and move the others away.",
        weigh=ranked(("retention", 0.66), ("incomplete-save", 0.64), ("concurrency", 0.55)),
        example="ValueError: Multiple multiple checkpoints *last.ckpt that matches *last.ckpt.",
    ),
    Entry(
        "ranges-of-flat-parameters",
        "version-mismatch",
        ("flattened",),
        r"flattened[_ ]range\b[^\n]{0,60}?(?:not supported|deprecated|unsupported|removed|must be|should be|no longer)",
        why="the optimizer's parts were made as ranges of flat parameters, which this version of Megatron-Core takes no more",
        remedy="Save with `dp_reshardable` or `fully_sharded_model_space` of the version that loads; or load with the older one.",
        weigh=ranked(("version-mismatch", 0.82), ("topology", 0.68), ("optimizer-structure", 0.5)),
        example="CheckpointingException: flattened_range is not supported",
    ),
    Entry(
        "optimizer-part-of-no-parameter",
        "topology",
        ("shard", "slice"),
        r"(?:optim\w*(?:shard|slice)\w*|(?:shard|slice)\w*optim\w*|ckp_shard_data).{0,200}?KeyError: (?:None|\d+)\b",
        why="the optimizer's parts are cut for other parallel sizes (or tied weights), and this parameter has none",
        remedy=_RESHARD,
        where=loading_or_alone,
        weigh=ranked(("topology", 0.82), ("optimizer-structure", 0.7), ("missing-tensor", 0.5)),
        example='optim_shard = parts["state"][index]\nKeyError: None',
    ),
)
