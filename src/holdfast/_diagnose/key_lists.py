"""Two lists of names, the missing and the unexpected ones, held against each other: are they the same tensors under other names?

Pastes are often cut off within a list, so that some answers need a part of the names only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = [
    "MISSING", "UNEXPECTED",
    "Sized", "cut_behind", "cut_off", "decoded", "inner_wrapper", "keys_after", "moved_word", "one_more_level", "one_to_one",
    "prefix_between", "reparametrised", "sizes_in",
]  # fmt: skip

MISSING = re.compile(
    r"Missing[_ ]key(?:\(s\)|s)? ?(?:in (?:the )?(?:source )?state_dict)?[:=]?\s*(.*?)(?=Unexpected[_ ]key|size mismatch|$)",
    re.IGNORECASE,
)
UNEXPECTED = re.compile(
    r"Unexpected[_ ]key(?:\(s\)|s)? ?(?:in (?:the )?(?:source )?state_dict)?[:=]?\s*(.*?)(?=size mismatch|Missing[_ ]key|$)",
    re.IGNORECASE,
)
"""The two lists of ``load_state_dict``'s message, in the wordings of several libraries."""
_QUOTED = re.compile(r"""["']([\w.\-/]*)["']""")
_DOTTED = re.compile(r"[\w\-]+(?:\.[\w\-]+)+|[a-zA-Z]\w*_(?:weight|bias|mean|var|tracked)\b")
_WRAPPERS = ("module.", "_orig_mod.")
_INNER = (
    "module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module", "base_layer", "default",
    "modules_to_save", "original_module", "parametrizations", "original0", "original1",
)  # fmt: skip
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


def keys_after(pattern: re.Pattern[str], flat: str) -> list[str]:
    """The names of the lists that ``pattern`` finds (its first group), each once, in their order."""
    found: list[str] = []
    for match in pattern.finditer(flat):
        keys = _QUOTED.findall(match[1])
        if not keys and match[1]:
            keys = _DOTTED.findall(match[1][:2000])
        found += keys
    return list(dict.fromkeys(found))


def prefix_between(missing: Sequence[str], unexpected: Sequence[str]) -> tuple[str, str] | None:
    """Which side (``checkpoint`` or ``model``) has the same names with a prefix, and the prefix."""
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
        for word in _WRAPPERS:  # lists that were cut off need not overlap
            if all(word in name for name in long) and not any(word in name for name in short):
                return side, word
    return None


def cut_behind(missing: Sequence[str], unexpected: Sequence[str]) -> int:
    """How many characters were cut off the front of every name of the file by a program that strips a prefix blindly (its
    ``k[7:]`` where names had no ``module.``); 0 where that is not it."""
    tails = set(unexpected)
    for count in range(4, 16):
        hits = sum(1 for name in missing if name[count:] in tails)
        if hits >= 2 and hits >= 0.5 * len(missing):
            return count
    return 0


def inner_wrapper(missing: Sequence[str], unexpected: Sequence[str]) -> str | None:
    """A wrapper's word that stands elsewhere in the names, or in one list only."""
    for word in _INNER:
        if not any(word in name.split(".") for name in (*missing, *unexpected)):
            continue
        left = {".".join(part for part in name.split(".") if part != word) for name in missing}
        right = {".".join(part for part in name.split(".") if part != word) for name in unexpected}
        if len(left & right) >= max(1, 0.5 * min(len(left), len(right))):
            return word
    return _part_more(missing, unexpected) or _part_more(unexpected, missing)


def _part_more(long: Sequence[str], short: Sequence[str]) -> str | None:
    """The one word (no number) that all names of one side have more than those of the other, at the same place."""
    there = set(short)
    words = [
        (n, part)
        for name in long
        for n, part in enumerate(name.split(".")[:24])
        if n and not part.isdigit() and ".".join(name.split(".")[:n] + name.split(".")[n + 1 :]) in there
    ]
    for place in dict.fromkeys(words):
        hits = words.count(place)
        if hits >= 2 and hits >= 0.8 * min(len(long), len(short)):
            return place[1]
    return None


def reparametrised(missing: Sequence[str], unexpected: Sequence[str]) -> str | None:
    """A name of the newer kind, where one side keeps a normed weight as ``torch.nn.utils.weight_norm`` and ``spectral_norm`` do
    and the other as ``torch.nn.utils.parametrizations`` does."""
    for old, new in ((missing, unexpected), (unexpected, missing)):
        there = set(new)
        hits = [name for name in map(_parametrised, old) if name in there]
        if hits and len(hits) >= 0.5 * min(len(old), len(new)):
            return hits[0]
    return None


_PARAMETRISED = {"_g": "original0", "_v": "original1", "_orig": "original", "_u": "0._u"}
"""Endings of the names that hooks give -> the last part of the name that a parametrization gives."""


def _parametrised(name: str) -> str:
    head, _, last = name.rpartition(".")
    word, mark, ending = last.rpartition("_")
    part = _PARAMETRISED.get(mark + ending)
    return "" if not word or part is None else f"{head}{'.' if head else ''}parametrizations.{word}.{part}"


def one_more_level(missing: Sequence[str], unexpected: Sequence[str]) -> str | None:
    """The part of a name that one side has and the other lacks, the rest being the same (``downs.0.3.1.weight`` and
    ``downs.0.3.weight``): a layer was put into another container. Gives the longer name of such a pair."""
    for long, short in ((missing, unexpected), (unexpected, missing)):
        there = set(short)
        hits = [name for name in long if any(without in there for without in _without_one(name))]
        if hits and len(hits) >= 0.6 * min(len(long), len(short)):
            return hits[0]
    return None


def _without_one(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:n] + parts[n + 1 :]) for n in range(len(parts))] if 1 < len(parts) < 24 else []


def moved_word(missing: Sequence[str], unexpected: Sequence[str]) -> bool:
    """Whether the lists are of the same length and end alike (``weight``, ``bias``, the same number of each): most likely the
    same layers under names that have nothing else in common."""
    if not missing or len(missing) != len(unexpected):
        return False
    return sorted(n.rpartition(".")[2] for n in missing) == sorted(n.rpartition(".")[2] for n in unexpected)


def one_to_one(missing: Sequence[str], unexpected: Sequence[str]) -> tuple[str, str] | None:
    """A pair of names where most of the missing ones become unexpected ones by changing the same word."""
    there = set(unexpected)
    for a in missing[:6]:
        for b in unexpected[:12]:
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
    if len(left) != len(right):
        return None
    odd = [(x, y) for x, y in zip(left, right, strict=True) if x != y]
    if len(set(odd)) != 1 and len(odd) > 2:
        return None
    x, y = odd[0]
    head = 0
    while head < min(len(x), len(y)) and x[head] == y[head]:
        head += 1
    tail = 0
    while tail < min(len(x), len(y)) - head and x[-1 - tail] == y[-1 - tail]:
        tail += 1
    if x[head : len(x) - tail] and len(odd) > 1:
        start = max(0, head - 1)
        return x[start : len(x) - tail], y[start : len(y) - tail]
    return x, y


def cut_off(flat: str, missing: Sequence[str]) -> bool:
    """Whether the paste ends within the list of missing names: PyTorch ends it with a full stop, and what is unexpected would
    come after it."""
    last = flat.rstrip().rstrip("`'")
    return (
        bool(missing)
        and "nexpected key" not in flat
        and last.endswith((f'"{missing[-1]}"', f'"{missing[-1]}",', "..."))
    )


class Sized:
    """One tensor whose shape differs: its ``name``, shapes in the ``checkpoint`` and in the ``model`` (empty: not told), and
    the ``text`` that says so."""

    def __init__(self, match: re.Match[str]) -> None:
        self.name = str(match["name"] or match["name2"])
        self.checkpoint = _shape(match["a"] or match["a2"])
        self.model = _shape(match["b"] or match["b2"])
        self.text = match[0][:300]

    @property
    def same_count(self) -> bool:
        """Whether both hold the same number of elements."""
        return bool(self.model) and _product(self.checkpoint) == _product(self.model)

    @property
    def changed(self) -> tuple[int, int] | None:
        """The one width that changed, in the checkpoint and in the model."""
        if not self.model or len(self.checkpoint) != len(self.model):
            return None
        odd = [(x, y) for x, y in zip(self.checkpoint, self.model, strict=True) if x != y]
        return odd[0] if len(odd) == 1 else None


def sizes_in(flat: str) -> list[Sized]:
    """All tensors whose shapes differ."""
    return [Sized(match) for match in _SIZE.finditer(flat)]


_HEADS = (
    "classifier",
    "fc.",
    "head",
    "cls",
    "logits",
    "score",
    "predictor",
    "output",
    "linear",
    "box",
    "detect",
    "model.",
    "conf",
)
_LABELLED = frozenset({20, 21, 80, 81, 90, 91, 365, 366, 600, 601})
"""Counts of classes of the common detection sets (VOC, COCO, Objects365, Open Images), without and with background."""


def decoded(a: int, b: int, name: str) -> str:
    """What a changed width says: class counts, numbers a box, tokens added."""
    lower = name.lower()
    if any(w in lower for w in ("embed", "wte", "lm_head", "shared")) and 0 < abs(a - b) <= 2000:
        return f" ({abs(a - b)} tokens {'more' if a > b else 'fewer'} in the checkpoint's vocabulary)"
    if not any(word in lower for word in _HEADS):
        return ""
    if "box" in lower and a % 4 == 0 == b % 4 and min(a, b) > 4:
        return f" ({a} = {a // 4} x 4 and {b} = {b // 4} x 4: {a // 4} and {b // 4} classes, 4 numbers each)"
    yolo = ".m." in lower and len(lower.split(".")) > 2
    for anchors in (3, 6, 9):  # x (4 numbers of the box, 1 for there being one, the classes)
        left, right = a // anchors - 5, b // anchors - 5
        known = _LABELLED & {left, right} and not _LABELLED & {a, b}
        if a % anchors == 0 == b % anchors and left > 0 < right and (yolo or known):
            return f" ({a} = {anchors} x (5 + {left}), {b} = {anchors} x (5 + {right}): {left} and {right} classes)"
    if any(word in lower for word in ("conf", "cls", "class")) and not _LABELLED & {a, b}:
        for anchors in (3, 4, 6, 9):
            left, right = a // anchors, b // anchors
            if a % anchors == 0 == b % anchors and min(left, right) > 1 and _LABELLED & {left, right}:
                return (
                    f" ({a} = {anchors} x {left}, {b} = {anchors} x {right}: {left} and {right} classes for each "
                    f"of {anchors} anchors)"
                )
    if "model." in lower and not any(w in lower for w in ("head", "fc.", "classifier", "cls", "score")):
        return ""
    return f" ({a} and {b} classes, most likely)"


def _shape(text: str | None) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", text or ""))


def _product(shape: tuple[int, ...]) -> int:
    total = 1
    for n in shape:
        total *= n
    return total
