"""The restore matrix of Keras and TensorFlow under a guard: each silent and wrong cell is told, no right one is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("keras")
sys.path.insert(0, str(Path(__file__).resolve().parent))

from matrix_keras import CELLS
from watched_matrix import Cell, judge_watched

QUICK = {
    "tfck: plain resume [restore]",
    "tfck: layer added at end [restore]",
    "tfck: same-shape layers swapped, explicit names [restore]",
    "tfck: optimizer SGD(momentum)->RMSprop [restore]",
    "tfck: lr changed before restore [optimizer built]",
    "tfck: optimizer SGD(momentum)->SGD(no momentum) [restore]",
    "tfck: amsgrad switched off [restore]",
    "tfck: optimizer built over another order [restore]",
    "tfck: layer frozen before the optimizer is built [restore]",
    "tfck: not built yet at restore, model alone [restore]",
    "weights.h5: plain resume [load_weights]",
    "weights.h5: same-shape layers swapped, explicit names [load_weights]",
    "weights.h5: dtype f32->f16, a weight of 70000 [load_weights]",
    ".keras: layer removed at end [load_weights]",
    ".keras: plain resume [load_model]",
    "tfck-module: layer added to a list [restore]",
}
"""Those of ``make test``; all are long."""


def _parameters() -> list[object]:
    assert {c.id for c in CELLS} >= QUICK
    return [pytest.param(c, id=c.id, marks=() if c.id in QUICK else (pytest.mark.long,)) for c in CELLS]


@pytest.mark.parametrize("cell", _parameters())
def test_cell(cell: Cell) -> None:
    verdict = judge_watched(cell)
    assert not verdict.fault, f"{verdict.fault}: {verdict.happened}, told {verdict.told}: {verdict.detail}"


def test_cells_have_names_of_their_own() -> None:
    names = [cell.id for cell in CELLS]
    assert len(names) == len(set(names))
