"""The restore matrix: every mutation between saving and restoring, on every format, expected against got.

A row is data: a mutation, a format, the outcome that is right (whatever the frameworks do today), and functions that
make a saved checkpoint and the live objects. Outcomes:

``exact``              no finding at warning or above; the restore is exact
``lossy``              refused; settled by edits that change values or shapes (cast, slice, pad, resize), or that
                       begin a head of another size anew (keep-live)
``leftover``           refused; settled by leaving out what the checkpoint has too much (drop)
``refuse``             refused, with one of the row's codes; the objects are untouched
``indistinguishable``  nothing in this file can tell: silent; with a seal that knows the model it is refused
``warn``               restored exactly, with a warning of one of the row's codes

Every outcome is judged by values, never by findings alone: an exact restore is compared bit for bit with the truth,
a refusal leaves every live value as it was.
"""

from __future__ import annotations

import tempfile
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import holdfast

OUTCOMES = ("exact", "lossy", "leftover", "refuse", "indistinguishable", "warn")
LOSSY = frozenset({"cast", "slice", "pad", "resize"})


@dataclass
class Case:
    """What a row's ``make(folder)`` gives.

    ``path``: the checkpoint written. ``parts``: live objects for ``check`` and ``restore`` (model, optimizer ...).
    ``truth``: live name -> values that a right restore gives (names as the live catalog has them); where an edit makes
    them of another shape, the values as saved: their common corner is kept, what the live tensor has beyond it is zero.
    ``origin``: the live objects as they were when the checkpoint was saved, for sealing with the model. ``after``: called
    after an exact restore for proofs of its own (a further training step ...); raises AssertionError. ``damage``: done
    to the file once it lies there, after sealing. ``untold``: why some weights, buffers and slots have no truth.
    """

    path: str
    parts: Mapping[str, Any]
    truth: Mapping[str, np.ndarray] = field(default_factory=dict)
    origin: Any = None
    after: Callable[[holdfast.Outcome], None] | None = None
    damage: Callable[[], None] | None = None
    untold: str = ""


@dataclass(frozen=True)
class Row:
    """``mutation`` as FAILURES.md names it (or a name of ours), ``system`` the format, ``expect`` an outcome, ``codes``
    those of which one must be among the errors (``refuse``) or warnings (``warn``). ``sealed``: the outcome with a seal
    that was made with the model (``refuse`` where a plain ``indistinguishable`` becomes that). ``settles``: a
    ``refuse`` whose own plan makes the restore right (names and axes carried over). ``elsewhere``: judges it, where this
    process cannot (other devices)."""

    mutation: str
    system: str
    expect: str
    make: Callable[[Path], Case]
    codes: tuple[str, ...] = ()
    sealed: str | None = None
    settles: bool = False
    elsewhere: Callable[[Row, bool], Got] | None = None

    @property
    def id(self) -> str:
        return f"{self.system}: {self.mutation}"


@dataclass(frozen=True)
class Got:
    """What came out: ``outcome``, the codes found at error and warning, ``right`` (caught, as expected), and for a wrong
    one ``kind``: ``missed`` or ``false alarm`` or ``wrong`` (values, crash)."""

    outcome: str
    codes: tuple[str, ...]
    right: bool
    kind: str
    detail: str = ""


def live_values(parts: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Every live value there is, copied."""
    from holdfast._frameworks import live_catalog

    catalog = live_catalog(**parts)
    found = {n: np.array(v.read(), copy=True) for n, v in catalog.variables.items() if v.read is not None}
    for name, setting in catalog.settings.items():
        found[f"setting:{name}"] = np.asarray(repr(setting.read()))
    return found


def same(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal bit for bit, shape and dtype included."""
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype.kind == b.dtype.kind == "O":  # texts: the bytes of such an array are addresses
        return a.shape == b.shape and a.tolist() == b.tolist()
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def judge(row: Row, *, sealed: bool = False) -> Got:
    """Make the case afresh and see what check and restore say of it."""
    if row.elsewhere is not None:
        return row.elsewhere(row, sealed)
    with tempfile.TemporaryDirectory(prefix="matrix-") as folder:
        try:
            return _judge(row, Path(folder), sealed)
        except Exception as bug:  # noqa: BLE001 - a crash is a wrong outcome, told with its place
            where = traceback.extract_tb(bug.__traceback__)[-1]
            text = f"{type(bug).__name__}: {bug} ({Path(where.filename).name}:{where.lineno})"
            return Got("crash", (), False, "wrong", text)


def _judge(row: Row, folder: Path, sealed: bool) -> Got:
    expect = (row.sealed or row.expect) if sealed else row.expect
    case = row.make(folder)
    if sealed:
        assert case.origin is not None, "a row with sealed= needs Case.origin"
        holdfast.seal(case.path, model=case.origin)
    if case.damage is not None:
        case.damage()
    before = live_values(case.parts)
    report = holdfast.check(case.path, depth="full", **case.parts)
    after = live_values(case.parts)
    if {n for n in before if n not in after or not same(before[n], after[n])}:
        return Got("crash", (), False, "wrong", "check changed live values")
    errors = tuple(dict.fromkeys(f.code for f in report.findings if f.severity == "error"))
    warnings = tuple(dict.fromkeys(f.code for f in report.findings if f.severity == "warning"))
    if errors:
        return _refused(row, expect, case, before, errors)
    try:
        outcome = holdfast.restore(case.path, **case.parts)
    except holdfast.HoldfastError as error:
        return _failed(row, expect, case, before, error)
    wrong = "" if expect == "indistinguishable" else _wrong_values(case, outcome)
    if expect == "indistinguishable":
        return Got("indistinguishable", warnings, not warnings, "" if not warnings else "false alarm")
    if wrong:
        return Got("silent and wrong", warnings, False, "missed", wrong)
    if case.after is not None:
        case.after(outcome)
    if warnings:
        right = expect == "warn" and bool(set(warnings) & set(row.codes))
        return Got("warn", warnings, right, "" if right else "false alarm", report.findings[0].message)
    return Got("exact", (), expect == "exact", "" if expect == "exact" else "missed")


def _failed(
    row: Row, expect: str, case: Case, before: Mapping[str, np.ndarray], error: holdfast.HoldfastError
) -> Got:
    """``check`` looked at no values; the restore read them and found damage. Its code is the class of the error."""
    codes = (type(error).__name__,)
    now = live_values(case.parts)
    if any(name not in now or not same(values, now[name]) for name, values in before.items()):
        return Got("crash", codes, False, "wrong", "a failed restore left changed live values")
    right = expect == "refuse" and codes[0] in row.codes
    return Got("refuse", codes, right, "" if right else "false alarm", "" if right else str(error))


def _wrong_values(case: Case, outcome: holdfast.Outcome, *, lossy: bool = False) -> str:
    """What a restore that was done left otherwise than it must be; also where nothing tells what it must be."""
    from holdfast._frameworks import live_catalog

    parts = {**case.parts, **outcome.objects}
    now = live_values(parts)
    for name, values in case.truth.items():
        if name not in now:
            return f"{name} is not among the live values"
        if not same(now[name], _fitted(values, now[name]) if lossy else values):
            return f"{name} is not as saved"
    if case.untold or case.after is not None:
        return ""
    roles = {n: v.spec.role for n, v in live_catalog(**parts).variables.items() if v.read is not None}
    untold = [n for n, role in roles.items() if role in ("weight", "buffer", "slot") and n not in case.truth]
    return f"nothing in the row tells what {untold[0]} must be ({len(untold)} such)" if untold else ""


def _fitted(saved: np.ndarray, live: np.ndarray) -> np.ndarray:
    """Saved values in a tensor of another shape, cast to its dtype: the common corner, and zeros."""
    if saved.shape == live.shape or saved.ndim != live.ndim:
        return saved.astype(live.dtype, copy=False)
    found = np.zeros(live.shape, live.dtype)
    corner = tuple(slice(0, min(sizes)) for sizes in zip(saved.shape, live.shape, strict=True))
    found[corner] = saved[corner].astype(live.dtype)
    return found


def _refused(
    row: Row, expect: str, case: Case, before: Mapping[str, np.ndarray], errors: tuple[str, ...]
) -> Got:
    try:
        holdfast.restore(case.path, **case.parts)
    except holdfast.RestoreRefused as refusal:
        plan = refusal.plan
        text = str(refusal)
    except holdfast.HoldfastError as error:
        plan, text = holdfast.Plan(), str(error)
    else:
        return Got("crash", errors, False, "wrong", "check found errors, restore did not refuse")
    now = live_values(case.parts)
    if any(name not in now or not same(values, now[name]) for name, values in before.items()):
        return Got("crash", errors, False, "wrong", "a refused restore changed live values")
    kinds = {edit.kind for edit in plan}
    got = "refuse"
    resized = "T203" in errors and "T201" not in errors
    if kinds and kinds <= (LOSSY | {"keep-live", "reset-slots"} if resized else LOSSY):
        got = "lossy"
    elif kinds == {"drop"}:
        got = "leftover"
    if expect in ("lossy", "leftover"):
        if got != expect:
            return Got(got, errors, False, "wrong", text)
        outcome = holdfast.restore(case.path, plan=plan, **case.parts)
        anew = {*outcome.kept, *outcome.reset}
        if anew:  # a head begins anew: its own values, and no state of the old one
            after = live_values({**case.parts, **outcome.objects})
            for name in [n for n in case.truth if n in anew or n not in after]:
                if name in outcome.kept:
                    case.truth[name] = before[name]
                elif name not in before:
                    del case.truth[name]
                elif name in outcome.reset:
                    case.truth[name] = np.zeros_like(before[name])
        wrong = _wrong_values(case, outcome, lossy=True)
        return Got(got, errors, not wrong, "missed" if wrong else "", wrong)
    right = expect == "refuse" and (not row.codes or bool(set(errors) & set(row.codes)))
    if right and row.settles:
        outcome = holdfast.restore(case.path, plan=plan, **case.parts)
        wrong = _wrong_values(case, outcome)
        return Got("refuse", errors, not wrong, "wrong" if wrong else "", wrong)
    kind = "" if right else ("wrong" if expect == "refuse" else "false alarm")
    return Got("refuse", errors, right, kind, "" if right else text)
