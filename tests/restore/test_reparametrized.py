"""Torch's own weight norm, spectral norm and pruning: what is restored computes the same; what cannot be is told as that."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import holdfast

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.nn.utils import parametrizations, prune  # noqa: E402

Put = Callable[[Any], Any]
PUT: dict[str, Put] = {
    "older weight norm": nn.utils.weight_norm,
    "weight norm": parametrizations.weight_norm,
    "older spectral norm": nn.utils.spectral_norm,
    "spectral norm": parametrizations.spectral_norm,
    "pruning": lambda layer: prune.l1_unstructured(layer, "weight", 0.3),
    "whole": lambda layer: layer,
}


def made(put: str, seed: int) -> tuple[Any, Any]:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv1d(4, 8, 3), nn.ReLU(), nn.Conv1d(8, 8, 3), nn.Conv1d(8, 8, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of the older functions
        for number in (0, 2, 3):
            PUT[put](model[number])
    return model, torch.optim.Adam(model.parameters())


def saved(put: str, path: Path) -> Any:
    model, optimizer = made(put, 0)
    for _ in range(2):
        model(torch.ones(1, 4, 9)).sum().backward()
        optimizer.step()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, path)
    return model.eval()


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("older weight norm", "weight norm"),
        ("weight norm", "older weight norm"),
        ("older spectral norm", "spectral norm"),
        ("spectral norm", "older spectral norm"),
    ],
)
def test_either_generation_restores_the_other(tmp_path: Path, was: str, now: str) -> None:
    before = saved(was, tmp_path / "c.pt")
    model, optimizer = made(now, 1)
    outcome = holdfast.restore(tmp_path / "c.pt", model=model, optimizer=optimizer)
    assert "restored all" in str(outcome) and "will run" in str(outcome)
    x = torch.randn(2, 4, 9)
    assert torch.equal(model.eval()(x), before(x))


@pytest.mark.parametrize("put", [name for name in PUT if name != "whole"])
@pytest.mark.parametrize("parted", ["checkpoint", "model"])
def test_parts_are_not_the_whole(tmp_path: Path, put: str, parted: str) -> None:
    was, now = (put, "whole") if parted == "checkpoint" else ("whole", put)
    saved(was, tmp_path / "c.pt")
    model, optimizer = made(now, 1)
    with pytest.raises(holdfast.RestoreRefused) as refused:
        holdfast.restore(tmp_path / "c.pt", model=model, optimizer=optimizer)
    (error,) = [f for f in refused.value.findings if f.severity == "error"]
    assert error.code == "T201" and f"the {parted} keeps" in error.message
    assert put.removeprefix("older ") in error.message and error.edit is None
    assert "rename:" not in str(refused.value) and "keep-live:" not in str(refused.value)


def test_the_remedies_do_what_they_say(tmp_path: Path) -> None:
    before = saved("weight norm", tmp_path / "c.pt")
    model, _ = made("weight norm", 1)
    holdfast.restore(tmp_path / "c.pt", model=model)
    for number in (0, 2, 3):
        nn.utils.parametrize.remove_parametrizations(model[number], "weight")
    x = torch.randn(2, 4, 9)
    assert torch.equal(model(x), before(x))
    before = saved("whole", tmp_path / "w.pt")
    model, _ = made("whole", 1)
    holdfast.restore(tmp_path / "w.pt", model=model)
    parametrizations.weight_norm(model[0])
    assert torch.allclose(model(x), before(x), atol=1e-6)
