"""An optimizer's state in a file of its own, restored without the model: the names that both sides record tell whose is whose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import holdfast

torch = pytest.importorskip("torch")

ORDER = ["0.weight", "0.bias", "1.weight", "1.bias"]


def stepped(order: list[str], *, named: bool = True) -> tuple[Any, Any]:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 4))
    weights = dict(model.named_parameters())
    optimizer = torch.optim.Adam([(n, weights[n]) if named else weights[n] for n in order])
    model(torch.randn(5, 4)).square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    return model, optimizer


def saved(path: Path, order: list[str], **how: Any) -> tuple[Path, Any]:
    model, optimizer = stepped(order, **how)
    torch.save(optimizer.state_dict(), path)
    return path, optimizer.state[model[0].weight]["exp_avg"].clone()


@pytest.mark.parametrize("order", [ORDER, ORDER[::-1]])
def test_the_same_names_in_the_same_order_are_restored(tmp_path: Path, order: list[str]) -> None:
    path, moment = saved(tmp_path / "opt.pt", order)
    model, optimizer = stepped(order)
    optimizer.state[model[0].weight]["exp_avg"].zero_()
    assert holdfast.check(path, optimizer=optimizer).checkpoints[0].attributes["fits"]
    holdfast.restore(path, optimizer=optimizer)
    assert torch.equal(optimizer.state[model[0].weight]["exp_avg"], moment)


def test_other_names_at_the_same_positions_are_refused(tmp_path: Path) -> None:
    path, _ = saved(tmp_path / "opt.pt", [*ORDER[2:], *ORDER[:2]])
    _, optimizer = stepped(ORDER)
    with pytest.raises(holdfast.RestoreRefused, match=r"`1\.weight` and `0\.weight`") as caught:
        holdfast.restore(path, optimizer=optimizer)
    (finding,) = (f for f in caught.value.findings if f.severity == "error")
    assert finding.code == "T210" and "in the order in which the file names them" in finding.remedy
    holdfast.restore(path, optimizer=optimizer, allow="map-slots:*->*")


@pytest.mark.parametrize(("there", "here"), [(False, True), (True, False), (False, False)])
def test_names_of_one_side_alone_tell_nothing(tmp_path: Path, there: bool, here: bool) -> None:
    path, _ = saved(tmp_path / "opt.pt", ORDER, named=there)
    _, optimizer = stepped(ORDER, named=here)
    with pytest.raises(holdfast.RestoreRefused, match="no model was passed whose names could tell"):
        holdfast.restore(path, optimizer=optimizer)
