"""Mutations on JAX under a guard: each silent and wrong cell is told, no right one is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("jax")
pytest.importorskip("flax")
pytest.importorskip("optax")
pytest.importorskip("orbax.checkpoint")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "matrix"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from matrix_jax import CELLS
from watched_matrix import Cell, judge_watched

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
