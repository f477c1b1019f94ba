"""Keras: one weight of two shapes: in the model and in the file, by kind of weight."""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look
from ...where import alone

_CHECK = "`holdfast check FILE module:factory` lists the layers on both sides."


def _sizes(shape: str) -> list[int]:
    return [int(size) for size in re.findall(r"\d+", shape)]


def _same_rank(look: Look) -> list[Guess]:
    """Two shapes of one rank; kernels with their axes in the order of another backend."""
    one, two = _sizes(look.match["a"]), _sizes(look.match["b"])
    if len(one) == len(two) == 4 and (one[:2] == two[2:] or one[2:] == two[:2]):
        why = "the kernel's axes stand in the order of another backend (Theano's `th`, TensorFlow's `tf`): {b} and {a}"
        turned = why.format_map(look.facts())
        exact = sorted(one) == sorted(two)
        return [
            look.entry.guess(look, confidence=0.9 if not exact else 0.6),
            look.entry.guess(look, "version-mismatch", confidence=0.92 if exact else 0.6, why=turned),
            look.entry.guess(look, "format-mismatch", confidence=0.7, why=turned),
        ]
    return [look.entry.guess(look), look.entry.guess(look, "missing-tensor", confidence=0.35)]


def weight_shapes(look: Look) -> list[Guess]:
    """Two shapes of one weight: of the same rank, or of different ones."""
    a, b = look.match["a"].count(","), look.match["b"].count(",")
    if "optimizer weight shape" in look.reading.lower:
        why = (
            "the optimizer's slots are in another order (or of another model) than they were saved in: {b} is "
            "set where it has {a}"
        )
        return [
            look.entry.guess(
                look,
                "optimizer-structure",
                confidence=0.95,
                why=why.format_map(look.facts()),
                remedy="`load_model(path, compile=False)`, compile anew; or delete `optimizer_weights` from the file.",
            ),
            look.entry.guess(look, "version-mismatch", confidence=0.6),
            look.entry.guess(look, confidence=0.5),
        ]
    if a == b:
        return _same_rank(look)
    one, two = _sizes(look.match["a"]), _sizes(look.match["b"])
    if [2, *two] == one or [2, *one] == two:
        why = "a GRU's bias has two rows with `reset_after=True` (the default since TensorFlow 2) and one without: {b} and {a}"
        return [
            look.entry.guess(look, "version-mismatch", confidence=0.93, why=why.format_map(look.facts())),
            look.entry.guess(look, confidence=0.6),
        ]
    why = (
        "shapes {b} and {a} are of different kinds of weights: the list is in another order than the model's layers "
        "want"
    )
    return [
        look.entry.guess(look, "version-mismatch", confidence=0.68, why=why.format_map(look.facts())),
        look.entry.guess(
            look,
            "renamed",
            confidence=0.6,
            why="layers or weights are in another order than they were saved in",
        ),
        look.entry.guess(look, confidence=0.58),
    ]


_AUTOMATIC = re.compile(
    r"layer (?:\#\d+ \(named )?['\"]?(?:conv(?:olution)?2d)(?:_\d+)?(?!\w)",
    re.IGNORECASE,
)
_TWO_SHAPES = re.compile(
    r"(?:has shape|mismatch in shape \(|expects shape) ?(?P<a>\([\d, ]+\))(?:,? but the saved weight has shape"
    r"| vs|\. Received saved weight with shape) (?P<b>\([\d, ]+\))"
)


def _channels(sizes: list[int]) -> list[int]:
    """Input and output channels of a square kernel: height, width, in, out; or out, in, height, width."""
    if len(sizes) != 4:
        return []
    if sizes[0] == sizes[1]:
        return sizes[2:]
    return [sizes[1], sizes[0]] if sizes[2] == sizes[3] else []


def by_name(look: Look) -> list[Guess]:
    """A layer of the file with another shape. Two kernels that share neither input nor output channels, of layers that Keras
    named itself, are two different layers: the numbering began anew, or another Keras counts from elsewhere."""
    plain = look.entry.guess(look)
    both = _TWO_SHAPES.search(look.reading.flat)
    if both is None or _AUTOMATIC.search(look.reading.flat) is None:
        return [plain]
    one, two = _channels(_sizes(both["a"])), _channels(_sizes(both["b"]))
    if len(one) != 2 or len(two) != 2 or one[0] == two[0] or one[1] == two[1]:
        return [plain]
    why = (
        "the two kernels have neither input nor output channels in common, and Keras named the layers itself: the names are "
        "shifted against each other (layers were numbered on, or by another Keras)"
    )
    remedy = "Name the layers, or clear the session before building; load in order (`by_name=False`)."
    return [
        look.entry.guess(look, "renamed", confidence=0.93, why=why, remedy=remedy),
        look.entry.guess(look, confidence=0.9),
        look.entry.guess(look, "version-mismatch", confidence=0.5),
    ]


ENTRIES = (
    Entry(
        "keras-shape",
        "shape-mismatch",
        (
            "shape mismatch",
            "the target variable and the shape of the target value",
            "cannot assign",
            "in both shapes must be equal",
        ),
        r"shape of the target variable and the shape of the target value .{0,60}do not match"
        r"|Shape mismatch in layer.{0,200}|Cannot assign (?:value )?.{0,80}(?:to variable|shape)"
        r"|Dimension \d+ in both shapes must be equal",
        why="a weight has another shape in the file than in the model",
        remedy="Build the layer as it was saved. " + _CHECK,
        also=("missing-tensor", "preprocessing"),
        weight=0.88,
        test="names",
        context=(
            "load_weights",
            "checkpoint",
            "load_own_variables",
            "restore",
            "load_model",
            "set_weights",
            "'assign",
        ),
        only_in=True,
        example=(
            "  in load_weights\nValueError: Cannot assign value to variable 'head/kernel:0': Shape mismatch."
            "The variable shape (3, 3), and the assigned value shape (3, 2) are incompatible."
        ),
    ),
    Entry(
        "keras-assigned-shape",
        "shape-mismatch",
        (
            "cannot assign value to variable '",
            "shape of the target variable and the shape of the target value",
        ),
        r"Cannot assign value to variable '[^']*': ?Shape mismatch"
        r"|shape of the target variable and the shape of the target value .{0,60}must match",
        why="a value is set to a variable of another shape; in a load the file's layer has another size than the model's",
        remedy="Build the layer as it was saved. " + _CHECK,
        where=alone,
        also=("missing-tensor", "version-mismatch"),
        weight=0.64,
        test="names",
        example="ValueError: Cannot assign value to variable ' out/kernel:0': Shape mismatch. The variable shape (8, 3)",
    ),
    Entry(
        "keras-weight-shape",
        "shape-mismatch",
        ("not compatible with provided weight shape", "not compatible with weight shape"),
        r"(?:weight|layer) shape (?P<a>\([\d, ]*\)) (?:is )?not compatible with (?:provided )?weight shape (?P<b>\([\d, ]*\))",
        why="a weight has shape {b} in what is set and {a} in the layer",
        remedy="Build the layer as it was saved. " + _CHECK,
        weigh=weight_shapes,
        weight=0.88,
        test="names",
        also=("preprocessing",),
        example="ValueError: Layer weight shape (3, 3, 3, 64) not compatible with provided weight shape (3, 3, 1, 64)",
    ),
    Entry(
        "keras-layer-shape",
        "shape-mismatch",
        (
            "shape mismatch in",
            "weight <tf.variable",
            "has shape",
            "the saved weight has shape",
            "received saved weight with shape",
            "due to mismatch in shape",
        ),
        r"shape mismatch in (?:layer|top-level).{0,120}?(?:expects shape (?P<a>\([\d, ]*\))\. received "
        r"saved weight with shape (?P<b>\([\d, ]*\)))?"
        r"|layer \#?\d+ \(named .{1,60}?\), weight <tf\.Variable|the saved weight has shape"
        r"|received saved weight with shape|due to mismatch in shape",
        why="a weight has shape {b} in the file and {a} in the model",
        remedy="Build the layer as it was saved, or load by name with `skip_mismatch=True` on purpose. "
        + _CHECK,
        also=("missing-tensor", "version-mismatch"),
        weight=0.9,
        weigh=by_name,
        test="names",
        example=(
            "ValueError: Shape mismatch in layer #1 (named c) for weight c/kernel:0. Weight expects shape "
            "(3, 3, 8, 8). Received saved weight with shape (8, 3, 3, 3)"
        ),
    ),
)
