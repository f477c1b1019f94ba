"""Keras: failures that people tell in words of their own, and shapes that tell of a converted layer."""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look, ranked
from ...where import loading_or_alone, saving_or_alone

_CANNOT = (
    r"(?:can(?:'|no|')?t|can not|couldn't|unable to|not able to|not possible to|fails? to|won't|doesn't|does not"
    r"|don't|do not)"
)
_GENERATIONS = r"tf\.keras|tf_keras|keras_core|keras core|keras 1|keras 2|keras 3|keras1|keras2|keras3"


def _converted(look: Look) -> list[Guess]:
    """As many numbers in another shape: a bias of cuDNN's recurrent layers, which Keras converts in some versions only."""
    sizes = [[int(size) for size in re.findall(r"\d+", look.match[side])] for side in ("a", "b")]
    two, one = sorted(sizes, key=len, reverse=True)
    if len(two) != 2 or len(one) != 1 or two[0] != 2 or two[0] * two[1] != one[0]:
        return []
    rows = (("version-mismatch", 0.96), ("shape-mismatch", 0.84), ("format-mismatch", 0.44))
    return [look.entry.guess(look, label, confidence=sure) for label, sure in rows]


ENTRIES = (
    Entry(
        "keras-recursion-told",
        "unserialisable",
        ("maximum recursion depth",),
        r"maximum recursion depth.{0,200}?\b(?:pickl\w+|saving|save|dump\w*)\b"
        r"|\b(?:c?pickl\w*|saving|save|dump\w*)\b.{0,200}?maximum recursion depth",
        why="the model was pickled or copied whole, through all that hangs together with it",
        remedy=(
            "Save the architecture and the weights (`to_json`, `save_weights`), not the object; or "
            "`sys.setrecursionlimit(...)`."
        ),
        where=saving_or_alone,
        weigh=ranked(("unserialisable", 0.76), ("memory", 0.36), ("other", 0.36)),
        example="I get the maximum recursion depth error when I pickle my net",
    ),
    Entry(
        "keras-cannot-be-saved-told",
        "unserialisable",
        (
            "lambda layer",
            "subclass",
            "timedistributed",
            "custom layer",
            "to_json",
            "nested model",
            "bidirectional",
        ),
        rf"{_CANNOT} (?:be )?(?:save|serializ|serialis|export)\w*\b.{{0,80}}?(?:lambda layer|subclass"
        rf"|TimeDistributed|custom layer"
        rf"|to_json|nested model|Bidirectional)"
        rf"|(?:lambda layer|subclass\w*|TimeDistributed|custom layers?|nested model|Bidirectional)\w*.{{0,40}}?{_CANNOT} "
        r"(?:be )?(?:save|serializ|serialis|export)\w*",
        why="a layer of the model has nothing that can be written as its config",
        remedy="Give it a `get_config`, and register its class; or save the weights alone. `holdfast isolate` names the part.",
        weigh=ranked(("unserialisable", 0.66), ("custom-object", 0.5), ("version-mismatch", 0.4)),
        example="My net with a lambda layer cannot be saved",
    ),
    Entry(
        "keras-not-json-told",
        "unserialisable",
        ("json serializable", "json-serializable"),
        r"\b(?:non|not|isn't)[ -](?:JSON serializable|JSON-serializable)",
        why="the model's config holds something that JSON cannot (an array, a tensor, a function)",
        remedy="Give layers plain numbers and texts; `holdfast isolate` names the part.",
        context=("keras", "layer", "model"),
        only_in=True,
        weigh=ranked(("unserialisable", 0.72), ("custom-object", 0.4)),
        example="The layers hold values that are not JSON serializable",
    ),
    Entry(
        "keras-between-generations-told",
        "version-mismatch",
        (
            "keras_core",
            "keras core",
            "tf.keras",
            "tf_keras",
            "keras 1",
            "keras 2",
            "keras 3",
            "keras1",
            "keras2",
            "keras3",
        ),
        rf"\b(?:{_GENERATIONS})\b.{{0,120}}?\b{_CANNOT} (?:be )?load\w*\b.{{0,60}}?\b(?:{_GENERATIONS})\b",
        why="the one Keras reads what another one wrote: layouts and names differ between them",
        remedy="Load with the library that saved, and carry the weights over layer by layer (`set_weights(get_weights())`).",
        weigh=ranked(("version-mismatch", 0.72), ("format-mismatch", 0.6), ("renamed", 0.4)),
        example="What I saved in tf.keras cannot be loaded by Keras 3",
    ),
    Entry(
        "keras-converted-bias",
        "version-mismatch",
        ("shapes must be equal rank",),
        r"Shapes must be equal rank, but are \d and \d for 'Assign\w*' \(op: 'Assign'\) with input shapes: "
        r"(?P<a>\[[\d,]+\]), (?P<b>\[[\d,]+\])",
        why="the same numbers stand in another shape ({b} for {a}): a layer that cuDNN's twin saved, not converted here",
        remedy="Load with the version that saved, or build the layer as it was saved (`reset_after`, CuDNN or not).",
        where=loading_or_alone,
        weigh=_converted,
        example="Shapes must be equal rank, but are 2 and 1 for 'Assign_7' (op: 'Assign') with input shapes: [2,12], [24].",
    ),
    Entry(
        "keras-tracked-config",
        "unserialisable",
        ("object is not callable",),
        r"'(?P<name>TrackedDict|TrackedList|_?DictWrapper)' object is not callable",
        why="a layer within the model stayed a config: `from_config` did not make it anew",
        remedy="In `from_config` pass it through `keras.saving.deserialize_keras_object`.",
        weigh=ranked(("unserialisable", 0.86), ("custom-object", 0.8), ("version-mismatch", 0.4)),
        example="TypeError: 'TrackedDict' object is not callable",
    ),
)
