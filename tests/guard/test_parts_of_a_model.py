"""A model that is put together from several files by loads that are not strict: what the first leaves is told, and settled by the
load that sets it; what no load sets stays told."""

from __future__ import annotations

from pathlib import Path

import pytest

import holdfast

torch = pytest.importorskip("torch")


def net() -> torch.nn.Module:
    return torch.nn.ModuleDict(
        {"encoder": torch.nn.Linear(4, 4), "decoder": torch.nn.Linear(4, 3), "head": torch.nn.Linear(3, 2)}
    )


@pytest.fixture
def parts(tmp_path: Path) -> dict[str, Path]:
    """The state of each part in a file of its own, under the whole model's names."""
    whole = net().state_dict()
    found = {}
    for part in ("encoder", "decoder", "head"):
        found[part] = tmp_path / f"{part}.pt"
        torch.save({name: v for name, v in whole.items() if name.startswith(part)}, found[part])
    return found


def load(model: torch.nn.Module, path: Path) -> None:
    model.load_state_dict(torch.load(path), strict=False)


def left(report: object) -> list[tuple[str, str]]:
    """Findings on tensors left at their initial value: code and severity, load by load."""
    return [(f.code, f.severity) for f in report.findings if f.code in ("T201", "T205", "T223")]


def test_the_load_that_sets_the_rest_settles_what_was_told(parts: dict[str, Path]) -> None:
    model = net()
    with holdfast.guard() as watch:
        load(model, parts["encoder"])
        assert left(watch.report)[0][1] == "error"
        load(model, parts["decoder"])
        assert left(watch.report)[0][1] == "error", "the head is missing still"
        load(model, parts["head"])
    assert {severity for _, severity in left(watch.report)} == {"note"}
    assert watch.report.document["summary"]["findings"]["error"] == 0
    assert "is set now" in watch.report.calls[-1].sentence
    told = next(f for f in watch.report.findings if f.code == "T201")
    assert "test_parts_of_a_model.py" in told.message, "who set them"


def test_what_no_load_sets_stays_an_error(parts: dict[str, Path]) -> None:
    model = net()
    with holdfast.guard() as watch:
        load(model, parts["encoder"])
        load(model, parts["decoder"])
    assert "error" in {severity for _, severity in left(watch.report)}


def test_a_load_into_another_model_settles_nothing(parts: dict[str, Path]) -> None:
    one, other = net(), net()
    with holdfast.guard() as watch:
        load(one, parts["encoder"])
        load(other, parts["decoder"])
        load(other, parts["head"])
    assert left(watch.report)[0][1] == "error"


def test_the_same_file_twice_settles_nothing(parts: dict[str, Path]) -> None:
    model = net()
    with holdfast.guard() as watch:
        load(model, parts["encoder"])
        load(model, parts["encoder"])
    assert left(watch.report)[0][1] == "error"
