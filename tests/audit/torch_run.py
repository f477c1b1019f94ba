"""A PyTorch loop: BatchNorm, dropout, Adam, averaged weights."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

import holdfast
from audit.digits import X, Y, evaluated
from audit.kinds import BATCH, EPOCH, FIRST, LATER, Kind, Run
from holdfast import Metric


class Net(nn.Module):
    """64 pixels, 64 units, 10 digits."""

    def __init__(self, epsilon: float = 1e-5, activation: str = "relu") -> None:
        super().__init__()
        self.inner = nn.Linear(64, 64)
        self.norm = nn.BatchNorm1d(64, eps=epsilon)
        self.act = {"relu": nn.ReLU, "gelu": nn.GELU}[activation]()
        self.drop = nn.Dropout(0.3)
        self.head = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.drop(self.act(self.norm(self.inner(x)))))


class Torch(Kind):
    name = "torch"

    def make(self, seed: int = 0, *, epsilon: float | None = None, activation: str = "relu") -> Net:
        torch.manual_seed(seed)
        return Net(1e-5 if epsilon is None else epsilon, activation)

    def outputs(self, model: Net, x: np.ndarray, batch: int = 100, *, training: bool = False) -> np.ndarray:
        model.train(training)
        with torch.no_grad():
            return np.concatenate(
                [model(torch.from_numpy(x[n : n + batch])).float().numpy() for n in range(0, len(x), batch)]
            )

    def read(self, model: Net) -> dict[str, np.ndarray]:
        return {n: v.numpy().copy() for n, v in model.state_dict().items() if v.is_floating_point()}

    def put(self, model: Net, values: Mapping[str, np.ndarray]) -> Net:
        model.load_state_dict({n: torch.from_numpy(np.array(v)) for n, v in values.items()}, strict=False)
        return model

    def train(self, folder: Path) -> Run:
        model, run, losses = self.make(), Run(self, folder), []
        optimizer = torch.optim.Adam(model.parameters(), 2e-3)
        average = copy.deepcopy(model)
        with holdfast.Vault(folder) as vault:
            self.recorded(vault)
            for step in range(1, LATER + 1):
                n = (step - 1) % EPOCH * BATCH
                model.train()
                loss = nn.functional.cross_entropy(
                    model(torch.from_numpy(X[n : n + BATCH])), torch.from_numpy(Y[n : n + BATCH])
                )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
                with torch.no_grad():
                    for a, b in zip(average.parameters(), model.parameters(), strict=True):
                        a.lerp_(b, 0.05)
                    for a, b in zip(average.buffers(), model.buffers(), strict=True):
                        a.copy_(b)
                if step >= FIRST and step % EPOCH == 0:
                    run.at[step] = self.evaluate(model)
                    run.averages[step] = self.read(average)
                    run.logged[step] = float(np.mean(losses[-EPOCH:]))
                    running = Metric(
                        "loss", run.logged[step], kind="running-average", first_step=step - EPOCH
                    )
                    model.train()
                    vault.save(
                        step, model=model, optimizer=optimizer, ema=average, blocking=True,
                        metrics=[*evaluated(run.at[step], step=step), running],
                    )  # fmt: skip
        return run


KINDS = {"torch": Torch()}
