"""PyTorch's rows of the restore matrix under a guard, with the frameworks' own calls. ``matrix_table.py`` prints them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("safetensors")
sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent / "matrix")]

from matrix_torch import CELLS  # noqa: E402
from watched_matrix import Cell, judge_watched  # noqa: E402

NEEDS = ("lightning: plain, the trainer's own file", "lightning: weights-only file for model")


def _parameters() -> list[object]:
    """Of each mutation one cell always, of another format and way each time; all of them with the long tests."""
    by_mutation: dict[str, list[int]] = {}
    for number, cell in enumerate(CELLS):
        by_mutation.setdefault(cell.row.mutation, []).append(number)
    kept = {numbers[k % len(numbers)] for k, numbers in enumerate(by_mutation.values())}
    return [
        pytest.param(cell, id=cell.id, marks=() if number in kept else (pytest.mark.long,))
        for number, cell in enumerate(CELLS)
    ]


@pytest.mark.parametrize("cell", _parameters())
def test_a_cell_is_told_if_and_only_if_it_is_wrong(cell: Cell) -> None:
    if cell.row.id.startswith(NEEDS):
        pytest.importorskip("lightning")
    got = judge_watched(cell)
    assert not got.fault, f"{got.fault}: {got.happened}, told {got.told}\n{got.detail}"
