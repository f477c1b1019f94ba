"""PyTorch's optimizers under a guard: their state goes by position, and several are loaded at one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from guard.watching import Watched  # noqa: E402


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))


@pytest.fixture
def saved(tmp_path: Path) -> str:
    """A training checkpoint of Adam with a rate of 0.1."""
    model = net()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    model(torch.randn(5, 4)).square().sum().backward()
    optimizer.step()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "state.pt")
    return str(tmp_path / "state.pt")


def test_two_optimizers_of_one_line_are_both_told(saved: str, watched: Watched) -> None:
    found = torch.load(saved)["optimizer"]
    models = [net(), net()]
    optimizers = [torch.optim.Adam(model.parameters(), lr=0.5) for model in models]
    for _ in range(3):
        for optimizer in optimizers:
            optimizer.load_state_dict(found)
    assert watched.codes() == ["O207", "O207"]


def test_the_turns_of_a_loop_are_told_once(saved: str, watched: Watched) -> None:
    found = torch.load(saved)["optimizer"]
    for _ in range(4):
        model = net()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1, weight_decay=0.5)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 10)  # the two hold one another
        optimizer.load_state_dict({**found, "state": dict(found["state"])})
        del scheduler
    assert watched.codes().count("O207") == 1


@pytest.mark.parametrize("named", [False, True])
def test_names_in_the_file_tell_that_another_order_is_the_right_one(
    tmp_path: Path, watched: Watched, named: bool
) -> None:
    def made() -> tuple[nn.Module, Any]:
        model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        params = [*reversed([*model.named_parameters()])]
        return model, torch.optim.Adam(params if named else [param for _, param in params], lr=0.1)

    model, optimizer = made()
    model(torch.randn(5, 4)).square().sum().backward()
    optimizer.step()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "state.pt")
    found = torch.load(tmp_path / "state.pt")
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    optimizer = torch.optim.Adam([*reversed([*model.parameters()])], lr=0.1)
    model.load_state_dict(found["model"])
    optimizer.load_state_dict(found["optimizer"])
    assert ("O209" in watched.codes()) is not named  # without names nothing tells it
    assert "T231" not in watched.codes()
