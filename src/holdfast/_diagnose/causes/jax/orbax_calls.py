"""Orbax and TensorStore: how they are called, on how many hosts, and what their folders hold.

Messages: orbax/checkpoint (handlers, type handlers, metadata, path, multihost, limits), tensorstore's status texts.
"""

from __future__ import annotations

from ...knowledge import Entry, Guess, Look, ranked
from ...where import loading_or_alone, saving_or_alone, storing_or_alone

_TARGET = "Pass a target of `jax.ShapeDtypeStruct` with shardings of the present devices (`StandardRestore(target)`)."


def random_keys(look: Look) -> list[Guess]:
    """Keys of the new kind: a save cannot write them, a load cannot read what is there as such."""
    first, second = ("dtype-mismatch", "unserialisable")
    written = "cannot be converted to a numpy array" in look.reading.lower  # as only a writer does
    if written or (look.around.saving and not look.around.loading):
        first, second = second, first
    rows = ((first, 0.72), (second, 0.68), ("version-mismatch", 0.62))
    return [look.entry.guess(look, label, confidence=sure) for label, sure in rows]


ENTRIES = (
    Entry(
        "orbax-devices",
        "topology",
        (
            "devices are different from the devices used to save",
            "topology mismatch detected",
            "number of devices passed to",
            "must be fully replicated",
            "host local jax.array",
            "_deserialize_sharding_from_json",
            "unable to deserialize sharding",
            "sharding passed to deserialization",
            "sharding of jax.array cannot be none",
            "not a namedsharding",
            "sharding info under restoreargs",
            "single_host_load_and_broadcast",
            "singlereplicaarray",
            "process_count",
            "present in the provided list of processes",
            "unsafe unless you know the present topology",
            "compatible with mesh-consistency restore",
            "distributed system is not available",
        ),
        r"devices are different from the devices used to save|Topology mismatch detected|number of devices passed to"
        r"|must be fully replicated|host local jax\.Array|_deserialize_sharding_from_json|Unable to deserialize sharding"
        r"|sharding passed to deserialization|Sharding of jax\.Array cannot be None|not a NamedSharding"
        r"|sharding info under RestoreArgs|single_host_load_and_broadcast|SingleReplicaArray"
        r"|process_count[^\n]{0,60}(?:mismatch|differ|!=)"
        r"|present in the provided list of processes|UNSAFE unless you know the present topology"
        r"|compatible with mesh-consistency restore|Distributed system is not available",
        why="the arrays are laid out over other devices or hosts than take part now, or the target does not say how",
        remedy=_TARGET,
        weigh=ranked(("topology", 0.84), ("device-mismatch", 0.62), ("version-mismatch", 0.5)),
        example=(
            "ValueError: Topology mismatch detected. The checkpoint was saved with a different topology than the "
            "current one."
        ),
    ),
    Entry(
        "array-of-other-hosts",
        "topology",
        ("non-addressable", "not fully addressable", "fully addressable"),
        r"spans non-addressable[^\n]{0,60}|not fully addressable|non-addressable devices",
        why="a host asks for the values of an array of which other hosts hold parts",
        remedy="Save with Orbax on all hosts; or gather first (`multihost_utils.process_allgather`) on every process.",
        where=storing_or_alone,
        weigh=ranked(("topology", 0.8), ("unserialisable", 0.6), ("concurrency", 0.5)),
        example=(
            "RuntimeError: Fetching value for `jax.Array` that spans non-addressable (non process local) devices "
            "is not possible."
        ),
    ),
    Entry(
        "orbax-hosts-wait",
        "concurrency",
        (
            "barrier timed out",
            "sync_global_processes",
            "sync_global_devices",
            "coordinationservice",
            "wait_at_barrier",
            "metadata from just one process",
            "different number of params: process",
            "barrier_id",
            "deadline_exceeded",
        ),
        r"Barrier timed out|sync_global_(?:processes|devices).{0,200}?(?:Error|mismatch|timed? ?out)"
        r"|CoordinationService\S*[^\n]{0,80}Barrier"
        r"|wait_at_barrier|metadata from just one process|different number of params: process"
        r"|DEADLINE_EXCEEDED[^\n]{0,120}(?:[Bb]arrier|key)",
        why="the hosts wait for each other at the save or restore, and one never comes (it failed, or does not call it)",
        remedy="Call save and restore on every host with the same arguments; read the first error of each.",
        where=storing_or_alone,
        weigh=ranked(("concurrency", 0.8), ("topology", 0.6), ("storage", 0.46)),
        example="checkpoint save: DEADLINE_EXCEEDED: Barrier timed out. Barrier_id: orbax_3",
    ),
    Entry(
        "orbax-params-lost",
        "incomplete-save",
        (
            "params are missing in checkpoint",
            "params are missing .zarray",
            "found empty checkpoint pytree",
            "no arraymetadata found",
        ),
        r"params are missing (?:\.zarray )?in checkpoint|Found empty checkpoint PyTree|No ArrayMetadata found",
        why="after the save some arrays are not in the folder: a host did not write its part, or wrote it elsewhere",
        remedy="All hosts must write to one shared folder; save anew.",
        also=("concurrency", "storage"),
        weight=0.82,
        test="whole",
        example="ValueError: Save failed: 3/9 params are missing in checkpoint: ['a']",
    ),
    Entry(
        "orbax-no-metadata",
        "incomplete-save",
        (
            "metadata file (named",
            "no structure could be identified",
            "step metadata not found",
            "checkpoint structure file does not exist",
            "_metadata) does not exist",
            "failed to read metadata from",
        ),
        r"Metadata file \(named (?P<name>\w+)\) does not exist at (?P<path>\S+)|No structure could be identified|Step "
        r"metadata not found"
        r"|Checkpoint structure file does not exist|Failed to read metadata from",
        why=(
            "the folder has no metadata of Orbax ({path}): the save or the copy is not whole, or it is another folder "
            "or layout"
        ),
        remedy="Give the item's own folder (`step/default`, `step/params`); copy with `-a`; else take an older checkpoint.",
        weigh=ranked(("incomplete-save", 0.76), ("not-found", 0.7), ("format-mismatch", 0.66)),
        test="path",
        example="FileNotFoundError: Metadata file (named _METADATA) does not exist at gs://b/run/5.",
    ),
    Entry(
        "tensorstore-write",
        "storage",
        ("error writing ", "error reading "),
        r"(?:PERMISSION_DENIED|NOT_FOUND|UNAVAILABLE|RESOURCE_EXHAUSTED|DATA_LOSS|INTERNAL|UNKNOWN)?:? ?Error writing "
        r"(?:\"[^\"]*\"|local file|object)[^\n]{0,600}",
        why="TensorStore could not write to the folder: its mount, permissions or quota, or another host moved the file",
        remedy=(
            "All hosts need one shared folder that can be written and renamed in; look at room and permission (`ls "
            "-ld`, `df -h`)."
        ),
        weigh=ranked(("storage", 0.82), ("concurrency", 0.68), ("incomplete-save", 0.48)),
        test="space",
        example='ValueError: UNKNOWN: Error writing "w/0.0" in OCDBT database: Error writing local file "/ck/manifest.ocdbt"',
    ),
    Entry(
        "tensorstore-read",
        "corrupt",
        ("out_of_range", "data_loss", "error reading ", "error decoding", "requested byte range"),
        r"OUT_OF_RANGE[^\n]{0,300}|DATA_LOSS:?[^\n]{0,200}(?:zarr|ocdbt|tensorstore|zstd|gzip|chunk|checksum|CRC)?"
        r"|Error reading (?:\"[^\"]*\"|local file)[^\n]{0,300}|Error decoding[^\n]{0,200}|Requested byte range",
        why="a file of the arrays is shorter than its index says, or its bytes do not decode: half downloaded or damaged",
        remedy="Get the checkpoint again (compare sizes with the source); restoring item by item finds the damaged array.",
        where=loading_or_alone,
        weigh=ranked(("corrupt", 0.8), ("incomplete-save", 0.66), ("storage", 0.46)),
        test="whole",
        example='ValueError: OUT_OF_RANGE: Error reading "w/0" in OCDBT database: Requested byte range [9, 99) is not valid',
    ),
    Entry(
        "orbax-limit",
        "memory",
        ("requested more bytes than we reserved",),
        r"Requested more bytes than we reserved space for: (?P<asked>\d+) > (?P<limit>\d+)",
        why="one array ({asked} bytes) is larger than what Orbax may hold at once ({limit} bytes)",
        remedy="Raise `restore_concurrent_gb` / `save_concurrent_gb` of the handler, or shard the array.",
        also=("size-limit", "version-mismatch"),
        weight=0.86,
        example="ValueError: Requested more bytes than we reserved space for: 99 > 50",
    ),
    Entry(
        "orbax-types",
        "unserialisable",
        (
            "must register a typehandler",
            "typehandler lookup failed",
            "for key:",
            "cannot save arrays with zero size",
            "does not support single arrays or scalars",
            "unsupported keyentry",
            "only accept pytree as save target",
            "found empty item",
            "expected dict, got",
            "object and structured dtypes not supported",
            "json-serializable",
            "supported empty type",
            "must only have string keys",
        ),
        r"Must register a TypeHandler|TypeHandler lookup failed|Unsupported type: [^\n]{1,120} for key:|Cannot save "
        r"arrays with zero size"
        r"|does not support single arrays or scalars|Unsupported KeyEntry|only accept pytree as save target|Found "
        r"empty item"
        r"|Expected dict, got|Object and structured dtypes not supported|JSON-serializable|supported empty type|must "
        r"only have string keys",
        why=(
            "the tree holds something that this writer does not know (an own class, an empty node, an array of "
            "objects or of size 0)"
        ),
        remedy="Save arrays and plain numbers only; register a type handler, or put other things into a JSON item.",
        where=storing_or_alone,
        weigh=ranked(("unserialisable", 0.8), ("custom-object", 0.7), ("version-mismatch", 0.5)),
        example="ValueError: Unknown type: \"<class 'Schedule'>\". Must register a TypeHandler.",
    ),
    Entry(
        "random-keys",
        "dtype-mismatch",
        ("key<", "prngkey", "typed prng"),
        r"Cannot interpret 'key<\w+>' as a data type|(?:dtype|type)[^\n]{0,40}key<\w+>|PRNGKey (?:dtype"
        r"|array)[^\n]{0,80}|typed PRNG",
        why=(
            "the tree holds typed random keys, which have no plain number type and are not stored as arrays by this "
            "version"
        ),
        remedy="Store `jax.random.key_data(key)` and wrap it again (`wrap_key_data`), or a newer Orbax.",
        weigh=random_keys,
        example="TypeError: Cannot interpret 'key<fry>' as a data type",
    ),
    Entry(
        "orbax-item-missing",
        "missing-tensor",
        (
            "was not found in the checkpoint",
            "structure mismatch: target path",
            "available keys",
            "requested checkpointables",
            "not found in origin tree",
            "keys in structure path",
        ),
        r"Item \"?(?P<item>\w+)\"? was not found in the checkpoint|Structure mismatch: Target path (?P<item2>.{1,200}?) not found"
        r"|Unknown key: (?P<item3>\w+)\. Available keys: (?:dict_keys|[\[({])|Requested checkpointables: .{1,200}? were not found"
        r"|not found in origin tree|Missing \d+ keys in structure path",
        why="the checkpoint has no `{item}`",
        remedy="The folders in the step are its items (`ls STEP`); restore those that are there.",
        weigh=ranked(("missing-tensor", 0.76), ("not-found", 0.6), ("version-mismatch", 0.55)),
        test="names",
        example='KeyError: Item "opt" was not found in the checkpoint. Available items: [params]',
    ),
    Entry(
        "orbax-absolute-path",
        "not-found",
        (
            "path should be absolute",
            "requested directory for restore does not exist",
            "no steps found",
            "no step path found",
            "restore strategies failed",
            "in either local or persistent storage",
        ),
        r"path should be absolute\. Got (?P<path>\S+)|Requested directory for restore does not exist at "
        r"(?P<path2>\S+)|No steps found(?: in \S*/\S|,)"
        r"|No step path found|All restore strategies failed for step|in either local or persistent storage",
        why="Orbax finds no checkpoint there (it wants an absolute path, and the folder of a step)",
        remedy="`pathlib.Path(p).resolve()`; look at the steps with `holdfast FOLDER`.",
        weigh=ranked(("not-found", 0.8), ("version-mismatch", 0.56), ("incomplete-save", 0.5)),
        test="path",
        example="ValueError: Checkpoint path should be absolute. Got runs/5",
    ),
    Entry(
        "orbax-parameter-folder",
        "not-found",
        ("parameter subdirectory not found",),
        r"parameter subdirectory not found at path: (?P<path>\S+)",
        why="no parameter lies there ({path}): the folder is another one than the item's own (a step, a manager's), or "
        "the tree that is asked for names what was not saved",
        remedy="Give the item's own folder (`5/default`); "
        "`orbax.checkpoint.StandardCheckpointer().metadata(path)` tells what is there.",
        weigh=ranked(("not-found", 0.8), ("missing-tensor", 0.76), ("incomplete-save", 0.6)),
        test="path",
        example="FileNotFoundError: Individual parameter subdirectory not found at path: /ck/5/opt_state.0.mu.",
    ),
    Entry(
        "orbax-destination",
        "retention",
        ("destination ",),
        r"(?:^|ValueError: )Destination (?P<path>(?:\S*/)?[^\s/.]+) already exists",
        why="a checkpoint of that name is there already (an earlier run's, or the same step saved twice)",
        remedy="`force=True` where it may be overwritten; else a folder of its own for each run.",
        where=saving_or_alone,
        also=("concurrency", "not-found"),
        weight=0.84,
        test="path",
        example="ValueError: Destination /ck/5 already exists.",
    ),
    Entry(
        "orbax-arguments",
        "version-mismatch",
        ("must also be none",),
        r"(?:restor|checkpoint|orbax|ocp\.|\bstep\b).{0,600}?If (?P<name>\w+) is None, \w+ must also be None",
        why="the manager is called in the way of another version: what may be left out has changed",
        remedy="Give the step itself (`manager.latest_step()` of a manager of that folder); is it None, nothing is there.",
        weigh=ranked(("version-mismatch", 0.72), ("not-found", 0.66), ("resume-state", 0.4)),
        example="manager.restore(None, directory=d)\nValueError: If step is None, directory must also be None",
    ),
    Entry(
        "orbax-other",
        "version-mismatch",
        ("orbax", "tensorstore", "ocdbt"),
        r"(?:orbax[/.]checkpoint|tensorstore|ocdbt).{0,4000}?(?:Error|Exception)\b|\w*(?:Error"
        r"|Exception)\b.{0,2000}?(?:orbax|tensorstore|ocdbt)",
        why="Orbax fails in a way that has no known wording: its interface and layout differ between versions",
        remedy=(
            "Restore without a target, and compare with what is stored (`ocp.PyTreeCheckpointer().metadata(FOLDER)`); or take "
            "the version that saved."
        ),
        weigh=ranked(("version-mismatch", 0.48), ("topology", 0.46), ("missing-tensor", 0.45)),
        example='  File "orbax/checkpoint/handler.py", line 4, in restore\nIndexError: tuple index',
    ),
    Entry(
        "saved-by-other-devices",
        "device-mismatch",
        (
            "was not found in jax.local_devices",
            "was not found in jax.devices",
            "unknown backend",
            "non-addressable device",
        ),
        r"Device (?P<device>\w+) was not found in jax\.(?:local_)?devices"
        r"|(?:restor|checkpoint|orbax|load).{0,900}?(?:Unknown backend:? '?(?P<backend>\w+)|to non-addressable device \w+)",
        why="the arrays were saved on devices that are not here (`{device}`), and the restore puts them back onto those",
        remedy=_TARGET,
        weigh=ranked(("device-mismatch", 0.88), ("topology", 0.74), ("version-mismatch", 0.5)),
        example="ValueError: Device CudaDevice_0 was not found in jax.local_devices().",
    ),
    Entry(
        "not-replicated",
        "topology",
        (
            "pmap was requested to map its argument",
            "pmap got inconsistent sizes",
            "too many indices: 0-dimensional array",
            "too many indices for array: array is 0-dimensional",
            "sharded dimension must be equal to",
        ),
        r"pmap was requested to map its argument|pmap got inconsistent sizes|Too many indices: 0-dimensional array"
        r"|Too many indices for array: array is 0-dimensional|sharded dimension must be equal to",
        why="the restored values are not laid out once for each device, as the step wants them, or for other devices",
        remedy="`flax.jax_utils.replicate(state)` after the restore; save one copy (`unreplicate`).",
        context=("restor", "checkpoint", "resum", "load_", "unreplicate"),
        only_in=True,
        weigh=ranked(("topology", 0.82), ("shape-mismatch", 0.68), ("format-mismatch", 0.45)),
        example="state = restore_checkpoint(d, state)\nIndexError: Too many indices: 0-dimensional array indexed",
    ),
    Entry(
        "tree-of-other-nodes",
        "version-mismatch",
        ("expected named", "expected tuple", "expected dict", "expected list", "custom node"),
        r"(?:restor|checkpoint|ckpt|opt_state|optimizer|load).{0,1500}?"
        r"(?:Expected (?:named ?tuple|tuple|dict|list)\b[^\n]{0,80}?, got"
        r"|custom node type mismatch|Mismatch custom node)",
        why="the restored tree has plain containers (or other classes) where the optimizer's own are expected",
        remedy="Restore into a target of the same structure (`from_state_dict(target, state)`), with the versions that saved.",
        weigh=ranked(("version-mismatch", 0.78), ("optimizer-structure", 0.74), ("format-mismatch", 0.5)),
        test="names",
        example="state.opt_state, restored\nValueError: Expected namedtuple, got GenericState",
    ),
)
