"""What numbers in an error mean: class counts, missing bytes, other steps, the parameters of an optimizer's groups."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import holdfast
from holdfast._diagnose.key_lists import decoded

torch = pytest.importorskip("torch")
nn = torch.nn


def raised(do) -> Exception:
    with pytest.raises(Exception) as told:
        do()
    return told.value


@pytest.mark.parametrize(
    ("a", "b", "name", "means"),
    [
        (1000, 10, "fc.weight", "1000 and 10 classes"),
        (84, 8, "box_predictor.bbox_pred.weight", "21 and 2 classes, 4 numbers each"),
        (255, 24, "model.24.m.0.weight", "80 and 3 classes"),
        (84, 8, "conf.0.weight", "21 and 2 classes for each of 4 anchors"),
        (80, 3, "head.cls_preds.0.weight", "80 and 3 classes"),
        (32002, 32000, "model.embed_tokens.weight", "2 tokens more in the checkpoint's vocabulary"),
    ],
)
def test_widths_of_heads(a: int, b: int, name: str, means: str) -> None:
    assert means in decoded(a, b, name)


def test_a_width_inside_the_model_is_not_called_classes() -> None:
    assert decoded(512, 256, "encoder.blocks.0.attn.proj.weight") == ""


def test_the_class_count_is_proved_on_the_file(tmp_path: Path) -> None:
    torch.save(nn.Sequential(nn.Linear(4, 84)).state_dict(), tmp_path / "a.pt")
    error = raised(lambda: nn.Sequential(nn.Linear(4, 8)).load_state_dict(torch.load(tmp_path / "a.pt")))
    first = holdfast.diagnose(error, checkpoint=tmp_path / "a.pt").causes[0]
    assert (first.label, first.status) == ("shape-mismatch", "proved")
    assert "84 became 8" in first.why


@pytest.mark.parametrize("cut", [1, 700])
def test_missing_bytes(tmp_path: Path, cut: int) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    path = tmp_path / "a.safetensors"
    safetensors.save_file({"w": torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:-cut])
    first = holdfast.diagnose(raised(lambda: safetensors.load_file(path)), checkpoint=path).causes[0]
    assert first.status == "proved"
    assert re.search(rf"\b{cut} of [\d,]+ bytes (?:is|are) missing", first.found), first.found


@pytest.mark.parametrize("inside", [False, True])
def test_another_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: bool) -> None:
    for step in (100, 200, 300):
        torch.save({}, tmp_path / f"step-{step}.pt")
    if inside:
        monkeypatch.chdir(tmp_path)
    name = "step-250.pt" if inside else str(tmp_path / "step-250.pt")
    first = holdfast.diagnose(raised(lambda: torch.load(name))).causes[0]
    assert (first.label, first.status) == ("not-found", "proved")
    assert "step-200.pt" in first.found


def test_a_name_that_nothing_here_is_like_is_not_proved_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notes.pt").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    error = "FileNotFoundError: [Errno 2] No such file or directory: 'step-250.pt'"
    assert holdfast.diagnose(error).causes[0].status == "likely"


def test_the_layers_of_an_optimizers_groups(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    optimizer = torch.optim.Adam(net[1].parameters())
    net(torch.zeros(1, 4)).sum().backward()
    optimizer.step()
    path = tmp_path / "o.pt"
    torch.save({"model": net.state_dict(), "optimizer": optimizer.state_dict()}, path)
    wider = torch.optim.Adam(net.parameters())
    error = raised(lambda: wider.load_state_dict(torch.load(path)["optimizer"]))
    first = holdfast.diagnose(error, checkpoint=path).causes[0]
    assert first.label == "optimizer-structure"
    assert "1 group: group 0 has 2 parameters" in first.found, first.found
