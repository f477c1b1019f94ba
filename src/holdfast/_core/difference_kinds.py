"""The kinds of differences between two catalogs, one code each, with the page that ``holdfast rule CODE`` prints.

``A`` is what is there (a checkpoint), ``B`` what is expected (another checkpoint, or a live model); edits turn A into what B
expects.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

__all__ = ["DIFFERENCES", "DifferenceKind", "documentation", "kind_named"]


class DifferenceKind(NamedTuple):
    """One kind: code, slug, cause label, title, and the explanation that ``holdfast rule CODE`` prints."""

    code: str
    slug: str
    cause: str
    title: str
    doc: str
    edits: tuple[str, ...] = ()


def _kinds() -> dict[str, DifferenceKind]:
    rows = (
        DifferenceKind(
            "T201",
            "missing-in-first",
            "missing-tensor",
            "missing",
            "B has a tensor that A lacks, and nothing in A can be it: neither its name, nor a known other "
            "spelling of it, nor its shape and content.\n\nLenient loaders leave such a tensor at its "
            "initial value without a word. The edit says that this is meant: `keep-live:` keeps the value "
            "that is there (`init:` likewise: no initialiser is run).",
            ("keep-live", "init"),
        ),
        DifferenceKind(
            "T202",
            "left-over-in-first",
            "unexpected-tensor",
            "left over",
            "A has a tensor that B lacks, and nothing in B can be it. Loading drops it or refuses. `drop:` "
            "says that this is meant.",
            ("drop",),
        ),
        DifferenceKind(
            "T203",
            "other-shape",
            "shape-mismatch",
            "other shape",
            "The same tensor has another shape, and no permutation of its axes explains it. `slice:`, "
            "`pad:` and `resize:` settle it, each at a loss or with invented values, so they are drafts to "
            "look at.",
            ("slice", "pad", "resize"),
        ),
        DifferenceKind(
            "T204",
            "other-dtype",
            "dtype-mismatch",
            "other dtype",
            "The same tensor has another dtype. With values compared, the evidence says whether B is "
            "exactly A cast (`equal-after-cast`) or differs beyond that.",
            ("cast",),
        ),
        DifferenceKind(
            "T205",
            "renamed",
            "renamed",
            "renamed",
            "The same tensor bears another name. The evidence says what shows it: the names themselves "
            "(another spelling of the same path, or one rule that carries a whole module over), the "
            "module's tensors and shapes, the order, or the content. `certain` is false where only shapes "
            "or order speak for it.",
            ("rename",),
        ),
        DifferenceKind(
            "T206",
            "other-axis-order",
            "shape-mismatch",
            "transposed",
            "The same kernel with its axes in another order: Keras (in, out) against PyTorch (out, in), "
            "HWIO against OIHW. Shapes tell it where they can, else the frameworks' conventions, and "
            "content where it was read: a square kernel that is transposed loads everywhere without a word.",
            ("transpose",),
        ),
        DifferenceKind(
            "T207",
            "tied-in-second",
            "renamed",
            "tied in B, apart in A",
            "B keeps one tensor under several names (tied weights); in A they are apart, or only one of "
            "them is there. `tie:` makes them one again; where the values in A differ, one of them is lost.",
            ("tie",),
        ),
        DifferenceKind(
            "T208",
            "tied-in-first",
            "missing-tensor",
            "tied in A, apart in B",
            "A keeps one tensor under several names; in B they are apart and can drift from one another. "
            "`untie:` gives each its own copy.",
            ("untie",),
        ),
        DifferenceKind(
            "T209",
            "swapped",
            "renamed",
            "contents crossed",
            "Names and shapes agree, but the contents have changed places: what A calls by one name, B "
            "holds under another, bit for bit. Layers of one shape were built or listed in another order; "
            "every loader takes that silently.",
            ("rename",),
        ),
        DifferenceKind(
            "T210",
            "ambiguous-match",
            "renamed",
            "ambiguous",
            "Tensors of A and of B fit one another in several ways, and neither names, order nor content "
            "decide. All candidates are listed; nothing is guessed, and the plan leaves them alone. A "
            "rename edit settles it.",
        ),
        DifferenceKind(
            "T211",
            "other-values",
            "other",
            "other values",
            "The same tensor holds other values. The evidence has the distance: largest absolute "
            "difference, root mean square, cosine, norm of the difference over the norm of A. No edit "
            "settles that: a later step of one run differs so from an earlier one.",
        ),
        DifferenceKind(
            "T212",
            "other-role",
            "other",
            "other role",
            "The same tensor plays another role: a weight here, a buffer (not trained, no optimizer state) "
            "there.",
        ),
        DifferenceKind(
            "T213",
            "other-trainable",
            "optimizer-structure",
            "trainable here, frozen there",
            "The same weight is trainable on one side and frozen on the other; the optimizer's variables "
            "follow from that.",
        ),
        DifferenceKind(
            "T214",
            "fused",
            "renamed",
            "several in A, one in B",
            "B holds in one tensor what A holds in several (query, key and value projections, gates): the "
            "parts joined along one axis are B's tensor, by names and shapes and, where read, by content.",
            ("merge",),
        ),
        DifferenceKind(
            "T215",
            "split-up",
            "renamed",
            "one in A, several in B",
            "A holds in one tensor what B holds in several.",
            ("split",),
        ),
        DifferenceKind(
            "T216",
            "wrapped",
            "renamed",
            "wrapper prefix",
            "The same names but for the segments that a wrapper adds (`module.` of DistributedDataParallel, "
            "`_orig_mod.` of torch.compile, a `state_dict` container): saved from the wrapped model, wanted "
            "by the bare one, or the other way round. Such a checkpoint is whole; with strict=False nothing "
            "of it is loaded, silently.",
            ("rename",),
        ),
        DifferenceKind(
            "T217",
            "not-comparable",
            "corrupt",
            "could not be compared",
            "The values of this tensor could not be read on one side; the error is in the evidence. "
            "`holdfast doctor` on that checkpoint tells more.",
        ),
        DifferenceKind(
            "T218",
            "other-function",
            "other",
            "same tensors, another function",
            "A layer is configured otherwise, or is of another class, so that the same tensors compute something "
            "else: another activation, stride, padding, number of heads, epsilon. No name, shape or value of a "
            "tensor tells, and every loader takes it silently. The evidence has each setting on both sides and "
            "its `effect`: `inference` (other outputs: an error), `training` (dropout rate, momentum of a "
            "normalisation: the same outputs, another training: a warning), `unknown` (a setting of somebody's "
            "own class: a warning). No edit settles it; build the layer as it was. Known where the file keeps the "
            "configuration (`.keras`, whole-model `.h5`, pickled modules), and from a seal or record written "
            "with the model at hand.",
        ),
        DifferenceKind(
            "T219",
            "other-code",
            "other",
            "same layer, other code",
            "The source of a class that the user wrote is another one. Comments, formatting, docstrings and "
            "annotations do not count, functions that it calls by name do. It may well compute the same (a "
            "refactoring): that is a warning to look at, no verdict. Known only from a seal or record written "
            "with the model at hand.",
        ),
        DifferenceKind(
            "T225",
            "other-vocabulary",
            "preprocessing",
            "another vocabulary",
            "A layer looks terms up (`TextVectorization`, `StringLookup`, `IntegerLookup`) in another vocabulary: other "
            "terms, or the same ones in another order, as after adapting it again on other data. Each term stands for a row "
            "of the embedding behind it, so that the rows then belong to other terms: nothing raises, and the outputs are "
            "wrong. No tensor tells, whatever the sizes are. The evidence has the number of terms on both sides, the first "
            "that differ, and terms that only one side has. Give the layer the checkpoint's: "
            "`layer.set_vocabulary(checkpoint.vocabulary(path))` with `checkpoint = holdfast.open(...)`, before the model is "
            "first called (one that has predicted already must be compiled again); `function:` says that the other one is "
            "meant. Known where the file keeps the vocabulary (`.keras`, in its assets or its "
            "configuration; whole-model `.h5`, where the constructor was given it), and from a seal or record written with "
            "the model at hand, which keeps a digest. Before the layer is adapted it has none, which is told by its size "
            "(T218).",
        ),
        DifferenceKind(
            "O201",
            "optimizer-missing-in-first",
            "optimizer-structure",
            "no optimizer state in A",
            "B has optimizer state, A has none. Training goes on from A with fresh momenta and a fresh step "
            "count.",
            ("reset-slots",),
        ),
        DifferenceKind(
            "O202",
            "optimizer-left-over-in-first",
            "optimizer-structure",
            "no optimizer state in B",
            "A has optimizer state, B has none: a training checkpoint beside an export of its weights.",
            ("drop",),
        ),
        DifferenceKind(
            "O203",
            "other-optimizer-class",
            "optimizer-structure",
            "other optimizer class",
            "The optimizers are of different classes; their state does not carry over unless both keep the "
            "same slots.",
            ("reset-slots",),
        ),
        DifferenceKind(
            "O204",
            "other-slots",
            "optimizer-structure",
            "other slots",
            "For weights that both have, one side keeps a slot that the other lacks (amsgrad, momentum "
            "switched on or off).",
            ("drop", "keep-live", "reset-slots"),
        ),
        DifferenceKind(
            "O205",
            "other-slot-owners",
            "optimizer-structure",
            "state on other weights",
            "Optimizer state belongs to weights that have none on the other side: a layer was frozen or "
            "thawed, or never received a gradient.",
            ("reset-slots", "drop"),
        ),
        DifferenceKind(
            "O206",
            "other-groups",
            "optimizer-structure",
            "other parameter groups",
            "The number of parameter groups, or which weights are in which, differs.",
        ),
        DifferenceKind(
            "O207",
            "other-hyperparameter",
            "optimizer-hyperparameters",
            "hyperparameter differs",
            "A hyperparameter has another value. Which of the two counts after loading is a decision, and "
            "frameworks take it silently: TensorFlow and PyTorch put the checkpoint's learning rate over "
            "the one in the code.",
            ("hyper",),
        ),
        DifferenceKind(
            "O208",
            "other-optimizer-step",
            "optimizer-structure",
            "other step",
            "The optimizers have made another number of updates.",
        ),
        DifferenceKind(
            "O209",
            "other-optimizer-order",
            "optimizer-structure",
            "other order",
            "The optimizers list the same weights in another order, and their state is kept by position: "
            "loaded by position, every weight gets the momenta of another one, silently where shapes agree.",
            ("map-slots",),
        ),
    )
    return {row.code: row for row in rows}


DIFFERENCES: Mapping[str, DifferenceKind] = MappingProxyType(_kinds())
"""Every kind of difference, by code."""


def kind_named(text: str) -> DifferenceKind | None:
    """The kind with that code or slug, case aside, or ``None``."""
    return next((k for k in DIFFERENCES.values() if text.lower() in (k.code.lower(), k.slug)), None)


def documentation(text: str) -> str | None:
    """The page of a kind of difference by code or slug, as ``holdfast rule`` prints it; ``None`` for another
    code."""
    kind = kind_named(text)
    if kind is None:
        return None
    page = f"{kind.code} {kind.slug}: {kind.title}\n\n{kind.doc}\n\nCause: {kind.cause}."
    if kind.edits:
        page += " Settled by: " + ", ".join(f"{edit}:" for edit in kind.edits) + "."
    return page
