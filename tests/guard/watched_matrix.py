"""The restore matrix under a guard: each row loaded by its framework's own calls, judged by values.

A cell is ``loud`` (the load raised), ``right`` or ``wrong`` (it returned, and the live objects hold what a right restore
gives, or not). Demanded of the guard: a wrong cell has a finding at warning or error, told by then; a right one has none.
What no value can tell is written with the row: where it is expected to be refused for another reason than values
(:data:`MEANING`), that is to be told too.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "matrix"))

from harness import Case, Row, live_values, same

import holdfast
from holdfast._guard.guard import Guard
from holdfast._guard.seen import Seen

__all__ = ["MEANING", "Cell", "Verdict", "judge_watched"]

Load = Callable[[Case], None]

MEANING = frozenset(
    {
        "T201",
        "T218",
        "T219",
        "T223",
        "T224",
        "O201",
        "O203",
        "O204",
        "O207",
        "O209",
        "R201",
        "F102",
        "F112",
        "N101",
    }
)
"""Codes of rows that are wrong whatever the values say after a load: the learning rate of the code gave way, the state is
another class's, the function is another one."""


@dataclass(frozen=True)
class Cell:
    """A row, loaded one ``way``, with or without a seal. ``load(case)`` makes the framework's own calls."""

    row: Row
    way: str
    load: Load
    sealed: bool = False

    @property
    def id(self) -> str:
        """For pytest and the table."""
        return f"{self.row.id} [{self.way}]" + (" [sealed]" if self.sealed else "")


@dataclass(frozen=True)
class Verdict:
    """``happened``: loud, right, wrong; ``wanted``: tell, silent, either; ``told``: codes at warning and error; ``fault``:
    empty where the guard did what it should, else missed, false alarm, changed, broken."""

    happened: str
    wanted: str
    told: tuple[str, ...]
    fault: str
    detail: str = ""


def judge_watched(cell: Cell) -> Verdict:
    """Make the case twice: load it without a guard, and under one."""
    with warnings.catch_warnings(), tempfile.TemporaryDirectory(prefix="watched-") as folder:
        warnings.simplefilter("ignore")
        (Path(folder) / "plain").mkdir()
        (Path(folder) / "seen").mkdir()
        plain = _made(cell, Path(folder) / "plain")
        error = _tried(cell.load, plain)
        case = _made(cell, Path(folder) / "seen")
        seen: list[Seen] = []
        guard = Guard(tell=seen.append)
        try:
            other = _tried(cell.load, case)
        finally:
            guard.close()
        return _judged(cell, plain, case, error, other, seen)


def _made(cell: Cell, folder: Path) -> Case:
    case = cell.row.make(folder)
    if cell.sealed:
        holdfast.seal(case.path, model=case.origin)
    if case.damage is not None:
        case.damage()
    return case


def _tried(load: Load, case: Case) -> Exception | None:
    try:
        load(case)
    except Exception as error:  # noqa: BLE001 - whatever the framework raises is its answer
        return error
    return None


def _judged(
    cell: Cell, plain: Case, case: Case, error: Exception | None, other: Exception | None, seen: list[Seen]
) -> Verdict:
    # what is odd about a file is told when it is read; a row that is expected to load without a doubt has nothing odd
    findings = [f for s in seen for f in s.findings if f.code != "T105" or cell.row.expect == "exact"]
    told = tuple(dict.fromkeys(f.code for f in findings if f.severity in ("error", "warning")))
    lines = "\n".join(f"{f.severity} {f.code} {f.message}" for f in findings if f.severity != "note")
    if "H000" in told:
        return Verdict("?", "?", told, "broken", lines)
    if type(error) is not type(other):
        return Verdict("?", "?", told, "changed", f"{error!r} without a guard, {other!r} with it")
    now = live_values(case.parts)
    apart = [n for n, v in live_values(plain.parts).items() if n not in now or not same(v, now[n])]
    if apart:
        return Verdict("?", "?", told, "changed", f"{apart[:3]} differ with and without a guard")
    if error is not None:
        return Verdict("loud", "either", told, "", f"{type(error).__name__}: {error}")
    wrong = wrong_values(case, now)
    happened = "wrong" if wrong else "right"
    wanted = _wanted(cell, bool(wrong), bool(case.truth))
    fault = ""
    if wanted == "tell" and not told:
        fault = "missed"
    elif wanted == "silent" and told:
        fault = "false alarm"
    return Verdict(happened, wanted, told, fault, (wrong + "\n" if wrong else "") + lines)


def _wanted(cell: Cell, wrong: bool, judged: bool) -> str:
    """``judged``: the row says what is right, value by value."""
    row = cell.row
    expect = row.sealed if cell.sealed and row.sealed else row.expect
    if expect == "indistinguishable":
        return "silent" if not cell.sealed and not wrong else "either"
    if wrong:
        return "tell"
    if expect == "warn" or (expect == "refuse" and not row.codes):
        return "either"
    if expect == "exact":
        return "silent"
    if MEANING & {*row.codes}:
        return "tell"
    return "silent" if judged else "either"


def wrong_values(case: Case, now: dict[str, np.ndarray] | None = None) -> str:
    """The first live value that is not as a right restore gives it."""
    held: dict[str, Any] = now if now is not None else live_values(case.parts)
    for name, values in case.truth.items():
        if name not in held:
            return f"{name} is not among the live values"
        if not same(held[name], values):
            return f"{name} is not as saved"
    return ""
