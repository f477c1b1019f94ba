"""PyTorch's rows of the restore matrix under a guard, with the frameworks' own calls. ``matrix_table.py`` prints them."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")
pytest.importorskip("safetensors")

from guard.watched_cells import Cell, assert_named_apart, assert_told_rightly, one_of_each_mutation  # isort: skip - first
from matrix_torch import CELLS

NEEDS = ("lightning: plain, the trainer's own file", "lightning: weights-only file for model")


@pytest.mark.parametrize("cell", one_of_each_mutation(CELLS))
def test_a_cell_is_told_if_and_only_if_it_is_wrong(cell: Cell) -> None:
    if cell.row.id.startswith(NEEDS):
        pytest.importorskip("lightning")
    assert_told_rightly(cell)


def test_cells_have_names_of_their_own() -> None:
    assert_named_apart(CELLS)
