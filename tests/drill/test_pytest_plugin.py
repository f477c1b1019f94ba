"""The fixtures for pytest: each passes on sound code and names what is wrong with the rest."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import holdfast
import holdfast.drill
from holdfast._drill.trace import current
from holdfast.pytest_plugin import (  # noqa: F401 - fixtures, wherever the plugin is not installed
    CheckpointFaults,
    assert_resumes_exactly,
    assert_roundtrip,
    checkpoint_faults,
)


def make() -> dict[str, Any]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.4), nn.Linear(8, 2))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    return {
        "model": model,
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 3, 0.5),
    }


def trained(parts: dict[str, Any]) -> None:
    for n in range(4):
        x = torch.linspace(-1, 1, 24).reshape(4, 6) + n
        parts["optimizer"].zero_grad()
        parts["model"](x).square().mean().backward()
        parts["optimizer"].step()
        parts["scheduler"].step()


def save(folder: Path, parts: dict[str, Any]) -> None:
    torch.save({name: part.state_dict() for name, part in parts.items()}, folder / "state.pt")


def load(folder: Path, parts: dict[str, Any]) -> None:
    for name, state in torch.load(folder / "state.pt", weights_only=True).items():
        parts[name].load_state_dict(state)


def test_a_round_trip_is_whole(assert_roundtrip: Any) -> None:  # noqa: F811
    assert_roundtrip(make, save, load, train=trained)
    assert_roundtrip(make, save, load)
    assert_roundtrip(make, train=trained)  # a vault


def test_a_round_trip_of_immutable_arrays(assert_roundtrip: Any) -> None:  # noqa: F811
    jax = pytest.importorskip("jax")
    make_tree = lambda: {"model": {"w": jax.numpy.ones((3, 2)), "b": jax.numpy.zeros(2)}}  # noqa: E731
    assert_roundtrip(make_tree)
    with pytest.raises(AssertionError, match="w"):
        assert_roundtrip(make_tree, lambda place, parts: None, lambda place, parts: None)


@pytest.mark.parametrize("lost", ["optimizer", "scheduler"])
def test_a_part_that_is_not_loaded_is_named(assert_roundtrip: Any, lost: str) -> None:  # noqa: F811
    def partly(folder: Path, parts: dict[str, Any]) -> None:
        load(folder, {**parts, lost: make()[lost]})

    with pytest.raises(AssertionError, match=lost):
        assert_roundtrip(make, save, partly, train=trained)


def test_a_weight_that_is_initialised_alike_is_not_taken_for_loaded(assert_roundtrip: Any) -> None:  # noqa: F811
    with pytest.raises(AssertionError, match=r"0\.weight"):
        assert_roundtrip(make, save, lambda folder, parts: None)


def test_a_save_that_changes_what_it_saves(assert_roundtrip: Any) -> None:  # noqa: F811
    def rounds(folder: Path, parts: dict[str, Any]) -> None:
        parts["model"].bfloat16().float()
        save(folder, parts)

    with pytest.raises(AssertionError, match="saving changed"):
        assert_roundtrip(make, rounds, load, train=trained)


def training(lost: str = "", closure: bool = False) -> Any:
    """A function that trains in a folder and goes on from what lies there; one thing may be lost."""

    def train(folder: Path, steps: int) -> None:
        parts = make()
        start, path = 0, folder / "state.pt"
        if path.exists():
            held = torch.load(path, weights_only=True)
            start = held["step"]
            for name, state in held["parts"].items():
                if name != lost:
                    parts[name].load_state_dict(state)
            if lost != "rng":
                torch.set_rng_state(held["rng"])
        for step in range(start + 1, steps + 1):
            shown = step - start if lost == "data" else step
            x = torch.from_numpy(np.random.RandomState(shown).normal(size=(8, 6)).astype(np.float32))

            def loss(x: torch.Tensor = x) -> torch.Tensor:
                parts["optimizer"].zero_grad()
                value = parts["model"](x).square().mean()
                value.backward()
                return value

            if closure:
                parts["optimizer"].step(loss)
            else:
                loss()
                parts["optimizer"].step()
            parts["scheduler"].step()
            if step % 3 == 0:
                state = {name: part.state_dict() for name, part in parts.items()}
                torch.save({"step": step, "parts": state, "rng": torch.get_rng_state()}, path)

    return train


def test_a_run_that_resumes_exactly(assert_resumes_exactly: Any, tmp_path: Path) -> None:  # noqa: F811
    before = torch.get_rng_state()
    assert_resumes_exactly(training(), steps=10, kill_at=[4, 6, 8])
    assert torch.equal(torch.get_rng_state(), before), "the test's own generators are put back"
    assert current() is None


@pytest.mark.parametrize(
    ("lost", "code"),
    [("rng", "R307"), ("optimizer", "R302"), ("scheduler", "R304"), ("data", "R306"), ("model", "anew")],
)
def test_what_is_lost_is_named(assert_resumes_exactly: Any, lost: str, code: str) -> None:  # noqa: F811
    with pytest.raises(AssertionError) as told:
        assert_resumes_exactly(training(lost), steps=9, kill_at=[5])
    lines = str(told.value).splitlines()
    assert lines[0] == "does not resume exactly"
    assert code in lines[1] or (code == "anew" and ("R315" in lines[1] or "R301" in lines[1])), lines


def test_a_loss_that_is_computed_within_the_step(assert_resumes_exactly: Any) -> None:  # noqa: F811
    assert_resumes_exactly(training(closure=True), steps=8, kill_at=[4])
    with pytest.raises(AssertionError, match="R307"):
        assert_resumes_exactly(training("rng", closure=True), steps=8, kill_at=[4])


def test_a_loop_without_an_optimizer_object(assert_resumes_exactly: Any) -> None:  # noqa: F811
    def train(folder: Path, steps: int, forgets: bool = False) -> None:
        model = {"w": np.zeros(3)}
        with holdfast.Vault(folder / "vault") as vault:
            outcome = vault.restore(model=model, or_start_fresh=True)
            start = 0 if outcome is None or forgets else outcome.step
            for step in range(start + 1, steps + 1):
                model["w"] += step
                holdfast.drill.step(step, state=model, loss=model["w"].sum())
                if step % 2 == 0:
                    vault.save(step, model=model, blocking=True)

    assert_resumes_exactly(train, steps=8, kill_at=[5])
    with pytest.raises(AssertionError, match="R315"):
        assert_resumes_exactly(lambda folder, steps: train(folder, steps, True), steps=8, kill_at=[5])
    with pytest.raises(AssertionError, match="no optimizer step was seen"):
        assert_resumes_exactly(lambda folder, steps: None, steps=8)


def test_outside_a_drill_a_step_says_nothing() -> None:
    holdfast.drill.step(1, loss=object(), state=object())


def test_every_operation_of_a_save_goes_wrong_once(checkpoint_faults: CheckpointFaults) -> None:  # noqa: F811
    def run(sink: Any) -> None:
        with holdfast.Vault(sink.path, sink=sink) as vault:
            vault.save(1, model={"w": np.ones(3)}, blocking=True)

    struck = list(checkpoint_faults.each(run, kinds=("fsync", "rename")))
    assert {one.operation[0] for one in struck} == {"fsync", "rename"}
    for one in struck:
        assert isinstance(one.error, holdfast.HoldfastError), one
        again = {"w": np.zeros(3)}
        with holdfast.Vault(one.folder) as vault:
            outcome = vault.restore(model=again, or_start_fresh=True)
        assert (outcome is None and not again["w"].any()) or again["w"].all(), one


def test_a_disk_of_ones_own(checkpoint_faults: CheckpointFaults, tmp_path: Path) -> None:  # noqa: F811
    sink = checkpoint_faults(tmp_path / "mine", at=2, action="fill")
    with pytest.raises(holdfast.SaveFailed), holdfast.Vault(sink.path, sink=sink) as vault:
        vault.save(1, model={"w": np.ones(300)}, blocking=True)
    assert sink.path == str(tmp_path / "mine") or Path(sink.path) == tmp_path / "mine"


def test_the_plugin_is_one(tmp_path: Path) -> None:
    """In a pytest of its own, as users have it: by its entry point where Holdfast is installed with it."""
    (tmp_path / "test_it.py").write_text(
        "import sys\n\n"
        "def test_it(checkpoint_faults, assert_roundtrip, assert_resumes_exactly):\n"
        "    assert checkpoint_faults(at=1).at == 1 and callable(assert_roundtrip) and callable(assert_resumes_exactly)\n\n"
        "def test_nothing_yet():\n"
        "    assert not {'torch', 'tensorflow', 'jax'} & set(sys.modules)\n"
    )
    there = any(point.value == "holdfast.pytest_plugin" for point in entry_points(group="pytest11"))
    asked = () if there else ("-p", "holdfast.pytest_plugin")
    command = [
        sys.executable,
        "-m",
        "pytest",
        *asked,
        "-q",
        "-p",
        "no:cacheprovider",
        "-k",
        "nothing_yet",
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    command[command.index("nothing_yet")] = "test_it"
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
