"""The restore matrix of Keras and TensorFlow: every row as expected, without and with a seal."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("keras")
sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness import Row, judge
from keras_mirrored_rows import ROWS as MIRRORED
from keras_mirrored_rows import sample
from keras_rows import ROWS as KERAS
from keras_sharded_rows import ROWS as SHARDED
from tensorflow_rows import ROWS as TENSORFLOW

ROWS = [*KERAS, *TENSORFLOW, *SHARDED, *MIRRORED]
CASES = [(row, sealed) for row in ROWS for sealed in ((False, True) if row.sealed is not None else (False,))]


def _parameters() -> list[object]:
    """Of each mutation one case always, of another format and seal each time, and the plain resumes; all of them with
    the long tests."""
    by_mutation: dict[str, list[int]] = {}
    chosen = [*sample(), *SHARDED]  # each of the sharded rows is of one format
    for number, (row, _) in enumerate(CASES):
        if row not in MIRRORED:
            by_mutation.setdefault(row.mutation, []).append(number)
    kept = {numbers[k % len(numbers)] for k, numbers in enumerate(by_mutation.values())}
    kept |= {
        number for number, (row, _) in enumerate(CASES) if row in chosen or row.mutation == "plain resume"
    }
    return [
        pytest.param(
            row,
            sealed,
            id=f"{row.id}{' [sealed]' if sealed else ''}",
            marks=() if number in kept else (pytest.mark.long,),
        )
        for number, (row, sealed) in enumerate(CASES)
    ]


@pytest.mark.parametrize(("row", "sealed"), _parameters())
def test_row(row: Row, sealed: bool) -> None:
    got = judge(row, sealed=sealed)
    expected = row.sealed if sealed else row.expect
    assert got.right, f"expected {expected}, got {got.outcome} {got.codes} ({got.kind}): {got.detail}"


def test_rows_have_names_of_their_own() -> None:
    names = [row.id for row in ROWS]
    assert len(names) == len(set(names))
