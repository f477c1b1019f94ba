"""Live TensorFlow objects without Keras, and ``tf.train.Checkpoint`` around Keras ones, as catalogs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

from holdfast import open as open_checkpoint  # noqa: E402
from holdfast._compare.compare import compare_catalogs  # noqa: E402
from holdfast._core.errors import UsageError  # noqa: E402
from holdfast._frameworks import live_catalog  # noqa: E402


class Dense(tf.Module):
    def __init__(self, wide: int, name: str | None = None) -> None:
        super().__init__(name=name)
        self.w = tf.Variable(np.random.default_rng(wide).normal(size=(4, wide)), dtype=tf.float32, name="w")
        self.b = tf.Variable(tf.zeros(wide), name="b")


class Net(tf.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = [Dense(4), Dense(4)]
        self.by_name = {"head.x/y": Dense(2)}
        self.moving_mean = tf.Variable(tf.zeros(4), trainable=False, name="moving_mean")
        self.words = tf.Variable(["a", "bc"], trainable=False)
        self.half = tf.Variable(tf.ones(3, tf.bfloat16))


def differences(path: str, live: Any) -> list[str]:
    found = compare_catalogs(open_checkpoint(f"{path}.index"), live, depth="full").differences
    return [f"{d.code} {d.message}" for d in found]


def restore(path: str, live: Any) -> None:
    stored = open_checkpoint(f"{path}.index")
    for pair in compare_catalogs(stored, live, depth="header").pairs:
        spec = live[pair.b]
        live.variables[pair.b].write(np.ascontiguousarray(stored.read(pair.a)).reshape(spec.shape))


def test_a_module_and_what_a_checkpoint_of_it_holds(tmp_path: Path) -> None:
    net = Net()
    path = tf.train.Checkpoint(model=net).write(str(tmp_path / "c"))
    live = live_catalog(model=net)
    assert live.framework == "tensorflow"
    stored = open_checkpoint(f"{path}.index")
    keys = {s.key for s in live.values()}
    assert keys == {name for name, _ in tf.train.list_variables(path)} - {"_CHECKPOINTABLE_OBJECT_GRAPH"}
    for name, spec in live.items():
        assert (stored[spec.key].name, stored[spec.key].role) == (name, stored[name].role)
        assert np.array_equal(stored.read(spec.key), live.read(name))
    assert live["model/half"].dtype == "bfloat16"
    assert live["model/moving_mean"].role == "buffer"
    assert differences(path, live) == []
    other = Net()
    for variable in other.variables:
        if variable.dtype.is_floating:
            variable.assign(tf.ones_like(variable))
    same = [id(v) for v in other.variables]
    restore(path, live_catalog(model=other))
    assert [id(v) for v in other.variables] == same
    assert differences(path, live_catalog(model=other)) == []


def test_a_checkpoint_object_as_the_model(tmp_path: Path) -> None:
    net, optimizer = Net(), keras.optimizers.Adam()
    checkpoint = tf.train.Checkpoint(net=net, opt=optimizer, step=tf.Variable(3, dtype=tf.int64))
    weights = [net.layers[0].w, net.layers[1].w]
    optimizer.apply_gradients([(tf.ones_like(v), v) for v in weights])
    path = checkpoint.save(str(tmp_path / "run" / "c"))
    live = live_catalog(model=checkpoint)
    assert differences(path, live) == []
    assert [(o.name, o.class_name, o.step) for o in live.optimizers] == [("opt", "Adam", 1)]
    owners = {s.owner for s in live.values() if s.role == "slot"}
    assert len(owners) == 2
    assert None not in owners
    assert live["save_counter"].role == "counter"


def test_a_keras_model_and_optimizer_in_a_checkpoint(tmp_path: Path) -> None:
    def make() -> Any:
        model = keras.Sequential(
            [
                keras.Input((4,)),
                keras.layers.Dense(4),
                keras.layers.BatchNormalization(),
                keras.layers.Dense(1),
            ]
        )
        return model, keras.optimizers.Adam(0.1)

    def step(model: Any, optimizer: Any) -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(tf.ones((2, 4)), training=True) ** 2)
        weights = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))

    model, optimizer = make()
    step(model, optimizer)
    checkpoint = tf.train.Checkpoint(model=model, optimizer=optimizer)
    path = checkpoint.write(str(tmp_path / "c"))
    live = live_catalog(model=checkpoint)
    assert differences(path, live) == []
    assert live.readiness() == []
    assert live.settings["optimizer/beta_1"].read() == 0.9
    step(model, optimizer)
    step(model, optimizer)
    other, fresh = make()
    step(other, fresh)
    restore(path, live_catalog(model=tf.train.Checkpoint(model=other, optimizer=fresh)))
    step(other, fresh)
    step(other, fresh)
    for mine, theirs in zip(
        [*model.weights, *optimizer.variables], [*other.weights, *fresh.variables], strict=True
    ):
        assert np.array_equal(mine, theirs)
    other.layers[0].trainable = False
    other.add(keras.layers.Dense(1))
    slugs = {
        f.slug for f in live_catalog(model=tf.train.Checkpoint(model=other, optimizer=fresh)).readiness()
    }
    assert slugs == {"frozen-in-optimizer", "unknown-variable"}


def test_a_model_that_is_not_built() -> None:
    model = keras.Sequential([keras.layers.Dense(3)])
    live = live_catalog(model=tf.train.Checkpoint(model=model))
    assert [f.slug for f in live.faults] == ["not-built"]
    assert live.unbuilt
    assert not model.built


def test_a_module_beside_a_keras_optimizer(tmp_path: Path) -> None:
    net, optimizer = Net(), keras.optimizers.SGD(momentum=0.9)
    weights = list(net.trainable_variables)
    optimizer.build(weights)
    live = live_catalog(model=net, optimizer=optimizer)
    path = tf.train.Checkpoint(model=net, optimizer=optimizer).write(str(tmp_path / "c"))
    assert differences(path, live) == []
    assert live.readiness() == []
    net.more = tf.Variable(tf.zeros(2), name="more")
    again = live_catalog(model=net, optimizer=optimizer)
    assert [f.slug for f in again.readiness()] == ["unknown-variable"]
    with pytest.raises(ValueError, match="Unknown variable"):
        optimizer.apply_gradients([(tf.zeros(2), net.more)])


def test_mirrored_variables_are_set_on_every_replica() -> None:
    if len(tf.config.list_logical_devices("CPU")) < 2:
        try:
            tf.config.set_logical_device_configuration(
                tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
            )
        except RuntimeError:
            pytest.skip("the devices of this process are fixed already")
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        variable = tf.Variable([1.0, 2.0], name="w")
    live = live_catalog(model=tf.train.Checkpoint(w=variable))
    assert live.read("w").tolist() == [1.0, 2.0]
    live.variables["w"].write(np.array([3.0, 4.0], "float32"))
    assert [v.numpy().tolist() for v in variable.values] == [[3.0, 4.0]] * 2
    assert len(live["w"].attributes["replicas"]) == 2


def test_values_are_copied_and_the_old_ones_stay_with_their_holder() -> None:
    variable = tf.Variable(np.arange(64, dtype="float32"))
    live = live_catalog(model=tf.train.Checkpoint(v=variable)).variables["v"]
    assert live.read is not None
    assert live.write is not None
    held = live.read()
    assert not held.flags.writeable
    old = held.copy()
    values = np.full(64, 7, "float32")
    live.write(values)
    values[:] = 0
    assert np.array_equal(held, old)
    assert variable.numpy().tolist() == [7.0] * 64
    assert live.memory() is None


def test_what_is_no_part_of_tensorflow() -> None:
    with pytest.raises(UsageError, match="not an object that TensorFlow tracks"):
        live_catalog(model=tf.Module(), optimizer=3)


def test_describing_makes_no_save_counter() -> None:
    checkpoint = tf.train.Checkpoint(v=tf.Variable(1.0))
    assert list(live_catalog(model=checkpoint)) == ["v"]
    assert "save_counter" not in {name for name, _ in checkpoint._trackable_children().items()}
