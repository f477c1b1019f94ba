"""Small PyTorch models, and training runs of them, for the restore matrix."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parameter import is_lazy

Batch = tuple[torch.Tensor, torch.Tensor]


@dataclass
class Run:
    """Live objects as they stand in a training script."""

    model: Any
    optimizer: Any = None
    scheduler: Any = None

    def parts(self) -> dict[str, Any]:
        """As ``check`` and ``restore`` take them."""
        given = {"model": self.model, "optimizer": self.optimizer, "scheduler": self.scheduler}
        return {name: thing for name, thing in given.items() if thing is not None}


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.proj(x))


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.proj(x))


class Net(nn.Module):
    """Named attributes: two layers of one shape, a normalisation with buffers, a head."""

    def __init__(
        self,
        *,
        hidden: int = 8,
        classes: int = 3,
        eps: float = 1e-5,
        momentum: float = 0.1,
        dropout: float = 0.0,
        activation: type[nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__()
        self.encoder = nn.Linear(8, hidden)
        self.decoder = nn.Linear(hidden, 8)
        self.norm = nn.BatchNorm1d(8, eps=eps, momentum=momentum)
        self.act = activation()
        self.drop = nn.Dropout(dropout)
        self.head = nn.Linear(8, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.drop(self.norm(self.act(self.decoder(self.act(self.encoder(x)))))))


class Reordered(nn.Module):
    """:class:`Net` with its attributes set in another order."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(8, 3)
        self.norm = nn.BatchNorm1d(8)
        self.decoder = nn.Linear(8, 8)
        self.encoder = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(torch.relu(self.decoder(torch.relu(self.encoder(x))))))


class Renamed(nn.Module):
    """:class:`Net`, its head under another name."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(8, 8)
        self.decoder = nn.Linear(8, 8)
        self.norm = nn.BatchNorm1d(8)
        self.classifier = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.norm(torch.relu(self.decoder(torch.relu(self.encoder(x))))))


class Adapted(Net):
    """:class:`Net` with one more layer at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.adapter = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.adapter(super().forward(x))


class Tied(nn.Module):
    """Token embedding; the output shares its weight unless told not to."""

    def __init__(self, tied: bool = True, words: int = 11) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, 8)
        self.mix = nn.Linear(8, 8)
        self.out = nn.Linear(8, words, bias=False)
        if tied:
            self.out.weight = self.embed.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        words = (x.abs() * 3).long().clamp(0, 10)
        return self.out(self.mix(self.embed(words)).mean(1))


class Attention(nn.Module):
    def __init__(self, heads: int = 2) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, heads, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.reshape(-1, 4, 2).repeat(1, 1, 4)
        return self.head(self.attention(x, x, x)[0].mean(1))


class Conv(nn.Module):
    def __init__(self, stride: int = 1, padding: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 4, 3, stride=stride, padding=padding)
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.conv(x[:, None]).mean(-1))


class Other(nn.Module):
    """Another model altogether."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList(nn.Conv2d(2 + n, 3 + n, 3) for n in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x[:, :2, None, None].expand(-1, -1, 9, 9)
        for stage in self.stages:
            x = stage(x)
        return x.mean((2, 3))[:, :3]


def stack(*shapes: tuple[int, int]) -> nn.Sequential:
    """Linear layers under automatic names, with nothing between."""
    return nn.Sequential(*(nn.Linear(i, o) for i, o in shapes))


def batch(step: int) -> Batch:
    """The step's data, the same in every run."""
    rng = np.random.default_rng(1000 + step)
    return (
        torch.from_numpy(rng.normal(size=(16, 8)).astype(np.float32)),
        torch.from_numpy(rng.integers(0, 3, 16)),
    )


def train(run: Run, steps: int, start: int = 0) -> None:
    """Train so many steps on the data from ``start`` on; dropout draws from a generator set by the step. One thread is
    enough for models of this size, and quicker on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        _train(run, steps, start)
    finally:
        torch.set_num_threads(threads)


def _train(run: Run, steps: int, start: int) -> None:
    run.model.train()
    optimizers = run.optimizer if isinstance(run.optimizer, (list, tuple)) else [run.optimizer]
    dtype = next(run.model.parameters()).dtype
    for step in range(start, start + steps):
        torch.manual_seed(step)
        x, y = batch(step)
        x = x.to(dtype)

        def loss() -> torch.Tensor:
            run.model.zero_grad()
            out = run.model(x)  # noqa: B023 - used at once
            value = nn.functional.cross_entropy(out[:, :3].float(), y)  # noqa: B023
            value.backward()
            return value

        loss()
        for optimizer in optimizers:
            optimizer.step(loss) if type(optimizer).__name__ == "LBFGS" else optimizer.step()
        if run.scheduler is not None:
            run.scheduler.step()
    run.model.zero_grad()


def seeded(seed: int, make: Callable[[], Any]) -> Any:
    """What ``make`` gives with this seed."""
    torch.manual_seed(seed)
    return make()


def numbers(tensor: torch.Tensor) -> np.ndarray:
    """Values as numpy; bfloat16 through ml_dtypes."""
    tensor = tensor.detach()
    if tensor.dtype is torch.bfloat16:
        import ml_dtypes

        return tensor.contiguous().view(torch.int16).numpy().view(ml_dtypes.bfloat16).copy()
    return tensor.numpy().copy()


def truth_of(run: Run) -> dict[str, np.ndarray]:
    """What a right restore gives, by the framework's own state dicts."""
    found: dict[str, np.ndarray] = {}
    models = run.model if isinstance(run.model, Mapping) else {"": run.model}
    for front, model in models.items():
        bare = getattr(model, "_orig_mod", getattr(model, "module", model))
        for name, tensor in bare.state_dict().items():
            if not is_lazy(tensor):
                found[f"{front}/{name}" if front else name] = numbers(tensor)
    optimizers = run.optimizer if isinstance(run.optimizer, Mapping) else {"": run.optimizer}
    for name, optimizer in optimizers.items():
        if optimizer is not None:
            found |= _optimizer_truth(optimizer, f"optimizer/{name}" if name else "optimizer")
    if run.scheduler is not None:
        for key, value in run.scheduler.state_dict().items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                found[f"setting:scheduler/{key}"] = np.asarray(repr(value))
    return found


def _optimizer_truth(optimizer: Any, name: str) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    document = optimizer.state_dict()
    for position, state in document["state"].items():
        for slot, value in state.items():
            if isinstance(value, torch.Tensor):
                found[f"{name}/state/{position}/{slot}"] = numbers(value)
    for index, group in enumerate(document["param_groups"]):
        for key, value in group.items():
            if isinstance(value, float):
                found[f"setting:{name}/param_groups/{index}/{key}"] = np.asarray(repr(value))
    return found


def continued(saved: Run, live: Run, steps: int = 3, start: int = 50) -> None:
    """Both runs go on for the same steps and must stay equal bit for bit."""
    train(saved, steps, start)
    train(live, steps, start)
    here, there = truth_of(saved), truth_of(live)
    assert here.keys() == there.keys()
    for name in here:
        assert here[name].tobytes() == there[name].tobytes(), f"{name} differs after training on"
