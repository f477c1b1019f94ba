"""NumPy's files under a guard: normalized data that comes back, and silence about all else."""

from __future__ import annotations

import numpy as np
import pytest

from holdfast._guard.arrays import normalized
from holdfast._guard.guard import Guard

RNG = np.random.default_rng(0)
RAW = RNG.normal(loc=[5, -2, 40], scale=[2, 1, 15], size=(200, 3)).astype("float32")
MEAN, SCALE = RAW.mean(axis=0), RAW.std(axis=0)


@pytest.fixture
def seen():
    told = []
    with Guard(tell=told.append):
        yield told


def test_normalized_data_without_its_statistics(tmp_path, seen):
    np.save(tmp_path / "x.npy", (RAW - MEAN) / SCALE)
    np.load(tmp_path / "x.npy")
    np.load(tmp_path / "x.npy")
    np.save(tmp_path / "z.npy", (RAW - MEAN) / SCALE)
    np.load(tmp_path / "z.npy")  # told once
    assert len(seen) == 1
    assert "normalized already: each of its 3 columns" in seen[0].sentence
    assert "bit for bit as" in seen[0].sentence
    assert seen[0].findings == []


@pytest.mark.parametrize("how", ["one file", "files of their own", "loaded"])
def test_with_its_statistics_nothing_is_said(tmp_path, seen, how):
    data = (RAW - MEAN) / SCALE
    if how == "one file":
        np.savez(tmp_path / "all.npz", data=data, mean=MEAN, scale=SCALE)
        np.save(tmp_path / "x.npy", data)
    else:
        np.save(tmp_path / "x.npy", data)
        np.save(tmp_path / "mean.npy", MEAN)
        if how == "loaded":
            np.load(tmp_path / "mean.npy")
    np.load(tmp_path / "x.npy")
    assert seen == []


def test_results_and_errors_pass_unchanged(tmp_path, seen):
    np.save(tmp_path / "x", RAW)  # adds .npy
    assert np.array_equal(np.load(tmp_path / "x.npy"), RAW)
    np.savez_compressed(tmp_path / "y.npz", RAW, named=MEAN)
    with np.load(tmp_path / "y.npz") as held:
        assert set(held.files) == {"arr_0", "named"}
    with pytest.raises(FileNotFoundError):
        np.load(tmp_path / "none.npy")
    assert seen == []


@pytest.mark.parametrize(
    "array",
    [
        RAW,
        RNG.normal(size=(5000, 4)),  # a sample of the normal distribution is not normalized by its statistics
        RNG.normal(size=(5000, 1)),
        np.zeros((100, 3)),
        np.ones((100, 3)),
        ((RAW - MEAN) / SCALE)[:8],
        np.zeros((0, 3)),
        np.arange(200).reshape(100, 2),
        np.array("text"),
    ],
)
def test_other_arrays_are_not_normalized(array):
    assert normalized(array) == 0


@pytest.mark.parametrize("ddof", [0, 1])
def test_either_deviation_counts(ddof):
    assert normalized((RAW - MEAN) / RAW.std(axis=0, ddof=ddof)) == 3


def test_a_constant_column_may_be_among_them():
    data = np.concatenate([(RAW - MEAN) / SCALE, np.zeros((200, 1), "float32")], axis=1)
    assert normalized(data) == 4
    assert normalized(data[:, ::-1]) == 4
