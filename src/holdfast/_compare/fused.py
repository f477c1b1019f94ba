"""One tensor here, several there: fused projections, found by the modules' names and shapes, shown by
content."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .._core.difference import Difference
from .._core.pattern import escape
from .._core.plan import Edit
from .._core.spec import TensorSpec
from .._facts.fusions import FUSIONS
from .content import Probe, equal_values
from .names import canonical, leaf
from .pool import Pool

__all__ = ["fusions"]

_WHOLE = {word: fusion for fusion in FUSIONS for word in fusion.whole}


def fusions(pool: Pool, probe: Probe | None) -> Iterator[Difference]:
    """Free tensors of one side that are free tensors of the other joined along an axis; they leave the pool.

    Names decide (``attn.in_proj_weight`` and ``attn.q_proj.weight``, ...), shapes must add up, and content,
    where it is read, must not contradict unless the two sides hold other values throughout.
    """
    for side in ("a", "b"):
        wholes, parts = (pool.a, pool.b) if side == "a" else (pool.b, pool.a)
        if not wholes or not parts:
            continue
        by_form = {_form(name): name for name in parts}
        for whole in list(wholes.values()):
            for names in _candidates(whole.name, by_form):
                pieces = [parts[name] for name in names if name in parts]
                axis = _axis(whole, pieces) if len(pieces) == len(names) else None
                if axis is not None:
                    yield _difference(side, whole, pieces, axis, probe)
                    del wholes[whole.name]
                    for name in names:
                        del parts[name]
                    break


def _form(name: str) -> tuple[str, ...]:
    return (*canonical(name)[:-1], leaf(name))


def _candidates(name: str, by_form: dict[tuple[str, ...], str]) -> Iterator[tuple[str, ...]]:
    """The names that the parts of a fused tensor of this name would have, as far as they are there."""
    form = _form(name)
    for at, segment in enumerate(form):
        # torch's own attention keeps in_proj_weight and in_proj_bias as parameters of the module itself
        word, _, rest = segment.rpartition("_")
        for candidate, ending in ((segment, form[at + 1 :]), (word, (rest,))):
            fusion = _WHOLE.get(candidate)
            if fusion is None or (candidate == word and at != len(form) - 1):
                continue
            for words in fusion.parts:
                found = [by_form.get((*form[:at], part, *ending)) for part in words]
                if all(found):
                    yield tuple(n for n in found if n is not None)


def _axis(whole: TensorSpec, pieces: list[TensorSpec]) -> int | None:
    """The axis along which the pieces make up the whole; the first that fits."""
    for axis in range(len(whole.shape)):
        others = whole.shape[:axis] + whole.shape[axis + 1 :]
        if all(
            len(p.shape) == len(whole.shape) and p.shape[:axis] + p.shape[axis + 1 :] == others
            for p in pieces
        ) and whole.shape[axis] == sum(p.shape[axis] for p in pieces):
            return axis
    return None


def _difference(
    side: str, whole: TensorSpec, pieces: list[TensorSpec], axis: int, probe: Probe | None
) -> Difference:
    names = tuple(piece.name for piece in pieces)
    equal: bool | None = None
    if probe is not None:
        one = probe.array(side, whole.name)
        other = "b" if side == "a" else "a"
        values = [probe.array(other, name) for name in names]
        if one is not None and all(v is not None for v in values):
            joined = np.concatenate([v for v in values if v is not None], axis=axis)
            equal = equal_values(joined, one)
    evidence = {
        "axis": axis,
        "equal": equal,
        "certain": bool(equal),
        "shapes": [list(p.shape) for p in pieces],
    }
    told = {True: "the values agree", False: "the values differ", None: "by names and shapes"}[equal]
    parts = tuple(map(escape, names))
    if side == "b":
        message = f"{', '.join(names)} of A are {whole.name} of B in one piece ({told})"
        edit = Edit("merge", parts, (escape(whole.name),), value=axis)
        return Difference("T214", None, whole.name, message, evidence, edit, names, (whole.name,))
    message = f"{whole.name} of A is {', '.join(names)} of B in one piece ({told})"
    even = len({piece.shape for piece in pieces}) == 1
    split = Edit("split", (escape(whole.name),), parts, value=axis) if even else None
    return Difference("T215", whole.name, None, message, evidence, split, (whole.name,), names)
