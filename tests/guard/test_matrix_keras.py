"""The restore matrix of Keras and TensorFlow under a guard: each silent and wrong cell is told, no right one is."""

from __future__ import annotations

import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("keras")
from guard.watched_cells import Cell, assert_named_apart, assert_told_rightly, named  # isort: skip - first
from matrix_keras import CELLS

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
"""Those of ``make test``."""


@pytest.mark.parametrize("cell", named(CELLS, QUICK))
def test_a_cell_is_told_if_and_only_if_it_is_wrong(cell: Cell) -> None:
    assert_told_rightly(cell)


def test_cells_have_names_of_their_own() -> None:
    assert_named_apart(CELLS)
