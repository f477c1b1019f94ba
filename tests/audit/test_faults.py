"""Each planted fault is told first, on each kind of run; nothing is told of a clean one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from audit.faults import FAULTS, audited, first_told
from audit.kinds import KINDS, LAST

ALWAYS = {
    "torch": {fault.title for fault in FAULTS},
    "jax": {
        "training mode left on now", "logged with the averaged weights", "last layer initialised anew by the evaluation",
        "epsilon changed", "another validation split", "other constants in the preprocessing",
    },
    "tape": {
        "training mode left on now", "statistics reset while loading", "averaged weights loaded", "epsilon changed",
        "logged with the averaged weights", "logged ten steps later",
    },
    "keras-batchnorm": {
        "training mode left on when it was logged", "averaged weights loaded", "logged ten steps earlier",
        "last layer initialised anew after loading",
    },
    "keras-bfloat16": {"the preprocessing function has other constants", "epsilon changed", "loaded in bfloat16"},
    "keras-dropout": set(),
    "keras-plain": set(),
}  # fmt: skip
"""What is run each time; the whole table with the long tests, and by ``fault_table.py``."""

TABLE = [
    pytest.param(
        kind,
        fault,
        id=f"{kind}: {fault.title}",
        marks=() if fault.title in ALWAYS[kind] else pytest.mark.long,
    )
    for kind in KINDS
    for fault in FAULTS
]


@pytest.mark.parametrize("name, fault", TABLE)
def test_a_planted_fault_is_told_first(runs: Any, tmp_path: Path, name: str, fault: Any) -> None:
    run = runs(name)
    if fault.none(run.kind) is not None:
        pytest.skip(f"{name}: {fault.none(run.kind)}")
    with run.kind.setting():
        report = audited(fault, run.kind, run, tmp_path / "copy")
    assert first_told(report) in fault.told, report.summary
    assert [f for f in report.findings if f.severity == "error" and f.slug in fault.told]
    assert report.verdict != "reproduced" and report.summary


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in ("torch", "tape") else pytest.mark.long) for n in KINDS]
)
def test_running_averages_are_taken_apart(runs: Any, name: str) -> None:
    """The parts add up to the gap, and training mode is a part of its own where a layer acts otherwise in it."""
    from audit.digits import X, Y

    run = runs(name)
    kind = run.kind

    def both(model: Any) -> dict[str, float]:
        on = {k.removeprefix("val_"): v for k, v in kind.evaluate(model, X, Y).items()}
        return on | {k if k.startswith("val_") else f"val_{k}": v for k, v in kind.evaluate(model).items()}

    with kind.setting():
        report = kind.audited(run, evaluate=both)
    assert report.verdict == "reproduced", report.summary
    row = next(r for r in report.rows if r.metric.name == "loss")
    assert row.verdict == "cannot-compare" and row.now is not None
    assert row.metric.value == pytest.approx(run.logged[LAST])
    assert sum(amount for amount, _ in row.parts) == pytest.approx(run.logged[LAST] - row.now)
    moving, mode = row.parts
    assert moving[1] == "weights were still moving" and "training mode" not in moving[1]
    assert mode[0] != 0 if kind.drops or kind.normalises else mode[0] == pytest.approx(0, abs=1e-6)


def test_every_kind_has_fifteen_faults() -> None:
    from audit.kinds import Kind

    plain = Kind()
    plain.drops = plain.normalises = False
    assert sum(fault.none(plain) is None for fault in FAULTS) >= 15
    narrow = Kind()
    narrow.narrow = True
    assert sum(fault.none(narrow) is None for fault in FAULTS) >= 15
