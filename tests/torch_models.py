"""Small torch models with training steps, and a restore by hand, for the tests of live catalogs."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from holdfast._compare.compare import compare_catalogs
from holdfast._core.catalog import Catalog
from holdfast._core.fault import Fault
from holdfast._frameworks import LiveCatalog, live_catalog


class Tied(nn.Module):
    """Embedding and output tied, a convolution, batch statistics, a weight norm, a buffer that no save has."""

    def __init__(self) -> None:
        super().__init__()
        self.emb = nn.Embedding(7, 4)
        self.conv = nn.Conv1d(4, 4, 3)
        self.bn = nn.BatchNorm1d(4)
        self.wn = nn.utils.parametrizations.weight_norm(nn.Linear(4, 4))
        self.out = nn.Linear(4, 7, bias=False)
        self.out.weight = self.emb.weight
        self.register_buffer("pe", torch.linspace(0, 1, 4))
        self.register_buffer("scratch", torch.ones(3), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.wn(self.bn(self.conv(self.emb(x).transpose(1, 2))).mean(-1) + self.pe))


def tied() -> Tied:
    torch.manual_seed(0)
    return Tied()


def mlp(bias: bool = True) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4, bias=bias), nn.Tanh(), nn.Linear(4, 2, bias=bias))


def batch(model: nn.Module, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    if any(isinstance(m, nn.Embedding) for m in model.modules()):
        return torch.randint(0, 7, (5, 6), generator=generator)
    return torch.randn(5, 3, generator=generator)


def train(model: nn.Module, optimizer: Any, steps: int, *, seed: int = 0, scheduler: Any = None) -> None:
    """``steps`` steps on batches that the seed decides."""
    for number in range(steps):
        x = batch(model, seed + number)

        def closure(x: torch.Tensor = x) -> torch.Tensor:
            optimizer.zero_grad()
            loss = (model(x) ** 2).mean()
            loss.backward()
            return loss

        if isinstance(optimizer, torch.optim.LBFGS):
            optimizer.step(closure)
        else:
            closure()
            optimizer.step()
        if scheduler is not None:
            scheduler.step()
    optimizer.zero_grad()


def state_of(*things: Any) -> list[Any]:
    """Deep copies of all state dicts, and of the random state: what describing must not change."""
    return [copy.deepcopy(thing.state_dict()) for thing in things] + [torch.get_rng_state()]


def same(a: Any, b: Any) -> bool:
    """Equal to the bit, in value, type and structure."""
    if type(a) is not type(b):
        return False
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and a.shape == b.shape and bool(torch.equal(a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b or (a != a and b != b)


def restore(stored: Catalog, live: LiveCatalog) -> None:
    """Every matched tensor and every value that both sides name, set; nothing else."""
    delta = compare_catalogs(stored, live, depth="header")
    for pair in delta.pairs:
        write = live.variables[pair.b].write
        assert write is not None, pair
        write(stored.read(pair.a).astype(stored.read(pair.a).dtype))
    for one, other in zip(stored.optimizers, live.optimizers, strict=True):
        for number, group in enumerate(one.groups):
            for key, value in group.current.items():
                if isinstance(value, str) and value.startswith("<"):
                    continue  # a tensor, matched above
                live.settings[f"{other.name}/param_groups/{number}/{key}"].write(value)
        for word, found in one.attributes.get("values", {}).items():
            by_position = (
                found if isinstance(found, dict) else {str(p): found for g in one.groups for p in g.positions}
            )
            for position, value in by_position.items():
                setting = live.settings.get(f"{other.name}/state/{position}/{word}")
                if setting is not None:
                    setting.write(value)
    known = {alias: s for s in live.settings.values() for alias in (*s.aliases, s.name)}
    for name, value in stored.attributes.get("values", {}).items():
        if name in known:
            known[name].write(value)
    live.finish()


def slugs(faults: list[Fault]) -> dict[str, bool]:
    """Slug -> whether the next step fails."""
    return {fault.slug: bool(fault.attributes.get("fails")) for fault in faults}


def described(**parts: Any) -> LiveCatalog:
    return live_catalog(**parts)
