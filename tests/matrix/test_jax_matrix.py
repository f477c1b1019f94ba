"""The restore matrix on JAX trees and flax modules: each row as expected."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("jax")
pytest.importorskip("flax")
pytest.importorskip("optax")
pytest.importorskip("safetensors")
sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness import Row, judge
from jax_rows import ROWS


@pytest.mark.parametrize(
    ("row", "sealed"),
    [
        pytest.param(row, sealed, id=row.id + (" [sealed]" if sealed else ""))
        for row in ROWS
        for sealed in ((False, True) if row.sealed is not None else (False,))
    ],
)
def test_a_row_comes_out_as_expected(row: Row, sealed: bool) -> None:
    got = judge(row, sealed=sealed)
    assert got.right, f"{got.kind}: got {got.outcome} {got.codes}\n{got.detail}"
