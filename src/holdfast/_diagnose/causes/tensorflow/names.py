"""TensorFlow: names and objects that ``Saver`` and ``tf.train.Checkpoint`` look for."""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look
from ...where import loading_or_alone

_INSPECT = "`holdfast inspect PREFIX` lists what the checkpoint holds."


_NUMBERED = re.compile(r"_\d+(?:/|$)")
_AUTOMATIC = re.compile(
    r"^(?!layer_|block_|cell_|stage_|hidden_|unit_|group_|fc_|tower_)[^/]+_[1-9]\d*(?:/|$)|_[1-9]\d*$"
    r"|(?:^|/)(?:dense|conv|conv\dd|conv\dd_transpose|separable_conv\dd|depthwise_conv\dd|batch_?norm(?:alization)?"
    r"|layer_norm\w*|"
    r"lstm|gru|rnn|bidirectional|embedding|fully_connected|dropout|prelu|Variable|basic_lstm_cell|lstm_cell|gru_cell|"
    r"sequential|model|functional|attention|convolution\w*)_[1-9]\d*(?:/|$)",
    re.IGNORECASE,
)
"""Numbers of automatic naming, which begin at 1: of a layer or variable that the program did not name, or of a whole scope that
is there twice."""
_TWIN = re.compile(r"/(?:kernel|weights?|bias|biases|gamma|beta|moving_mean|moving_variance|[wWbB])_\d+$")
"""A second variable of one name in one scope."""
_RANDOM = re.compile(
    r"(?:^|[/_\-])(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{7,}(?:[/_\-]|$)|(?:^|/)\d{12,}(?:/|$)"
)
"""A number drawn at random, as part of a name."""
_SECOND_SAVER = re.compile(r"\bsave_\d+/")


def _numbered(look: Look, key: str) -> list[Guess]:
    """Numbers of automatic naming: the graph holds more than one copy of the model, or its layers were made in another order."""
    again = _SECOND_SAVER.search(look.reading.flat) is not None
    auto = (
        re.match(
            r"\"?(?:Variable|global_step|beta\d_power)_\d+$|.*/(?:Adam|Momentum|RMSProp)_(?:[2-9]|\d\d+)$",
            key,
        )
        is not None
    )
    why = (
        f"`{key}` bears a number that automatic naming gave"
        + (" (and this is not the first Saver of the graph)" if again else "")
        + ": the model was built again in the same graph (a notebook's cell run twice, a web server's second call)"
    )
    remedy = (
        "Build once, in a fresh graph: `tf.reset_default_graph()` (or `with "
        "tf.Graph().as_default():`) before building and restoring."
    )
    order = f"`{key}` bears a number that automatic naming gave: a second model in one graph, or layers made in another order"
    if again or auto:
        return [
            look.entry.guess(
                look, "graph-lifecycle", confidence=0.96 if again else 0.86, why=why, remedy=remedy
            ),
            look.entry.guess(look, confidence=0.72),
            look.entry.guess(look, "renamed", confidence=0.68, why=order),
        ]
    return [
        look.entry.guess(look, confidence=0.74),
        look.entry.guess(look, "renamed", confidence=0.66, why=order),
        look.entry.guess(look, "graph-lifecycle", confidence=0.6, why=why, remedy=remedy),
    ]


def which_variable(look: Look) -> list[Guess]:
    """A variable that was not restored: a second copy of the graph has numbered names."""
    name = look.match["tensor"]
    plain = look.entry.guess(look)
    if re.search(r"\bsave(?:_\d+)?/SaveV2", look.reading.flat):
        stale = (
            f"the Saver holds `{name}`, which this session has never initialised: a variable of an earlier build in the "
            f"same graph, "
            "or one made after the initialiser ran"
        )
        return [
            look.entry.guess(
                look,
                "graph-lifecycle",
                confidence=0.88,
                why=stale,
                remedy="`tf.reset_default_graph()` before building; initialise all variables, then make the Saver, then save.",
            ),
            plain,
        ]
    if not _NUMBERED.search(name):
        return [plain]
    why = f"`{name}` is of a second copy of the model in the same graph (automatic naming numbered it), which nothing initialised"
    remedy = "Build or import the graph once: `tf.reset_default_graph()` first."
    again = look.entry.guess(
        look,
        "graph-lifecycle",
        confidence=0.94 if "import_meta_graph" in look.reading.lower or _TWIN.search(name) else 0.72,
        why=why,
        remedy=remedy,
    )
    return [again, plain]


_ABSENT = re.compile(
    r"(?:Key|Tensor name|Tensor) ?\"?(?P<key>[\w./\-:]+)\"? (?:is )?not found in (?:the )?checkpoint",
    re.IGNORECASE,
)


def object_graph(look: Look) -> list[Guess]:
    """A name-based Saver that misses a name tries the object-based way too, and fails again: the first failure counts."""
    keys = {match["key"] for match in _ABSENT.finditer(look.reading.flat)}
    if any("_CHECKPOINTABLE_OBJECT_GRAPH" not in key for key in keys) or (keys and _of_a_saver(look)):
        return []
    return [look.entry.guess(look)]


def _of_a_saver(look: Look) -> bool:
    return (
        re.search(r"training[/\\]saver\.py|saver\.restore\(|OBJECT_GRAPH_PROTO_KEY\)", look.reading.flat)
        is not None
    )


def key_missing(look: Look) -> list[Guess]:
    """A variable that the checkpoint does not know by that name."""
    key = look.facts()["key"].strip("\"'")
    if "_CHECKPOINTABLE_OBJECT_GRAPH" in key:
        others = [m["key"] for m in _ABSENT.finditer(look.reading.flat) if "_CHECKPOINTABLE" not in m["key"]]
        key = others[0] if others else key
        if not others and _of_a_saver(look):
            why = "a Saver did not find a name of the graph in the checkpoint; the message above this one tells which"
            return [
                look.entry.guess(look, confidence=0.86, why=why),
                look.entry.guess(look, "renamed", confidence=0.6, why=why),
                look.entry.guess(
                    look, "format-mismatch", confidence=0.56, why="or the checkpoint is of the other kind"
                ),
            ]
    found = []
    slot = re.search(r"/(?:Adam|Momentum|RMSProp|Adagrad|Adadelta|Ftrl)\w*$", key)
    if slot is not None and re.search(
        r"(?:lstm|gru|rnn)[\w/]*/(?:kernel|bias|weights|biases)$", key[: slot.start()], re.IGNORECASE
    ):
        why = f"`{key}`: TensorFlow 1.2 renamed the variables of RNN cells, and with them their slots"
        return [
            look.entry.guess(look, "optimizer-structure", confidence=0.86),
            look.entry.guess(look, "version-mismatch", confidence=0.84, why=why),
            look.entry.guess(look, "renamed", confidence=0.83, why=why),
        ]
    if re.search(
        r"(?:lstm|gru|rnn)[\w/]*/(?:kernel|bias|weights|biases)$|rnn/.*(?:kernel|bias|weights|biases)$",
        key,
        re.IGNORECASE,
    ):
        found.append(
            look.entry.guess(
                look,
                "renamed",
                confidence=0.85,
                remedy="Map the names: `Saver({old_name: variable})`, or rewrite the checkpoint with the new names.",
                why=f"`{key}`: TensorFlow 1.2 renamed the variables of RNN cells (weights, biases became kernel, bias)",
            )
        )
        found.append(
            look.entry.guess(
                look,
                "version-mismatch",
                confidence=0.6,
                why="the checkpoint was written by another version of TensorFlow",
            )
        )
        found.append(look.entry.guess(look, confidence=0.5))
        return found
    if key.endswith("/ExponentialMovingAverage"):
        why = f"`{key}` is a shadow of a weight's moving average, which the checkpoint does not hold"
        remedy = (
            "Restore the plain weights (without `variables_to_restore()` of the average), or keep the "
            "average while training."
        )
        return [
            look.entry.guess(look, confidence=0.9, why=why, remedy=remedy),
            look.entry.guess(look, "metrics", confidence=0.62, why=why, remedy=remedy),
            look.entry.guess(look, "version-mismatch", confidence=0.58),
        ]
    if _AUTOMATIC.search(key):
        return _numbered(look, key)
    if re.search(r"(?:^|/)beta[12]_power$", key):
        why = f"`{key}` counts Adam's steps: the checkpoint was saved without that optimizer (or with another one)"
        return [
            look.entry.guess(look, "optimizer-structure", confidence=0.9, why=why),
            look.entry.guess(look),
            look.entry.guess(look, "renamed", confidence=0.5),
        ]
    part = re.search(r"checkpoint files? (\S+\.(?:index|meta|data\S*))(?:\s|$)", look.reading.flat)
    if part is not None:
        why = (
            f"the path given is `{part[1].rpartition('/')[2]}`, a part of the checkpoint, so that an empty set of "
            f"tensors was searched"
        )
        return [
            look.entry.guess(
                look,
                "not-found",
                confidence=0.84,
                why=why,
                remedy="Give the prefix, without `.index` or `.data-...`.",
            ),
            look.entry.guess(look, confidence=0.6),
            look.entry.guess(look, "format-mismatch", confidence=0.4),
        ]
    if "_CHECKPOINTABLE_OBJECT_GRAPH" in key:
        return [
            look.entry.guess(
                look,
                "format-mismatch",
                confidence=0.9,
                why=(
                    "the file was written by a name-based tf.train.Saver, and an object-based reader wants its object "
                    "graph"
                ),
                remedy=(
                    "Restore with tf.compat.v1.train.Saver, or read values by name with "
                    "tf.train.load_checkpoint."
                ),
            ),
            look.entry.guess(look, "version-mismatch", confidence=0.4),
        ]
    if _RANDOM.search(key):
        why = f"`{key}` bears a name that is drawn anew each time the object is made (a random number in it)"
        remedy = (
            "Give the object a name of its own (`name=`), in the program that saves and in the one that restores. "
            + _INSPECT
        )
        return [
            look.entry.guess(look, "renamed", confidence=0.9, why=why, remedy=remedy),
            look.entry.guess(look),
            look.entry.guess(look, "graph-lifecycle", confidence=0.6, why=why, remedy=remedy),
        ]
    scope = re.search(r"\b([\w./]+)/save(?:_\d+)?/RestoreV2", look.reading.flat)
    if scope is not None and key.startswith(scope[1] + "/"):
        why = f"the model is built below the scope `{scope[1]}/` here, and the checkpoint's names most likely have no such scope"
        remedy = (
            "Build without the outer scope, or map the names: `Saver({name without it: variable})`. "
            + _INSPECT
        )
        return [
            look.entry.guess(look, "renamed", confidence=0.86, why=why, remedy=remedy),
            look.entry.guess(look),
        ]
    if "quant" in key.rpartition("/")[0] + key:
        why = f"`{key}` is of quantisation-aware training, which the checkpoint was not made with"
        return [
            look.entry.guess(look, why=why),
            look.entry.guess(look, "dtype-mismatch", confidence=0.66, why=why),
            look.entry.guess(look, "renamed", confidence=0.6),
        ]
    return [
        look.entry.guess(look),
        look.entry.guess(
            look,
            "renamed",
            confidence=0.66,
            why=f"the checkpoint may hold `{key}` under another name or scope",
        ),
        look.entry.guess(
            look,
            "version-mismatch",
            confidence=0.64,
            why="the code that built the model is of another version",
        ),
    ]


def unresolved(look: Look) -> list[Guess]:
    """Objects in the checkpoint that nothing took."""
    return [
        look.entry.guess(look),
        look.entry.guess(
            look, "missing-tensor", confidence=0.5, why="the program's objects are not those that were saved"
        ),
        look.entry.guess(look, "renamed", confidence=0.4, why="attributes of the model have other names now"),
    ]


ENTRIES = (
    Entry(
        "tf-key-not-found",
        "missing-tensor",
        ("not found in checkpoint", "tensor name", "not found in the checkpoint"),
        r"(?:Key|Tensor name|Tensor) ?(?P<key>\"?[\w./\-:]+\"?) (?:not found|is not found) in (?:the )?checkpoint"
        r"|(?P<key2>[\w./\-]+) not found in checkpoint file|(?<!\S)(?P<key3>[\w.\-]+(?:/[\w.\-]+)+) not found in checkpoint"
        r"|Tensor name (?P<key4>\"[\w./\-:]+\") not found(?! in)",
        why="the graph wants `{key}`, and the checkpoint has no tensor of that name",
        remedy="Build the graph as it was saved, or restore only what is there. " + _INSPECT,
        confirm="Whether the name is in the checkpoint.",
        weigh=key_missing,
        types=("NotFoundError",),
        weight=0.8,
        test="names",
        example="NotFoundError: Key dense/kernel not found in checkpoint",
    ),
    Entry(
        "tf-uninitialised",
        "missing-tensor",
        ("attempting to use uninitialized value", "uninitialized value"),
        r"Attempting to use uninitialized value (?P<tensor>[\w/.]+)",
        why=(
            "`{tensor}` was never restored nor initialised: the Saver that saved did not hold it (only trainable "
            "variables?), or restoring was left out for it"
        ),
        remedy=(
            "Save all variables (`tf.compat.v1.global_variables()`): moving means and variances are not trainable; "
            "initialise what is new before restoring."
        ),
        also=("lazy-build", "metrics", "graph-lifecycle"),
        weight=0.85,
        weigh=which_variable,
        types=("FailedPreconditionError",),
        where=loading_or_alone,
        example="FailedPreconditionError: Attempting to use uninitialized value bn/moving_mean",
    ),
    Entry(
        "tf-object-graph-expected",
        "format-mismatch",
        ("object-based checkpoint", "_checkpointable_object_graph"),
        r"checkpoint is expected to be an object-based checkpoint|_CHECKPOINTABLE_OBJECT_GRAPH not found",
        why="an object-based (TF2) checkpoint is wanted, and a name-based (TF1) one, or another prefix, was given",
        remedy="Give a TF2 checkpoint's prefix (`ckpt-0`), without `.index`; " + _INSPECT,
        also=("version-mismatch", "not-found"),
        weight=0.9,
        weigh=object_graph,
        test="whole",
        example="OSError: Checkpoint is expected to be an object-based checkpoint.",
    ),
    Entry(
        "tf-nothing-matched",
        "format-mismatch",
        ("nothing except the root object matched",),
        r"Nothing except the root object matched a checkpointed value",
        why=(
            "the object that restores is not of the kind that saved: Keras' save_weights and tf.train.Checkpoint "
            "write other roots, or the attribute names differ"
        ),
        remedy=(
            "Restore through the same API and the same attribute names as at saving: "
            "`tf.train.Checkpoint(model=model)`. `holdfast check` says what would match."
        ),
        also=("renamed", "lazy-build"),
        weight=0.86,
        test="names",
        example=(
            "AssertionError: Nothing except the root object matched a checkpointed value. Typically this means that "
            "the checkpoint does not match the Python program."
        ),
    ),
    Entry(
        "tf-unresolved",
        "lazy-build",
        ("unresolved object in checkpoint", "value in checkpoint could not be found", "restored"),
        r"Unresolved object in checkpoint|objects had attributes which were not restored"
        r"|A checkpoint was restored .{0,120}but not all checkpointed values were used"
        r"|Value in checkpoint could not be found in the restored object"
        r"|being deleted with unrestored values",
        why=(
            "values of the checkpoint were taken by nothing so far: variables that are not built yet, or objects "
            "that the program does not have"
        ),
        remedy="Build the model (call it once) and the optimizer (`optimizer.build(model.trainable_variables)`) before "
        "restoring, then `status.assert_consumed()` names what is left.",
        weigh=unresolved,
        weight=0.7,
        example="WARNING:tensorflow:Value in checkpoint could not be found in the restored object: (root).dense.kernel",
    ),
    Entry(
        "tf-optimizer-graph-names",
        "missing-tensor",
        (
            "some python objects were not bound",
            "python objects that were not bound",
            "no checkpointed value for",
        ),
        r"(?:Some Python objects were not bound to checkpointed values"
        r"|Found \d+ Python objects that were not bound|No checkpointed value for)",
        why=(
            "objects of the program have no value in the checkpoint: it was saved from another structure, or without "
            "them"
        ),
        remedy="Give the same objects under the same names as at saving. " + _INSPECT,
        also=("renamed", "optimizer-structure"),
        weight=0.84,
        test="names",
        example=(
            "AssertionError: Some Python objects were not bound to checkpointed values, likely due to changes in the "
            "Python program"
        ),
    ),
)
