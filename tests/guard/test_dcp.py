"""PyTorch's distributed checkpoints under a guard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
dcp = pytest.importorskip("torch.distributed.checkpoint")

from torch import nn  # noqa: E402
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict  # noqa: E402

from guard.watching import Watched  # noqa: E402


def pair(layers: int = 3, rate: float = 0.1, kind: Any = torch.optim.Adam) -> tuple[nn.Module, Any]:
    model = nn.Sequential(*(nn.Linear(4, 4) for _ in range(layers)))
    return model, kind(model.parameters(), lr=rate)


def stepped(model: nn.Module, optimizer: Any) -> None:
    model(torch.randn(3, 4)).square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()


def saved(folder: Path) -> nn.Module:
    torch.manual_seed(1)
    model, optimizer = pair()
    stepped(model, optimizer)
    weights, state = get_state_dict(model, optimizer)
    dcp.save({"model": weights, "optim": state}, checkpoint_id=folder)
    return model


def loaded(folder: Path, **more: Any) -> nn.Module:
    model, optimizer = pair(**more)
    weights, state = get_state_dict(model, optimizer)
    found = {"model": weights, "optim": state}
    dcp.load(found, checkpoint_id=folder)
    set_state_dict(model, optimizer, model_state_dict=found["model"], optim_state_dict=found["optim"])
    stepped(model, optimizer)
    return model


def test_a_plain_resume(watched: Watched, tmp_path: Path) -> None:
    saved(tmp_path / "a")
    loaded(tmp_path / "a")
    assert watched.codes() == []
    assert [s.api for s in watched.seen] == [
        "dcp.save", "dcp.load", "Optimizer.load_state_dict", "Module.load_state_dict",
    ]  # fmt: skip
    assert "restored all 24 tensors" in watched.seen[1].sentence
    assert {s.path for s in watched.seen} == {str(tmp_path / "a")}


def test_what_the_code_says_gives_way(watched: Watched, tmp_path: Path) -> None:
    saved(tmp_path / "a")
    loaded(tmp_path / "a", rate=0.5)
    assert watched.codes() == ["O207"]


def test_another_class(watched: Watched, tmp_path: Path) -> None:
    saved(tmp_path / "a")
    loaded(tmp_path / "a", kind=torch.optim.AdamW)
    assert "O203" in watched.codes()


def test_a_partial_load(watched: Watched, tmp_path: Path) -> None:
    model, _ = pair(2)
    dcp.save({"model": model.state_dict()}, checkpoint_id=tmp_path / "a")
    wider, _ = pair(3)
    dcp.load(
        {"model": wider.state_dict()}, checkpoint_id=tmp_path / "a",
        planner=dcp.DefaultLoadPlanner(allow_partial_load=True),
    )  # fmt: skip
    assert watched.codes() == ["T201"]
    assert "model.2" in watched.of("T201")


def test_copies_that_never_reach_the_model(watched: Watched, tmp_path: Path) -> None:
    model, _ = pair()
    dcp.save({"model": model.state_dict()}, checkpoint_id=tmp_path / "a")
    copies = {n: t.clone() for n, t in pair()[0].state_dict().items()}
    dcp.load({"model": copies}, checkpoint_id=tmp_path / "a")
    assert watched.codes() == []
    watched.guard.close()
    assert watched.codes() == ["T233"]


def test_copies_that_do(watched: Watched, tmp_path: Path) -> None:
    model, _ = pair()
    dcp.save({"model": model.state_dict()}, checkpoint_id=tmp_path / "a")
    copies = {n: t.clone() for n, t in model.state_dict().items()}
    dcp.load({"model": copies}, checkpoint_id=tmp_path / "a")
    model.load_state_dict(copies)
    watched.guard.close()
    assert watched.codes() == []


def test_a_flipped_bit(watched: Watched, tmp_path: Path) -> None:
    model = saved(tmp_path / "a")
    [file] = (tmp_path / "a").glob("*.distcp")
    data = bytearray(file.read_bytes())
    at = data.find(model[1].weight.detach().numpy().tobytes())
    assert at > 0
    data[at + 2] ^= 0x80
    file.write_bytes(data)
    loaded(tmp_path / "a")
    assert watched.codes() == ["F102"]
    assert "model.1.weight" in watched.of("F102")


def test_values_that_are_none(watched: Watched, tmp_path: Path) -> None:
    model, _ = pair()
    with torch.no_grad():
        model[0].weight[0, 0] = float("nan")
    dcp.save({"model": model.state_dict()}, checkpoint_id=tmp_path / "a")
    dcp.load({"model": pair()[0].state_dict()}, checkpoint_id=tmp_path / "a")
    assert watched.codes() == ["N101"]
