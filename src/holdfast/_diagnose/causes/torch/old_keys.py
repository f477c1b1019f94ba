"""``Module.load_state_dict`` before PyTorch 0.4: one ``KeyError`` that tells one name, or one set of names."""

from __future__ import annotations

from ...key_names import NOT_SAVED_NOW, WRAPPER
from ...key_sizes import CONFIRM
from ...knowledge import Entry, Guess, Look, ranked
from ...where import in_prose, loading_or_alone

_LOOK = "`holdfast check CKPT module:factory` holds both lists against each other and proposes renames."


def one_key(look: Look) -> list[Guess]:
    """The one name that old versions of PyTorch told."""
    key = look.match["key"]
    if key.endswith(NOT_SAVED_NOW):
        return [
            look.entry.guess(look, "version-mismatch", confidence=0.88),
            look.entry.guess(look, confidence=0.62),
            look.entry.guess(look, "renamed", confidence=0.4),
        ]
    front = key.split(".")[0] + "."
    if front not in ("module.", "_orig_mod.", "model."):
        return [look.entry.guess(look)]
    return [
        look.entry.guess(
            look,
            "renamed",
            confidence=0.92,
            remedy="Strip the prefix, or save `model.module.state_dict()`.",
            why=f"the checkpoint's names begin with `{front}`{WRAPPER.get(front, '')}; the model's do not",
        )
    ]


def old_missing(look: Look) -> list[Guess]:
    """The set of names that old versions of PyTorch told."""
    key = look.match["key"]
    if key.endswith(NOT_SAVED_NOW):
        return [
            look.entry.guess(look, "version-mismatch", confidence=0.88),
            look.entry.guess(look, confidence=0.5),
        ]
    return [look.entry.guess(look), look.entry.guess(look, "renamed", confidence=0.5)]


ENTRIES = (
    Entry(
        "told-named-otherwise",
        "renamed",
        (
            "naming scheme",
            "naming convention",
            "key names",
            "names of the keys",
            "parameter names",
            "names of the parameters",
        ),
        r"(?:naming scheme|naming convention|key names|names of the keys|parameter names|names of the parameters)[^.\n]{0,90}?"
        r"(?:\bdiffer|\bdo(?:es)? not match|\bdon't match|\bdoesn't match|\bchanged|\bmismatch)",
        why="the names of the checkpoint's tensors are other than the model's",
        remedy="`holdfast check CKPT module:factory` pairs both sides and gives the plan of renaming.",
        where=in_prose,
        weigh=ranked(("renamed", 0.76), ("version-mismatch", 0.5), ("missing-tensor", 0.4)),
        test="names",
        example="The naming scheme of the saved weights differs from that of the model",
    ),
    Entry(
        "torch-old-missing-keys",
        "missing-tensor",
        ("missing keys in state_dict: ",),
        r"missing keys in state_dict: [\\\"]*\{?[\\\"']+(?P<key>[\w.]+)",
        why="the model has `{key}`, and the checkpoint has no such tensor",
        remedy=_LOOK,
        confirm=CONFIRM,
        test="names",
        weigh=old_missing,
        example="KeyError: 'missing keys in state_dict: \"{\\'fc.weight\\'}\"'",
    ),
    Entry(
        "torch-old-unexpected-key",
        "unexpected-tensor",
        ("unexpected key ",),
        r"unexpected key [\"'](?P<key>[\w.]+)[\"'] in state_dict",
        why="the checkpoint has `{key}`, and the model has no such tensor",
        remedy=_LOOK,
        confirm=CONFIRM,
        test="names",
        weigh=one_key,
        example="KeyError: 'unexpected key \"module.conv1.weight\" in state_dict'",
    ),
    Entry(
        "copied-by-hand",
        "shape-mismatch",
        ("copy_(", "must match the size of tensor b"),
        r"(?:own_state|self_state|model_dict|state_dict|\bsd)\[\w+\]\.(?:data\.)?copy_\("
        r"|must match the size of tensor b[^\n]{0,80}"
        r"(?:own_state|model_dict)",
        why="tensors are copied one by one into those of the model, and this one has another shape there",
        remedy="`holdfast check CKPT module:factory` lists all that differ in shape; build the model as it was saved.",
        where=loading_or_alone,
        types=("RuntimeError",),
        weigh=ranked(("shape-mismatch", 0.84), ("renamed", 0.4), ("missing-tensor", 0.36)),
        example="RuntimeError: The size of tensor a (10) must match the size of tensor b (21)\n    own_state[name].copy_(param)",
    ),
)
