"""``holdfast.check`` and ``holdfast.examine`` on live objects, from Python."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast
from cli.test_process import safetensors

Tree = dict[str, dict[str, np.ndarray]]


def tree(layers: int = 3, width: int = 2, value: float = 1.0) -> Tree:
    return {
        f"layer_{i}": {"w": np.full((width, width), value, "f4"), "b": np.full(width, value, "f4")}
        for i in range(layers)
    }


def flat(model: Tree, front: str = "") -> dict[str, np.ndarray]:
    return {f"{front}{layer}.{word}": v for layer, words in model.items() for word, v in words.items()}


def saved(path: Path, tensors: dict[str, np.ndarray]) -> Path:
    np.savez(path / "w.npz", **tensors)
    return path / "w.npz"


def codes(report: Any, severity: str = "error") -> list[str]:
    return [f.code for f in report.findings if f.severity == severity]


# -- a checkpoint and a model ----------------------------------------------------------------------------------
def test_what_fits_and_nothing_is_changed(tmp_path: Path) -> None:
    model = tree(value=0.0)
    report = holdfast.check(saved(tmp_path, flat(tree(value=3.0))), model=model)
    assert codes(report) == []
    told = report.checkpoints[0].attributes
    assert (told["fits"], told["restores"], told["of"], told["plan"]) == (True, 6, 6, [])
    assert all((v == 0).all() for words in model.values() for v in words.values())


def test_all_differences_at_once_and_the_plan_settles_them(tmp_path: Path) -> None:
    stored = flat(tree(4))
    del stored["layer_1.w"]
    stored["layer_0.w"] = stored["layer_0.w"].astype("f8")
    stored["extra"] = np.ones(7, "f4")
    path = saved(tmp_path, stored)
    report = holdfast.check(path, model=tree(4))
    assert {"T201", "T202", "T204"} == set(codes(report))
    plan = report.checkpoints[0].attributes["plan"]
    assert codes(holdfast.check(path, model=tree(4), allow=plan)) == []
    model = tree(4, value=0.0)
    holdfast.restore(path, model=model, allow=plan)
    assert (model["layer_1"]["w"] == 0).all()
    assert (model["layer_0"]["w"] == 1).all()


def test_the_scope_is_what_is_passed(tmp_path: Path) -> None:
    stored = {**flat(tree()), **{f"optimizer.m.{k}": v for k, v in flat(tree()).items()}}
    path = saved(tmp_path, stored)
    report = holdfast.check(path, model=tree(), optimizer={"m": tree()})
    assert "O201" not in codes(report)
    assert holdfast.check(path, model=tree(5)).checkpoints[0].attributes["fits"] is False


def test_lost_tensors_do_not_count_as_restored(tmp_path: Path) -> None:
    path = safetensors(tmp_path / "m.safetensors", {"a": 8, "b": 8})
    path.write_bytes(path.read_bytes()[:-4])
    report = holdfast.check(path, model={"a": np.ones(8, "f4"), "b": np.ones(8, "f4")})
    told = report.checkpoints[0].attributes
    assert (report.verdict, told["fits"], told["restores"], told["lost"]) == ("damaged", True, 1, 1)


def test_a_file_that_is_none_at_all(tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(bytes(100))
    report = holdfast.check(tmp_path / "x.pt", model=tree())
    assert report.verdict == "lost"
    assert any("nothing here to hold against it" in text for text in report.checkpoints[0].not_looked_at)
    with pytest.raises(holdfast.CheckpointNotFound):
        holdfast.check(tmp_path / "gone.pt", model=tree())


def test_another_model_is_told_in_one_finding_without_a_plan(tmp_path: Path) -> None:
    path = saved(tmp_path, {f"block.{i}.attn": np.ones(9, "f4") for i in range(9)})
    report = holdfast.check(path, model=tree())
    assert codes(report) == ["T223"]
    assert report.checkpoints[0].attributes["plan"] == []
    with pytest.raises(holdfast.RestoreRefused, match="another model"):
        holdfast.restore(path, model=tree())


def test_read_only_arrays_are_one_finding(tmp_path: Path) -> None:
    model = tree()
    for layer in model.values():
        layer["w"].flags.writeable = False
    path = saved(tmp_path, flat(tree()))
    report = holdfast.check(path, model=model)
    assert codes(report) == ["T222"]
    assert set(report.findings[0].tensors) == {f"layer_{i}/w" for i in range(3)}
    assert report.checkpoints[0].attributes["fits"] is False
    assert report.checkpoints[0].attributes["restores"] == 3
    with pytest.raises(holdfast.HoldfastError, match="cannot be set"):
        holdfast.restore(path, model=model)


def test_the_other_reader_is_named(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"w": torch.ones(3)}, tmp_path / "w.pt")
    model = {"w": torch.zeros(3)}
    told = holdfast.check(tmp_path / "w.pt", model=model, target={"torch": "1.5.0"})
    assert any(f.code.startswith("E") for f in told.findings)
    assert not holdfast.check(tmp_path / "w.pt", model=model, target={"torch": "2.5.0"}).findings


# -- what is no model, no optimizer ----------------------------------------------------------------------------
class Net:
    """Of no framework."""


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({}, "no live object given"),
        ({"model": Net}, "model= is a class, not an object made of it"),
        ({"model": Net()}, "of a kind that is not known"),
        ({"model": 42}, "of a kind that is not known"),
        ({"model": "w.npz"}, "model= is a text"),
        ({"model": tree}, "model= is a function"),
        ({"model": {"w": np.ones(3)}, "optimizer": "adam"}, "optimizer= is a text"),
        ({"model": {"w": np.ones(3)}, "scheduler": Net}, "scheduler= is a class"),
    ],
)
def test_parts_that_make_no_sense(tmp_path: Path, parts: dict[str, Any], said: str) -> None:
    path = saved(tmp_path, flat(tree()))
    for call in (
        lambda: holdfast.check(path, **parts),
        lambda: holdfast.restore(path, **parts),
    ):
        with pytest.raises(holdfast.UsageError) as caught:
            call()
        assert said in str(caught.value)


def test_depths_and_paths_that_make_no_sense(tmp_path: Path) -> None:
    path = saved(tmp_path, flat(tree()))
    with pytest.raises(holdfast.UsageError, match="no such depth"):
        holdfast.check(path, model=tree(), depth="deep")
    with pytest.raises(holdfast.UsageError, match="a path and live objects together"):
        holdfast.examine(path, model=tree())
    with pytest.raises(holdfast.UsageError, match="nothing to examine"):
        holdfast.examine()
    with pytest.raises(holdfast.PlanError):
        holdfast.check(path, model=tree(), allow=["keep:x"])


# -- the live pair alone ---------------------------------------------------------------------------------------
@pytest.fixture
def torch_pair() -> tuple[Any, Any, Any]:
    torch = pytest.importorskip("torch")
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2))
    return torch, model, torch.optim.Adam(model.parameters())


def test_a_sound_pair_has_no_finding(torch_pair: tuple[Any, Any, Any]) -> None:
    torch, model, optimizer = torch_pair
    report = holdfast.examine(model=model, optimizer=optimizer)
    assert report.findings == ()
    assert report.checkpoints[0].attributes["next_step"] == "the next step will run"
    gradients = [torch.ones_like(p) for p in model.parameters()]
    assert holdfast.examine(model=model, optimizer=optimizer, gradients=gradients).findings == ()
    assert not optimizer.state, "nothing was stepped"


def test_what_stands_against_the_next_step(torch_pair: tuple[Any, Any, Any]) -> None:
    torch, model, optimizer = torch_pair
    gradients = [torch.ones_like(p) for p in model.parameters()]

    def slugs(**parts: Any) -> set[str]:
        return {f.slug for f in holdfast.examine(**parts).findings}

    assert slugs(model=model, optimizer=optimizer, gradients=[None, *gradients[1:]]) == {"gradient-none"}
    assert "gradient-mismatch" in slugs(
        model=model, optimizer=optimizer, gradients=[torch.ones(9), *gradients[1:]]
    )
    other = torch.nn.Linear(3, 4)
    assert {"unknown-variable", "foreign-variable"} <= slugs(model=other, optimizer=optimizer)
    assert slugs(model=torch.nn.Sequential(torch.nn.LazyLinear(2))) == {"not-built"}


def test_model_and_optimizer_the_wrong_way_round(torch_pair: tuple[Any, Any, Any]) -> None:
    torch, model, optimizer = torch_pair
    for parts, said in (
        ({"model": optimizer}, "model= is an optimizer"),
        ({"model": optimizer, "optimizer": model}, "model= is an optimizer"),
        ({"model": model, "optimizer": model}, "optimizer= is a model"),
        ({"model": {"net": model, "opt": optimizer}}, "holds an optimizer, `opt`"),
        ({"model": model, "optimizer": torch.optim.Adam}, "optimizer= is a class"),
    ):
        with pytest.raises(holdfast.UsageError) as caught:
            holdfast.examine(**parts)
        assert said in str(caught.value)
    two = {"a": optimizer, "b": torch.optim.SGD(model.parameters(), 0.1)}
    assert holdfast.examine(model={"a": model, "b": torch.nn.Linear(1, 1)}, optimizer=two).checkpoints


def test_a_model_without_memory(torch_pair: tuple[Any, Any, Any], tmp_path: Path) -> None:
    torch, model, _ = torch_pair
    torch.save(model.state_dict(), tmp_path / "w.pt")
    with torch.device("meta"):
        empty = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2))
    report = holdfast.check(tmp_path / "w.pt", model=empty)
    assert codes(report) == ["T222"]
    assert report.checkpoints[0].attributes["restores"] == 0
    filled = empty.to_empty(device="cpu")
    assert codes(holdfast.check(tmp_path / "w.pt", model=filled)) == []


# -- many tensors ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "make",
    [
        lambda m: flat(m),
        lambda m: flat(m, "module."),
        lambda m: {k: v for i, (k, v) in enumerate(flat(m).items()) if i % 7},
        lambda m: {k: v for i, (k, v) in enumerate(flat(m).items()) if i % 4 < 2},
        lambda m: {k.replace("layer_", "blk"): v for k, v in flat(m).items()},
        lambda m: {k: v.astype("f2") for k, v in flat(m).items()},
        lambda m: {f"x{i}.{j}.q": np.ones(5, "f4") for i in range(len(m)) for j in range(2)},
    ],
    ids=[
        "same",
        "wrapped",
        "a seventh missing",
        "half missing",
        "other names",
        "other dtype",
        "another model",
    ],
)
def test_the_cost_grows_with_the_tensors_and_not_with_their_square(
    tmp_path: Path, make: Callable[[Tree], dict[str, np.ndarray]]
) -> None:
    """Twice as many layers take about twice as many calls; what looks at all for each takes four times as many."""
    st = pytest.importorskip("safetensors.numpy")

    def calls(layers: int) -> int:
        model = tree(layers)
        st.save_file(make(model), tmp_path / "m.safetensors")
        count = 0

        def counted(frame: object, event: str, argument: object) -> None:
            nonlocal count
            count += event in ("call", "c_call")

        sys.setprofile(counted)
        try:
            holdfast.check(tmp_path / "m.safetensors", model=model, optimizer={"m": model})
        finally:
            sys.setprofile(None)
        return count

    calls(20)  # what is imported and cached on the way
    assert calls(800) < 3 * calls(400)
