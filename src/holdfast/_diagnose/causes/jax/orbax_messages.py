"""What Orbax itself says: handlers and registries, layouts, trees of parts, folders that were never finished.

Messages: orbax/checkpoint/{checkpoint_manager,_src/handlers,_src/metadata,_src/path,_src/serialization,_src/tree} and
orbax/checkpoint/experimental/v1; jax/experimental/array_serialization.
"""

from __future__ import annotations

from ...knowledge import Entry, Guess, Look, ranked

_ASK = (
    "`ocp.PyTreeCheckpointer().metadata(FOLDER).item_metadata.tree` tells what is stored, and how it is nested (of a "
    "manager's step, FOLDER is `3/default`)."
)


def exported_for(look: Look) -> list[Guess]:
    """Other devices by their number, by their platform, or another version."""
    first, second = "version-mismatch", "format-mismatch"
    if look.facts().get("count"):
        first, second = "topology", "device-mismatch"
    elif look.facts().get("platforms"):
        first, second = "device-mismatch", "version-mismatch"
    return [look.entry.guess(look, first, confidence=0.86), look.entry.guess(look, second, confidence=0.6)]


ENTRIES = (
    Entry(
        "orbax-no-handler",
        "version-mismatch",
        (
            "match with any registered handler",
            "in the registry",
            "undetermined `checkpointhandler`",
            "was not configured. if saving",
            "retrieve default item",
            "leafhandlerregistry",
            "could not resolve a handler",
            "could not identify a valid handler",
            "incompatible handler",
            "when registering item",
        ),
        r"match with any registered handler"
        r"|No entry for (?:item|checkpointable)\S*[^\n]{0,120}in the registry|Handler type string [^\n]{0,120}in the registry"
        r"|undetermined `CheckpointHandler`|was not configured\. If saving|retrieve default item"
        r"|LeafHandlerRegistry|Could not resolve a handler|Could not identify a valid handler|due to incompatible handler"
        r"|when registering item",
        why="no handler is registered for this item: it was saved by another kind of handler, or through another interface",
        remedy="Give `args=` (`ocp.args.StandardRestore`, `Composite`) of the kind that saved, or a `handler_registry`. "
        + _ASK,
        weigh=ranked(("version-mismatch", 0.74), ("format-mismatch", 0.68), ("custom-object", 0.5)),
        example='ValueError: Item "state" and args "x" does not match with any registered handler!',
    ),
    Entry(
        "orbax-keywords",
        "version-mismatch",
        (
            "specify kwarg name `args=`",
            "misuse of the newer api",
            "cannot provide `args` of type",
            "is not supported in legacy api",
            "are mutually exclusive - ",
            "should not be provided together",
            "provide arrayrestoreargs",
            "provide `item` matching structure",
            "provide `restore_args` matching",
            "has been deprecated. please use jax.namedsharding",
            "unrecognized empty type",
            "unrecognized typestr",
        ),
        r"specify kwarg name `args=`|misuse of the newer API|Cannot provide `args` of type|is not supported in legacy API"
        r"|`\w+` (?:and|in default item mode and) `[\w ]+` (?:should not be provided together|are mutually exclusive - )"
        r"|provide ArrayRestoreArgs|provide `(?:item` matching structure|restore_args` matching)"
        r"|has been deprecated\. Please use jax\.NamedSharding|Unrecognized (?:empty type|typestr)",
        why="Orbax is called, or was written, in the way of another of its versions",
        remedy="Follow one interface: `CheckpointManager(dir)` with `args=ocp.args…`; or install the version that saved.",
        weigh=ranked(("version-mismatch", 0.82), ("format-mismatch", 0.58), ("topology", 0.36)),
        example="ValueError: Make sure to specify kwarg name `args=` when providing `JsonSaveArgs`.",
    ),
    Entry(
        "orbax-layout",
        "format-mismatch",
        (
            "saved using a non-composite handler",
            "is a composite checkpoint with",
            "is a flat (direct",
            "has no named checkpointables",
            "auto-detect checkpoint layout",
            "no valid pytree checkpointable",
            "as a safetensors checkpoint",
            "resolve step metadata of checkpoint path",
            "recognized filenames are",
            "must use the same zarr format",
            "must use the same ocdbt format",
            "failed to interpret path",
            "valid orbax",
            "subdirectory of an orbax checkpoint",
            "orbax checkpoint from a root directory",
            "checkpointable_name either does not exist",
        ),
        r"saved using a non-composite handler|is a composite checkpoint with|is a flat \(direct|has no named checkpointables"
        r"|auto-detect checkpoint layout|No valid PyTree checkpointable|as a SafeTensors checkpoint"
        r"|resolve step metadata of checkpoint path|Recognized filenames are|must use the same (?:zarr|ocdbt) format"
        r"|Failed to interpret path \S+ as a (?:V\d )?Orbax|identified as a valid Orbax"
        r"|recognize the checkpoint at \S+ as a valid Orbax"
        r"|subdirectory of an Orbax checkpoint|Orbax checkpoint from a root directory"
        r"|checkpointable_name either does not exist",
        why="what lies at the path has another layout than the call expects: one item, or several; or a level too high",
        remedy="Name the item's own folder (`step/default`, `step/params`), or load the items by name. "
        + _ASK,
        weigh=ranked(("format-mismatch", 0.82), ("not-found", 0.7), ("version-mismatch", 0.6)),
        test="whole",
        example="InvalidLayoutError: Could not auto-detect checkpoint layout at run/3.",
    ),
    Entry(
        "orbax-tree-parts",
        "missing-tensor",
        (
            "tree is not complete",
            "keys in structure path",
            "template has type",
            "template has length",
            "not part of the full tree structure",
            "discovered a placeholder value",
            "found in safetensors checkpoint",
            "sequence lengths do not match",
        ),
        r"Tree is not complete|Missing \S+ keys in structure path|at key path [^\n]{0,160}template has (?:type|length)"
        r"|not part of the full tree structure|discovered a placeholder value|not found in Safetensors checkpoint"
        r"|Sequence lengths do not match",
        why="the tree that is asked for has other branches than the one that was saved",
        remedy="Build the target as it was saved, or restore without one and pick. " + _ASK,
        weigh=ranked(("missing-tensor", 0.76), ("version-mismatch", 0.68), ("optimizer-structure", 0.58)),
        test="names",
        example="ValueError: Missing 2 keys in structure path (), including: a",
    ),
    Entry(
        "orbax-stored-shape",
        "shape-mismatch",
        ("not compatible with the stored shape", "(metadata['shape']=", "truncating/padding is disabled"),
        r"not compatible with the stored shape|Provided shape \(metadata\['shape'\]=|Truncating/padding is disabled",
        why="the array that is stored has another shape than the one asked for",
        remedy="Build the model as it was saved. " + _ASK,
        weigh=ranked(("shape-mismatch", 0.86), ("version-mismatch", 0.5), ("topology", 0.46)),
        test="names",
        example="Requested shape: [4] is not compatible with the stored shape: [3].",
    ),
    Entry(
        "orbax-mark-not-there",
        "incomplete-save",
        (
            "called before any items were saved",
            "but it is a temporary item",
            "to contain the",
            "not to end with",
            "relocation source nor destination",
            "partial save path",
            "the local checkpoint cannot be restored",
        ),
        r"called before any items were saved|but it is a temporary item"
        r"|Expected (?:final )?[^\n]{1,300}(?:to contain the \"\S*commit\S*\" file|not to end with \"\S*tmp)"
        r"|relocation source nor destination|Partial save path \S+ does not exist"
        r"|Process metadata folder .{1,300}?The local checkpoint cannot be restored",
        why="the folder was never finished: the mark that the end of a save leaves is not there",
        remedy="Take an older step; copy folders with all that is in them, hidden files too (`cp -a`).",
        weigh=ranked(("incomplete-save", 0.82), ("not-found", 0.66), ("async-save", 0.52)),
        test="whole",
        example="ValueError: finalize() called before any items were saved.",
    ),
    Entry(
        "orbax-folder-expected",
        "not-found",
        ("validationerror: expected", "no snapshots available to restore", "checkpoint path"),
        r"ValidationError: Expected [^\n]{1,300} to (?:exist|be a directory)|No snapshots available to restore"
        r"|Checkpoint path (?P<path>\S+) is not a directory",
        why="the folder of the step is not there ({path})",
        remedy="Check the path and step; `orbax.checkpoint.StandardCheckpointer().metadata(path)` lists what was saved.",
        also=("incomplete-save", "retention"),
        weight=0.84,
        test="path",
        example="NotADirectoryError: Checkpoint path run/4 is not a directory.",
    ),
    Entry(
        "orbax-processes-differ",
        "concurrency",
        (
            "arraymetadata store contains",
            "waiting for array_metadatas",
            "finalization already in progress",
            "directory path mismatch in multi-process",
            "different locations on different hosts",
            "file collision on",
            "overall save timeout exceeded",
            "barriertimeouterror",
            "unfinished deletion",
            "is pending deletion and",
        ),
        r"ArrayMetadata Store contains (?:no metadata|different)|waiting for array_metadatas"
        r"|finalization already in progress|Directory path mismatch in multi-process|different locations on different hosts"
        r"|File collision on \S+ during|Overall save timeout exceeded|BarrierTimeoutError"
        r"|has an unfinished deletion|is pending deletion and cannot be read",
        why="the processes do not save together: other paths, other parts, or one has not come yet",
        remedy="All processes call `save` with one path that all can see; `wait_until_finished()` before the next.",
        weigh=ranked(("concurrency", 0.76), ("topology", 0.68), ("storage", 0.58)),
        example="AssertionError: Save finalization already in progress for step=4",
    ),
    Entry(
        "orbax-shardings-stored",
        "topology",
        (
            "not found in deserialized_dict",
            "invalidshardingerror",
            "non-contiguous domain for index",
            "abstract_state must be provided for multi-process",
            "is incompatible with local checkpointing",
            "same number of replicas along",
            "shardingtypes.",
        ),
        r"not found in deserialized_dict|InvalidShardingError|Non-contiguous domain for index"
        r"|abstract_state must be provided for multi-process|is incompatible with local checkpointing"
        r"|same number of replicas along|Conversion for ShardingTypes\.\w+ has not been",
        why="the arrays were laid out over other devices than these",
        remedy="Give shardings of the present mesh in the target (`jax.ShapeDtypeStruct(..., sharding=…)`).",
        weigh=ranked(("topology", 0.84), ("version-mismatch", 0.54), ("device-mismatch", 0.5)),
        example="ValueError: Sharding data not found in deserialized_dict: {}",
    ),
    Entry(
        "orbax-leaves",
        "unserialisable",
        (
            "unsupported leaf type for saving",
            "unknown leaf type",
            "all leaves must be either none or jax.array",
            "unknown abstractleaf type",
            "leaf types are not registered",
            "unsupported abstract leaf type",
            "unsupported leaf type for",
        ),
        r"Unsupported (?:abstract )?leaf type for (?:saving|loading)|Unknown (?:Abstract)?Leaf type|leaf types are not registered"
        r"|all leaves must be either None or jax\.Array",
        why="a leaf of the tree is of a kind that has no way to be written",
        remedy="Save arrays and plain numbers; keep functions and objects out of the state.",
        weigh=ranked(("unserialisable", 0.86), ("custom-object", 0.6), ("version-mismatch", 0.5)),
        example='UnregisteredTypeError: Unknown Leaf type: "A". Must register it.',
    ),
    Entry(
        "orbax-step-there",
        "retention",
        (
            "stepalreadyexistserror",
            "but you specified `overwrite=",
            "in a previous partial save",
            "finalized checkpoint already exists",
            "that is not a previous checkpoint",
        ),
        r"StepAlreadyExistsError|but you specified `overwrite=|in a previous partial save"
        r"|Finalized checkpoint already exists|that is not a previous checkpoint",
        why="this step was saved before, and is not overwritten",
        remedy="Start from the step after the last one, or remove the one that is there (a restore tells if it is whole).",
        weigh=ranked(("retention", 0.76), ("concurrency", 0.56), ("resume-state", 0.52)),
        example="StepAlreadyExistsError: Step 4 already exists.",
    ),
    Entry(
        "orbax-bytes-reserved",
        "memory",
        ("more bytes than we reserved",),
        r"more bytes than we reserved",
        why="one array is larger than the memory that saving may use at a time",
        remedy="Raise `save_concurrent_gb` (`restore_concurrent_gb`) above the largest array.",
        weigh=ranked(("memory", 0.82), ("size-limit", 0.66), ("other", 0.3)),
        example="ValueError: Requested more bytes than we reserved space for: 9 > 4",
    ),
    Entry(
        "orbax-metadata-damaged",
        "corrupt",
        ("json parse metadata file",),
        r"json parse Metadata file: (?P<path>\S+?),",
        why="the metadata of the checkpoint ({path}) is no JSON: empty or cut off",
        remedy="Take an older step; the folder was not written to its end.",
        weigh=ranked(("corrupt", 0.8), ("incomplete-save", 0.72), ("storage", 0.4)),
        test="whole",
        example=(
            "ERROR:absl:Failed to json parse Metadata file: /ck/5/_CHECKPOINT_METADATA, file content: , "
            "error: Expecting value"
        ),
    ),
    Entry(
        "jax-exported-trees",
        "unserialisable",
        (
            "serialize pytreedef",
            "nullary constructor",
            "nullary class constructor",
            "only for dictionaries with string keys",
            "serialization of host_callbacks",
        ),
        r"Cannot serialize PyTreeDef|a nullary (?:class )?constructor|only for dictionaries with string keys"
        r"|serialization of host_callbacks is not",
        why="a node of the tree is of a class that has no registered way to be written",
        remedy="Register it (`jax.export.register_pytree_node_serialization`), or save plain dictionaries of arrays.",
        weigh=ranked(("unserialisable", 0.84), ("custom-object", 0.68), ("version-mismatch", 0.5)),
        example="ValueError: Cannot serialize PyTreeDef containing an unregistered type `A`.",
    ),
    Entry(
        "jax-exported-unknown",
        "custom-object",
        (
            "deserialize a pytreedef",
            "deserialize pytreedef",
            "deserialize disabledsafetycheck",
            "deserialize effect type",
        ),
        r"annot deserialize (?:a PyTreeDef|PyTreeDef|DisabledSafetyCheck|effect type)",
        why="what was exported holds a class that this program has not registered, or that this version does not know",
        remedy="Register the same classes before the load; load with the version of JAX that exported.",
        weigh=ranked(("custom-object", 0.76), ("version-mismatch", 0.74), ("format-mismatch", 0.44)),
        example="ValueError: Cannot deserialize a PyTreeDef containing an unregistered type `A`.",
    ),
    Entry(
        "jax-exported-for-another",
        "topology",
        (
            "was exported for",
            "export calling convention version",
            "exported being serialized",
            "was exported with shardy",
        ),
        r"was exported for (?P<count>\d+) devices|was exported for platforms '(?P<platforms>.{1,80}?)' but it is used"
        r"|export calling convention version (?P<version>\d+)|Exported being serialized must|was exported with shardy",
        why="the function was exported for other devices, platforms or versions of JAX than run it now",
        remedy="Export it anew for what runs it (`jax.export.export(f, platforms=[...])`), with the version that reads it.",
        weigh=exported_for,
        example="ValueError: Function f was exported for 8 devices and is called in a context with 1 devices",
    ),
    Entry(
        "arrays-of-one-process",
        "topology",
        ("fully addressable arrays to a multiprocess", "divide the local shape of the array"),
        r"fully addressable arrays to a multiprocess|divide the local shape of the array",
        why="each process has the array for itself, or cut otherwise: together they would write over one another",
        remedy="Make it one global array (`multihost_utils.host_local_array_to_global_array`), or save from one process.",
        weigh=ranked(("topology", 0.78), ("concurrency", 0.68), ("shape-mismatch", 0.46)),
        example="ValueError: Passing fully addressable arrays to a multiprocess serialization is not allowed",
    ),
)
