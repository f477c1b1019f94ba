"""A learning-rate schedule that has made all its steps, live and as a checkpoint would leave it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import holdfast

torch = pytest.importorskip("torch")


def trained(steps: int, total: int = 5, *, chained: bool = False) -> dict[str, Any]:
    torch.manual_seed(0)
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=total)
    if chained:
        scheduler = torch.optim.lr_scheduler.ChainedScheduler([scheduler])
    for _ in range(steps):
        model(torch.ones(1, 2)).sum().backward()
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
    return {"model": model, "optimizer": optimizer, "scheduler": scheduler}


def saved(path: Path, steps: int, **how: Any) -> Path:
    torch.save({part: thing.state_dict() for part, thing in trained(steps, **how).items()}, path)
    return path


def told(report: Any) -> list[str]:
    return [f.message for f in report.findings if f.code == "O313"]


@pytest.mark.parametrize("chained", [False, True])
def test_a_live_schedule_at_its_end(chained: bool) -> None:
    parts = trained(5, chained=chained)
    (message,) = told(holdfast.examine(**parts))
    assert "all its 5 steps" in message
    with pytest.raises(ValueError, match="Tried to step"):
        parts["scheduler"].step()
    parts = trained(4, chained=chained)
    assert told(holdfast.examine(**parts)) == []
    parts["scheduler"].step()  # there was one left


def test_check_tells_how_the_checkpoint_would_leave_it(tmp_path: Path) -> None:
    path = saved(tmp_path / "end.pt", 5)
    report = holdfast.check(path, **trained(0))
    assert len(told(report)) == 1
    about = report.checkpoints[0].attributes
    assert about["fits"] and about["next_step"].startswith("the next step will run, but `scheduler`")
    parts = trained(0)
    outcome = holdfast.restore(path, **parts)
    assert outcome.next_step == about["next_step"]
    with pytest.raises(ValueError, match="Tried to step"):
        parts["scheduler"].step()


def test_silent_of_a_schedule_that_a_restore_puts_back(tmp_path: Path) -> None:
    assert told(holdfast.check(saved(tmp_path / "middle.pt", 3), **trained(5))) == []
    path = saved(tmp_path / "end.pt", 5)
    parts = trained(0)
    del parts["scheduler"]
    assert told(holdfast.check(path, **parts)) == []


def test_a_longer_schedule_goes_on_by_its_own_phases(tmp_path: Path) -> None:
    """The phases are computed from the length: they go with the one that counts."""
    path, parts, same = saved(tmp_path / "end.pt", 5), trained(0, 9), trained(5, 9)
    allowed = ["hyper:scheduler/total_steps=live"]
    assert told(holdfast.check(path, **parts, allow=allowed)) == []
    holdfast.restore(path, **parts, allow=allowed)
    assert parts["scheduler"].last_epoch == 5
    assert parts["scheduler"]._schedule_phases == same["scheduler"]._schedule_phases
    rates = []
    for scheduler in (parts["scheduler"], same["scheduler"]):
        scheduler.step()
        rates.append(scheduler.get_last_lr()[0])
    assert rates[0] == pytest.approx(rates[1])


def test_a_schedule_of_the_same_length_takes_the_checkpoints_phases(tmp_path: Path) -> None:
    path, parts = saved(tmp_path / "middle.pt", 3), trained(0)
    parts["scheduler"]._schedule_phases[0]["end_step"] = 3.0
    holdfast.restore(path, **parts)
    assert parts["scheduler"]._schedule_phases == trained(0)["scheduler"]._schedule_phases
