"""Orbax, TensorStore and Flax: the interface, structures and arrays in other wordings.

Messages: orbax/checkpoint (checkpoint_manager, checkpointers, type handlers), flax/serialization.py and training/checkpoints.py,
TensorStore's drivers, jax's tree utilities.
"""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look, ranked
from ...where import loading, loading_or_alone, storing_or_alone

_COMPARE = (
    "Restore without a target and compare both trees (`jax.tree.map(numpy.shape, tree)` of each), then build the target "
    "as it was saved."
)

_ANY_TREES = re.compile(
    r"(?:dict key|tuple arity|list arity|(?:custom )?node type)s? mismatch", re.IGNORECASE
)
"""What `jax.tree.map` says of any two trees: of gradients, of a batch."""


def of_the_optimizer(look: Look) -> list[Guess]:
    """Which part of the tree differs: the optimizer's, or the model's."""
    told = re.sub(
        r"PyTreeDef\(.*", "", look.reading.flat
    )  # a whole tree shown says nothing of what differs in it
    if re.search(r"Source: MISSING", told) and re.search(r"Target: MISSING", told):
        why = "each side has branches that the other lacks: the target is laid out otherwise than the checkpoint"
        return [
            look.entry.guess(look, "renamed", confidence=0.86, why=why),
            look.entry.guess(look, confidence=0.7),
            look.entry.guess(look, "format-mismatch", confidence=0.4, why=why),
        ]
    if re.search(r"Source: MISSING", told):
        why = "the checkpoint holds branches that the target lacks (`Target` is what lies on disk)"
        remedy = "Pass `partial_restore=True` where they are not wanted, or build the target as it was saved."
        return [
            look.entry.guess(look, "unexpected-tensor", confidence=0.95, why=why, remedy=remedy),
            look.entry.guess(look, "optimizer-structure", confidence=0.8, why=why, remedy=remedy),
            look.entry.guess(look, confidence=0.6),
        ]
    optimizer = re.search(
        r"optax|opt_state|ScaleBy|EmptyState|\bmu\b|\bnu\b|InjectHyperparams|MultiSteps|TraceState|inner_state",
        told,
    )
    if not optimizer and look.around.alone and not look.around.storing and _ANY_TREES.match(look.match[0]):
        return [  # two trees of any program
            look.entry.guess(look, "missing-tensor", confidence=0.34),
            look.entry.guess(look, "optimizer-structure", confidence=0.32),
        ]
    missing = look.entry.guess(look, "missing-tensor", confidence=0.72)
    state = look.entry.guess(look, "optimizer-structure", confidence=0.86 if optimizer else 0.6)
    return (
        [state, missing]
        if optimizer
        else [missing, state, look.entry.guess(look, "renamed", confidence=0.45)]
    )


def metadata_differs(look: Look) -> list[Guess]:
    """TensorStore compares what is asked for with what is stored, by field."""
    field = look.match["field"].lower()
    if field in ("shape", "chunks", "chunk_grid"):
        return [
            look.entry.guess(look, "shape-mismatch", confidence=0.84),
            look.entry.guess(look, "topology", confidence=0.5),
        ]
    if field in ("dtype", "data_type"):
        return [
            look.entry.guess(look, "dtype-mismatch", confidence=0.88),
            look.entry.guess(look, confidence=0.45),
        ]
    return [look.entry.guess(look), look.entry.guess(look, "format-mismatch", confidence=0.5)]


def not_there(look: Look) -> list[Guess]:
    """A checkpoint that is not there; not a tensor (``conv1/weights``) that is not found in one."""
    flat = look.reading.flat
    before, after = flat[: look.match.start()], flat[look.match.end() :]
    if before.endswith(("/", "_", ".")) or re.match(
        r" in (?:the |your )?(?:checkpoint|ckpt|graph|model|file)\b", after
    ):
        return []
    return [look.entry.guess(look)]


ENTRIES = (
    Entry(
        "tensorstore-metadata",
        "version-mismatch",
        ('expected "',),
        r"Expected \"(?P<field>\w+)\" (?:of|to be) .{1,120}?but received:? ?(?P<got>.{1,80})",
        why="the array is stored with another `{field}` than this version of Orbax asks for",
        remedy="Read with the version of Orbax that wrote it (or the newest), and save again.",
        weigh=metadata_differs,
        weight=0.93,
        example='ValueError: FAILED_PRECONDITION: Expected "compressor" of {"id":"gzip"} but received: {"id":"zstd"}',
    ),
    Entry(
        "orbax-interface",
        "version-mismatch",
        (
            "compositecheckpointhandler",
            "registered `checkpoint",
            "expected args of type",
            "must provide `args`",
            "please provide a",
            "checkpointer",
            "checkpointhandler",
            "checkpointmanager",
            "unexpected keyword",
            "metadata' object ",
            "has no method `structure`",
        ),
        r"Unknown key \"[^\"]+\" in CompositeCheckpointHandler"
        r"|Unable to find registered `Checkpoint\w+`|Expected args of type `?(?:CheckpointArgs"
        r"|Composite)"
        r"|Must provide `args`|could not be restored\. Please provide a `?Checkpoint\w+"
        r"|has no method `structure`|'(?:Step|Tree|PyTree|InternalTree|Array|Checkpoint|Composite|Item"
        r"|Root)\w*Metadata' object (?:is not|has no)"
        r"|'?\w*Checkpoint(?:er|Handler|Manager)\w*'? object has no attribute '\w+'|(?:Checkpoint(?:er"
        r"|Handler|Manager)\w*|restore|save)\(?\)? got an unexpected keyword argument '(?P<key>\w+)'"
        r"|Checkpoint(?:er|Handler|Manager)\w*\.__init__\(\) missing \d+ required",
        why="the call is in the way of another version of Orbax than is installed (items and handlers, against `args=`)",
        remedy=(
            "Follow Orbax's migration page: `args=ocp.args.StandardSave(...)`, or install the version that the "
            "code is for."
        ),
        where=storing_or_alone,
        also=("format-mismatch", "missing-tensor"),
        weight=0.78,
        example='ValueError: Unknown key "state" in CompositeCheckpointHandler.',
    ),
    Entry(
        "jax-tree-differs",
        "missing-tensor",
        ("mismatch", "tree", "size of the list and the state dict", "named tuple do not match"),
        r"(?:dict key|custom node type|tuple arity|list arity|named tuple arity|node type"
        r"|pytree structure)s? mismatch|mismatch custom node data"
        r"|(?:trees? structures?|treedef|pytrees?)\b.{0,80}?(?:do(?:es)? not match|differ|mismatch"
        r"|different|not (?:the )?same|incompatible)"
        r"|size of the list and the state dict do not match|field names of the state dict and the named tuple do not match",
        why="the tree that is restored into has other branches than the checkpoint's",
        remedy=_COMPARE,
        where=loading_or_alone,
        weigh=of_the_optimizer,
        weight=0.8,
        test="names",
        example="ValueError: The size of the list and the state dict do not match, got 2 and 3 at path ./opt_state",
    ),
    Entry(
        "flax-no-checkpoint",
        "not-found",
        (
            "matching checkpoint not found",
            "checkpoint does not exist at",
            "step directory",
            "requested deleting a non-existent step",
            "no checkpoint found",
            "checkpoint file not found",
            "checkpoint not found",
            "no such checkpoint",
            "could not find any checkpoint",
            "checkpoint path does not exist",
            "checkpoint directory does not exist",
            "no checkpoints found",
            "no checkpoint files found",
            "no checkpoint for the",
            "no checkpoint is found",
            "no checkpoints were found",
            "no checkpoint files were found",
            "no checkpoint could be found",
            "no pretrained model found",
            "checkpoint file does not exist",
            "no checkpoint at",
            "can not be found.",
            "is not a file",
            "could not recover from checkpoint",
            "found no path for the best weights",
            "missing folder",
            "model file not found",
            "cannot find checkpoint",
            "can't find checkpoint",
            "can not find checkpoint",
            "weights not found",
            "pretrained model not found",
            "checkpoint was not found",
        ),
        "",
        weigh=not_there,
        why="there is no checkpoint at that path or step",
        remedy="Check path, step and working folder; `holdfast FOLDER` says what is there. Retention may have removed it.",
        where=loading_or_alone,
        also=("retention", "incomplete-save", "format-mismatch"),
        weight=0.76,
        test="path",
        example="ValueError: Matching checkpoint not found: ckpt/checkpoint_100",
    ),
    Entry(
        "jax-sharding",
        "topology",
        ("sharding", "addressable", "mesh", "device", "unsafe when restoring"),
        r"(?:sharding|mesh)\b.{0,160}?(?:not (?:found|available|valid|compatible)|incompatible"
        r"|does not match|mismatch|cannot be None|should be specified|not fully|unsafe|different)"
        r"|unsafe when restoring on a different topology|not fully addressable|non-addressable"
        r"|received incompatible devices|device assignment",
        why="the arrays were saved under other devices or shardings than they are restored to",
        remedy="Pass a target of `jax.ShapeDtypeStruct` with the shardings of the present devices.",
        where=loading,
        context=("orbax", "jax", "flax", "jitted computation", "pjit"),
        only_in=True,
        also=("device-mismatch", "version-mismatch"),
        weight=0.7,
        example="ValueError: sharding should be specified for jax.Array restore of the checkpoint (orbax)",
    ),
    Entry(
        "msgpack-extra",
        "corrupt",
        ("unpack failed", "extradata", "outofdata", "received extra data", "formaterror", "stackerror"),
        r"Unpack failed|(?:msgpack\.\w*\.?)?(?:ExtraData|OutOfData|FormatError|StackError)|received extra data",
        why="the msgpack file is cut off or damaged, or is another kind of file",
        remedy="Get it again, or take an older checkpoint; an Orbax folder is read by Orbax.",
        where=loading_or_alone,
        weigh=ranked(("corrupt", 0.82), ("incomplete-save", 0.6), ("format-mismatch", 0.55)),
        test="whole",
        example="ValueError: Unpack failed: incomplete input",
    ),
)
