"""The restore matrix of Keras and TensorFlow: every row as expected, without and with a seal."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("keras")
sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness import Row, judge  # noqa: E402
from keras_rows import ROWS as KERAS  # noqa: E402
from tensorflow_rows import ROWS as TENSORFLOW  # noqa: E402

ROWS = [*KERAS, *TENSORFLOW]
CASES = [(row, sealed) for row in ROWS for sealed in ((False, True) if row.sealed is not None else (False,))]
SAMPLE = 3
"""Every how manieth row runs always, beside the first of each mutation; all of them with the long tests."""


def _parameters() -> list[object]:
    found: list[object] = []
    seen: set[str] = set()
    for number, (row, sealed) in enumerate(CASES):
        kept = number % SAMPLE == 0 and row.mutation not in seen
        if kept:
            seen.add(row.mutation)
        name = f"{row.id}{' [sealed]' if sealed else ''}"
        found.append(pytest.param(row, sealed, id=name, marks=() if kept else (pytest.mark.long,)))
    return found


@pytest.mark.parametrize(("row", "sealed"), _parameters())
def test_row(row: Row, sealed: bool) -> None:
    got = judge(row, sealed=sealed)
    expected = row.sealed if sealed else row.expect
    assert got.right, f"expected {expected}, got {got.outcome} {got.codes} ({got.kind}): {got.detail}"


def test_rows_have_names_of_their_own() -> None:
    names = [row.id for row in ROWS]
    assert len(names) == len(set(names))
