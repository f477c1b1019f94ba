"""What TensorStore's drivers and JAX' trees say: the status of a store, parts of arrays, trees that are put back together.

Messages: tensorstore (kvstore/{file,gcs,s3,ocdbt}, driver/zarr, driver/zarr3, util/status), flax/nnx/{graphlib,statelib}.py,
equinox/_serialisation.py, optax' states.
"""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look, ranked
from ...where import loading, loading_or_alone

_STORE = (
    "The store behind the path, its rights or its connection; the checkpoint itself may be whole: try again."
)


def of_the_status(look: Look) -> list[Guess]:
    """What stands behind the driver's error: the answer of a web store, of the system, or of another writer."""
    said = look.match[0]
    guess = look.entry.guess
    if re.search(r"^ALREADY_EXISTS", said):
        why = "the array is there already: the step was saved before, or two processes write it"
        return [
            guess(
                look,
                "retention",
                confidence=0.95,
                why=why,
                remedy="Save to a new step, or with `force=True`.",
            ),
            guess(look, "concurrency", confidence=0.88, why=why),
        ]
    if re.search(r"^ABORTED|[Gg]eneration mismatch", said):
        why = "another process wrote the same file at that time"
        return [
            guess(
                look,
                "concurrency",
                confidence=0.95,
                why=why,
                remedy="Let one process write one path; save again.",
            ),
            guess(look, confidence=0.8),
        ]
    return [
        guess(look),
        guess(look, "not-found", confidence=0.5),
        guess(look, "concurrency", confidence=0.44),
    ]


def files_read_to_the_end(look: Look) -> list[Guess]:
    """Equinox reads leaf after leaf: where there are no more, the model has more leaves than the file, or the file is cut."""
    rows = (("missing-tensor", 0.78), ("corrupt", 0.7), ("version-mismatch", 0.5))
    return [look.entry.guess(look, label, confidence=sure) for label, sure in rows]


def nodes_of_another_kind(look: Look) -> list[Guess]:
    """A node of flax' own classes: another version's; of an optimizer's: another chain."""
    rows = (("version-mismatch", 0.94), ("optimizer-structure", 0.74), ("format-mismatch", 0.5))
    if re.search(r"ScaleBy|EmptyState|TraceState|InjectHyper|opt_state|optax", look.match[0]):
        rows = (("optimizer-structure", 0.94), ("version-mismatch", 0.8), ("missing-tensor", 0.6))
    return [look.entry.guess(look, label, confidence=sure) for label, sure in rows]


def t5x_paths(look: Look) -> list[Guess]:
    """Nothing there, another kind, or an older layout of the arrays' descriptions."""
    rows = (("format-mismatch", 0.93), ("not-found", 0.6), ("version-mismatch", 0.56))
    if look.match["none"]:
        rows = (("not-found", 0.93), ("format-mismatch", 0.8), ("incomplete-save", 0.6))
    elif look.match["spec"]:
        rows = (("version-mismatch", 0.88), ("format-mismatch", 0.8), ("storage", 0.4))
    return [look.entry.guess(look, label, confidence=sure) for label, sure in rows]


ENTRIES = (
    Entry(
        "t5x-other-checkpoint",
        "format-mismatch",
        (
            "as a native t5x",
            "not a valid t5x checkpoint",
            "unexpected checkpoint_type",
            "incorrect tensorstore spec",
        ),
        r"(?P<kind>\w+) checkpoint as a native T5X|(?P<none>not a valid T5X checkpoint)(?:: (?P<path>\S+))?"
        r"|Unexpected checkpoint_type|(?P<spec>Incorrect TensorStore Spec)",
        why="what lies at the path is no checkpoint of the kind that this loader reads ({kind})",
        remedy="Give the folder of one step (`checkpoint_1000`) and the kind that saved it; `holdfast PATH` says what it is.",
        weigh=t5x_paths,
        test="path",
        example="ValueError: Attempting to restore a TensorFlow checkpoint as a native T5X checkpoint.",
    ),
    Entry(
        "tensorstore-status",
        "storage",
        (
            "permission_denied: error",
            "unauthenticated: error",
            "unavailable: error",
            "resource_exhausted: error",
            "already_exists: error",
            "aborted: error",
            "http response code: ",
            "curl error",
            "[os error",
        ),
        r"(?:PERMISSION_DENIED|UNAUTHENTICATED|UNAVAILABLE|RESOURCE_EXHAUSTED|ALREADY_EXISTS|ABORTED): Error "
        r"(?:opening|reading|writing|deleting) (?:\w+ )*\"[^\n]{0,400}"
        r"|Error (?:opening|reading|writing) (?:\w+ )*\"[^\n]{0,400}?(?:HTTP response code: (?P<code>[45]\d\d)"
        r"|CURL error[^\n]{0,60}"
        r"|\[OS error (?P<errno>\d+)(?!\d): (?!ENOENT|ENOTDIR|ERROR_FILE_NOT)[^\]\n]{1,80})",
        why="the store did not give (or take) the bytes: {code}",
        remedy=_STORE + " Look at credentials, quota, rate limits and open files (`ulimit -n`).",
        weigh=of_the_status,
        weight=0.95,
        test="space",
        example='ValueError: UNAVAILABLE: Error reading "gs://b/run/5/manifest.ocdbt": CURL error[28] Timeout was reached',
    ),
    Entry(
        "tensorstore-bounds",
        "shape-mismatch",
        ("is not contained in",),
        r"Propagated bounds? (?:interval )?.{1,120}? is not contained in"
        r"|OUT_OF_RANGE: .{0,200}?interval \[[\d, ]+\) is not contained in bounds",
        why="a part is asked for that lies outside the array that is stored: its shape is another one",
        remedy="Build the target as it was saved; `orbax.checkpoint.StandardCheckpointer().metadata(path)` tells the shapes.",
        where=loading_or_alone,
        weigh=ranked(("shape-mismatch", 0.92), ("topology", 0.7), ("version-mismatch", 0.4)),
        test="names",
        example="ValueError: OUT_OF_RANGE: Propagated bounds interval [0, 8) is not contained in bounds interval [0, 4)",
    ),
    Entry(
        "orbax-part-not-read",
        "corrupt",
        ("while reading array index",),
        r"Encountered error while reading array index: (?P<index>[^\n]{1,120}?)\. See full TensorStore",
        why="the part {index} of an array could not be read: its file is damaged or not there, or the store failed",
        remedy="The error above it says which file, and why; take an older step, or copy the whole folder again.",
        weigh=ranked(("corrupt", 0.8), ("storage", 0.6), ("incomplete-save", 0.58)),
        test="whole",
        example="Exception: Encountered error while reading array index: (slice(0, 4),). See full TensorStore details: Spec",
    ),
    Entry(
        "nnx-leaves",
        "missing-tensor",
        ("incorrect number of leaves",),
        r"Incorrect number of leaves(?:[,:] expected (?P<want>\d+) leaves(?: in the state)?, "
        r"(?:but )?got (?P<got>\d+)| in state)",
        why="the state that was restored has {got} leaves, and the module's definition wants {want}",
        remedy="Restore into `nnx.state(model)` of the same code; "
        "`orbax.checkpoint.StandardCheckpointer().metadata(path)` tells what is saved.",
        where=loading,
        weigh=ranked(("missing-tensor", 0.76), ("version-mismatch", 0.64), ("unexpected-tensor", 0.62)),
        test="names",
        example="state = ckptr.restore(checkpoint)\nValueError: Incorrect number of leaves, expected 12 leaves, but got 10.",
    ),
    Entry(
        "nnx-state-attribute",
        "missing-tensor",
        ("no attribute '",),
        r"No attribute '(?P<name>\w+)' in State\b",
        why="the restored state has no `{name}`, or has it under another key (numbers come back as text)",
        remedy="Restore into `nnx.state(model)`, or turn the keys back (`nnx.restore_int_paths`).",
        where=loading,
        weigh=ranked(("missing-tensor", 0.76), ("renamed", 0.66), ("version-mismatch", 0.5)),
        test="names",
        example="nnx.update(model, ckptr.restore(checkpoint))\nAttributeError: No attribute 'kernel' in State",
    ),
    Entry(
        "tree-node-of-flax",
        "version-mismatch",
        ("custom node type mismatch", "mismatch custom node", "state, got"),
        r"(?:Custom node type mismatch: expected type:|Mismatch custom node data)[^\n]{0,200}?"
        r"(?:frozen_dict|FrozenDict|VariableState|variablelib|ScaleBy\w+|EmptyState|TraceState|InjectHyper\w+)"
        r"|Expected (?:ScaleBy\w+|Empty|Trace|Masked|MultiSteps|InjectHyper\w+|Partition)State, got",
        why="a node of the tree is of another class than the target's: another version, or another chain of the optimizer",
        remedy="Restore into a target of this version (`from_state_dict(target, saved)`), or `flax.core.unfreeze` both.",
        weigh=nodes_of_another_kind,
        test="names",
        example="ValueError: Custom node type mismatch: expected type: <class 'flax.core.frozen_dict.FrozenDict'>, value: {}",
    ),
    Entry(
        "optax-state-arguments",
        "optimizer-structure",
        ("state.__new__() ", "state' object has no attribute", "state() "),
        r"(?P<kind>(?:ScaleBy\w*|Empty|Trace|Masked|MultiSteps|InjectHyperparams|InjectStatefulHyperparams|Partition|ApplyIfFinite"
        r"|Ema|ScheduleFree|LookaheadS?|EmptyS?|PlainS?)State)(?:\.__new__)?\(\) (?:missing|got|takes)"
        r"|'(?P<kind2>(?:ScaleBy\w*|Empty|Trace|Masked|MultiSteps|InjectHyperparams|InjectStatefulHyperparams|Partition"
        r"|ApplyIfFinite|Ema)State)' object has no attribute '(?P<name>\w+)'",
        why="the optimizer's state (`{kind}`) was saved by another chain or version of optax than reads it",
        remedy="Build the same chain as in training; restore into `tx.init(params)`, with the version of optax that saved.",
        where=loading_or_alone,
        weigh=ranked(("optimizer-structure", 0.84), ("version-mismatch", 0.76), ("format-mismatch", 0.4)),
        test="names",
        example="AttributeError: 'EmptyState' object has no attribute 'count'",
    ),
    Entry(
        "equinox-leaves-end",
        "missing-tensor",
        ("tree_deserialise_leaves", "default_deserialise_filter_spec", "equinox/_serialisation"),
        r"(?:tree_deserialise_leaves|default_deserialise_filter_spec|equinox/_serialisation).{0,600}?(?:No data left in file"
        r"|EOF: reading|EOFError)",
        why="the file ended before all leaves of the model were read: it holds fewer of them, or was cut short",
        remedy="Build the model with the settings that were saved; "
        "`numpy.load(file)` on the open file gives one leaf after the other.",
        weigh=files_read_to_the_end,
        test="whole",
        example='model = eqx.tree_deserialise_leaves("m.eqx", model)\nEOFError: No data left in file',
    ),
)
