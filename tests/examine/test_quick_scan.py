"""The scan that looks for what is wrong alone finds just that."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import holdfast
from holdfast._examine.scan import scan_tensor

SIZE = 1 << 19


def both(folder: Path, values: np.ndarray) -> tuple[object, object]:
    path = folder / "a.npz"
    np.savez(path, w=values)
    with holdfast.open(str(path)) as catalog:
        return scan_tensor(catalog, "w"), scan_tensor(catalog, "w", quick=True)


@pytest.mark.parametrize("seed", range(12))
def test_what_is_wrong_is_found_where_it_is(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=SIZE).astype(np.float32)
    for _ in range(seed % 4):
        start = int(rng.integers(0, SIZE))
        values[start : start + int(rng.integers(1, 400_000))] = 0
    if seed % 3 == 1:
        values[rng.integers(0, SIZE, 5)] = np.nan
    if seed % 3 == 2:
        values[rng.integers(0, SIZE, 3)] = np.inf
        values[rng.integers(0, SIZE, 2)] = 1e12
    whole, quick = both(tmp_path, values)
    for word in ("size", "nan", "inf", "huge", "zero_pages", "runs"):
        assert getattr(whole, word) == getattr(quick, word), word


def test_of_ordinary_values_nothing_more_is_told(tmp_path: Path) -> None:
    whole, quick = both(tmp_path, np.random.default_rng(0).normal(size=SIZE).astype(np.float32))
    assert whole.maximum is not None and whole.mean is not None  # type: ignore[attr-defined]
    assert quick.maximum is None and quick.mean is None and quick.size == SIZE  # type: ignore[attr-defined]


def test_a_tensor_of_zeros_is_counted(tmp_path: Path) -> None:
    whole, quick = both(tmp_path, np.zeros(SIZE, np.float32))
    assert whole == quick
