"""JAX' and flax' own changes, msgpack's limits, and parameters that do not fit the module that is applied.

Messages: jax (arrays that older versions pickled), flax/{errors,serialization,traverse_util}.py, nnx/statelib.py, msgpack.
"""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look, ranked
from ...where import loading_or_alone, storing_or_alone


def keys_of_a_tree(look: Look) -> list[Guess]:
    """Two sets of names that differ: of the optimizer, numbered anew, or other ones."""
    text = look.match[0] + look.reading.flat[look.match.end() : look.match.end() + 160]
    if re.search(r"opt_state|param_states|\bmu\b|\bnu\b|\bcount\b|optimizer|inner_state|/tx\b", text):
        rows = (("optimizer-structure", 0.84), ("missing-tensor", 0.76), ("version-mismatch", 0.6))
    elif re.search(r"batch_stats|\bema|dropout|\brng", text):
        rows = (("missing-tensor", 0.86), ("optimizer-structure", 0.4), ("version-mismatch", 0.5))
    else:
        rows = (("missing-tensor", 0.84), ("renamed", 0.7), ("version-mismatch", 0.56))
    if "pure_dict" in look.match[0]:  # numbers come back as text, or the code has lost a part
        rows = (("unexpected-tensor", 0.86), ("renamed", 0.8), ("missing-tensor", 0.7))
    if look.match[0].lower().startswith("unknown field"):
        rows = (("unexpected-tensor", 0.86), ("version-mismatch", 0.66), ("optimizer-structure", 0.5))
    return [look.entry.guess(look, label, confidence=sure) for label, sure in rows]


def gone(look: Look) -> list[Guess]:
    """A name that is not there: of what is read or written, not of any program that uses JAX."""
    if not (
        look.around.storing
        or look.around.alone
        or re.search(r"pickle|serializ|checkpoint|params|restor", look.reading.lower)
    ):
        return []
    return [
        look.entry.guess(look, confidence=0.88),
        look.entry.guess(look, "custom-object", confidence=0.52),
        look.entry.guess(look, "unserialisable", confidence=0.4),
    ]


def state_untyped(look: Look) -> list[Guess]:
    """Names that are lost with the class, or two branches of a step with states of different classes."""
    rows: tuple[tuple[str, float], ...] = (
        ("optimizer-structure", 0.84),
        ("version-mismatch", 0.66),
        ("unserialisable", 0.46),
    )
    if look.match["name"] is None:
        rows = (("version-mismatch", 0.74), ("optimizer-structure", 0.72), ("topology", 0.36))
    return [look.entry.guess(look, label, confidence=sure) for label, sure in rows]


def shapes_cut(look: Look) -> list[Guess]:
    """The sizes are cut off: norms changed their layout between versions, other layers their size."""
    norm = re.search(r"gn|norm|bn", look.match["scope"] or "", re.IGNORECASE) is not None
    return [
        look.entry.guess(look, "version-mismatch", confidence=0.74 if norm else 0.5),
        look.entry.guess(look, confidence=0.7 if norm else 0.84),
        look.entry.guess(look, "preprocessing", confidence=0.36),
    ]


ENTRIES = (
    Entry(
        "jax-array-pickled",
        "version-mismatch",
        ("named_shape", "_reconstruct_array", "_reconstruct_device_array", "jnp_value.aval", "shapedarray"),
        r"named_shape|_reconstruct_(?:device_)?array|jnp_value\.aval|ShapedArray\.__(?:new|init)__",
        why="arrays of JAX were pickled as objects, and this version of JAX builds them otherwise",
        remedy="Read with the JAX that saved and write plain arrays (`jax.tree.map(numpy.asarray, params)`), `.npz` or Orbax.",
        weigh=ranked(("version-mismatch", 0.9), ("unserialisable", 0.5), ("custom-object", 0.46)),
        example="TypeError: ShapedArray.__new__() got an unexpected keyword argument 'named_shape'",
    ),
    Entry(
        "not-a-jax-type",
        "format-mismatch",
        ("is not a valid jax",),
        r"is not a valid JAX (?:array )?type",
        why="what was read is no array of numbers (a whole tree that was put into one object array, or a leaf of text)",
        remedy="`numpy.savez` wraps a dict into an object array: take it out with `.item()`, or save each array by its name.",
        weigh=ranked(("format-mismatch", 0.72), ("dtype-mismatch", 0.62), ("unserialisable", 0.6)),
        example="TypeError: Value 'x' with dtype object is not a valid JAX array type.",
    ),
    Entry(
        "jax-gone",
        "version-mismatch",
        (
            "devicearray",
            "module 'jax",
            "from 'jax",
            "'jax.",
            "'jaxlib",
            "<module 'jax",
            "module 'flax",
            "from 'flax",
            "'flax.",
            "<module 'flax",
            "module 'optax",
            "from 'optax",
            "<module 'optax",
            "module 'orbax",
            "from 'orbax",
            "'orbax.",
            "module 'chex",
            "'haiku.",
            "<module 'haiku",
            "no module named",
            "cannot import name",
            "'chex",
            "'flax",
            "'haiku",
            "'jax",
            "'optax",
            "'orbax",
        ),
        r"(?:No module named|cannot import name '?\w+'? from) '?(?:jax|jaxlib|flax|optax|orbax|chex|haiku)\.[\w.]+"
        r"|cannot import name '?(?P<name>\w+)'? from '?(?:jax|jaxlib|flax|optax|orbax|chex|haiku)\b[\w.]*"
        r"|module '(?P<module>(?:jax|jaxlib|flax|optax|orbax|chex|haiku)[\w.]*)' has no attribute '(?P<name2>\w+)'"
        r"|Can't get attribute '(?P<name3>\w+)' on <module '(?:jax|jaxlib|flax|optax|orbax|chex|haiku)[\w.]*"
        r"|DeviceArray\W[^\n]{0,80}?(?:attribute|pickle|reconstruct|argument)",
        why="`{name}` of {module} is not in the version installed here: the code or the pickled arrays are of another one",
        remedy="Install the version that saved, read there, and save as numpy arrays or with Orbax.",
        weigh=gone,
        example="AttributeError: Can't get attribute '_DeviceArray' on <module 'jaxlib.xla_extension'>",
    ),
    Entry(
        "msgpack-types",
        "unserialisable",
        (
            "strict_map_key",
            "can not serialize",
            "unsupported msgpack",
            "unique string representation",
            "is not allowed for map key",
        ),
        r"is not allowed for map key|can not serialize '?(?P<kind>[\w.<> ']+)|Unsupported msgpack (?:object|code)"
        r"|do not have a unique string representation",
        why="the tree holds keys or values that msgpack does not write or read back (whole numbers as keys, own classes)",
        remedy="Make it a state dict first (`flax.serialization.to_state_dict`): string keys, arrays and plain numbers.",
        where=storing_or_alone,
        weigh=ranked(("unserialisable", 0.8), ("format-mismatch", 0.5), ("version-mismatch", 0.5)),
        example="ValueError: int is not allowed for map key when strict_map_key=True",
    ),
    Entry(
        "msgpack-limits",
        "size-limit",
        (
            "exceeds max_",
            "integer value out of range",
            "object is too large",
            "memoryview is too large",
            "max_buffer_size",
            "buffer overflow",
        ),
        r"exceeds max_\w+_len|Integer value out of range|(?:bytes|bytearray|memoryview|str) object is too large"
        r"|memoryview is too large"
        r"|max_buffer_size",
        why="one value is larger than msgpack can write or is told to read",
        remedy="Save with Orbax; flax' writer cuts large arrays into chunks.",
        where=storing_or_alone,
        also=("corrupt", "version-mismatch"),
        weight=0.82,
        example="ValueError: 5000000000 exceeds max_bin_len(4294967295)",
    ),
    Entry(
        "flax-target-keys",
        "missing-tensor",
        (
            "keys and state dict keys do not match",
            "which are not present in state dict",
            "not available in state",
            "in state dict while restoring",
            "missing params from checkpoint",
            "params in checkpoint don't match",
        ),
        r"target dict contains keys (?P<keys>\{[^}]*\}) which are not present in state dict(?: at path (?P<path>\S+))?"
        r"|keys and state dict keys do not match|key in pure_dict not available in state:? ?(?P<key>[^\n]{0,80})"
        r"|(?:Missing field|Unknown field\(s\)) \"?(?P<field>\w+)\"? in state dict while restoring[^\n]{0,160}"
        r"|Missing params from checkpoint|Params in checkpoint don't match",
        why="the target has branches that the checkpoint lacks ({keys}{field}{key})",
        remedy="Restore without a target, compare both trees (`jax.tree.map(numpy.shape, tree)` of each), "
        "then build the target as saved.",
        weigh=keys_of_a_tree,
        test="names",
        example=(
            "ValueError: The target dict keys and state dict keys do not match, target dict contains keys {'b'} which are "
            "not present in state dict at path ./params"
        ),
    ),
    Entry(
        "flax-apply-structure",
        "renamed",
        ("applyscopeinvalidvariablesstructureerror", "extra params layer", "to be a dict with the structure"),
        "",
        why="the restored tree has one level of `params` too many, or too few, for `apply`",
        remedy="Pass `{{'params': restored['params']}}`: the level that the module itself uses.",
        also=("format-mismatch", "missing-tensor"),
        weight=0.84,
        example="flax.errors.ApplyScopeInvalidVariablesStructureError: Expect `variables` to be a dict with the structure x",
    ),
    Entry(
        "flax-empty-collection",
        "missing-tensor",
        (
            "tried to access",
            "scopecollectionnotfound",
            "scopevariablenotfounderror",
            "no variable named",
        ),
        r"Tried to access \"(?P<tensor>\w+)\" from collection \"(?P<collection>\w+)\""
        r"|ScopeCollectionNotFound|ScopeVariableNotFoundError",
        why="the tree that is applied has no `{collection}` (`{tensor}`): only the parameters were saved or passed",
        remedy="Save and pass all collections (`batch_stats` too).",
        also=("metrics", "renamed"),
        weight=0.84,
        test="names",
        example='Tried to access "mean" from collection "batch_stats" in "/bn" but the collection is empty.',
    ),
    Entry(
        "flax-multiprocess",
        "topology",
        (
            "mpacheckpointingrequired",
            "mparestoretargetrequired",
            "is a multiprocess array",
            "globalasynccheckpointmanager",
        ),
        "",
        why="an array that several processes hold is saved or restored by a writer for one process",
        remedy="Use Orbax (on all processes), with a target that tells the sharding.",
        also=("concurrency", "version-mismatch"),
        weight=0.84,
        example="MPACheckpointingRequiredError: Checkpoint failed at path: Target is a multiprocess array",
    ),
    Entry(
        "flax-multiprocess-lost",
        "incomplete-save",
        ("mparestoredatacorrupted", "gda data for"),
        "",
        why="the parts of a multiprocess array are not all there, or were never committed",
        remedy="Take an older checkpoint.",
        also=("corrupt", "async-save"),
        weight=0.82,
        test="whole",
        example="MPARestoreDataCorruptedError: Failed to restore a multiprocess array: no commit file",
    ),
    Entry(
        "frozen-dict-expected",
        "version-mismatch",
        (
            "expected (frozen)dict",
            "input is not a dict; it is a",
            "frozendict",
            "expected mapping; got",
            "'unfreeze'",
        ),
        r"expected \(frozen\)dict|input is not a dict; it is a"
        r"|FrozenDict[^\n]{0,120}?(?:has no attribute|not|mismatch|expected|got)"
        r"|expected Mapping; got|'dict' object has no attribute 'unfreeze'",
        why="a tree is of another kind (dict, FrozenDict, dataclass) than this version of flax takes",
        remedy="Turn it with `flax.core.freeze` / `unfreeze`, or a state dict; or the version that saved.",
        where=loading_or_alone,
        weigh=ranked(("version-mismatch", 0.74), ("format-mismatch", 0.58), ("custom-object", 0.46)),
        example="AssertionError: expected (frozen)dict; got <class 'State'> (restore_checkpoint)",
    ),
    Entry(
        "npz-no-entry",
        "format-mismatch",
        ("is not a file in the archive",),
        r"(?P<key>[\w./-]+) is not a file in the archive",
        why="the `.npz` holds arrays by other names than `{key}`: it was written by another program, or for another one",
        remedy="List them (`numpy.load(path).files`); convert with the tool of the project that wrote it.",
        weigh=ranked(("format-mismatch", 0.82), ("missing-tensor", 0.72), ("renamed", 0.5)),
        test="entries",
        example="KeyError: 'arr_0 is not a file in the archive'",
    ),
    Entry(
        "haiku-parameter-missing",
        "missing-tensor",
        ("unable to retrieve parameter", "unable to retrieve state", "is missing required keys"),
        r"Unable to retrieve (?:parameter|state) '?(?P<tensor>\w+)'? for module '?(?P<scope>[\w/.~]+)"
        r"|is missing required keys",
        why="the restored parameters have no `{tensor}` in `{scope}`",
        remedy="Compare the names (`jax.tree.map(numpy.shape, tree)` of each); take the parameters of this version of the model.",
        weigh=ranked(("missing-tensor", 0.86), ("version-mismatch", 0.66), ("renamed", 0.62)),
        test="names",
        example="ValueError: Unable to retrieve parameter 'w' for module 'net/linear' All parameters must be created",
    ),
    Entry(
        "haiku-shape",
        "shape-mismatch",
        ("does not match shape=",),
        r"(?P<tensor>\w+)'? with (?:retrieved )?shape (?P<got>\([\d, ]*\)) does not match shape=(?P<want>[\[(][\d, ]*[\])])",
        why="`{tensor}` has shape {got} in the parameters and {want} in the model",
        remedy="Take the parameters of this version and size of the model.",
        weigh=ranked(("shape-mismatch", 0.86), ("version-mismatch", 0.66), ("preprocessing", 0.4)),
        test="names",
        example="AssertionError: weights with shape (4, 8) does not match shape=(5, 8) dtype=dtype('float32')",
    ),
    Entry(
        "optimizer-state-untyped",
        "optimizer-structure",
        ("has no attribute '", "same type structure", "pytreedef"),
        r"'(?:tuple|list|dict|str)' object has no attribute '(?P<name>mu|nu|count|inner_states?|hyperparams|trace|momentum)'"
        r"|(?P<kind>TrainState|optax).{0,2000}?must have (?:the )?same type structure"
        r"|must have (?:the )?same type structure.{0,2000}?(?P<kind2>TrainState|optax)",
        why="the optimizer's state came back as plain tuples or other classes than optax' own (its names, `{name}`, are lost)",
        remedy="Restore into a target (`from_state_dict(tx.init(params), saved)`), with the versions that saved.",
        weigh=state_untyped,
        example="AttributeError: 'tuple' object has no attribute 'nu'",
    ),
    Entry(
        "flax-shapes-cut",
        "shape-mismatch",
        ("inconsistent shapes between value and initializer",),
        r"Inconsistent shapes between value and initializer for parameter \"(?P<tensor>\w+)\"(?: in \"(?P<scope>[^\"]+)\")?"
        r"(?!.{0,12}: \()",
        why="`{tensor}` in `{scope}` has another shape in the checkpoint than in the module",
        remedy="Use the version of flax and of the model's code that saved it, or build the module with the recorded size.",
        weigh=shapes_cut,
        test="names",
        example='Inconsistent shapes between value and initializer for parameter "kernel"',
    ),
    Entry(
        "raw-parameters-asked",
        "format-mismatch",
        ("should be the raw", "expects the raw", "must be the raw"),
        r"(?:should be|expects|must be) the raw (?:model )?(?:param|weight|state|variable)\w*",
        why="the loader takes the bare tree of parameters, and was given a wrapped one (a state, all collections, or flat names)",
        remedy="Pass what `model.init(...)['params']` would give; "
        "`jax.tree.map(numpy.shape, restored)` shows how the saved one is nested.",
        where=loading_or_alone,
        weigh=ranked(("format-mismatch", 0.82), ("version-mismatch", 0.5), ("missing-tensor", 0.42)),
        test="names",
        example="ValueError: load() should be the raw params",
    ),
)
