"""Tensors under ``pickle.dump``: each storage lies in the pickle, as the bytes of a legacy stream of its own."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast

torch = pytest.importorskip("torch")


def written(path: Path, thing: Any, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(thing, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_values_of_every_kind(tmp_path: Path, protocol: int) -> None:
    tensors = {
        "counts": torch.arange(5), "half": torch.randn(3).bfloat16(), "turned": torch.arange(6.0).reshape(2, 3).t(),
        "weight": torch.nn.Parameter(torch.randn(2, 2)), "flag": torch.tensor(True), "nothing": torch.empty(0, 3),
    }  # fmt: skip
    path = written(tmp_path / "a.pkl", tensors, protocol)
    with holdfast.open(path) as ckpt:
        assert {n: s.shape for n, s in ckpt.items()} == {n: tuple(t.shape) for n, t in tensors.items()}
        for name, tensor in tensors.items():
            found = np.asarray(ckpt.read(name)).astype(np.float64)
            assert np.array_equal(found, tensor.detach().double().numpy())
    report = holdfast.examine(path)
    assert (report.verdict, [f for f in report.findings if f.severity != "note"]) == ("sound", [])


def test_an_optimizer_as_an_object(tmp_path: Path) -> None:
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.randn(4, 3)).sum().backward()
    optimizer.step()
    with holdfast.open(written(tmp_path / "a.pkl", optimizer)) as ckpt:
        assert (ckpt.optimizers[0].class_name, ckpt.optimizers[0].step) == ("Adam", 1)
        first = optimizer.state[model.weight]["exp_avg"].numpy()
        assert np.array_equal(ckpt.read("state/0/exp_avg"), first)


def test_a_stream_that_is_none_is_told(tmp_path: Path) -> None:
    data = bytearray(pickle.dumps({"weight": torch.arange(64.0)}, protocol=4))
    at = data.index(bytes.fromhex("6cfc9c46f9206aa85019"))  # the magic number of a legacy stream
    data[at] ^= 0xFF
    path = tmp_path / "a.pkl"
    path.write_bytes(data)
    report = holdfast.examine(path)
    assert "F103" in [f.code for f in report.findings]
