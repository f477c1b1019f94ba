"""Silent failures that people reported, by their id in the corpus: what the vault does where another saver lost a run.

Each shows what happens without it where that can be shown small, then what the vault says or keeps, then that the right
program is left alone.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast
from holdfast import Keep, SaveFailed, Vault
from holdfast._storage.local_sink import LocalSink
from holdfast.testing import FaultySink, Killed
from vault.crashing import state, tag_of
from vault.ranks import together

torch = pytest.importorskip("torch")


# -- what is kept ------------------------------------------------------------------------------------------------------
def test_pt_105_the_newest_stays_also_where_another_one_is_the_best(tmp_path: Path) -> None:
    losses = {1: 0.1, 2: 0.5, 3: 0.4, 4: 0.6}  # the first one is the best, and the last one the worst
    with Vault(tmp_path, Keep(last=1, best=1, by="val_loss", mode="min")) as vault:
        for step, loss in losses.items():
            vault.save(step, model=state(step), metrics={"val_loss": loss}, blocking=True)
            assert [c.step for c in vault] == sorted({1, step})
            assert tag_of(vault) == step  # a run that ends here goes on where it was
    assert tag_of(Vault(tmp_path, Keep(last=1, best=1, by="val_loss", mode="min")), best=True) == 1


class Two:
    """A trainer and an orchestrator that save side by side, each deleting its own step before."""

    parts = ("trainer", "orchestrator")

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, step: int, killed_after: str = "") -> None:
        for part in self.parts:
            torch.save({"step": step}, self.folder / f"{part}-{step}.pt")
            (self.folder / f"{part}-{step - 1}.pt").unlink(missing_ok=True)
            if part == killed_after:
                raise Killed

    def complete(self) -> list[int]:
        return [n for n in range(9) if all((self.folder / f"{part}-{n}.pt").exists() for part in self.parts)]


def test_pt_214_parts_that_are_kept_each_by_itself_are_lost_together(tmp_path: Path) -> None:
    apart = Two(tmp_path)
    apart.save(1)
    with pytest.raises(Killed):
        apart.save(2, killed_after="trainer")
    assert apart.complete() == []  # nothing to go on from


@pytest.mark.parametrize("at", range(1, 60, 4))
def test_pt_214_all_parts_are_one_commit_and_the_step_before_goes_after_it(tmp_path: Path, at: int) -> None:
    def parts(tag: int) -> dict[str, Any]:
        return {"model": state(tag), "extra": {"orchestrator": {"seen": tag}}}

    with Vault(tmp_path, Keep(last=1)) as vault:
        vault.save(1, blocking=True, **parts(1))
    sink = FaultySink(tmp_path, at=at, action="kill")
    try:
        with Vault(tmp_path, Keep(last=1), sink=sink) as vault:
            vault.save(2, blocking=True, **parts(2))
    except (Killed, SaveFailed):
        pass
    vault = Vault(tmp_path, Keep(last=1))
    model = {name: np.zeros_like(value) for name, value in state(0).items()}
    outcome = vault.restore(model=model)
    assert outcome is not None and int(model["tag"][0]) == outcome.extra["orchestrator"]["seen"] in (1, 2)


# -- saves in the background -------------------------------------------------------------------------------------------
def test_pt_118_a_step_and_a_restore_right_after_the_call(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = torch.nn.Linear(300, 300)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    at_the_call = model.weight.detach().clone()
    with Vault(tmp_path) as vault:
        vault.save(1, model=model, optimizer=optimizer)
        model(torch.ones(2, 300)).sum().backward()
        optimizer.step()  # at once, while it is being written
        assert not torch.equal(model.weight, at_the_call)
        outcome = vault.restore(model=model, optimizer=optimizer)  # joins the save in flight
        assert outcome is not None and outcome.step == 1
        assert torch.equal(model.weight, at_the_call)


def test_pt_126_a_save_that_hangs_is_named_and_the_next_one_goes_on(tmp_path: Path) -> None:
    with Vault(tmp_path) as vault:
        vault.save(0, model=state(0), blocking=True)
    sink = FaultySink(tmp_path, at=1, kinds={"fsync"}, action="hang")
    vault = Vault(tmp_path, sink=sink, deadline=2)
    handle = vault.save(1, model=state(1))
    with pytest.raises(SaveFailed, match="saving hangs: fsync has not returned") as failed:
        handle.wait()
    assert str(tmp_path) in str(failed.value.file) and failed.value.remedy
    with pytest.raises(SaveFailed, match="hangs"):
        vault.save(2, model=state(2))
    sink.release.set()
    for thread in threading.enumerate():
        if thread.name == "holdfast-write":
            thread.join(60)
    vault.save(3, model=state(3), blocking=True)
    assert [c.step for c in vault] == [0, 3]
    vault.close()


# -- several ranks -----------------------------------------------------------------------------------------------------
def normalised(rank: int, *, synchronised: bool) -> torch.nn.Module:
    """A model whose weights are the same on all ranks, and whose statistics are those of the rank's own data."""
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4))
    with torch.no_grad():
        for weight in model.parameters():
            weight.fill_(0.5)
        x = torch.arange(32.0).reshape(8, 4) + (0 if synchronised else 100 * rank)
        model.train()(x)
    return model.eval()


def test_pt_203_statistics_of_each_rank_are_not_saved_as_if_they_were_one(tmp_path: Path) -> None:
    def work(vault: Vault, rank: int) -> None:
        vault.save(1, model=normalised(rank, synchronised=False), blocking=True)

    for error in together(tmp_path, work):
        assert isinstance(error, SaveFailed)
        assert "two ranks saved different values under one name" in str(error)
        assert "running_mean" in str(error.tensor)
    assert not list(tmp_path.glob("step-*"))


def test_pt_203_statistics_that_were_broadcast_are_saved_once(tmp_path: Path) -> None:
    def work(vault: Vault, rank: int) -> None:
        vault.save(1, model=normalised(rank, synchronised=True), blocking=True)

    assert together(tmp_path, work) == [None, None]
    assert [c.step for c in Vault(tmp_path)] == [1]


def test_pt_198_a_metric_that_each_rank_has_for_itself_chooses_no_best(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def work(vault: Vault, rank: int) -> None:
        for step in (1, 2):
            vault.save(step, model=state(step), metrics={"val_loss": 1.0 / step + 0.25 * rank}, blocking=True)

    with caplog.at_level(logging.WARNING, "holdfast.vault"):
        assert together(tmp_path, work, keep=Keep(last=1, best=1, by="val_loss", mode="min")) == [None, None]
    told = [r.getMessage() for r in caplog.records if "val_loss" in r.getMessage()]
    assert told == [
        "step 1: val_loss is 1.0 on rank 0 and 1.25 on rank 1: it was not reduced over the ranks, and rank 0's is recorded"
    ]


def test_pt_198_a_metric_that_was_reduced_is_nobodys_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def work(vault: Vault, rank: int) -> None:
        vault.save(1, model=state(1), metrics={"val_loss": 0.5, "seconds": 1.0 + rank}, blocking=True)
        vault.save(
            2, model=state(2), metrics={"val_loss": float("nan")} if rank == 0 else None, blocking=True
        )

    with caplog.at_level(logging.WARNING, "holdfast.vault"):
        assert together(tmp_path, work, keep=Keep(last=1, best=1, by="val_loss", mode="min")) == [None, None]
    assert [r.getMessage() for r in caplog.records if "rank" in r.getMessage()] == []


class Late(LocalSink):
    """A network file system on which this host sees a folder that another one has made only at the ``n``-th look."""

    pause, patience, looks = 0.01, 0.3, 0

    def __init__(self, path: Path, n: int) -> None:
        super().__init__(path)
        self.n = n

    def call(self, kind: str, name: str, call: Callable[[], Any]) -> Any:
        if kind == "stat":
            self.looks += 1
            return call() and self.looks >= self.n
        if kind == "open" and name.startswith(".partial-step") and self.looks < self.n:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        return super().call(kind, name, call)


def halves(vault: Vault, rank: int) -> str:
    whole = sorted(state(1).items())
    return vault.save(1, model=dict(whole[rank::2]), blocking=True).wait()


def test_pt_176_a_folder_that_another_host_sees_late_is_waited_for(tmp_path: Path) -> None:
    late = Late(tmp_path, 4)
    first, second = together(tmp_path, halves, sinks={1: late})
    assert first == second == str(tmp_path / "step-00000001")
    assert late.looks == 4
    assert tag_of(Vault(tmp_path)) == 1


def test_pt_176_a_folder_that_another_host_never_sees_fails_the_save_on_all(tmp_path: Path) -> None:
    first, second = together(tmp_path, halves, sinks={1: Late(tmp_path, 10**9)})
    assert isinstance(second, SaveFailed) and "cannot be seen from here" in str(second)
    assert "actimeo=0" in str(second.remedy) and "shared file system" in str(second.remedy)
    assert isinstance(first, SaveFailed) and "rank 1 failed at writing" in str(first)
    assert not list(tmp_path.glob("step-*"))


# -- the configuration -------------------------------------------------------------------------------------------------
def resumed(tmp_path: Path, **config: Any) -> list[holdfast.Finding]:
    """What a restore into a run of this configuration says of it; the run before had another."""
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with Vault(tmp_path) as vault:
        vault.record(
            config={"per_device_batch": 8, "devices": 4, "max_duration": "2ep", "trainer": {"seed": 1}}
        )
        vault.save(1, model=model, optimizer=optimizer, blocking=True)
    with Vault(tmp_path) as vault:
        vault.record(config=config)
        outcome = vault.restore(model=model, optimizer=optimizer)
    assert outcome is not None
    shutil.rmtree(tmp_path)
    return [f for f in outcome.findings if f.code == "R215"]


SAME = {"per_device_batch": 8, "devices": 4, "max_duration": "2ep", "trainer": {"seed": 1}}


def test_pt_228_another_batch_size_on_resume_is_told(tmp_path: Path) -> None:
    (finding,) = resumed(tmp_path / "run", **{**SAME, "per_device_batch": 32, "devices": 1})
    assert "per_device_batch was 8 and is 32; devices was 4 and is 1" in finding.message
    assert resumed(tmp_path / "run", **SAME) == []


def test_pt_229_another_length_on_resume_is_told_and_the_codes_own_word_stands(tmp_path: Path) -> None:
    config = {**SAME, "max_duration": "4ep"}
    (finding,) = resumed(tmp_path / "run", **config)
    assert "max_duration was '2ep' and is '4ep'" in finding.message
    assert config["max_duration"] == "4ep"  # nothing of the stored one is put into the program's
    assert resumed(tmp_path / "run", **SAME) == []


# -- what others have made ---------------------------------------------------------------------------------------------
def test_pt_067_steps_that_were_copied_here_are_kept_and_go_on(tmp_path: Path) -> None:
    """A commit is in the step itself, and is the same on every file system; nothing that this run has not made is deleted."""
    with Vault(tmp_path / "local") as vault:
        for step in (1, 2):
            vault.save(step, model=state(step), blocking=True)
    bucket = tmp_path / "bucket"
    for name in (
        "step-00000001",
        "step-00000002",
    ):  # the steps alone: no manifest, no lock, times and modes of the copy
        shutil.copytree(tmp_path / "local" / name, bucket / name, copy_function=shutil.copyfile)
    foreign = {"7", "checkpoint-500", "8.orbax-checkpoint-tmp-1", "notes"}
    for name in foreign:
        (bucket / name).mkdir()
        (bucket / name / "data").write_bytes(b"mine")
    with Vault(bucket, Keep(last=2)) as vault:
        assert tag_of(vault) == 2
        vault.save(3, model=state(3), blocking=True)
        assert [c.step for c in vault if c.fault is None] == [
            2,
            3,
        ]  # step 1 went by Keep, once step 3 was there
    assert foreign <= {path.name for path in bucket.iterdir()}
    assert all((bucket / name / "data").read_bytes() == b"mine" for name in foreign)


def test_pt_221_a_step_with_a_part_missing_is_passed_over_whole(tmp_path: Path) -> None:
    """No older weights are put beside the newest optimizer."""
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(model.parameters())
    weights = {}
    with Vault(tmp_path) as vault:
        for step in (1, 2):
            model(torch.ones(2, 3)).sum().backward()
            optimizer.step()
            weights[step] = model.weight.detach().clone()
            vault.save(step, model=model, optimizer=optimizer, blocking=True)
    (tmp_path / "step-00000002" / "model.safetensors").unlink()
    outcome = Vault(tmp_path).restore(model=model, optimizer=optimizer)
    assert outcome is not None and outcome.step == 1
    assert torch.equal(model.weight, weights[1])
    assert {int(held["step"]) for held in optimizer.state.values()} == {1}
    ((name, why),) = outcome.passed_over
    assert name == "step-00000002" and "model.safetensors" in why
