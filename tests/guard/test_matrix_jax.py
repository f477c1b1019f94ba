"""Mutations on JAX under a guard: each silent and wrong cell is told, no right one is."""

from __future__ import annotations

import pytest

pytest.importorskip("jax")
pytest.importorskip("flax")
pytest.importorskip("optax")
pytest.importorskip("orbax.checkpoint")
from guard.watched_cells import Cell, assert_named_apart, assert_told_rightly, named  # isort: skip - first
from matrix_jax import CELLS

QUICK = {
    "jax: plain, partitioned [std]",
    "jax: dtype f32->f16 (a weight of 70000) [std]",
    "jax: half truncated [std]",
    "jax: plain, schedule in the state [std, abstract]",
    "jax: units changed [pytree item=]",
    "jax: dtype f32->bf16 [pytree item=]",
    "jax: dtype f32->bf16 [pytree restore_args=]",
    "jax: layer added at end, with optimizer [pytree transforms={}]",
    "jax: layer renamed only [pytree transforms={}]",
    "jax: injected lr changed before restore [manager]",
    "jax: NaN in weights [manager, items]",
    "jax: tied at save, untied at load [v1]",
    "jax: dtype f32->int32 [v1 manager]",
    "jax: kernel transposed [flax bytes]",
    "jax: layer removed at end [flax bytes]",
    "jax: fewer classes [flax checkpoints]",
}
"""Those of ``make test``."""


@pytest.mark.parametrize("cell", named(CELLS, QUICK))
def test_a_cell_is_told_if_and_only_if_it_is_wrong(cell: Cell) -> None:
    assert_told_rightly(cell)


def test_cells_have_names_of_their_own() -> None:
    assert_named_apart(CELLS)
