"""Flax's two kinds of module under audit, compiled as programs compile them: what they are fed and in which mode is seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")
nnx = pytest.importorskip("flax.nnx")
linen = pytest.importorskip("flax.linen")

import holdfast  # noqa: E402
from holdfast import Metric  # noqa: E402
from holdfast._frameworks.jax import linen_calls  # noqa: E402
from holdfast._record.probe import Probe, make_probe, replay  # noqa: E402

X = np.random.default_rng(0).normal(size=(60, 6)).astype(np.float32)


class Net(nnx.Module):
    def __init__(self, seed: int) -> None:
        rngs = nnx.Rngs(seed)
        self.inner = nnx.Linear(6, 5, rngs=rngs)
        self.norm = nnx.BatchNorm(5, rngs=rngs)
        self.drop = nnx.Dropout(0.2, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        return self.drop(nnx.relu(self.norm(self.inner(x))))


@nnx.jit
def outputs(model: Net, x: Any) -> Any:
    return model(x)


def evaluate(model: Net, x: np.ndarray = X, *, training: bool = False) -> dict[str, float]:
    model.train() if training else model.eval()
    return {"val_loss": float((outputs(model, x) ** 2).mean())}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = Net(0)
    evaluate(model, training=True)
    place = tmp_path_factory.mktemp("nnx") / "run"
    with holdfast.Vault(place) as vault:
        vault.record(probe=X[:16])
        metrics = [Metric("val_loss", evaluate(model)["val_loss"], kind="evaluation")]
        vault.save(1, model=model, metrics=metrics, blocking=True)
    return place


def test_an_nnx_module(folder: Path) -> None:
    def first(**given: Any) -> str:
        report = holdfast.audit(folder, **{"model": Net(3), "evaluate": evaluate, **given})
        return report.causes[0].slug if report.causes else report.verdict

    assert first() == "reproduced"
    assert first(evaluate=lambda model: evaluate(model, training=True)) == "metric-training-mode"
    assert first(evaluate=lambda model: evaluate(model, 2 * X + 1)) == "metric-other-inputs"

    def other(model: Net) -> dict[str, float]:
        model.inner.kernel[...] = model.inner.kernel[...] * 1.5
        return evaluate(model)

    assert first(evaluate=other) == "metric-state-changed"
    assert nnx.Linear.__call__.__qualname__.startswith("Linear.")  # put back


class Linen(linen.Module):
    slope: float = 0.1
    rate: float = 0.3

    @linen.compact
    def __call__(self, x: Any, deterministic: bool = True) -> Any:
        x = linen.leaky_relu(linen.Dense(5, name="inner")(x), self.slope)
        return linen.Dropout(self.rate, name="drop")(x, deterministic=deterministic)


def test_settings_of_linen_are_kept_with_the_probe() -> None:
    variables = Linen().init(jax.random.key(0), X)
    probe = make_probe(variables, X[:8], apply=Linen())
    again = Probe.from_document(probe.as_document())
    assert again.settings[""]["config"]["slope"] == 0.1
    assert again.settings[""]["code"] and set(again.settings) == {"", "inner", "drop"}
    done = replay(again, variables, apply=Linen(slope=0.2))
    assert done.first is not None and done.settings[""]["config"]["slope"] == 0.2
    function = replay(again, variables, apply=lambda tree, x: Linen().apply(tree, x))
    assert function.agrees and [row.path for row in again.layers] == ["inner", "drop", ""]


@pytest.mark.parametrize("training", [True, False])
def test_a_mode_is_forced_wherever_it_was_given(training: bool) -> None:
    """To the call or to the layer, within compiled code, without the program's own key."""
    variables = Linen().init(jax.random.key(0), X)
    run = jax.jit(lambda tree, x: Linen().apply(tree, x))
    plain = np.asarray(run(variables, X))
    with linen_calls.forced(training) as acted:
        assert not acted()
        one, two = np.asarray(run(variables, X)), np.asarray(run(variables, X))
    assert acted()
    assert np.array_equal(one, two) is not training
    assert np.array_equal(one, plain) is not training
    with linen_calls.forced(training) as acted:
        run = jax.jit(lambda tree, x: Linen(rate=0.0).apply(tree, x))
        run(variables, X)
    assert not acted()  # nothing there acts otherwise in training
