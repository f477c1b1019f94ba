"""``vault.restore(prove=True)`` on each kind of run: it agrees where nothing changed, and names the first layer where
something did; the probe leaves no trace."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

import holdfast
from audit.digits import RAW, VALID, scaled
from audit.kinds import KINDS, LATER, Run
from holdfast import NotProved, RestoreRefused
from holdfast._record.probe import make_probe, replay
from holdfast._record.random_state import random_state

FITS = {"keras-plain", "keras-dropout", "keras-batchnorm"}
EACH = [pytest.param(n, marks=pytest.mark.long if n in FITS else ()) for n in KINDS]


def proved(run: Run, model: Any, **given: Any) -> holdfast.Outcome:
    with holdfast.Vault(run.folder) as vault, run.kind.setting():
        outcome = vault.restore(
            model=model, prove=True, **{"preprocess": scaled, "apply": run.kind.apply, **given}
        )
    assert outcome is not None
    return outcome


def diverging(run: Run, model: Any, **given: Any) -> str:
    """The layer that the error names, once the refusal that comes first is allowed."""
    if "apply" not in given:
        with pytest.raises(RestoreRefused) as refused:
            proved(run, model, **given)
        assert {f.code for f in refused.value.findings if f.severity == "error"} <= {"T218", "T219"}
        given["allow"] = ["function:*"]
    with pytest.raises(NotProved) as caught:
        proved(run, model, **given)
    outcome = caught.value.outcome
    assert outcome is not None and outcome.step == LATER and not caught.value.findings[0].code.startswith("T")
    return str(caught.value.findings[0].evidence["layer"])


@pytest.mark.parametrize("name", EACH)
def test_a_clean_restore_is_proved(runs: Any, name: str) -> None:
    run = runs(name)
    with run.kind.setting():
        outcome = proved(run, run.kind.make(3))
    assert outcome.proved.startswith("the probe gives the same")
    assert [f for f in outcome.findings if f.severity in ("error", "warning")] == []


@pytest.mark.parametrize("name", EACH)
def test_another_setting_is_named_with_its_layer(runs: Any, name: str) -> None:
    run = runs(name)
    kind = run.kind

    def with_settings(**settings: Any) -> tuple[Any, dict[str, Any]]:
        given = kind.altered(**settings)
        return given.pop("model", None) or kind.make(3), {k: v for k, v in given.items() if k == "apply"}

    with kind.setting():
        if kind.normalises:
            model, given = with_settings(epsilon=1e-2)
            assert diverging(run, model, **given) == kind.layers[1]
        model, given = with_settings(activation="gelu")
        assert diverging(run, model, **given) == kind.layers[2]


@pytest.mark.parametrize("name", EACH)
def test_other_preprocessing_comes_before_any_layer(runs: Any, name: str) -> None:
    run = runs(name)
    with run.kind.setting(), pytest.raises(NotProved, match="preprocessing gives something else") as caught:
        proved(run, run.kind.make(3), preprocess=lambda values: scaled(values, 5.0))
    assert [f.slug for f in caught.value.findings] == ["preprocessing-differs"]


@pytest.mark.parametrize("name", ["torch", "tape"])
def test_dropout_that_is_always_on_is_named(runs: Any, name: str) -> None:
    """By code that no setting tells: the layer's call was replaced."""
    run = runs(name)
    model = run.kind.make(3)
    call = model.drop.forward if name == "torch" else model.drop.call
    if name == "torch":
        torch = pytest.importorskip("torch")
        model.drop.forward = lambda x: torch.nn.functional.dropout(x, 0.3, training=True)
    else:
        model.drop.call = lambda x, training=None: call(x, training=True)
    with pytest.raises(NotProved, match="diverges at `drop`"):
        proved(run, model)


@pytest.mark.parametrize("name", EACH)
def test_the_probe_leaves_no_trace(runs: Any, name: str) -> None:
    """Weights, statistics, generators of layers, modes and every global generator are as before, bit for bit."""
    run = runs(name)
    kind = run.kind
    with kind.setting():
        model = run.loaded()
        if hasattr(model, "train"):
            model.train()
        before, draws = _state(kind, model), random_state()
        probe = make_probe(model, RAW[VALID][:16], preprocess=scaled, apply=kind.apply)
        assert replay(probe, model, preprocess=scaled, apply=kind.apply).agrees
        after = _state(kind, model)
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[n], after[n]) for n in before)
    assert _plain(draws) == _plain(random_state())
    assert probe.layers and probe.outputs


def _state(kind: Any, model: Any) -> dict[str, Any]:
    found: dict[str, Any] = dict(kind.read(model))
    if hasattr(model, "variables") and not isinstance(model, dict):  # Keras: generators of dropout too
        found |= {f"variable {n}": np.array(v) for n, v in enumerate(model.variables)}
        found |= {f"call {n}": "call" in vars(layer) for n, layer in enumerate(model.layers)}
    if hasattr(model, "modules"):
        found |= {f"mode {n}": m.training for n, m in enumerate(model.modules())}
        found |= {f"hooks {n}": len(m._forward_hooks) for n, m in enumerate(model.modules())}
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return value.tolist() if isinstance(value, np.ndarray) else value


def test_training_draws_as_without_a_probe() -> None:
    """Also operations that count within TensorFlow's kernels, which setting a seed would begin anew."""
    tf = pytest.importorskip("tensorflow")
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3), keras.layers.Dropout(0.5)])
    step = tf.function(lambda: tf.nn.dropout(tf.ones(64), 0.5))
    batch = np.ones((8, 4), np.float32)

    def draws(probing: bool) -> list[Any]:
        keras.utils.set_random_seed(2)
        found = []
        for _ in range(4):
            if probing:
                make_probe(model, batch)
            found += [step().numpy(), tf.random.normal([3]).numpy(), np.random.rand(), random.random()]
        return found

    draws(False)  # traced once, so that both begin alike
    alone, beside = draws(False), draws(True)
    assert all(np.array_equal(a, b) for a, b in zip(alone, beside, strict=True))


def test_a_model_that_draws_in_use_is_proved_too() -> None:
    """Monte Carlo dropout: the generators begin alike each time."""
    torch = pytest.importorskip("torch")

    class Always(torch.nn.Dropout):
        def forward(self, x: Any) -> Any:
            return torch.nn.functional.dropout(x, self.p, training=True)

    model = torch.nn.Sequential(torch.nn.Linear(4, 8), Always(0.5))
    probe = make_probe(model, np.ones((8, 4), np.float32))
    torch.rand(7)
    assert replay(probe, model).agrees
