"""Programs as people write them in JAX: a module's attribute renamed after a save, with its optimizer's state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")
nnx = pytest.importorskip("flax.nnx")
optax = pytest.importorskip("optax")

import holdfast  # noqa: E402
from holdfast import Vault  # noqa: E402

X = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")


class Net(nnx.Module):  # type: ignore[misc]
    def __init__(self, last: str, rngs: Any) -> None:
        self.body, self.norm = nnx.Linear(5, 6, rngs=rngs), nnx.BatchNorm(6, rngs=rngs)
        setattr(self, last, nnx.Linear(6, 2, rngs=rngs))

    def __call__(self, x: Any) -> Any:
        return (self.head if hasattr(self, "head") else self.tail)(nnx.relu(self.norm(self.body(x))))


def made(last: str) -> tuple[Any, Any]:
    model = Net(last, nnx.Rngs(0))
    return model, nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.Param)


def leaves(*things: Any) -> list[np.ndarray]:
    return [np.asarray(leaf) for thing in things for leaf in jax.tree.leaves(nnx.state(thing))]


def test_a_renamed_attribute_takes_its_moments_along(tmp_path: Path) -> None:
    model, optimizer = made("head")
    optimizer.update(model, nnx.grad(lambda m: (m(X) ** 2).mean())(model))
    with Vault(tmp_path / "run") as vault:
        vault.save(1, model=model, optimizer=optimizer)
    other, fresh = made("tail")
    report = holdfast.check(tmp_path / "run", model=other, optimizer=fresh)
    assert [f.code for f in report.findings if f.severity == "error"] == ["T205"]
    allow = ["rename:head/*->tail/*"]
    assert [f.edit for f in report.findings if f.edit] == allow
    after = holdfast.check(tmp_path / "run", model=other, optimizer=fresh, allow=allow)
    assert [f.code for f in after.findings if f.severity != "note"] == []
    outcome = holdfast.restore(tmp_path / "run", model=other, optimizer=fresh, allow=allow)
    assert outcome.step == 1
    key = lambda array: (array.shape, array.tobytes())  # noqa: E731 - the attributes' order is another one
    assert sorted(map(key, leaves(other, fresh))) == sorted(map(key, leaves(model, optimizer)))


def test_without_the_rename_nothing_is_restored(tmp_path: Path) -> None:
    model, optimizer = made("head")
    with Vault(tmp_path / "run") as vault:
        vault.save(1, model=model, optimizer=optimizer)
        other, fresh = made("tail")
        before = [leaf.tobytes() for leaf in leaves(other, fresh)]
        with pytest.raises(holdfast.RestoreRefused):
            vault.restore(model=other, optimizer=fresh)
    assert [leaf.tobytes() for leaf in leaves(other, fresh)] == before
