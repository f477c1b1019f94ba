"""Loaders and iterators go on where they stood: the batches of a resumed run are those of one that was never broken off."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast import UsageError, Vault
from holdfast._vault.folder.listing import record_of
from vault.ranks import together


def codes(outcome: Any) -> list[str]:
    return [f.code for f in outcome.findings if f.code.startswith(("R", "D"))]


def model() -> dict[str, np.ndarray]:
    return {"w": np.arange(6, dtype="f4")}


class _Squares:
    def __len__(self) -> int:
        return 40

    def __getitem__(self, n: int) -> int:
        return n


# -- PyTorch ---------------------------------------------------------------------------------------------------------
class TorchRun:
    """Batches and dropout masks of a run of two epochs over shuffled data, saved after so many batches."""

    def __init__(self, workers: int) -> None:
        torch = pytest.importorskip("torch")
        stateful = pytest.importorskip("torchdata.stateful_dataloader")
        torch.manual_seed(0)
        self.torch = torch
        self.loader = stateful.StatefulDataLoader(_Squares(), batch_size=4, shuffle=True, num_workers=workers)
        self.model = torch.nn.Linear(4, 1)
        self.optimizer = torch.optim.AdamW(self.model.parameters())
        self.seen: list[Any] = []

    def batches(self) -> Iterator[int]:
        while True:
            for batch in self.loader:
                self.seen.append((batch.tolist(), float(self.torch.rand(1))))
                self.optimizer.zero_grad()
                self.model(batch.float()).sum().backward()
                self.optimizer.step()
                yield len(self.seen)
            if len(self.seen) >= 20:
                return


@pytest.mark.parametrize(("workers", "at"), [(0, 3), (0, 10), (0, 13), (2, 3)])
def test_a_stateful_loader_goes_on(tmp_path: Path, workers: int, at: int) -> None:
    """Batches and PyTorch's own random numbers, in the middle of an epoch and at its end."""
    whole = TorchRun(workers)
    with Vault(tmp_path / "run") as vault:
        for step in whole.batches():
            if step == at:
                vault.save(
                    step,
                    model=whole.model,
                    optimizer=whole.optimizer,
                    data={"train": whole.loader},
                    blocking=True,
                )
        again = TorchRun(workers)
        again.torch.rand(5)
        outcome = vault.restore(model=again.model, optimizer=again.optimizer, data={"train": again.loader})
        assert outcome is not None
        assert outcome.data == {"train": again.loader}
        assert codes(outcome) == []
        again.seen = [None] * at
        for _ in again.batches():
            pass
    assert again.seen[at:] == whole.seen[at:]


def test_another_number_of_workers_is_refused_before_anything_changes(tmp_path: Path) -> None:
    run = TorchRun(0)
    next(run.batches())
    with Vault(tmp_path / "run") as vault:
        vault.save(1, model=run.model, data={"train": run.loader}, blocking=True)
        other = TorchRun(2)
        with other.torch.no_grad():
            other.model.weight.zero_()
        with pytest.raises(UsageError, match=r"num_workers=0, and has 2"):
            vault.restore(model=other.model, data={"train": other.loader})
        assert other.model.weight.count_nonzero() == 0, "nothing was restored"
        outcome = vault.restore(model=other.model)
        assert outcome is not None and outcome.data == {}, "an evaluation asks for no data"


def test_what_cannot_say_where_it_is_says_what_to_pass(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    with Vault(tmp_path / "run") as vault:
        for thing, text in (
            (torch.utils.data.DataLoader(_Squares()), "StatefulDataLoader"),
            (iter([1, 2]), "samples seen"),
            (lambda: 3, "a function has no state"),
        ):
            with pytest.raises(UsageError, match=text):
                vault.save(1, model=model(), data={"train": thing}, blocking=True)
        assert len(vault) == 0


def test_an_object_that_does_not_take_its_own_state(tmp_path: Path) -> None:
    class Odd:
        def state_dict(self) -> dict[str, int]:
            return {"x": 1}

        def load_state_dict(self, state: Any) -> None:
            raise RuntimeError("boom")

    with Vault(tmp_path / "run") as vault:
        vault.save(1, model=model(), data={"odd": Odd()}, blocking=True)
        with pytest.raises(
            UsageError, match=r"data `odd` could not be put back; the tensors were restored.*boom"
        ):
            vault.restore(model=model(), data={"odd": Odd()})


def test_generators_of_its_own_go_on(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")

    def made() -> dict[str, Any]:
        return {"torch": torch.Generator().manual_seed(3), "numpy": np.random.default_rng(3)}

    def draw(of: dict[str, Any]) -> Any:
        return torch.rand(3, generator=of["torch"]).tolist(), of["numpy"].random(3).tolist()

    mine, theirs = made(), made()
    draw(mine)
    with Vault(tmp_path / "run") as vault:
        vault.save(1, model=model(), data=mine, blocking=True)
        expected = draw(mine)
        vault.restore(model=model(), data=theirs)
    assert draw(theirs) == expected


# -- Grain -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["dataset", "loader"])
def test_grain_goes_on(tmp_path: Path, kind: str) -> None:
    grain = pytest.importorskip("grain.python")

    def made() -> Any:
        if kind == "dataset":
            return iter(grain.MapDataset.range(40).shuffle(seed=1).batch(4).to_iter_dataset())
        sampler = grain.IndexSampler(40, shard_options=grain.NoSharding(), shuffle=True, num_epochs=2, seed=1)
        return iter(
            grain.DataLoader(data_source=grain.RangeDataSource(0, 40, 1), sampler=sampler, worker_count=0)
        )

    whole = made()
    for _ in range(3):
        next(whole)
    with Vault(tmp_path / "run") as vault:
        vault.save(3, model=model(), data={"train": whole}, blocking=True)
        expected = [np.asarray(next(whole)).tolist() for _ in range(5)]
        again = made()
        vault.restore(model=model(), data={"train": again})
    assert [np.asarray(next(again)).tolist() for _ in range(5)] == expected


# -- numbers, and what is missing ------------------------------------------------------------------------------------
def test_samples_seen_are_a_position(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    net = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    with Vault(tmp_path / "run") as vault:
        vault.save(5, model=net, optimizer=optimizer, data={"train": 51200}, blocking=True)
        outcome = vault.restore(model=net, optimizer=optimizer)
        assert outcome is not None
        assert outcome.data == {"train": 51200}
        assert codes(outcome) == [], "a number is in the outcome: nothing is missing"
        resume = record_of(vault.checkpoints()[0].path).resume
        assert resume["data"]["train"]["value"] == 51200
        assert resume["parts"] == ["model", "optimizer"]


def test_a_number_cannot_be_recorded_once_for_all(tmp_path: Path) -> None:
    with Vault(tmp_path / "run") as vault:
        with pytest.raises(UsageError, match="changes with each save"):
            vault.record(data={"train": 3})
        position = {"seen": 0}
        vault.record(data={"train": position})
        for seen in (10, 20):
            position["seen"] = seen
            vault.save(seen, model=model(), blocking=True)
        position["seen"] = 99
        outcome = vault.restore(step=10, model=model())
        assert outcome is not None
        assert position == {"seen": 99}, "an evaluation of an older step leaves the data where it is"
        vault.restore(step=10, model=model(), data={"train": position})
        assert position == {"seen": 10}


def test_a_training_run_without_position_is_told_and_an_evaluation_is_not(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    net = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    with Vault(tmp_path / "run") as vault:
        vault.save(5, model=net, optimizer=optimizer, blocking=True)
        outcome = vault.restore(model=net, optimizer=optimizer)
        assert outcome is not None
        (told,) = [f for f in outcome.findings if f.code == "R211"]
        assert told.severity == "note" and "without data=" in told.message
        evaluated = vault.restore(model=net)
        assert evaluated is not None and codes(evaluated) == []
        vault.save(6, model=net, optimizer=optimizer, extra={"epoch": 3, "samples_seen": 100}, blocking=True)
        own = vault.restore(model=net, optimizer=optimizer)
        assert own is not None and codes(own) == [], "the run keeps its position itself"


def test_a_position_that_was_saved_and_is_not_asked_for_is_told(tmp_path: Path) -> None:
    run = TorchRun(0)
    next(run.batches())
    with Vault(tmp_path / "run") as vault:
        vault.save(1, model=run.model, optimizer=run.optimizer, data={"train": run.loader}, blocking=True)
        outcome = vault.restore(model=run.model, optimizer=run.optimizer)
        assert outcome is not None
        assert codes(outcome) == ["R211"]
        assert outcome.data["train"]["_num_yielded"] == 1, (
            "the state itself, for who wants to put it back himself"
        )
        other = vault.restore(
            model=run.model, optimizer=run.optimizer, data={"train": run.loader, "val": {"seen": 0}}
        )
        assert other is not None
        (told,) = [f for f in other.findings if f.code == "R211"]
        assert told.severity == "warning" and "`val` was passed" in told.message


def test_recorded_once_captured_at_each_save(tmp_path: Path) -> None:
    run = TorchRun(0)
    with Vault(tmp_path / "run") as vault:
        vault.record(data={"train": run.loader})
        for step in run.batches():
            vault.save(step, model=run.model, optimizer=run.optimizer, blocking=True)
            if step == 4:
                break
        outcome = vault.restore(step=2, model=run.model, optimizer=run.optimizer)
        assert outcome is not None and codes(outcome) == []
        assert next(iter(run.loader)).tolist() == run.seen[2][0]


@pytest.mark.parametrize("damage", ["flip", "cut", "gone", "state-flip", "state-gone"])
def test_a_damaged_position_is_met(tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str) -> None:
    """A step whose position is damaged is passed over like any damaged step."""
    torch = pytest.importorskip("torch")
    net = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    with Vault(tmp_path / "run") as vault:
        for step in (1, 2):
            vault.save(
                step, model=net, optimizer=optimizer, data={"train": np.arange(500) + step}, blocking=True
            )
        name = "state.json" if damage.startswith("state") else "recorded.safetensors"
        file = Path(vault.checkpoints()[-1].path, name)
        data = bytearray(file.read_bytes())
        file.unlink()  # another step may be linked to it
        if damage.endswith("flip"):
            data[-4] ^= 1
        if not damage.endswith("gone"):
            file.write_bytes(data[: len(data) // 2] if damage == "cut" else data)
        with caplog.at_level(logging.WARNING):
            outcome = vault.restore(model=net, optimizer=optimizer)
        assert outcome is not None and outcome.step == 1
        assert "passed over" in caplog.text
        assert outcome.data["train"].tolist() == (np.arange(500) + 1).tolist()


def test_the_position_lies_in_the_step_where_others_can_read_it(tmp_path: Path) -> None:
    with Vault(tmp_path / "run") as vault:
        vault.save(1, model=model(), data={"train": {"order": np.arange(500), "at": 7}}, blocking=True)
        (step,) = vault.checkpoints()
    rows = json.loads(Path(step.path, "state.json").read_text())["states"]["data"]["train"]
    assert rows["about"] == {"order": {"$ref": "state/order"}, "at": 7}
    safetensors = pytest.importorskip("safetensors.numpy")
    arrays = safetensors.load_file(Path(step.path, "recorded.safetensors"))
    assert arrays["recorded/data/train/state/order"].tolist() == list(range(500))


def test_each_rank_has_a_position_of_its_own(tmp_path: Path) -> None:
    def work(vault: Vault, rank: int) -> Any:
        live = {f"w{rank}": np.ones(3, "f4")}
        vault.save(
            1, model=live, data={"train": {"seen": 10 + rank, "order": np.arange(99) * rank}}, blocking=True
        )
        outcome = vault.restore(model=live, data={"train": {}}, allow=[f"drop:w{1 - rank}"])
        assert outcome is not None
        return outcome.data["train"]

    found = together(tmp_path / "run", work)
    assert [state["seen"] for state in found] == [10, 11]
    assert found[1]["order"].tolist() == list(range(99))
