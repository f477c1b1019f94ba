"""The doctor's damage matrix, row by row, on checkpoints that the installed frameworks write."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from damage_matrix import ROWS, Bench, Row, judge


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """The bases, each written once."""
    yield Bench(tmp_path_factory.mktemp("damage"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_the_doctor_says(bench: Bench, row: Row) -> None:
    missing = bench.missing(row)
    if missing is not None:
        pytest.skip(f"{missing} is not installed")
    outcome = judge(row, bench.run(row))
    assert outcome.right, f"{outcome.word}: expected {row.expect}, got {outcome.text}"


def test_the_matrix_is_wide() -> None:
    """Rows do not vanish unnoticed: each format has its damages, and sound files are a good part."""
    per = Counter(row.base for row in ROWS)
    silent = sum(row.expect == "silent" for row in ROWS)
    assert len({(row.base, row.mutation) for row in ROWS}) == len(ROWS), "every row is a case of its own"
    assert all(
        per[name] >= 24 for name in ("torch-train", "keras-archive", "tf-object", "safetensors", "npz")
    )
    assert silent > 150 and len(ROWS) - silent > 500
