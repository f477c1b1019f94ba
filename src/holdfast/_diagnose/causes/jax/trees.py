"""Flax and Orbax: trees, arrays and folders."""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look, ranked
from ...where import loading_or_alone


def jax_layout(look: Look) -> list[Guess]:
    """Orbax' folders, TensorStore's drivers and flax' msgpack files."""
    format_ = look.entry.guess(look)
    if look.match["driver"] or "driver: error opening" in look.reading.lower:
        why = (
            "an array that the checkpoint names is not in its database: parts of it were lost, or two layouts are "
            "mixed"
        )
        damaged = look.entry.guess(
            look,
            "corrupt",
            confidence=0.78,
            why=why,
            remedy="Copy the folder again with all that is in it, or take an older checkpoint.",
        )
        return [damaged, look.entry.guess(look, "incomplete-save", confidence=0.7, why=why), format_]
    if "msgpack" in look.match[0].lower() or "incomplete input" in look.match[0]:
        early = look.entry.guess(look, "corrupt", confidence=0.78, why="the msgpack file ends too early")
        return [
            early,
            look.entry.guess(look, confidence=0.5),
            look.entry.guess(look, "incomplete-save", confidence=0.45),
        ]
    why = "a part of the checkpoint is not there (copied without hidden files, or broken off)"
    return [
        format_,
        look.entry.guess(look, "incomplete-save", confidence=0.6, why=why),
        look.entry.guess(look, "version-mismatch", confidence=0.45),
    ]


def _same_count(a: str, b: str) -> bool:
    def count(text: str) -> int:
        total = 1
        for word in text.strip("()").split(","):
            if word.strip():
                total *= int(word)
        return total

    return count(a) == count(b)


def layout_or_size(look: Look) -> list[Guess]:
    """The same numbers in another layout, or another size."""
    facts = look.facts()
    got, want = facts.get("got", ""), facts.get("want", "")
    if got and _same_count(got, want):
        why = f"the values have the same number of elements in another layout ({got}, {want}): the layer of another flax version"
        return [
            look.entry.guess(look, "version-mismatch", confidence=0.95, why=why),
            look.entry.guess(look, confidence=0.6),
        ]
    return [
        look.entry.guess(look, confidence=0.88),
        look.entry.guess(look, "version-mismatch", confidence=0.45),
    ]


def initialiser_shape(look: Look) -> list[Guess]:
    """One axis more at the front: parameters that were kept once for each device (`replicate`, pmap)."""
    facts = look.facts()
    want, got = (re.findall(r"\d+", facts[side]) for side in ("want", "got"))
    replicated = want[1:] == got or got[1:] == want
    rows = (
        ("shape-mismatch", 0.84 if replicated else 0.93),
        ("version-mismatch", 0.42),
        ("preprocessing", 0.4),
    )
    guesses = [look.entry.guess(look, label, confidence=sure) for label, sure in rows]
    if replicated:
        why = "one axis more at the front: the parameters were kept once for each device (`flax.jax_utils.replicate`)"
        remedy = (
            "Take the first copy (`jax.tree.map(lambda x: x[0], params)`), or `unreplicate` before the save."
        )
        guesses.append(look.entry.guess(look, "topology", confidence=0.8, why=why, remedy=remedy))
    return guesses


ENTRIES = (
    Entry(
        "flax-shapes",
        "shape-mismatch",
        (
            "scopeparamshapeerror",
            "inconsistent shapes between value and initializer",
            "differs from requested shape",
            "does not match saved shape",
        ),
        r"Existing shape (?P<got2>\([\d, ]*\)) differs from requested shape (?P<want2>\([\d, ]*\))"
        r"|shape (?P<want3>\([\d, ]*\)) does not match saved shape (?P<got3>\([\d, ]*\))"
        r"|Inconsistent shapes between value and initializer for parameter \"(?P<tensor>\w+)\" in"
        r" \"(?P<scope>[\w/.]+)\": (?P<got>\([\d, ]*\)), (?P<want>\([\d, ]*\))",
        why="`{tensor}` in `{scope}` has shape {got} in the checkpoint and {want} in the module",
        remedy="Use the version of flax and of the model's code that saved it, or reshape.",
        weigh=layout_or_size,
        test="names",
        example=(
            "flax.errors.ScopeParamShapeError: Inconsistent shapes between value and initializer for parameter "
            '"kernel" in "/Dense_0": (3, 4), (5, 4).'
        ),
    ),
    Entry(
        "flax-pretrained-shapes",
        "shape-mismatch",
        ("which is incompatible with the model shape",),
        r"pretrained weight for (?P<tensor>.{1,160}?) failed: checkpoint has shape (?P<got>\([\d, ]*\)) which is"
        r" incompatible with the model shape (?P<want>\([\d, ]*\))",
        why="{tensor} has shape {got} in the checkpoint and {want} in the model",
        remedy="Use the versions of flax and of the model's code that saved it; `ignore_mismatched_sizes` leaves it untrained.",
        weigh=layout_or_size,
        test="names",
        example=(
            "Trying to load the pretrained weight for ('head', 'bias') failed: checkpoint has shape (1, 1, 8) which "
            "is incompatible with the model shape (8,)."
        ),
    ),
    Entry(
        "orbax-format",
        "format-mismatch",
        (
            ".zarray",
            "_checkpoint_metadata",
            "_metadata",
            "ocdbt",
            "msgpack",
            "unpack failed: incomplete input",
            'error opening "',
            ".zgroup",
        ),
        r"(?P<driver>Error opening \"\w+\" driver)|(?:File not found|No such file|NOT_FOUND"
        r"|not exist)[^\n]{0,200}(?:\.zarray"
        r"|_METADATA|_CHECKPOINT_METADATA|manifest\.ocdbt|\.zgroup)|msgpack.{0,80}(?:Unpack|Extra|invalid)"
        r"|Unpack failed: incomplete input",
        why=(
            "the folder or file is not laid out as this reader expects: flax' msgpack and Orbax' folders are "
            "different formats, and Orbax changed its layout"
        ),
        remedy=(
            "Read with the tool that wrote it (flax.training.checkpoints, or Orbax of that version); `holdfast PATH` "
            "says which it is."
        ),
        weigh=jax_layout,
        weight=0.76,
        test="whole",
        example=(
            "FileNotFoundError: File not found: ss_model/checkpoint_1/.zarray. In many cases, this results from "
            "copying a checkpoint without using the `-a` flag."
        ),
    ),
    Entry(
        "orbax-structure",
        "missing-tensor",
        ("tree structures do not match", "mismatch", "not match", "in state dict"),
        r"user-provided restore item and on-disk (?:value )?metadata tree structures do not match"
        r"|(?:dict key|custom node type|tree structure)s? mismatch"
        r"|the target dict keys and state dict keys do not match|missing field (?P<key>\w+) in state dict"
        r"|do(?:es)? not match the (?:target|on-disk)",
        why="the tree that is restored into has other branches than the checkpoint's",
        remedy=(
            "Restore without a target and compare (`jax.tree.map(numpy.shape, tree)` of each), then build the "
            "target as it was saved; an optimizer chain that changed changes the tree too."
        ),
        also=("optimizer-structure", "unexpected-tensor", "renamed"),
        weight=0.8,
        test="names",
        context=("restore", "orbax", "flax", "jax", "checkpoint", "from_state_dict"),
        only_in=True,
        example="ValueError: User-provided restore item and on-disk value metadata tree structures do not match: orbax",
    ),
    Entry(
        "orbax-shape",
        "shape-mismatch",
        ("in checkpoint", "requested shape", "does not match expected"),
        r"Shape of `?(?P<tensor>[\w/.]+)`? in checkpoint (?P<got>\([\d, ]*\)) does not match expected"
        r" (?P<want>\([\d, ]*\))"
        r"|Requested shape:? ?(?P<a>\([\d, ]*\)) is not compatible with the stored shape:? ?(?P<b>\([\d, ]*\))",
        why="`{tensor}` has shape {got} in the checkpoint and {want} in the program",
        remedy=(
            "Is it the checkpoint that you mean? A folder that still holds another run's checkpoints is restored in "
            "preference to the initial one. Else build the model as it was saved."
        ),
        weigh=ranked(
            ("shape-mismatch", 0.76),
            (
                "not-found",
                0.74,
                "another checkpoint than the one meant was restored: the run's folder holds checkpoints of another model",
            ),
            ("retention", 0.35),
        ),
        weight=0.76,
        test="names",
        example="ValueError: Shape of `state/v` in checkpoint (2048,) does not match expected (768,).",
    ),
    Entry(
        "orbax-tree-diff",
        "missing-tensor",
        ("format_tree_diff", "tree_difference"),
        r"format_tree_diff|print_tree_difference",
        why=(
            "Orbax fails while it tells how the two trees differ: what is restored into has other branches than the "
            "checkpoint"
        ),
        remedy="Restore without a target and compare (`jax.tree.map(numpy.shape, tree)` of each).",
        also=("unexpected-tensor", "renamed"),
        weight=0.72,
        test="names",
        example=(
            '  File "orbax/structure_utils.py", line 691, in format_tree_diff\nValueError: The truth value of an '
            "array with more than one element is ambiguous."
        ),
    ),
    Entry(
        "orbax-unfinished",
        "incomplete-save",
        ("commit_success", "orbax-checkpoint-tmp", "finali", "ncomplete checkpoint"),
        (
            r"commit_success(?:\.txt)?.{0,80}|not (?:been )?finali[sz]ed|orbax-checkpoint-tmp\S*"
            r"|incomplete checkpoint"
        ),
        why="the checkpoint was never finished: the writer stopped before its last step",
        remedy="Take the newest finished one; delete what is marked temporary once no writer runs.",
        weight=0.78,
        also=("async-save", "concurrency"),
        test="whole",
        example="ValueError: Found incomplete checkpoint at /runs/10.orbax-checkpoint-tmp-1",
    ),
    Entry(
        "flax-parameter-missing",
        "missing-tensor",
        (
            "could not find parameter named",
            "no parameter named",
            "no variable named",
            'tried to access "',
            "} which are not present in state dict",
        ),
        (
            r"Could not find parameter named \"(?P<tensor>\w+)\" in scope \"(?P<scope>[\w/.]+)\""
            r"|No (?:parameter|variable) named \"(?P<tensor2>\w+)\" (?:for collection \"\w+\" )?exists in \"(?P<scope2>[\w/.]*)\""
            r"|Tried to access \"(?P<collection>\w+)\" from collection"
            r"|target dict contains keys (?P<keys>\{[^}]*\}) which are not present in state dict"
        ),
        why="the restored tree has no `{tensor}` in `{scope}`",
        remedy="Compare both trees (`jax.tree.map(numpy.shape, tree)` of each); a module "
        "that was renamed or numbered anew has other keys.",
        weight=0.86,
        also=("renamed", "unexpected-tensor", "optimizer-structure"),
        test="names",
        example='flax.errors.ScopeParamNotFoundError: Could not find parameter named "kernel" in scope "/Dense_1".',
    ),
    Entry(
        "flax-module-looked-up",
        "missing-tensor",
        ("keyerror: '",),
        r"KeyError: '(?P<key>[A-Z]\w*?(?:Conv|ConvTranspose|Dense|DenseGeneral|Norm|Embed|Block|Attention|MLP|Layer|Cell)_\d+"
        r"|(?:Conv|Dense|Embed|MLP)_\d+)'",
        why="one side has a module `{key}` (Flax numbers them in the order in which they are made) that the other has not",
        remedy="Compare both trees (`jax.tree.map(numpy.shape, tree)` of each); build the module "
        "with the settings that were saved.",
        where=loading_or_alone,
        weigh=ranked(("missing-tensor", 0.72), ("renamed", 0.64), ("version-mismatch", 0.56)),
        test="names",
        example="    state = checkpoints.restore_checkpoint(folder, state)\nKeyError: 'Dense_7'",
    ),
    Entry(
        "flax-initialiser-shape",
        "shape-mismatch",
        ("initializer expected to generate shape", "initializer is expected to generate shape"),
        (
            r"For parameter \"(?P<tensor2>\w+)\" in \"(?P<scope2>[\w/.]+)\", the given initializer is expected to generate"
            r" shape (?P<want2>\([\d, ]*\)), but the existing parameter it received has shape (?P<got2>\([\d, ]*\))"
            r"|Initializer expected to generate shape (?P<want>\([\d, ]*\)) but got shape (?P<got>\([\d, ]*\))"
            r" instead for parameter \"(?P<tensor>\w+)\" in \"(?P<scope>[\w/.]+)\""
        ),
        why="`{tensor}` in `{scope}` has shape {got} in the checkpoint and {want} in the module",
        remedy="Build the module with the recorded size.",
        weigh=initialiser_shape,
        test="names",
        example=(
            "flax.errors.ScopeParamShapeError: Initializer expected to generate shape (8, 4096) but got shape (32, "
            '4096) instead for parameter "embedding" in "/transformer/dte".'
        ),
    ),
)
