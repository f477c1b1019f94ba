"""Modules that were pickled whole: what is loaded out of them into another model came of their file, as long as they are what was
read."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from guard.watching import Watched

torch = pytest.importorskip("torch")
nn = torch.nn


class Detector(nn.Module):
    def __init__(self, classes: int = 4, step: float = 1.0) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(3, 5), nn.Linear(5, classes)
        self.register_buffer("anchors", torch.arange(6.0) * step)


@pytest.fixture(params=["as it was", "half"])
def file(tmp_path: Path, request: Any) -> str:
    model = Detector()
    if request.param == "half":
        model.half()
    path = str(tmp_path / "last.pt")
    torch.save({"epoch": 3, "ema": None, "model": model, "rates": [0.1]}, path)
    return path


def loaded(path: str) -> Any:
    return torch.load(path, weights_only=False)["model"].float()


def fitting(module: Any, model: Any) -> dict[str, Any]:
    own = model.state_dict()
    return {k: v for k, v in module.state_dict().items() if v.shape == own[k].shape and k != "anchors"}


def puts(watched: Watched) -> list[Any]:
    """What was told of the loads into a module, without that of the file (X101: it is a pickle)."""
    return [s for s in watched.seen if s.api.endswith("load_state_dict")]


def grave(watched: Watched) -> list[Any]:
    return [f for s in puts(watched) for f in s.findings if f.severity != "note"]


def test_a_resume_is_told_with_its_file(file: str, watched: Watched) -> None:
    module = loaded(file)
    Detector().load_state_dict(module.state_dict())
    assert not grave(watched)
    (seen,) = puts(watched)
    assert seen.path == file and "restored all 5 tensors" in seen.sentence


def test_a_new_head_is_the_program_s_own_affair(file: str, watched: Watched) -> None:
    module, model = loaded(file), Detector(6)
    model.load_state_dict(fitting(module, model), strict=False)
    (told,) = grave(watched)
    assert (
        told.severity == "warning"
        and told.code == "T201"
        and "left out by the program" in told.message
        and "(4, 5)" in told.message
    )
    assert "anchors" not in told.message  # they are as the file has them


def test_a_buffer_of_other_values_that_is_left_out_is_told(file: str, watched: Watched) -> None:
    module, model = loaded(file), Detector(step=2.0)
    model.load_state_dict(fitting(module, model), strict=False)
    (told,) = grave(watched)
    assert told.severity == "error" and told.code == "T201" and told.tensors == ("anchors",)


def test_what_was_trained_since_is_of_no_file(file: str, watched: Watched) -> None:
    model = loaded(file)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.head(model.body(torch.ones(1, 3))).sum().backward()
    optimizer.step()
    target = copy.deepcopy(model)
    target.load_state_dict(model.state_dict())
    assert not grave(watched) and all(s.path is None for s in puts(watched))


def test_a_module_that_is_gone_claims_no_memory(file: str, watched: Watched) -> None:
    loaded(file)
    Detector().load_state_dict(Detector().state_dict())
    assert all(s.path is None for s in puts(watched))
