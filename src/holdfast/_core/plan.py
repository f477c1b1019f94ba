"""The plan: an ordered list of edits that turn one catalog into what another one expects.

Edits are data. Each has a one-line text (the form of allowances: ``allow=["drop:head.*",
"cast:*:f32->bf16"]``) and stands in a TOML file as that text, so that a plan can be read, edited and sent
around::

    drop:PATTERN                    leave tensors of the checkpoint out
    keep-live:PATTERN               these live tensors keep the value they have, whatever the checkpoint holds for them
    init:PATTERN                    the same by another name: no initialiser is run
    rename:PATTERN->PATTERN         another name; globs on the right are filled from the left, in order
    cast:PATTERN:f32->bf16          another dtype (``cast:PATTERN:bf16``: whatever it was before)
    slice:PATTERN:[0:5,:]           a part of each axis
    pad:PATTERN:(10,4)              grow to this shape, new elements zero (``=VALUE`` for another value)
    resize:PATTERN:(10,4)           interpolate or reshape to this shape (``=METHOD``)
    split:NAME:0->A,B,C             cut along an axis into equal parts
    merge:A,B,C:0->NAME             join along an axis
    transpose:PATTERN:(1,0)         permute the axes, as ``numpy.transpose`` does
    tie:NAME->OTHER                 NAME becomes a view of OTHER
    untie:PATTERN                   give each its own copy
    map-slots:PATTERN->PATTERN      optimizer state of the left owner belongs to the right one
    reset-slots:PATTERN             optimizer state of these owners starts anew
    hyper:NAME=checkpoint|live|VALUE  whose hyperparameter counts
    nonfinite:PATTERN               NaN and infinities in these tensors are meant
    function:PATTERN                the live configuration (or code) of these modules is meant

Order matters, with one exception: renames that follow one another happen at once, each name moved by the
first that covers it, so that two tensors can change places; so do casts that follow one another, each by the
dtype that the tensor had before all of them. An edit of a weight takes the optimizer slots of that weight
along (a cast does not: slots keep their dtype unless the pattern covers their own names). A tensor that is wanted in the
dtype that it has is not cast.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .dtypes import known
from .errors import PlanError
from .pattern import escape, literal_of, normalise, stars

__all__ = ["Edit", "Plan", "EDITS", "Slice"]

Slice = tuple[int | None, int | None]

EDITS: Mapping[str, str] = {
    "drop": "one",
    "init": "one",
    "keep-live": "one",
    "untie": "one",
    "reset-slots": "one",
    "function": "one",
    "nonfinite": "one",
    "rename": "arrow",
    "map-slots": "arrow",
    "tie": "arrow",
    "cast": "dtype",
    "slice": "slice",
    "pad": "shape",
    "resize": "shape",
    "transpose": "axes",
    "split": "split",
    "merge": "merge",
    "hyper": "hyper",
}
"""Every kind of edit and the form of its arguments."""


@dataclass(frozen=True, slots=True, init=False)
class Edit:
    """One edit.

    Attributes
    ----------
    kind: a key of :data:`EDITS`. names: patterns on the left (one, but for ``merge``).
    to: patterns on the right of the arrow: the new name, the parts of a ``split``, or the dtype of a
        ``cast``.
    was: for ``cast``, the dtype before, or ``None`` for any.
    value: for ``slice`` a tuple of (start, stop) per axis; for ``pad``, ``resize`` the new shape; for
        ``transpose`` the axes; for ``split`` and ``merge`` the axis; for ``hyper`` the value (the texts
        ``"checkpoint"`` and ``"live"`` stand for that side's; a text that happens to be one of these cannot
        be given).
    fill: for ``pad`` the value of new elements, for ``resize`` the method.
    note: a remark for the reader of the plan; no part of the edit.

    Raises :class:`PlanError` when the arguments do not fit the kind.
    """

    kind: str
    names: tuple[str, ...]
    to: tuple[str, ...] = ()
    was: str | None = None
    value: Any = None
    fill: Any = None
    note: str = field(default="", compare=False)

    # Written out, as a frozen dataclass's own takes twice as long, and a plan can have tens of thousands.
    def __init__(
        self,
        kind: str,
        names: tuple[str, ...],
        to: tuple[str, ...] = (),
        was: str | None = None,
        value: Any = None,
        fill: Any = None,
        note: str = "",
    ) -> None:
        if kind not in EDITS:
            raise PlanError("no such edit", found=kind, expected=", ".join(EDITS))
        _set_kind(self, kind)
        _set_names(self, tuple(map(normalise, names)))
        _set_to(self, tuple(to if kind == "cast" else map(normalise, to)))
        _set_was(self, was)
        _set_value(self, value)
        _set_fill(self, fill)
        _set_note(self, note)
        fault = _fault(self)
        if fault:
            raise PlanError(f"{self.kind}: {fault}", found=", ".join(self.names))

    @property
    def name(self) -> str:
        """The (first) pattern on the left."""
        return self.names[0]

    @classmethod
    def renaming(cls, name: str, to: str) -> Edit:
        """The rename of one tensor, both names taken as they are; nothing in it can be wrong."""
        edit = cls.__new__(cls)
        _set_kind(edit, "rename")
        _set_names(edit, (escape(name),))
        _set_to(edit, (escape(to),))
        _set_was(edit, None)
        _set_value(edit, None)
        _set_fill(edit, None)
        _set_note(edit, "")
        return edit

    @classmethod
    def parse(cls, text: str) -> Edit:
        """The edit of a one-line text; raises :class:`PlanError` with the text and the position in it."""
        from .plan_text import parse_edit

        return parse_edit(text)

    def __str__(self) -> str:
        from .plan_text import format_edit

        return format_edit(self)


# The slots' own setters, which a frozen class does not bar.
_set_kind, _set_names, _set_to, _set_was, _set_value, _set_fill, _set_note = (
    getattr(Edit, name).__set__ for name in Edit.__slots__
)


def _fault(edit: Edit) -> str | None:
    """What is wrong with the arguments of an edit, or ``None``."""
    form = EDITS[edit.kind]
    if not edit.names:
        return "takes a name or pattern"
    if form != "merge" and len(edit.names) != 1:
        return "takes one name or pattern on the left"
    if form == "arrow":
        if len(edit.to) != 1:
            return "takes one name or pattern on the right"
        if stars(edit.to[0]) > stars(edit.name):
            return "the right side has more globs than the left"
    elif form == "dtype":
        if len(edit.to) != 1 or not known(edit.to[0]):
            return "takes one dtype on the right"
        if edit.was is not None and not known(edit.was):
            return f"no dtype {edit.was!r}"
    elif form in ("split", "merge"):
        if any(literal_of(name) is None for name in (*edit.names, *edit.to)):
            return "takes plain names, no globs"
        if not isinstance(edit.value, int):
            return "takes an axis"
        if len(edit.to if form == "split" else edit.names) < 2 or (form == "merge" and len(edit.to) != 1):
            return "takes two parts or more, and one whole"
    elif form == "axes":
        if not isinstance(edit.value, tuple) or sorted(edit.value) != list(range(len(edit.value))):
            return "takes a permutation of the axes"
    elif form == "shape":
        if not isinstance(edit.value, tuple) or any(size < 0 for size in edit.value):
            return "takes a shape"
    elif form == "slice" and (not isinstance(edit.value, tuple) or not edit.value):
        return "takes a range for each axis"
    return None


@dataclass(frozen=True, slots=True)
class Plan:
    """An ordered list of edits; ``source`` and ``target`` say what it was drafted for, ``unsettled`` what it
    leaves.

    Iterating yields the edits. ``str(plan)`` is one edit a line; :meth:`parse` reads that back.
    """

    edits: tuple[Edit, ...] = ()
    source: str = ""
    target: str = ""
    unsettled: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Edit]:
        return iter(self.edits)

    def __len__(self) -> int:
        return len(self.edits)

    def __str__(self) -> str:
        return "\n".join(map(str, self.edits))

    @classmethod
    def parse(cls, lines: str | Iterable[str]) -> Plan:
        """A plan from one-line edits (a text of several lines, or an iterable of texts).

        Empty lines and lines that begin with ``#`` say nothing. Raises :class:`PlanError`.
        """
        texts = lines.splitlines() if isinstance(lines, str) else lines
        kept = (text.strip() for text in texts)
        return cls(tuple(Edit.parse(text) for text in kept if text and not text.startswith("#")))

    def to_toml(self) -> str:
        """The plan as a TOML document (UTF-8 text); notes stand beside their edits as comments."""
        from .plan_toml import dump_plan

        return dump_plan(self)

    @classmethod
    def from_toml(cls, text: str) -> Plan:
        """The plan of a TOML document; raises :class:`PlanError` on what is no plan."""
        from .plan_toml import load_plan

        return load_plan(text)
