"""TensorFlow: shapes and number types of one variable on both sides."""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look


def assigned(look: Look) -> list[Guess]:
    """Two shapes; tables of thousands of rows are vocabularies."""
    facts = look.facts()
    a = [int(n) for n in re.findall(r"\d+", facts.get("model") or "")]
    b = [int(n) for n in re.findall(r"\d+", facts.get("checkpoint") or "")]
    shape = look.entry.guess(look)
    table = re.search(
        r"embedding|vocab|wemb\b|word|lookup|token", look.reading.lower
    ) is not None and not re.search(r"position|token_type|segment", look.reading.lower)
    if table and len(a) == len(b) == 2 and a[1] == b[1] and a[0] != b[0] and max(a[0], b[0]) > 500:
        why = f"a table has {b[0]} rows in the checkpoint and {a[0]} in the graph: the vocabulary was built from other data"
        remedy = "Save the vocabulary with the checkpoint, and load it."
        return [
            look.entry.guess(look, "preprocessing", confidence=0.9, why=why, remedy=remedy),
            look.entry.guess(look, confidence=0.88),
        ]
    if len(a) == len(b) == 2 and a[1] == b[1] and min(a[0], b[0]) > 5000 and a[0] != b[0]:
        why = (
            f"a table has {b[0]} rows in the checkpoint and {a[0]} in the graph: the vocabulary was built from other "
            f"data"
        )
        first = look.entry.guess(
            look,
            "preprocessing",
            confidence=0.9,
            why=why,
            remedy="Save the vocabulary with the checkpoint, and load it.",
        )
        return [first, look.entry.guess(look, confidence=0.84)]
    if len(a) == len(b) == 1 and abs(a[0] - b[0]) == 1:
        why = f"{b[0]} and {a[0]} classes: one side counts a background class"
        return [
            look.entry.guess(look, why=why),
            look.entry.guess(look, "preprocessing", confidence=0.5, why=why),
        ]
    if table_of_signs(a, b):
        why = (
            f"a table has {b[0]} rows in the checkpoint and {a[0]} in the graph: signs, words or classes were counted "
            f"from other data"
        )
        return [
            shape,
            look.entry.guess(look, "preprocessing", confidence=0.7, why=why),
            look.entry.guess(look, "version-mismatch", confidence=0.5),
        ]
    return [shape]


def table_of_signs(a: list[int], b: list[int]) -> bool:
    """Two tables as wide as each other, of which one has some rows more."""
    if not (len(a) == len(b) == 2 and a[1] == b[1] and a[0] != b[0]):
        return False
    low, high = sorted((a[0], b[0]))
    return low > 20 and high < 2.5 * low


def bundle_sizes(look: Look) -> list[Guess]:
    """Bytes of one variable on both sides."""
    facts = look.facts()
    stored, wanted = int(facts["stored"]), int(facts["wanted"])
    if stored and wanted and max(stored, wanted) / min(stored, wanted) in (2, 4):
        why = f"{stored} bytes against {wanted}: `{facts['tensor']}` is of another number type (half against single precision)"
        return [
            look.entry.guess(look, "dtype-mismatch", confidence=0.84, why=why),
            look.entry.guess(look, "shape-mismatch", confidence=0.6),
            look.entry.guess(look, confidence=0.58),
        ]
    return [
        look.entry.guess(look, confidence=0.7),
        look.entry.guess(look, "shape-mismatch", confidence=0.64),
        look.entry.guess(look, "dtype-mismatch", confidence=0.5),
    ]


def original_dtype(look: Look) -> list[Guess]:
    """Of a half-precision variable its own dtype was asked for, not that of an input."""
    facts = look.facts()
    kind, short = {"half": ("float16", "f16"), "bfloat16": ("bfloat16", "bf16")}.get(facts["want"], ("", ""))
    if not kind:
        return [look.entry.guess(look)]
    why = (
        f"`{facts['tensor']}` is {facts['got']} in the checkpoint, and the model's variable is {kind}: TensorFlow casts nothing "
        "when it restores"
    )
    remedy = (
        f'Make the model with dtype "mixed_{kind}": it computes in {kind}, keeps its variables in float32, and restores '
        f'exactly. Where the weights must be small: `holdfast.restore(path, model=m, allow=["cast:*:f32->{short}"])`.'
    )
    return [look.entry.guess(look, why=why, remedy=remedy)]


ENTRIES = (
    Entry(
        "tf-bundle-size",
        "corrupt",
        ("invalid size in bundle entry",),
        r"Invalid size in bundle entry: key (?P<tensor>[^\s;]+); stored size (?P<stored>\d+); expected size (?P<wanted>\d+)",
        why="the checkpoint's index gives `{tensor}` {stored} bytes, and its shape and number type want {wanted}",
        remedy="`holdfast inspect PREFIX` shows shape, type and bytes of each tensor; take another checkpoint, or "
        "write it again.",
        weigh=bundle_sizes,
        example="DataLossError: Invalid size in bundle entry: key a/beta; stored size 4096; expected size 2000",
        test="whole",
    ),
    Entry(
        "tf-assign-shapes",
        "shape-mismatch",
        (
            "assign requires shapes",
            "shapes of both tensors",
            "is not compatible with supplied shape",
            "does not match the shape stored in checkpoint",
            ") when attempting to restore variable with shape (",
        ),
        r"Assign requires shapes of both tensors to match\.? ?lhs shape= ?\[(?P<model>[\d,]*)\] rhs shape="
        r" ?\[(?P<checkpoint>[\d,]*)\]"
        r"|Received incompatible tensor (?:with shape )?\((?P<checkpoint2>[\d, ]*)\) when attempting to restore variable"
        r" with shape \((?P<model2>[\d, ]*)\)"
        r"|tensor'?s shape \(?(?P<c>[\d, ]*)\)? is not compatible with supplied shape"
        r"|shape \[?(?P<d>[\d, ]*)\]? .{0,40}does not match the shape stored in checkpoint",
        why=(
            "the variable has shape [{model}] in the graph, and [{checkpoint}] in the checkpoint: another number of "
            "classes or units"
        ),
        remedy="Build the layer as it was saved, or leave its variables out of the restore (a Saver over the others).",
        also=("missing-tensor", "preprocessing"),
        weigh=assigned,
        weight=0.93,
        test="names",
        example="InvalidArgumentError: Assign requires shapes of both tensors to match. lhs shape= [6] rhs shape= [1001]",
    ),
    Entry(
        "tf-restore-type",
        "dtype-mismatch",
        ("expected to restore a tensor of type", "has type"),
        r"Expected to restore a tensor of type (?P<want>\w+), got a tensor of type (?P<got>\w+) instead(?::"
        r" tensor_name = (?P<tensor>[\w./]+))?|tensor .{1,80} has type (?P<t>\w+) .{0,40}expected",
        why="`{tensor}` is {got} in the checkpoint and {want} in the graph",
        remedy="Declare the variable with the checkpoint's type, or leave it out and set it by hand.",
        weight=0.95,
        test="names",
        example=(
            "InvalidArgumentError: Expected to restore a tensor of type int32, got a tensor of type int64 instead: "
            "tensor_name = global_step"
        ),
    ),
    Entry(
        "tf-original-dtype",
        "dtype-mismatch",
        ("does not equal original dtype",),
        (
            r"tensor_name = (?P<tensor>[\w/.]+); expected dtype (?P<want>\w+) does not equal original dtype"
            r" (?P<got>\w+)"
        ),
        why="`{tensor}` is {got} in the checkpoint and {want} in the graph: the layer follows the type of its input",
        remedy="Feed the type that training fed (float32 for `double`), or cast the input.",
        also=("preprocessing",),
        weigh=original_dtype,
        weight=0.95,
        test="names",
        example="InvalidArgumentError: tensor_name = conv/bias; expected dtype double does not equal original dtype float",
    ),
)
