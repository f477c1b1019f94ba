"""Silent failures that people reported, by their id in the corpus: programs under a guard, as they were written.

Each shows that the framework says nothing, or leaves the damage; then that the guard names it, and that the repaired program is
left alone.
"""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from guard.watching import Watched  # noqa: E402


# -- saves ---------------------------------------------------------------------------------------------------------------
class Short(io.FileIO):
    """A file whose system call takes 64 KiB at most, as ``write(2)`` may; the rest is the caller's to write."""

    def write(self, data: Any) -> int:
        return super().write(memoryview(data)[: 1 << 16]) or 0


def test_pt_187_a_save_of_which_the_system_took_a_part(watched: Watched, tmp_path: Path) -> None:
    state = {"w": torch.arange(1.0, 200_000.0)}
    with Short(tmp_path / "short.pt", "wb") as file:
        torch.save(state, file)  # says nothing
    assert (tmp_path / "short.pt").stat().st_size < state["w"].nbytes
    with open(tmp_path / "whole.pt", "wb") as file:
        torch.save(state, file)
    watched.guard.close()
    assert watched.codes() == ["S143"]
    assert "short.pt" in str(next(s.path for s in watched.seen if s.findings))


def test_pt_212_a_run_begun_anew_in_a_folder_that_has_got_further(watched: Watched, tmp_path: Path) -> None:
    ocp = pytest.importorskip("orbax.checkpoint")
    import numpy as np

    def run(*steps: int) -> list[bool]:
        with ocp.CheckpointManager(tmp_path / "run") as manager:
            return [manager.save(n, args=ocp.args.StandardSave({"w": np.full(3, n)})) for n in steps]

    assert run(0, 3000) == [True, True]
    assert watched.codes() == []
    assert run(0, 3000) == [False, False]  # nothing is raised, and nothing was saved
    assert watched.codes() == ["S148"] and "the newest step in the folder is 3000" in watched.of("S148")
    assert run(3001) == [True]
    assert watched.codes() == ["S148"]


# -- which one is the best ---------------------------------------------------------------------------------------------------
def lightning() -> Any:
    module = pytest.importorskip("lightning.pytorch")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    return module


def fitted(folder: Path, *callbacks: Any, on_epoch: bool = True, epochs: int = 2) -> tuple[Any, Any, Any]:
    """A trainer after some epochs of four batches, with the model and the batches."""
    pl = lightning()

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Linear(4, 1)

        def training_step(self, batch: Any, index: int) -> Any:
            loss = self.net(batch[0]).square().mean() * (index + 1)
            self.log("loss", loss, on_step=True, on_epoch=on_epoch)
            return loss

        def validation_step(self, batch: Any, index: int) -> None:
            self.log("val_loss", self.net(batch[0]).square().mean())

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.01)

    torch.manual_seed(0)
    data = torch.utils.data.TensorDataset(torch.randn(16, 4))
    batches = torch.utils.data.DataLoader(data, batch_size=4)
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, default_root_dir=str(folder), callbacks=list(callbacks),
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    model = Module()
    trainer.fit(model, batches, batches)
    return trainer, model, batches


def test_pt_199_the_best_are_chosen_by_one_batch(watched: Watched, tmp_path: Path) -> None:
    keeper = lightning().callbacks.ModelCheckpoint
    fitted(tmp_path, keeper(tmp_path, "{step}", monitor="loss", every_n_train_steps=3, save_top_k=2))
    assert watched.codes() == ["M120"]  # once
    assert "'loss' is logged by step and by epoch, and is the last batch's value" in watched.of("M120")


@pytest.mark.parametrize(
    ("given", "on_epoch"),
    [
        ({"monitor": "loss"}, True),  # at the epoch's end it is the mean
        ({"monitor": "loss_epoch"}, True),
        ({"monitor": "loss", "every_n_train_steps": 3}, False),  # a batch's was asked for
        ({"monitor": "val_loss"}, True),
        ({}, True),
    ],
    ids=["at the end", "by its own name", "by step alone", "of the validation", "nothing"],
)
def test_pt_199_a_number_that_is_what_it_says(
    watched: Watched, tmp_path: Path, given: Any, on_epoch: bool
) -> None:
    trainer, model, batches = fitted(
        tmp_path, lightning().callbacks.ModelCheckpoint(tmp_path, "{step}", **given), on_epoch=on_epoch
    )
    trainer.validate(model, batches, ckpt_path="best", verbose=False)
    assert watched.codes() == []


def test_pt_200_the_first_callback_monitors_nothing(watched: Watched, tmp_path: Path) -> None:
    keeper = lightning().callbacks.ModelCheckpoint
    last, best = (
        keeper(tmp_path, "last-{step}"),
        keeper(tmp_path, "best-{step}", monitor="val_loss", mode="max"),
    )
    trainer, model, batches = fitted(tmp_path, last, best)
    trainer.validate(model, batches, ckpt_path="best", verbose=False)
    assert watched.codes() == ["M120"]
    text = watched.of("M120")
    assert "last-step=8.ckpt is the last file of a ModelCheckpoint that monitors nothing" in text
    assert f"the best by 'val_loss' is {best.best_model_path}" in text


def test_pt_200_the_callback_that_monitors_is_asked_itself(watched: Watched, tmp_path: Path) -> None:
    keeper = lightning().callbacks.ModelCheckpoint
    last, best = (
        keeper(tmp_path, "last-{step}"),
        keeper(tmp_path, "best-{step}", monitor="val_loss", mode="max"),
    )
    trainer, model, batches = fitted(tmp_path, last, best)
    trainer.validate(model, batches, ckpt_path=best.best_model_path, verbose=False)
    trainer, model, batches = fitted(tmp_path, best, last)
    trainer.validate(model, batches, ckpt_path="best", verbose=False)
    assert watched.codes() == []


RANKS = """
import sys, logging, torch, lightning.pytorch as pl
from torch import nn
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

class Module(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(4, 1)
    def training_step(self, batch, index):
        return self.net(batch[0]).square().mean()
    def validation_step(self, batch, index):
        self.log("val_loss", self.net(batch[0]).square().mean(), sync_dist=sys.argv[1] == "reduced")
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)

if __name__ == "__main__":
    torch.manual_seed(0)
    batches = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(16, 4)), batch_size=4)
    trainer = pl.Trainer(
        max_epochs=1, accelerator="cpu", devices=2, strategy="ddp_fork", logger=False, num_sanity_val_steps=0,
        callbacks=[pl.callbacks.ModelCheckpoint(".", monitor="val_loss")],
        enable_progress_bar=False, enable_model_summary=False,
    )
    trainer.fit(Module(), batches, batches)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("how", ["apart", "reduced"])
def test_pt_198_the_best_are_chosen_by_each_rank_for_itself(tmp_path: Path, how: str) -> None:
    lightning()
    (tmp_path / "train.py").write_text(RANKS)
    ran = subprocess.run(
        [sys.executable, "-m", "holdfast", "run", "train.py", how], cwd=tmp_path, text=True, capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}, check=False, timeout=300,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ("'val_loss' is each rank's own value" in ran.stderr) == (how == "apart"), ran.stderr


# -- parts of one step -------------------------------------------------------------------------------------------------------
def parts_of(seed: int) -> tuple[nn.Module, Any]:
    torch.manual_seed(seed)
    model = nn.Linear(4, 2)
    return model, torch.optim.Adam(model.parameters(), lr=0.01)


def saved_by_parts(folder: Path, *steps: int) -> None:
    model, optimizer = parts_of(0)
    for step in range(1, max(steps) + 1):
        model(torch.ones(3, 4)).square().sum().backward()
        optimizer.step()
        if step in steps:
            torch.save(model.state_dict(), folder / f"Model.0.{step}.pt")
            torch.save(
                {"optimizer": optimizer.state_dict(), "epoch": step}, folder / f"checkpoint.0.{step}.pt"
            )


def newest(folder: Path, front: str) -> Path:
    return max(folder.glob(f"{front}.0.*.pt"), key=lambda path: int(path.name.split(".")[2]))


def resumed(folder: Path, *, state_first: bool = False) -> int:
    """As programs do: the newest file of each kind."""
    model, optimizer = parts_of(1)
    held = torch.load(newest(folder, "checkpoint"))
    if state_first:
        optimizer.load_state_dict(held["optimizer"])
    model.load_state_dict(torch.load(newest(folder, "Model")))
    if not state_first:
        optimizer.load_state_dict(held["optimizer"])
    return held["epoch"]


@pytest.mark.parametrize("state_first", [False, True])
def test_pt_221_the_newest_weights_are_gone(watched: Watched, tmp_path: Path, state_first: bool) -> None:
    saved_by_parts(tmp_path, 2, 4)
    (tmp_path / "Model.0.4.pt").unlink()
    assert resumed(tmp_path, state_first=state_first) == 4  # with the weights of step 2, and nothing was said
    assert watched.codes() == ["R216"]
    assert (
        "the weights are those of Model.0.2.pt, and the optimizer's state is that of checkpoint.0.4.pt"
        in watched.of("R216")
    )
    assert "there is no Model.0.4.pt" in watched.of("R216")


def test_pt_221_all_parts_are_of_one_step(watched: Watched, tmp_path: Path) -> None:
    saved_by_parts(tmp_path, 2, 4)
    assert resumed(tmp_path) == 4
    (tmp_path / "Model.0.4.pt").unlink()
    (tmp_path / "checkpoint.0.4.pt").unlink()
    assert resumed(tmp_path, state_first=True) == 2
    assert watched.codes() == []


def test_pt_221_numbers_that_are_no_steps(watched: Watched, tmp_path: Path) -> None:
    """Pretrained weights with a number in their name; another model's optimizer; one file in two calls."""
    saved_by_parts(tmp_path, 2, 4)
    model, optimizer = parts_of(1)
    torch.save(model.state_dict(), tmp_path / "resnet50.pt")
    model.load_state_dict(torch.load(tmp_path / "resnet50.pt"))
    optimizer.load_state_dict(torch.load(tmp_path / "checkpoint.0.4.pt")["optimizer"])
    teacher, _ = parts_of(2)
    teacher.load_state_dict(torch.load(tmp_path / "Model.0.2.pt"))
    model.load_state_dict(torch.load(tmp_path / "Model.0.4.pt"))
    optimizer.load_state_dict(torch.load(tmp_path / "checkpoint.0.4.pt")["optimizer"])
    assert watched.codes() == []


def test_pt_221_one_series_of_whole_checkpoints(watched: Watched, tmp_path: Path) -> None:
    model, optimizer = parts_of(0)
    for step in (1, 2):
        model(torch.ones(3, 4)).square().sum().backward()
        optimizer.step()
        torch.save(
            {"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / f"ckpt-{step}.pt"
        )
    model, optimizer = parts_of(1)
    model.load_state_dict(torch.load(tmp_path / "ckpt-1.pt")["model"])
    optimizer.load_state_dict(torch.load(tmp_path / "ckpt-2.pt")["optimizer"])
    assert watched.codes() == ["R216"]


def test_pt_221_the_best_weights_after_training(watched: Watched, tmp_path: Path) -> None:
    saved_by_parts(tmp_path, 2, 4)
    model, optimizer = parts_of(1)
    optimizer.load_state_dict(torch.load(tmp_path / "checkpoint.0.4.pt")["optimizer"])
    model.load_state_dict(torch.load(tmp_path / "Model.0.4.pt"))
    model(torch.ones(3, 4)).square().sum().backward()
    optimizer.step()
    model.load_state_dict(torch.load(tmp_path / "Model.0.2.pt"))
    assert watched.codes() == []


# -- saves in the background -------------------------------------------------------------------------------------------------
class Stepping(nn.Module):
    """A model that a step changes everywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(*(nn.Linear(8, 8) for _ in range(4)))

    def step(self) -> None:
        with torch.no_grad():
            for weight in self.parameters():
                weight.add_(1)


def in_background(folder: Path, *, staged: bool, waits: bool) -> bool:
    """Whether the checkpoint is of the moment of the call."""
    dcp = pytest.importorskip("torch.distributed.checkpoint")
    from torch.distributed.checkpoint.staging import BlockingAsyncStager

    go = threading.Event()

    class Handed(BlockingAsyncStager):
        """Tensors on the CPU are handed on as they are."""

        def stage(self, state_dict: Any) -> Any:
            return state_dict

    class Slow(dcp.FileSystemWriter):
        """Writes once the program has got further."""

        def write_data(self, *args: Any, **kwargs: Any) -> Any:
            assert go.wait(60)
            return super().write_data(*args, **kwargs)

    model = Stepping()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    given: dict[str, Any] = {} if staged else {"async_stager": Handed()}
    future = dcp.async_save({"model": model.state_dict()}, storage_writer=Slow(folder), no_dist=True, **given)
    if waits:
        go.set()
        future.result()
    model.step()
    go.set()
    future.result()
    found = {"model": {name: torch.zeros_like(value) for name, value in before.items()}}
    dcp.load(found, checkpoint_id=folder, no_dist=True)
    return all(torch.equal(found["model"][name], value) for name, value in before.items())


@pytest.fixture
def one_process() -> Iterator[None]:
    import torch.distributed as dist

    if not dist.is_available():
        pytest.skip("this PyTorch is not distributed")
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("one_process")
def test_pt_121_tensors_on_the_cpu_are_written_after_the_next_step(watched: Watched, tmp_path: Path) -> None:
    assert not in_background(tmp_path / "a", staged=False, waits=False)  # and nothing was said
    watched.guard.close()
    told = [f for s in watched.seen if s.api == "dcp.async_save" for f in s.findings]
    assert [f.code for f in told] == ["S145"]
    assert "written out of the program's own memory" in told[0].message
    assert len(told[0].tensors) == 8


@pytest.mark.usefixtures("one_process")
@pytest.mark.parametrize(("staged", "waits"), [(True, False), (False, True), (True, True)])
def test_pt_118_a_copy_was_staged_or_the_future_waited_for(
    watched: Watched, tmp_path: Path, staged: bool, waits: bool
) -> None:
    assert in_background(tmp_path / "a", staged=staged, waits=waits)
    watched.guard.close()
    assert [f.code for s in watched.seen if s.api == "dcp.async_save" for f in s.findings] == []
