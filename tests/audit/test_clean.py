"""No false alarm on clean re-runs: new processes, other batch sizes, one and two threads. ``clean_runs.py`` prints them all."""

from __future__ import annotations

from typing import Any

import pytest

from audit.clean_runs import BATCHES, rerun
from audit.kinds import KINDS

CASES = [
    pytest.param(name, threads, marks=() if (name, threads) in (("torch", 1),) else pytest.mark.long)
    for name in KINDS
    for threads in BATCHES
]


@pytest.mark.parametrize("name, threads", CASES)
def test_reproduced_in_a_new_process(runs: Any, name: str, threads: int) -> None:
    for row in rerun(runs(name).folder, name, threads, BATCHES[threads]):
        assert (row["verdict"], row["findings"]) == ("reproduced", []), row
        assert row["batch"] == "probe" or row["setup"] == [], row
        if row["batch"] == "probe":
            assert row["said"].startswith("the probe gives the same")


def test_there_are_fifty() -> None:
    assert len(KINDS) * sum(len(batches) for batches in BATCHES.values()) >= 49
    assert len(KINDS) * sum(len(batches) + 1 for batches in BATCHES.values()) >= 50
