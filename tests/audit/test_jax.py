"""A JAX run (linen, BatchNorm) audited: values are immutable, the mode is the program's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")
jax = pytest.importorskip("jax")
linen = pytest.importorskip("flax.linen")

import jax.numpy as jnp  # noqa: E402

import holdfast  # noqa: E402
from audit.digits import XV, YV, X, Y, extra_of, measured  # noqa: E402
from holdfast._record.probe import make_probe  # noqa: E402


class Net(linen.Module):
    epsilon: float = 1e-5

    @linen.compact
    def __call__(self, x: Any, train: bool = False) -> Any:
        x = linen.relu(linen.Dense(32, name="inner")(x))
        x = linen.BatchNorm(use_running_average=not train, epsilon=self.epsilon, name="norm")(x)
        return linen.Dense(10, name="head")(x)


def make(seed: int = 0) -> Any:
    return Net().init(jax.random.key(seed), X[:2])


def evaluate(variables: Any, *, train: bool = False, net: Any = None) -> dict[str, float]:
    logits = (net or Net()).apply(variables, XV, train, mutable=["batch_stats"] if train else False)
    logits = logits[0] if train else logits
    picked = jax.nn.log_softmax(logits)[jnp.arange(len(YV)), YV]
    return {"val_loss": float(-picked.mean()), "val_acc": float((logits.argmax(1) == YV).mean())}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, dict[str, float]], Any]:
    """Plain gradient descent, 20 and 30 steps, with an averaged copy."""
    variables = make()
    average = jax.tree.map(lambda leaf: leaf, variables)

    @jax.jit
    def step(state: Any) -> Any:
        def loss(params: Any) -> Any:
            logits, new = Net().apply({**state, "params": params}, X, True, mutable=["batch_stats"])
            return -jax.nn.log_softmax(logits)[jnp.arange(len(Y)), Y].mean(), new

        gradients, new = jax.grad(loss, has_aux=True)(state["params"])
        return {"params": jax.tree.map(lambda p, g: p - 0.5 * g, state["params"], gradients), **new}

    folder = tmp_path_factory.mktemp("jax") / "run"
    at = {}
    with holdfast.Vault(folder) as vault:
        for n in range(1, 31):
            variables = step(variables)
            average = jax.tree.map(lambda a, b: 0.9 * a + 0.1 * b, average, variables)
            if n in (20, 30):
                at[n] = evaluate(variables)
                probe = make_probe(variables, XV[:32], apply=Net())
                vault.save(
                    n, model=variables, ema=average, extra=extra_of(probe), metrics=at[n], blocking=True
                )  # fmt: skip
    return folder, at, average


def test_reproduced(run: Any) -> None:
    folder, at, _ = run
    report = holdfast.audit(folder, evaluate=evaluate, model=make(1), metrics=measured(at[30]), apply=Net())
    assert report.verdict == "reproduced", report.summary
    assert report.probe.startswith("the probe gives the same: 4 layer outputs")
    json.dumps(report.as_document())


def test_planted_faults(run: Any) -> None:
    folder, at, average = run

    def first(**given: Any) -> str:
        given = {"evaluate": evaluate, "model": make(1), "metrics": measured(at[30]), "apply": Net(), **given}
        report = holdfast.audit(folder, **given)
        return report.causes[0].slug if report.causes else report.summary

    assert first(metrics=measured(at[20])) == "metric-other-step"
    assert first(metrics=measured(evaluate(average))) == "metric-other-weights"
    other = Net(epsilon=1e-2)
    assert first(evaluate=lambda v: evaluate(v, net=other), apply=other) == "metric-function-changed"
    loaded = holdfast.restore(folder, model=make(1)).model
    rounded = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16).astype(leaf.dtype), loaded)
    assert first(model=rounded, loaded=True) == "metric-precision"
    head = {**loaded["params"], "head": make(3)["params"]["head"]}
    assert first(model={**loaded, "params": head}, loaded=True) == "metric-state-changed"
    fresh = jax.tree.map(np.array, make(1)["batch_stats"])
    assert first(model={**loaded, "batch_stats": fresh}, loaded=True) == "metric-batch-statistics"
    assert (
        first(metrics=measured(dict(zip(at[30], reversed(at[30].values()), strict=True))))
        == "metric-names-swapped"
    )
