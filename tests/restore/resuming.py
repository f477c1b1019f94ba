"""What the tests of real failures and real situations share: small torch nets, and the two ways to ask Holdfast."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import holdfast

pytest.importorskip("torch")
import torch
from torch import nn


def found(path: Path | str, *, allow: tuple[str, ...] = (), **parts: Any) -> set[str]:
    """Codes at warning or above of ``check``."""
    report = holdfast.check(path, allow=allow, **parts).checkpoints[0]
    return {f.code for f in report.findings if f.severity != "note"}


def refused(
    path: Path | str, *codes: str, allow: tuple[str, ...] = (), settles: bool = True, **parts: Any
) -> str:
    """``check`` names these codes, ``restore`` refuses for them; with ``settles`` the plan it proposes is enough.
    Returns what the refusal says."""
    assert set(codes) <= found(path, allow=allow, **parts)
    with pytest.raises(holdfast.RestoreRefused) as caught:
        holdfast.restore(path, allow=allow, **parts)
    refusal = caught.value
    errors = {f.code for f in refusal.findings if f.severity == "error"}
    assert set(codes) <= errors, errors
    if settles:
        holdfast.restore(path, plan=refusal.plan, **parts)
    return str(refusal)


def quiet(path: Path | str, *, allow: tuple[str, ...] = (), **parts: Any) -> Any:
    """Nothing at warning or above, and restored. Returns the outcome."""
    report = holdfast.check(path, allow=allow, **parts).checkpoints[0]
    told = [f"{f.code} {f.message}" for f in report.findings if f.severity != "note"]
    assert not told, told
    return holdfast.restore(path, allow=allow, **parts)


def net(seed: int, width: int = 4, outputs: int = 4) -> Any:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, outputs))


class Tagger(nn.Module):
    """Embedding, body, BatchNorm, head."""

    def __init__(self, seed: int, outputs: int = 3, vocabulary: int = 11) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.emb = nn.Embedding(vocabulary, 8)
        self.enc = nn.Linear(8, 8)
        self.bn = nn.BatchNorm1d(8)
        self.head = nn.Linear(8, outputs)

    def forward(self, x: Any) -> Any:
        return self.head(torch.relu(self.bn(self.enc(self.emb(x)))))


def trained(model: Any, optimizer: Any, scheduler: Any = None, steps: int = 3) -> None:
    generator = torch.Generator().manual_seed(0)
    words = any(isinstance(m, nn.Embedding) for m in model.modules())
    for _ in range(steps):
        x = (
            torch.randint(0, 8, (6,), generator=generator)
            if words
            else torch.randn(6, 4, generator=generator)
        )
        optimizer.zero_grad()
        model(x).pow(2).mean().backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
    optimizer.zero_grad()


def adam(model: Any, lr: float = 0.1) -> Any:
    return torch.optim.Adam(model.parameters(), lr=lr)


def same(a: Any, b: Any) -> bool:
    left, right = a.state_dict(), b.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)
