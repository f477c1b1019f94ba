"""What a check says of its edits and of the next step: no more than is so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import holdfast

torch = pytest.importorskip("torch")


def stepped(**how: Any) -> dict[str, Any]:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2))
    optimizer = torch.optim.Adam(model.parameters(), 0.1, **how)
    model(torch.randn(5, 3)).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    return {"model": model, "optimizer": optimizer}


def saved(path: Path, parts: dict[str, Any]) -> Path:
    torch.save({part: thing.state_dict() for part, thing in parts.items()}, path)
    return path


def finding(report: Any, code: str) -> Any:
    (found,) = (f for f in report.findings if f.code == code)
    return found


def test_a_slot_that_the_file_never_had_is_not_lost(tmp_path: Path) -> None:
    path = saved(tmp_path / "plain.pt", stepped())
    kept = finding(holdfast.check(path, **stepped(amsgrad=True)), "O204")
    assert kept.edit == "keep-live:*/max_exp_avg_sq" and kept.lossless is None


def test_a_slot_that_the_file_has_is_lost_where_it_is_dropped(tmp_path: Path) -> None:
    path = saved(tmp_path / "amsgrad.pt", stepped(amsgrad=True))
    dropped = finding(holdfast.check(path, **stepped()), "O204")
    assert dropped.edit.startswith("drop:") and dropped.lossless is False


def test_a_file_without_optimizer_state_has_none_to_lose(tmp_path: Path) -> None:
    path = saved(tmp_path / "weights.pt", {"model": stepped()["model"]})
    assert finding(holdfast.check(path, **stepped()), "O201").lossless is None


def test_a_check_that_refuses_says_whose_next_step_it_means(tmp_path: Path) -> None:
    parts = stepped()
    path = saved(tmp_path / "last.pt", parts)
    fits = holdfast.check(path, **stepped()).checkpoints[0].attributes
    assert fits["fits"] and fits["next_step"] == "the next step will run"
    refused = holdfast.check(path, **stepped(amsgrad=True)).checkpoints[0].attributes
    assert not refused["fits"]
    assert (
        refused["next_step"] == "with the live objects as they are, nothing restored: the next step will run"
    )
    only = holdfast.check(path, model=torch.nn.Linear(9, 9)).checkpoints[0].attributes
    assert only["next_step"].startswith("no optimizer was given")
