"""Every real checkpoint: values bit for bit, names, findings, and no false alarm at error level."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from walk import OWN, Outcome, cases, walk

ALL = list(cases())


@pytest.mark.parametrize(("which", "case"), ALL, ids=[f"{w}:{c['id']}" for w, c in ALL])
def test_case(which: str, case: dict[str, Any]) -> None:
    outcome: Outcome = walk(which, case)
    assert outcome.exact, outcome.trouble
    assert outcome.names_right >= 0.98 * outcome.names_all, outcome.trouble
    assert outcome.finding_right is not False, outcome.trouble
    assert outcome.alarms == [], outcome.alarms


def test_our_own_zoo_is_there() -> None:
    assert sum(which == "own" for which, _ in ALL) >= 15
    assert (OWN / "INDEX.jsonl").exists()
