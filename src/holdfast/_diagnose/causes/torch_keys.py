"""``Module.load_state_dict``: names and shapes that do not agree.

The message lists missing keys, then unexpected keys, then size mismatches (torch/nn/modules/module.py,
``load_state_dict``); pastes are often cut off after the first list.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from ..knowledge import Entry, Guess, Look

_MISSING = re.compile(
    r"Missing key\(s\) in (?:the )?state_dict:?\s*(.*?)(?=Unexpected key|size mismatch|$)", re.IGNORECASE
)
_UNEXPECTED = re.compile(
    r"Unexpected key(?:\(s\))? in (?:the )?state_dict:?\s*(.*?)(?=size mismatch|Missing key|$)", re.IGNORECASE
)
_QUOTED = re.compile(r"""["']([\w.\-/]+)["']""")
_SHAPE = r"(?:torch\.Size\()?\[?"
_SIZE = re.compile(  # the wordings of several generations
    r"(?:size mismatch for (?P<name>[\w.\-]+): copying a param (?:with shape|of) "
    + _SHAPE
    + r"(?P<a>[\d, ]*)\]?\)? from checkpoint"
    r"(?:, (?:where )?the shape (?:in current model )?is " + _SHAPE + r"(?P<b>[\d, ]*)\]?\)?)?"
    r"|[Ww]hile copying the parameter named [\"']?(?P<name2>[\w.\-]+)[\"']?, whose dimensions in the model are "
    + _SHAPE
    + r"(?P<b2>[\d, ]*)\]?\)? and whose dimensions in the checkpoint are "
    + _SHAPE
    + r"(?P<a2>[\d, ]*)\]?\)?)",
    re.IGNORECASE,
)
PREFIXES = (
    "module.",
    "_orig_mod.",
    "model.",
    "net.",
    "backbone.",
    "base_model.model.",
    "base_model.",
    "encoder.",
    "student.",
    "teacher.",
    "_forward_module.",
    "_fsdp_wrapped_module.",
    "ema_model.",
    "state_dict.",
    "generator.",
    "transformer.",
)
_NOT_SAVED_NOW = (
    "position_ids",
    "num_batches_tracked",
    "attn.bias",
    "attn.masked_bias",
    "rotary_emb.inv_freq",
    "inv_freq",
    "embeddings.token_type_ids",
)
"""Buffers that libraries began or ceased to save (transformers 4.31 and others; ``num_batches_tracked``: torch 0.4.1)."""
_PACKED = (
    "absmax",
    "quant_map",
    "quant_state",
    "nested_absmax",
    "qweight",
    "qzeros",
    "g_idx",
    "weight_scale",
    "scales",
    "weight_packed",
    "_packed_params",
    "zero_point",
    "SCB",
    "weight_format",
)
_COUNTED = ("total_ops", "total_params")
_ADAPTER = ("lora_", "base_layer", "modules_to_save")


def keys_weighed(look: Look) -> list[Guess]:
    """The lists of keys, held against each other."""
    flat = look.reading.flat
    missing = _keys(_MISSING, flat)
    unexpected = _keys(_UNEXPECTED, flat)
    sizes = list(_SIZE.finditer(flat))
    entry = look.entry
    facts = {
        "missing": missing[:20],
        "unexpected": unexpected[:20],
        "mismatched": [m["name"] or m["name2"] for m in sizes][:20],
    }
    where = look.match[0].strip()[:300]

    def said(label: str, confidence: float, why: str, remedy: str, test: str = "names") -> Guess:
        return Guess(label, confidence, why, remedy, where, _CONFIRM, facts, test, entry.slug)

    found: list[Guess] = []
    prefix = _prefix_between(missing, unexpected)
    odd = [k for k in (*missing, *unexpected) if k.rpartition(".")[2] in _COUNTED]
    old = [k for k in (*missing, *unexpected) if k.endswith(_NOT_SAVED_NOW)]
    packed = [k for k in (*missing, *unexpected) if any(word in k.rpartition(".")[2] for word in _PACKED)]
    adapter = [k for k in (*missing, *unexpected) if any(word in k for word in _ADAPTER)]
    if prefix is not None:
        side, word = prefix
        found.append(
            said(
                "renamed",
                0.95,
                f"the {side} has the same tensors with `{word}` in front of their names"
                f"{_WRAPPER.get(word, '')}; nothing else differs in what is shown",
                f"Strip the prefix: `sd = {{k.removeprefix('{word}'): v for k, v in sd.items()}}`, or save "
                "`model.module.state_dict()` (the unwrapped model); `holdfast check CKPT module:factory` gives "
                "the plan.",
            )
        )
    elif missing and unexpected and (wrapper := _inner_wrapper(missing, unexpected)) is not None:
        found.append(
            said(
                "renamed",
                0.93,
                f"both lists name the same tensors, but for where `{wrapper}` stands in the names: a part of the "
                f"model was wrapped "
                "on one side",
                f"Take `{wrapper}.` out of all names on both sides, or wrap the same part of the model.",
            )
        )
    elif odd:
        found.append(
            said(
                "missing-tensor",
                0.9,
                f"`{odd[0]}` was registered as a buffer by a profiler (thop counts operations so), on one side only",
                "Leave these buffers out: delete keys that end in total_ops or total_params, or profile a copy "
                "of the model.",
            )
        )
    elif packed:
        found.append(
            said(
                "dtype-mismatch",
                0.85,
                f"one side is quantised: `{packed[0]}` is the bookkeeping of packed weights",
                "Build the model with the same quantisation as the checkpoint, or save it in full precision.",
            )
        )
    elif old and len(old) >= 0.6 * len({*missing, *unexpected}):
        found.append(
            said(
                "version-mismatch",
                0.88,
                f"`{old[0]}` is a buffer that one version of the library saves and another does not; the weights "
                f"are not "
                "concerned",
                "Install the version that wrote the checkpoint, or load with strict=False after checking that "
                "only such "
                "buffers are named.",
            )
        )
        found.append(said("missing-tensor" if missing else "unexpected-tensor", 0.4, _DIFFERS, _BUILD))
    elif missing and unexpected and (pair := _one_to_one(missing, unexpected)) is not None:
        found.append(
            said(
                "renamed",
                0.86,
                f"missing and unexpected names go one to one: `{pair[0]}` and `{pair[1]}`; a module was renamed "
                f"in the code",
                "Map the names: `sd[new] = sd.pop(old)`, or use the version of the code that saved; "
                "`holdfast check CKPT module:factory` proposes the renames.",
            )
        )
        found.append(
            said("version-mismatch", 0.4, "the code is of another version than the checkpoint", _BUILD)
        )
    elif (
        unexpected
        and not missing
        and (front := _common_prefix(unexpected, ("module.", "_orig_mod.", "model.module.")))
    ):
        found.append(
            said(
                "renamed",
                0.9,
                f"the checkpoint's names begin with `{front}`{_WRAPPER.get(front, '')}; the model's do not",
                f"Strip the prefix: `sd = {{k.removeprefix('{front}'): v for k, v in sd.items()}}`.",
            )
        )
    if not found:
        found += _plain(missing, unexpected, bool(sizes), adapter, said, flat)
    if sizes:
        first = _sized(look, sizes)
        facts.update(first.facts)
        if missing or unexpected:
            first = replace(first, confidence=0.6 if found and found[0].confidence > 0.7 else 0.84)
        found.append(first)
    return found


def _cut_off(flat: str, missing: Sequence[str]) -> bool:
    """Whether the paste ends within the list of missing names: PyTorch ends it with a full stop, and what is unexpected would
    come after it."""
    last = flat.rstrip().rstrip("`'")
    return (
        bool(missing)
        and "nexpected key" not in flat
        and last.endswith((f'"{missing[-1]}"', f'"{missing[-1]}",', "..."))
    )


def _inner_wrapper(missing: Sequence[str], unexpected: Sequence[str]) -> str | None:
    """A wrapper's word that stands elsewhere in the names, or in one list only."""
    for word in (
        "module",
        "_orig_mod",
        "_fsdp_wrapped_module",
        "_checkpoint_wrapped_module",
        "base_layer",
        "default",
    ):
        left = {".".join(part for part in name.split(".") if part != word) for name in missing}
        right = {".".join(part for part in name.split(".") if part != word) for name in unexpected}
        touched = any(word in name.split(".") for name in (*missing, *unexpected))
        if touched and len(left & right) >= max(1, 0.5 * min(len(left), len(right))):
            return word
    return None


def one_key(look: Look) -> list[Guess]:
    """The one name that old versions of PyTorch told."""
    front = look.match["key"].split(".")[0] + "."
    if front not in ("module.", "_orig_mod.", "model."):
        return [look.entry.guess(look)]
    return [
        look.entry.guess(
            look,
            "renamed",
            confidence=0.92,
            remedy="Strip the prefix, or save `model.module.state_dict()`.",
            why=f"the checkpoint's names begin with `{front}`{_WRAPPER.get(front, '')}; the model's do not",
        )
    ]


def _plain(
    missing: Sequence[str],
    unexpected: Sequence[str],
    sizes: bool,
    adapter: Sequence[str],
    said: object,
    flat: str,
) -> list[Guess]:
    """Nothing in the lists gives a cause away: what is there, and what the rest of the list would have shown."""
    assert callable(said)
    found: list[Guess] = []
    if missing and not unexpected:
        everything = len(missing) >= 4 and not sizes and _cut_off(flat, missing)
        if any(key.startswith(("module.", "_orig_mod.")) for key in missing):
            found.append(
                said(
                    "renamed",
                    0.88,
                    "the live model is wrapped (its names begin with `module.` or `_orig_mod.`), "
                    "the checkpoint's was not",
                    "Load before wrapping, or into `model.module`.",
                )
            )
        elif everything:
            found.append(
                said(
                    "renamed",
                    0.6,
                    "the very first tensors of the model are missing, so probably all are: then the "
                    "checkpoint has them under other names (a wrapper's prefix) or nests them one "
                    "level deeper",
                    "Print `list(sd)[:5]`; strip the prefix, or take `sd['state_dict']` or `sd['model']`.",
                )
            )
            found.append(said("missing-tensor", 0.52, _DIFFERS, _BUILD))
            found.append(
                said(
                    "format-mismatch",
                    0.35,
                    "a whole training checkpoint was given where a state dict is wanted",
                    "Take the entry of the weights: `sd['state_dict']`, `sd['model']`.",
                )
            )
        else:
            found.append(said("missing-tensor", 0.82, _DIFFERS, _BUILD))
            found.append(said("renamed", 0.4, "the checkpoint may hold them under other names", _LOOK))
            if adapter:
                found.append(
                    said(
                        "version-mismatch",
                        0.35,
                        "adapter names changed between versions of the library",
                        _BUILD,
                    )
                )
        if not everything and "num_batches" not in flat:
            found.append(
                said("version-mismatch", 0.3, "another version of the code defines the model", _BUILD)
            )
    elif unexpected and not missing:
        whole = {
            "state_dict",
            "model",
            "optimizer",
            "epoch",
            "model_state_dict",
            "net",
            "args",
            "lr_scheduler",
        }
        if len(whole.intersection(unexpected)) >= 2 or {"model_state_dict"} & set(unexpected):
            found.append(
                said(
                    "format-mismatch",
                    0.9,
                    "a whole training checkpoint was given where its weights are wanted",
                    "Pass the entry that holds the weights: `sd['model']`, `sd['state_dict']`.",
                )
            )
        else:
            found.append(said("unexpected-tensor", 0.8, _SURPLUS, _BUILD))
            found.append(
                said("version-mismatch", 0.4, "another version of the code defines the model", _BUILD)
            )
            found.append(said("renamed", 0.33, "the model may have them under other names", _LOOK))
    elif missing and unexpected:
        whole = {
            "state_dict",
            "model",
            "optimizer",
            "epoch",
            "model_state_dict",
            "net",
            "args",
            "lr_scheduler",
        }
        if len(whole.intersection(unexpected)) >= 2 or "model_state_dict" in unexpected:
            found.append(
                said(
                    "format-mismatch",
                    0.9,
                    "a whole training checkpoint was given where its weights are wanted",
                    "Pass the entry that holds the weights: `sd['model']`, `sd['state_dict']`.",
                )
            )
        else:
            found.append(said("missing-tensor", 0.7, _DIFFERS, _BUILD))
            found.append(
                said("renamed", 0.5, "some of the names may be the same tensors under other names", _LOOK)
            )
            found.append(said("unexpected-tensor", 0.45, _SURPLUS, _BUILD))
    return found


_DIFFERS = "the model was built otherwise than when the checkpoint was saved: it has tensors that the checkpoint lacks"
_SURPLUS = (
    "the checkpoint has tensors that the model lacks: a layer was removed, or only a part of it is wanted"
)
_BUILD = (
    "Build the model as it was saved (`holdfast inspect CKPT` lists it), or allow the difference by name."
)
_LOOK = "`holdfast check CKPT module:factory` holds both lists against each other and proposes renames."
_CONFIRM = "Hold the checkpoint's names and shapes against the model's: `holdfast check CKPT module:factory`."
_WRAPPER = {
    "module.": " (DataParallel or DistributedDataParallel adds it)",
    "_orig_mod.": " (torch.compile adds it)",
    "model.": " (a LightningModule or another wrapper holds the model as `model`)",
    "base_model.model.": " (PEFT adds it)",
    "_forward_module.": " (Lightning Fabric adds it)",
    "_fsdp_wrapped_module.": " (FSDP adds it)",
}


def _keys(pattern: re.Pattern[str], flat: str) -> list[str]:
    found: list[str] = []
    for match in pattern.finditer(flat):
        keys = _QUOTED.findall(match[1])
        if not keys and match[1]:
            keys = list(re.findall(r"[\w\-]+(?:\.[\w\-]+)+", match[1][:2000]))
        found += keys
    return list(dict.fromkeys(found))


def _prefix_between(missing: Sequence[str], unexpected: Sequence[str]) -> tuple[str, str] | None:
    """Which side has the same names with a prefix, and the prefix."""
    if not missing or not unexpected:
        return None
    for side, long, short in (("checkpoint", unexpected, missing), ("model", missing, unexpected)):
        ends = set(short)
        for name in long[:3]:
            for cut in (i + 1 for i, c in enumerate(name) if c == "."):
                word = name[:cut]
                hit = sum(1 for other in long if other.startswith(word) and other[cut:] in ends)
                if hit and hit >= min(len(short), len(long), 2) * 0.6:
                    return side, word
        for word in PREFIXES[:2]:  # cut off lists need not overlap
            if all(word in name for name in long) and not any(word in name for name in short):
                return side, word
    return None


def _common_prefix(names: Sequence[str], words: Sequence[str]) -> str | None:
    return next((word for word in words if all(name.startswith(word) for name in names)), None)


def _one_to_one(missing: Sequence[str], unexpected: Sequence[str]) -> tuple[str, str] | None:
    """A pair of names where most of the missing ones become unexpected ones by changing the same word."""
    there = set(unexpected)
    tried = 0
    for a in missing[:6]:
        for b in unexpected[:12]:
            tried += 1
            change = _change(a, b)
            if change is None:
                continue
            hits = sum(1 for name in missing if name.replace(*change) in there)
            if hits >= max(1, 0.6 * min(len(missing), len(unexpected))):
                return a, b
    return None


def _change(a: str, b: str) -> tuple[str, str] | None:
    """What word of ``a`` became what word of ``b``, where the rest is the same."""
    if a == b or a.rpartition(".")[2] != b.rpartition(".")[2]:
        return None
    left, right = a.split("."), b.split(".")
    if len(left) == len(right):
        odd = [(x, y) for x, y in zip(left, right, strict=True) if x != y]
        if len(set(odd)) == 1 or (odd and len(odd) <= 2):
            x, y = odd[0]
            head = 0
            while head < min(len(x), len(y)) and x[head] == y[head]:
                head += 1
            tail = 0
            while tail < min(len(x), len(y)) - head and x[-1 - tail] == y[-1 - tail]:
                tail += 1
            core_a, _core_b = x[head : len(x) - tail], y[head : len(y) - tail]
            if core_a and len(odd) > 1:
                start = max(0, head - 1)
                return x[start : len(x) - tail], y[start : len(y) - tail]
            return x, y
    return None


def _sized(look: Look, sizes: Sequence[re.Match[str]]) -> Guess:
    first = sizes[0]
    name = str(first["name"] or first["name2"])
    a, b = _shape(first["a"] or first["a2"]), _shape(first["b"] or first["b2"])
    facts: dict[str, object] = {"tensor": name, "checkpoint": a, "model": b}
    why = f"`{name}` has shape {list(a)} in the checkpoint" + (f" and {list(b)} in the model" if b else "")
    label, remedy = (
        "shape-mismatch",
        "Build the layer with the recorded size, or leave it out on purpose and train it anew.",
    )
    if b and _product(a) == _product(b):
        why += "; the number of elements is the same, so the layout changed (reshape or transpose it)"
        remedy = "Reshape or transpose these tensors when loading; the values are the same."
    elif b and len(a) == len(b):
        odd = [(x, y) for x, y in zip(a, b, strict=True) if x != y]
        if len(odd) == 1:
            why += f": {odd[0][0]} became {odd[0][1]}" + decoded(odd[0][0], odd[0][1], name)
    if any(word in name.lower() for word in ("embed", "wte", "lm_head", "shared.weight")):
        remedy = (
            "Resize the embedding to the tokenizer of the checkpoint (`resize_token_embeddings(len(tokenizer))`) "
            "first."
        )
    packed = any(
        word in look.reading.lower for word in ("4bit", "8bit", "quantiz", "params4bit", "gptq", "bnb")
    )
    if packed and b and len(b) == 2 and 1 in (*a, *b):
        return Guess(
            "dtype-mismatch",
            0.85,
            why + "; a packed (quantised) weight",
            "Build it with the same quantisation.",
            first[0][:300],
            _CONFIRM,
            facts,
            "names",
            look.entry.slug,
        )
    return Guess(label, 0.9, why, remedy, first[0][:300], _CONFIRM, facts, "names", look.entry.slug)


def decoded(a: int, b: int, name: str) -> str:
    """What a changed width says: class counts, anchors, tokens added."""
    lower = name.lower()
    if any(w in lower for w in ("embed", "wte", "lm_head", "shared")) and 0 < abs(a - b) <= 2000:
        return f" ({abs(a - b)} tokens {'more' if a > b else 'fewer'} in the checkpoint's vocabulary)"
    if any(
        w in lower
        for w in ("classifier", "fc.", "head", "cls", "logits", "score", "predictor", "output", "linear")
    ):
        for boxes in (4, 3, 9, 21):
            if (
                a % boxes == 0
                and b % boxes == 0
                and a // boxes > 1
                and boxes == 4
                and ("bbox" in lower or "box" in lower)
            ):
                return f" ({a // boxes} and {b // boxes} classes, {boxes} numbers each)"
        return f" ({a} and {b} classes, most likely)"
    return ""


def _shape(text: str | None) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", text or ""))


def _product(shape: tuple[int, ...]) -> int:
    total = 1
    for n in shape:
        total *= n
    return total


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
        ),
        r"(?:Error\(s\) in loading state_dict for [\w.]+|Missing key\(s\) in (?:the )?state_dict"
        r"|Unexpected key(?:\(s\))?,? .{0,80}?in (?:the )?state_dict"
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
    Entry(
        "torch-old-unexpected-key",
        "unexpected-tensor",
        ("unexpected key ",),
        r"unexpected key [\"'](?P<key>[\w.]+)[\"'] in state_dict",
        why="the checkpoint has `{key}`, and the model has no such tensor",
        remedy=_LOOK,
        confirm=_CONFIRM,
        test="names",
        weigh=one_key,
        example="KeyError: 'unexpected key \"module.conv1.weight\" in state_dict'",
    ),
)
