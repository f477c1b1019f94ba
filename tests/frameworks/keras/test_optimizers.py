"""Every optimizer of Keras: its state, of which weight each slot is, and the slots that are still to be made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from holdfast._facts.optimizers import KERAS_SLOTS

from .keras_models import differences, keras, live_catalog, restore, sequential, state, steps, tf

OPTIONS: dict[str, list[dict[str, Any]]] = {
    "SGD": [{}, {"momentum": 0.9}],
    "Adam": [{}, {"amsgrad": True}, {"use_ema": True}, {"gradient_accumulation_steps": 2}],
    "RMSprop": [{}, {"momentum": 0.5, "centered": True}],
}
CASES = [(name, more) for name in KERAS_SLOTS for more in OPTIONS.get(name, [{}])]


def made(name: str, more: dict[str, Any]) -> Any:
    return getattr(keras.optimizers, name)(learning_rate=0.01, **more)


@pytest.mark.parametrize(("name", "more"), CASES, ids=lambda value: str(value))
def test_state_is_named_and_owned(name: str, more: dict[str, Any], tmp_path: Path) -> None:
    if not hasattr(keras.optimizers, name):
        pytest.skip(f"this Keras has no {name}")
    model, optimizer = sequential(), made(name, more)
    before = live_catalog(model=model, optimizer=optimizer)
    assert not optimizer.built
    steps(model, optimizer)
    live = live_catalog(model=model, optimizer=optimizer)
    weights = [s.name for s in live.values() if s.role == "weight"]
    slots = [s for s in live.values() if s.role == "slot"]
    assert all(s.owner in weights for s in slots)
    assert {s.slot for s in slots} <= set(KERAS_SLOTS[name])
    spec = live.optimizers[0]
    assert (spec.class_name, spec.step) == (name, 2)
    if name not in ("Adafactor", "Muon"):
        # what was foretold is what was made (names count on from one optimizer to the next, so without it)
        mine = [(s.name, s.shape, s.dtype, s.owner, s.slot, s.role, s.key) for s in before.values()]
        assert mine == [(s.name, s.shape, s.dtype, s.owner, s.slot, s.role, s.key) for s in live.values()]
    path = tmp_path / "w.weights.h5"
    model.compile(optimizer, "mse")
    model.save_weights(path)
    assert differences(path, live) == []
    prefix = tf.train.Checkpoint(model=model, optimizer=optimizer).write(str(tmp_path / "c"))
    assert differences(Path(prefix + ".index"), live) == []
    steps(model, optimizer, 3)
    other, fresh = sequential(), made(name, more)
    if not before.optimizers[0].slots and name in ("Adafactor", "Muon"):
        fresh.build(other.trainable_variables)
    restore(path, live_catalog(model=other, optimizer=fresh))
    steps(other, fresh, 3)
    assert state(other, fresh) == state(model, optimizer)


def test_mixed_precision_and_its_loss_scale(tmp_path: Path) -> None:
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = sequential()
        model.compile(keras.optimizers.Adam(0.01), "mse")
        optimizer = model.optimizer
        assert type(optimizer).__name__ == "LossScaleOptimizer"
        fresh_model = sequential()
    finally:
        keras.mixed_precision.set_global_policy("float32")
    from .keras_models import X, Y

    model.fit(X, Y, verbose=0, shuffle=False, batch_size=8)
    live = live_catalog(model=model, optimizer=optimizer)
    assert {s.dtype for s in live.values() if s.role == "weight"} == {"float32"}
    assert live.optimizers[0].class_name == "Adam"
    assert live.optimizers[0].step == 3
    assert any(n.endswith("dynamic_scale") and s.role == "hyperparameter" for n, s in live.items())
    path = tmp_path / "m.keras"
    model.save(path)
    assert differences(path, live) == []
    weights = tmp_path / "m.weights.h5"
    model.save_weights(weights)
    assert differences(weights, live) == []
    prefix = tf.train.Checkpoint(model=model, optimizer=optimizer).write(str(tmp_path / "c"))
    assert differences(Path(prefix + ".index"), live) == []
    fresh = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01))
    restore(weights, live_catalog(model=fresh_model, optimizer=fresh))
    fresh_model.compile(fresh, "mse")
    for one in (model, fresh_model):
        one.fit(X, Y, verbose=0, shuffle=False, batch_size=8)
    assert state(fresh_model, fresh) == state(model, optimizer)


def test_a_schedule_is_a_setting_and_no_variable() -> None:
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    optimizer = keras.optimizers.SGD(schedule)
    live = live_catalog(model=sequential(), optimizer=optimizer)
    assert not any(name.endswith("learning_rate") for name in live)
    setting = live.settings["optimizer/learning_rate"]
    value = setting.read()
    assert value["config"]["initial_learning_rate"] == 0.1
    value["config"]["initial_learning_rate"] = 0.3
    setting.write(value)
    assert optimizer._learning_rate.initial_learning_rate == 0.3
    with pytest.raises(Exception, match="only a schedule"):
        setting.write({"module": "os", "class_name": "system", "config": {}})


def test_plain_hyperparameters_are_settings() -> None:
    optimizer = keras.optimizers.Adam(0.01, beta_1=0.5)
    model = sequential()
    live = live_catalog(model=model, optimizer=optimizer)
    assert live.settings["optimizer/beta_1"].read() == 0.5
    assert live.optimizers[0].groups[0].configured["beta_1"] == 0.5
    live.settings["optimizer/beta_1"].write(0.8)
    assert optimizer.beta_1 == 0.8


def test_an_optimizer_that_was_not_passed_is_not_there() -> None:
    model = sequential()
    model.compile("adam", "mse")
    assert live_catalog(model=model).optimizers == ()


def test_several_models_and_optimizers() -> None:
    one, two = sequential(), sequential()
    first, second = keras.optimizers.Adam(), keras.optimizers.SGD(momentum=0.9)
    steps(one, first)
    steps(two, second)
    live = live_catalog(model={"gen": one, "disc": two}, optimizer={"gen_opt": first, "disc_opt": second})
    assert [o.name for o in live.optimizers] == ["gen_opt", "disc_opt"]
    assert all(name.startswith(("gen/", "disc/", "gen_opt/", "disc_opt/")) for name in live)
    owners = {s.owner for s in live.values() if s.optimizer == "disc_opt" and s.role == "slot"}
    assert owners == {s.name for s in live.values() if s.name.startswith("disc/") and s.role == "weight"}
    assert live.readiness() == []
