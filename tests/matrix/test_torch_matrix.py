"""The restore matrix on PyTorch, numpy trees and JAX: each row as expected. ``make matrix`` prints the table."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("safetensors")
sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness import Row, judge
from numpy_rows import ROWS as NUMPY_ROWS
from torch_file_rows import ROWS as FILE_ROWS
from torch_rows import ROWS as TORCH_ROWS
from torch_wrapped_rows import ROWS as WRAPPED_ROWS

NEEDS = {
    "lightning: plain, the trainer's own file",
    "lightning: weights-only file for model, optimizer and scheduler",
}


def cases(rows: list[Row]) -> list[object]:
    """A parameter for each row, and one more with the seal."""
    return [
        pytest.param(row, sealed, id=row.id + (" [sealed]" if sealed else ""))
        for row in rows
        for sealed in ((False, True) if row.sealed is not None else (False,))
    ]


@pytest.mark.parametrize(("row", "sealed"), cases([*NUMPY_ROWS, *TORCH_ROWS, *FILE_ROWS, *WRAPPED_ROWS]))
def test_a_row_comes_out_as_expected(row: Row, sealed: bool) -> None:
    if row.id in NEEDS:
        pytest.importorskip("lightning")
    got = judge(row, sealed=sealed)
    assert got.right, f"{got.kind}: got {got.outcome} {got.codes}\n{got.detail}"


def test_rows_have_names_of_their_own() -> None:
    names = [row.id for row in (*NUMPY_ROWS, *TORCH_ROWS, *FILE_ROWS, *WRAPPED_ROWS)]
    assert len(set(names)) == len(names)
