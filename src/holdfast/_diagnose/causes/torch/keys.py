"""``Module.load_state_dict``: names and shapes that do not agree.

The message lists missing keys, then unexpected keys, then size mismatches (torch/nn/modules/module.py,
``load_state_dict``); pastes are often cut off after the first list.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from ...key_lists import (
    MISSING,
    UNEXPECTED,
    Sized,
    cut_behind,
    cut_off,
    inner_wrapper,
    keys_after,
    moved_word,
    one_more_level,
    one_to_one,
    prefix_between,
    reparametrised,
    sizes_in,
)
from ...key_names import ADAPTER, ADDED_BESIDE, COUNTED, NOT_SAVED_NOW, PACKED, WHOLE, WRAPPER
from ...key_sizes import CONFIRM, sized, sized_otherwise
from ...knowledge import Entry, Guess, Look

_WRAPPED_MODEL = re.compile(
    r"state_dict for (?:Distributed)?DataParallel|state_dict for (?P<compiled>OptimizedModule)"
)
_DIFFERS = "the model was built otherwise than when the checkpoint was saved: it has tensors that the checkpoint lacks"
_OTHER_SHAPE = (
    "a tensor has another shape in the checkpoint than in the model; the text is cut off before the shapes"
)
_SURPLUS = (
    "the checkpoint has tensors that the model lacks: a layer was removed, or only a part of it is wanted"
)
_BUILD = (
    "Build the model as it was saved (`holdfast inspect CKPT` lists it), or allow the difference by name."
)
_LOOK = "`holdfast check CKPT module:factory` holds both lists against each other and proposes renames."
_VERSION = "another version of the code defines the model"


class _Lists(NamedTuple):
    """What the message lists: ``missing`` and ``unexpected`` names, ``sizes``; ``wrapped``: the prefix that the live model's own
    names bear because it is wrapped; ``flat``: the text."""

    missing: Sequence[str]
    unexpected: Sequence[str]
    sizes: Sequence[Sized]
    wrapped: str
    flat: str

    @property
    def all(self) -> tuple[str, ...]:
        return (*self.missing, *self.unexpected)


_Row = tuple[str, float, str, str]
"""label, confidence, why, remedy"""


def keys_weighed(look: Look) -> list[Guess]:
    """The lists of keys, held against each other."""
    flat = look.reading.flat
    model = _WRAPPED_MODEL.search(flat)
    lists = _Lists(
        keys_after(MISSING, flat),
        keys_after(UNEXPECTED, flat),
        sizes_in(flat),
        "" if model is None else "_orig_mod." if model["compiled"] else "module.",
        flat,
    )
    facts: dict[str, object] = {
        "missing": list(lists.missing[:20]),
        "unexpected": list(lists.unexpected[:20]),
        "mismatched": [one.name for one in lists.sizes][:20],
    }
    where = look.match[0].strip()[:300]
    rows = next((rows for ask in _ASKED if (rows := ask(lists))), [])
    found = [
        Guess(label, sure, why, remedy, where, CONFIRM, facts, "names", look.entry.slug)
        for label, sure, why, remedy in rows
    ]
    if lists.sizes:
        first = sized(look, lists.sizes)
        facts.update(first.facts)
        if lists.missing or lists.unexpected:
            first = replace(first, confidence=0.6 if found and found[0].confidence > 0.7 else 0.84)
        others = sized_otherwise(look, first)
        if others[0].confidence > first.confidence:
            first = replace(first, confidence=0.8)
        there = {guess.label for guess in (*found, first)}
        found += [first, *(guess for guess in others if guess.label not in there)]
    elif "size mismatch" in flat and not found:  # cut off before the shapes
        found.append(
            look.entry.guess(look, "shape-mismatch", confidence=0.8, why=_OTHER_SHAPE, remedy=_BUILD)
        )
    return found


# -- what the lists may say, the most telling first -------------------------------------------------------------------
def _prefixed(lists: _Lists) -> list[_Row]:
    prefix = prefix_between(lists.missing, lists.unexpected)
    if prefix is None:
        return []
    side, word = prefix
    why = (
        f"the {side} has the same tensors with `{word}` in front of their names{WRAPPER.get(word, '')}; nothing else differs "
        "in what is shown"
    )
    remedy = (
        f"Strip the prefix: `sd = {{k.removeprefix('{word}'): v for k, v in sd.items()}}`, or save `model.module.state_dict()` "
        "(the unwrapped model); `holdfast check CKPT module:factory` gives the plan."
    )
    return [("renamed", 0.95, why, remedy)]


def _wrapped_inside(lists: _Lists) -> list[_Row]:
    word = inner_wrapper(lists.missing, lists.unexpected) if lists.missing and lists.unexpected else None
    if word is None:
        return []
    why = (
        f"both lists name the same tensors, but for where `{word}` stands in the names: a part of the "
        f"model was wrapped on one side"
    )
    remedy = f"Take `{word}.` out of all names on both sides, or wrap the same part of the model."
    return [("renamed", 0.93, why, remedy)]


def _reparametrised(lists: _Lists) -> list[_Row]:
    name = reparametrised(lists.missing, lists.unexpected) if lists.missing and lists.unexpected else None
    if name is None:
        return []
    why = (
        f"one side norms the weight by `torch.nn.utils.parametrizations` (`{name}`), the other by the older "
        "function of that name"
    )
    remedy = "Norm it as the file does (the newer function reads the older names), or take the norm off before saving."
    return [("renamed", 0.92, why, remedy), ("version-mismatch", 0.7, _VERSION, _BUILD)]


def _stripped_blindly(lists: _Lists) -> list[_Row]:
    count = cut_behind(lists.missing, lists.unexpected)
    if not count:
        return []
    why = (
        f"the first {count} characters of every name in the file were cut off: the program strips a "
        f"prefix that the names do not bear"
    )
    remedy = "Strip by name: `k.removeprefix('module.')` in place of `k[7:]`."
    return [("renamed", 0.95, why, remedy)]


def _profiled(lists: _Lists) -> list[_Row]:
    odd = [k for k in lists.all if k.rpartition(".")[2] in COUNTED]
    if not odd:
        return []
    why = f"`{odd[0]}` was registered as a buffer by a profiler (thop counts operations so), on one side only"
    remedy = "Leave these buffers out: delete keys that end in total_ops or total_params, or profile a copy of the model."
    return [("missing-tensor" if lists.missing else "unexpected-tensor", 0.9, why, remedy)]


def _quantised(lists: _Lists) -> list[_Row]:
    packed = [k for k in lists.all if any(word in k.rpartition(".")[2] for word in PACKED)]
    if not packed:
        return []
    why = f"one side is quantised: `{packed[0]}` is the bookkeeping of packed weights"
    remedy = "Build the model with the same quantisation as the checkpoint, or save it in full precision."
    return [("dtype-mismatch", 0.85, why, remedy)]


def _no_longer_saved(lists: _Lists) -> list[_Row]:
    old = [k for k in lists.all if k.endswith(NOT_SAVED_NOW)]
    beside = [k for k in lists.all if k.endswith(ADDED_BESIDE)] if old else []
    if not old or len(old) + len(beside) < 0.6 * len({*lists.all}):
        return []
    why = f"`{old[0]}` is a buffer that one version of the library saves and another does not; the weights are not concerned"
    remedy = (
        "Install the version that wrote the checkpoint, or load with strict=False after checking that "
        "only such buffers are named."
    )
    return [
        ("version-mismatch", 0.88, why, remedy),
        ("missing-tensor" if lists.missing else "unexpected-tensor", 0.4, _DIFFERS, _BUILD),
    ]


def _whole_checkpoint(lists: _Lists) -> list[_Row]:
    entries = WHOLE.intersection(lists.unexpected)
    alone = (
        lists.missing and entries and len(lists.unexpected) == 1
    )  # the one entry of the file, and no tensor
    if len(entries) < 2 and not alone and not entries & {"model_state_dict", "optimizer_state_dict"}:
        return []
    if {"state", "param_groups"} <= {*lists.unexpected}:
        why = "the state of an optimizer was given where the weights of a model are wanted"
        return [
            (
                "format-mismatch",
                0.93,
                why,
                "Load the file of the model; `holdfast CKPT` says what a file holds.",
            )
        ]
    why = "a whole training checkpoint was given where its weights are wanted"
    return [
        (
            "format-mismatch",
            0.9,
            why,
            "Pass the entry that holds the weights: `sd['model']`, `sd['state_dict']`.",
        )
    ]


def _mapped(lists: _Lists) -> list[_Row]:
    pair = one_to_one(lists.missing, lists.unexpected) if lists.missing and lists.unexpected else None
    if pair is None:
        return []
    why = f"missing and unexpected names go one to one: `{pair[0]}` and `{pair[1]}`; a module was renamed in the code"
    remedy = (
        "Map the names: `sd[new] = sd.pop(old)`, or use the version of the code that saved; "
        "`holdfast check CKPT module:factory` proposes the renames."
    )
    return [
        ("renamed", 0.86, why, remedy),
        ("version-mismatch", 0.4, "the code is of another version than the checkpoint", _BUILD),
    ]


def _one_level_deeper(lists: _Lists) -> list[_Row]:
    name = one_more_level(lists.missing, lists.unexpected) if lists.missing and lists.unexpected else None
    if name is None:
        return []
    why = (
        f"both lists name the same layers, which lie one container deeper on one side (`{name}`): the "
        f"code was rebuilt around them"
    )
    remedy = (
        "Use the version of the code that saved; or map the names where the layers themselves are the same."
    )
    return [
        ("version-mismatch", 0.74, why, remedy),
        ("renamed", 0.7, why, remedy),
        ("missing-tensor", 0.45, _DIFFERS, _BUILD),
    ]


def _surplus_prefix(lists: _Lists) -> list[_Row]:
    if lists.missing or not lists.unexpected:
        return []
    front = next(
        (
            word
            for word in ("module.", "_orig_mod.", "model.module.")
            if word != lists.wrapped and all(name.startswith(word) for name in lists.unexpected)
        ),
        None,
    )
    if front is None:
        return []
    why = f"the checkpoint's names begin with `{front}`{WRAPPER.get(front, '')}; the model's do not"
    remedy = f"Strip the prefix: `sd = {{k.removeprefix('{front}'): v for k, v in sd.items()}}`."
    return [("renamed", 0.9, why, remedy)]


def _only_missing(lists: _Lists) -> list[_Row]:
    if not lists.missing or lists.unexpected:
        return []
    wrapped = any(key.startswith(("module.", "_orig_mod.")) for key in lists.missing)
    dots = lists.flat.rstrip("`' ").endswith("...")
    enough = 1 if dots else 3 if lists.wrapped else 4
    everything = len(lists.missing) >= enough and not lists.sizes and cut_off(lists.flat, lists.missing)
    version = ("version-mismatch", 0.3, _VERSION, _BUILD)
    if wrapped and (not lists.wrapped or everything):
        why = "the live model is wrapped (its names begin with `module.` or `_orig_mod.`), the checkpoint's was not"
        return [("renamed", 0.88, why, "Load before wrapping, or into `model.module`.")]
    if everything:
        nested = (
            "the very first tensors of the model are missing, so probably all are: then the checkpoint "
            "has them under other names "
            "(a wrapper's prefix) or nests them one level deeper"
        )
        whole = "a whole training checkpoint was given where a state dict is wanted"
        return [
            ("renamed", 0.6, nested, "Print `list(sd)[:5]`; strip the prefix, or take `sd['state_dict']` or `sd['model']`."),
            ("missing-tensor", 0.52, _DIFFERS, _BUILD),
            ("version-mismatch", 0.38, _VERSION, _BUILD),
            ("format-mismatch", 0.35, whole, "Take the entry of the weights: `sd['state_dict']`, `sd['model']`."),
        ]  # fmt: skip
    rows = [
        ("missing-tensor", 0.82, _DIFFERS, _BUILD),
        ("renamed", 0.4, "the checkpoint may hold them under other names", _LOOK),
    ]
    if any(word in key for key in lists.missing for word in ADAPTER):
        rows.append(
            ("version-mismatch", 0.35, "adapter names changed between versions of the library", _BUILD)
        )
    return [*rows, version] if "num_batches" not in lists.flat else rows


def _only_unexpected(lists: _Lists) -> list[_Row]:
    if not lists.unexpected or lists.missing:
        return []
    if not any("." in name for name in lists.unexpected) and not any(
        "_weight" in name for name in lists.unexpected
    ):
        why = "the names that are left over are no tensors' names: the file nests its weights in them"
        return [
            (
                "format-mismatch",
                0.78,
                why,
                "Pass the entry that holds the weights (`holdfast inspect CKPT` shows which).",
            ),
            ("unexpected-tensor", 0.6, _SURPLUS, _BUILD),
            ("version-mismatch", 0.4, _VERSION, _BUILD),
        ]
    if all(name.startswith(("ema_", "model_ema.", "ema.")) for name in lists.unexpected):
        why = "what is left over are the averaged weights (EMA), which another hook or class restores"
        return [
            ("unexpected-tensor", 0.72, why, _BUILD),
            ("resume-state", 0.66, why, "Resume with the hook that keeps them (mmcv: its `resume_from`)."),
            ("version-mismatch", 0.4, _VERSION, _BUILD),
        ]
    return [
        ("unexpected-tensor", 0.8, _SURPLUS, _BUILD),
        ("version-mismatch", 0.4, _VERSION, _BUILD),
        ("renamed", 0.33, "the model may have them under other names", _LOOK),
    ]


def _both(lists: _Lists) -> list[_Row]:
    if not lists.missing or not lists.unexpected:
        return []
    same = "some of the names may be the same tensors under other names"
    if moved_word(lists.missing, lists.unexpected):
        return [
            ("renamed", 0.72, "as many tensors of the same kinds are missing as are left over: layers have other names", _LOOK),
            ("missing-tensor", 0.62, _DIFFERS, _BUILD),
            ("version-mismatch", 0.5, _VERSION, _BUILD),
        ]  # fmt: skip
    return [
        ("missing-tensor", 0.7, _DIFFERS, _BUILD),
        ("renamed", 0.5, same, _LOOK),
        ("version-mismatch", 0.46, _VERSION, _BUILD),
        ("unexpected-tensor", 0.44, _SURPLUS, _BUILD),
    ]


_ASKED: tuple[Callable[[_Lists], list[_Row]], ...] = (
    _prefixed, _wrapped_inside, _reparametrised, _stripped_blindly, _profiled, _quantised, _no_longer_saved,
    _whole_checkpoint, _mapped, _one_level_deeper, _surplus_prefix, _only_missing, _only_unexpected, _both,
)  # fmt: skip


ENTRIES = (
    Entry(
        "torch-state-dict-keys",
        "missing-tensor",
        (
            "in state_dict",
            "size mismatch for",
            "state_dict for",
            "while copying the parameter named",
            "in the state_dict",
            "in source state_dict",
        ),
        r"(?:Error\(s\) in loading state_dict for [\w.]+|Missing key\(s\) in (?:the )?state_dict"
        r"|Unexpected key(?:\(s\))?,? .{0,80}?in (?:the )?state_dict|(?:missing|unexpected) keys? in source state_dict"
        r"|size mismatch for [\w.\-]+: copying a param|While copying the parameter named)",
        why="",
        remedy="",
        weigh=keys_weighed,
        example=(
            'RuntimeError: Error(s) in loading state_dict for Net:\n\tMissing key(s) in state_dict: "fc.weight", '
            '"fc.bias".\n'
            '\tUnexpected key(s) in state_dict: "module.fc.weight", "module.fc.bias".'
        ),
    ),
)
