"""Silent failures that people reported, by their id in the corpus: resumed runs that go on with something else.

Each is a small training function with the reported mistake, drilled as a test of one's own would; its repaired twin passes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from holdfast.testing import assert_resumes_exactly

BATCHES, SIZE, SAVE = 5, 4, 3
torch.manual_seed(0)
X = torch.randn(BATCHES * SIZE, 6)
Y = X.sum(1, keepdim=True)

Train = Callable[[Path, int], None]


def told(train: Train, code: str, *, steps: int = 12, kill_at: tuple[int, ...] = (8,)) -> str:
    """The drill says that the function does not resume exactly, and names this cause first; gives what it says."""
    with pytest.raises(AssertionError, match="does not resume exactly") as failed:
        assert_resumes_exactly(train, steps=steps, kill_at=kill_at)
    text = str(failed.value)
    assert code in text.splitlines()[1], text
    return text


def right(train: Train, *, steps: int = 12, kill_at: tuple[int, ...] = (4, 8)) -> None:
    assert_resumes_exactly(train, steps=steps, kill_at=kill_at)


class Augmented(Dataset):
    """Rows with noise that is drawn when they are fetched."""

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, n: int) -> tuple[Any, Any]:
        return X[n] + 0.1 * torch.randn(6), Y[n]


def order_of(epoch: int) -> list[int]:
    return torch.randperm(len(X), generator=torch.Generator().manual_seed(7 + epoch)).tolist()


def loader_of(order: list[int]) -> DataLoader[Any]:
    return DataLoader(Augmented(), batch_size=SIZE, sampler=order, generator=torch.Generator())


class Run:
    """A model with its optimizer, and where the run stands; from the newest checkpoint in the folder, where there is one."""

    def __init__(self, folder: Path, *, rate: float = 0.05) -> None:
        self.path = folder / "last.pt"
        torch.manual_seed(1)
        self.model = nn.Linear(6, 1)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=rate)
        self.step, self.held = 0, {}
        if self.path.exists():
            self.held = torch.load(self.path, weights_only=False)
            self.model.load_state_dict(self.held["model"])
            self.optimizer.load_state_dict(self.held["optimizer"])
            self.step = self.held["step"]
            torch.set_rng_state(self.held["rng"])

    def train(self, x: Any, y: Any) -> float:
        loss = (self.model(x) - y).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.step += 1
        return loss.item()

    def save(self, to: Path | None = None, **more: Any) -> None:
        """Beside the name, then under it."""
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "rng": torch.get_rng_state(),
        }
        place = str(to or self.path)
        torch.save(state | more, place + ".tmp")
        os.replace(place + ".tmp", place)


# -- the data ------------------------------------------------------------------------------------------------------------
def fetching_first(skip: Callable[[list[int], int], Iterator[Any]]) -> Train:
    """Trains on augmented rows; ``skip`` gives an epoch's batches from one of them on."""

    def train(folder: Path, steps: int) -> None:
        run = Run(folder)
        while run.step < steps:
            for x, y in skip(order_of(run.step // BATCHES), run.step % BATCHES):
                run.train(x, y)
                if run.step % SAVE == 0:
                    run.save()
                if run.step == steps:
                    break

    return train


def test_pt_102_batches_that_are_fetched_to_be_skipped_draw_random_numbers() -> None:
    def fetched(order: list[int], n: int) -> Iterator[Any]:
        batches = iter(loader_of(order))
        for _ in range(n):  # what was trained on before: each row draws its noise again
            next(batches)
        return batches

    text = told(fetching_first(fetched), "R307")
    assert "torch" in text


def test_pt_102_indices_are_skipped_and_nothing_is_drawn() -> None:
    right(fetching_first(lambda order, n: iter(loader_of(order[n * SIZE :]))))


def on_permutation(seed: Callable[[Run], int], place: Callable[[Run], int]) -> Train:
    def train(folder: Path, steps: int) -> None:
        run = Run(folder)
        while run.step < steps:
            drawn = torch.Generator().manual_seed(seed(run))
            order = torch.randperm(len(X), generator=drawn).tolist()[place(run) * SIZE :]
            for at in range(0, len(order), SIZE):
                rows = order[at : at + SIZE]
                run.train(X[rows], Y[rows])
                if run.step % SAVE == 0:
                    run.save()
                if run.step == steps:
                    break

    return train


def test_pt_104_each_start_begins_the_same_permutation() -> None:
    text = told(on_permutation(seed=lambda run: 7, place=lambda run: 0), "R306")
    assert "step 1" in text  # where the batch was seen before


def test_pt_104_the_permutation_goes_on_where_it_stood() -> None:
    right(on_permutation(seed=lambda run: 7 + run.step // BATCHES, place=lambda run: run.step % BATCHES))


# -- what lies beside the weights ------------------------------------------------------------------------------------------
def keeping_the_best(restored: bool) -> Train:
    measured = [9.0, 4.0, 1.0, 5.0, 6.0, 7.0, 8.0, 2.0, 3.0, 4.0, 5.0, 6.0]  # the best one comes early

    def train(folder: Path, steps: int) -> None:
        run = Run(folder)
        best = run.held.get("best", float("inf")) if restored else float("inf")
        while run.step < steps:
            run.train(X, Y)
            if measured[run.step - 1] < best:
                best = measured[run.step - 1]
                run.save(folder / "best.pt", best=best)
            if run.step % SAVE == 0:
                run.save(best=best)

    return train


def test_pt_201_a_worse_model_becomes_the_best_after_a_resume() -> None:
    text = told(keeping_the_best(restored=False), "R310")
    assert "best.pt" in text


def test_pt_201_the_best_value_is_part_of_the_checkpoint() -> None:
    right(keeping_the_best(restored=True))


class Master:
    """Weights in bfloat16, trained through copies in float32, as mixed-precision wrappers do."""

    def __init__(self, folder: Path, *, saved: bool) -> None:
        torch.manual_seed(1)
        self.path, self.saved, self.step = folder / "last.pt", saved, 0
        self.model = nn.Linear(6, 1).bfloat16()
        self.full = [p.detach().float().requires_grad_() for p in self.model.parameters()]
        self.optimizer = torch.optim.Adam(self.full, lr=1e-2)
        if self.path.exists():
            held = torch.load(self.path)
            self.model.load_state_dict(held["model"])
            with torch.no_grad():
                for n, (full, weight) in enumerate(zip(self.full, self.model.parameters(), strict=True)):
                    full.copy_(held["full"][n] if saved else weight.float())
            self.optimizer.load_state_dict(held["optimizer"])
            self.step = held["step"]

    def train(self) -> None:
        self.model.zero_grad()
        (self.model(X.bfloat16()) - Y).float().square().mean().backward()
        for full, weight in zip(self.full, self.model.parameters(), strict=True):
            full.grad = weight.grad.float()
        self.optimizer.step()
        with torch.no_grad():
            for full, weight in zip(self.full, self.model.parameters(), strict=True):
                weight.copy_(full)
        self.step += 1

    def save(self) -> None:
        full = {"full": [f.detach() for f in self.full]} if self.saved else {}
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
        }
        torch.save(state | full, self.path)


def on_master(saved: bool) -> Train:
    def train(folder: Path, steps: int) -> None:
        run = Master(folder, saved=saved)
        while run.step < steps:
            run.train()
            if run.step % SAVE == 0:
                run.save()

    return train


def test_pt_163_master_weights_are_made_of_the_rounded_ones() -> None:
    told(on_master(saved=False), "R301")


def test_pt_163_master_weights_are_part_of_the_checkpoint() -> None:
    right(on_master(saved=True))


def with_average(swapped_back: bool) -> Train:
    """The average of the weights is put into the model to be evaluated; the checkpoint is written then, or after it."""

    def train(folder: Path, steps: int) -> None:
        run = Run(folder)
        average = run.held.get("average") or [p.detach().clone() for p in run.model.parameters()]
        while run.step < steps:
            run.train(X, Y)
            for mean, weight in zip(average, run.model.parameters(), strict=True):
                mean.lerp_(weight.detach(), 0.1)
            if run.step % SAVE == 0:
                raw = [p.detach().clone() for p in run.model.parameters()]
                put(run.model, average)
                if not swapped_back:
                    run.save(average=average)
                put(run.model, raw)
                if swapped_back:
                    run.save(average=average)

    return train


@torch.no_grad()
def put(model: nn.Module, values: list[Any]) -> None:
    for weight, value in zip(model.parameters(), values, strict=True):
        weight.copy_(value)


def test_pt_108_the_average_was_in_the_model_when_it_was_saved() -> None:
    told(with_average(swapped_back=False), "R301")


def test_pt_108_the_average_is_saved_under_a_name_of_its_own() -> None:
    right(with_average(swapped_back=True))


# -- the end -----------------------------------------------------------------------------------------------------------------
def by_epochs(*, asked: bool, whole: bool = True) -> Train:
    """Epochs with their end looked at behind them, and asked for at the start or not; ``whole``: saves after the last one."""

    def train(folder: Path, steps: int) -> None:
        run = Run(folder)
        last = steps // BATCHES
        epoch = run.step // BATCHES + 1
        if asked and epoch > last:
            return
        while True:
            for at in range(run.step % BATCHES * SIZE, len(X), SIZE):
                run.train(X[at : at + SIZE], Y[at : at + SIZE])
                if run.step % BATCHES == BATCHES - 1:
                    run.save()
            if whole or epoch < last:
                run.save()
            if epoch >= last:
                break
            epoch += 1

    return train


def test_pt_207_a_finished_run_trains_an_epoch_more() -> None:
    text = told(by_epochs(asked=False), "R312", steps=10, kill_at=(7,))
    assert "after its end" in text and "ended after step 10; started again it makes step 11" in text


@pytest.mark.parametrize("whole", [True, False])
def test_pt_207_a_finished_run_ends_at_once_or_makes_its_last_steps_again(whole: bool) -> None:
    right(by_epochs(asked=True, whole=whole), steps=10, kill_at=(7,))


def test_pt_207_a_finished_run_that_took_its_checkpoint_away_begins_anew() -> None:
    inner = by_epochs(asked=False)

    def train(folder: Path, steps: int) -> None:
        inner(folder, steps)
        (folder / "last.pt").unlink()

    right(train, steps=10, kill_at=(7,))
