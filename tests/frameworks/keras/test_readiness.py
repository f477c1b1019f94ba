"""What stands against the next ``apply_gradients``: each sentence proved by making the step."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .keras_models import Block, X, Y, functional, keras, live_catalog, sequential, steps, subclassed, tf


def told(model: Any, optimizer: Any, gradients: Any = None) -> dict[str, Any]:
    found = live_catalog(model=model, optimizer=optimizer).readiness(gradients)
    assert len({f.slug for f in found}) == len(found), found
    return {f.slug: f for f in found}


def runs(model: Any, optimizer: Any, gradients: Any = None) -> bool:
    """Whether the step really runs."""
    weights = model.trainable_variables
    if gradients is None:
        gradients = [tf.zeros(v.shape) for v in weights]
    if not isinstance(gradients[0], tuple):
        gradients = list(zip(gradients, weights, strict=False))
    try:
        optimizer.apply_gradients(gradients)
    except (ValueError, tf.errors.InvalidArgumentError):
        return False
    return True


def agrees(faults: dict[str, Any], model: Any, optimizer: Any, gradients: Any = None) -> None:
    assert faults, "nothing was said"
    for fault in faults.values():
        assert fault.attributes["remedy"].endswith(".")
    assert runs(model, optimizer, gradients) is not any(f.attributes["fails"] for f in faults.values())


@pytest.mark.parametrize("make", [sequential, functional, subclassed])
@pytest.mark.parametrize("trained", [False, True])
def test_sound_pairs_are_silent(make: Any, trained: bool) -> None:
    model, optimizer = make(), keras.optimizers.Adam()
    if trained:
        steps(model, optimizer)
    assert told(model, optimizer) == {}
    assert told(model, optimizer, [tf.zeros(v.shape) for v in model.trainable_variables]) == {}
    assert runs(model, optimizer)


def test_a_layer_added_after_the_optimizer_was_built() -> None:
    model, optimizer = sequential(), keras.optimizers.Adam()
    steps(model, optimizer)
    model.add(keras.layers.Dense(2, name="new"))
    faults = told(model, optimizer)
    assert list(faults) == ["unknown-variable"]
    assert set(faults["unknown-variable"].tensors) == {v.path for v in model.layers[-1].weights}
    agrees(faults, model, optimizer)
    with pytest.raises(ValueError, match="Unknown variable"):
        steps(model, optimizer)


def test_an_optimizer_of_another_model() -> None:
    model, optimizer = sequential(), keras.optimizers.Adam()
    steps(sequential(), optimizer)
    faults = told(model, optimizer)
    assert set(faults) == {"unknown-variable", "foreign-variable"}
    agrees(faults, model, optimizer)


def test_a_frozen_layer() -> None:
    model, optimizer = functional(), keras.optimizers.Adam()
    steps(model, optimizer)
    model.get_layer("head").trainable = False
    faults = told(model, optimizer)
    assert list(faults) == ["frozen-in-optimizer"]
    assert faults["frozen-in-optimizer"].tensors == ("head/kernel", "head/bias")
    agrees(faults, model, optimizer)


def test_unfrozen_after_building() -> None:
    model, optimizer = functional(), keras.optimizers.Adam()
    model.get_layer("head").trainable = False
    steps(model, optimizer)
    assert told(model, optimizer) == {}
    model.get_layer("head").trainable = True
    faults = told(model, optimizer)
    assert list(faults) == ["unknown-variable"]
    agrees(faults, model, optimizer)


def test_built_over_another_order_and_what_restore_does_then(tmp_path: Any) -> None:
    def pair() -> Any:
        return keras.Sequential(
            [keras.Input((8,)), keras.layers.Dense(8, name="a"), keras.layers.Dense(8, name="b")]
        )

    saved, first = pair(), keras.optimizers.Adam()
    first.build(saved.trainable_variables)
    first.apply([tf.zeros(v.shape) for v in saved.trainable_variables])
    path = tf.train.Checkpoint(model=saved, optimizer=first).write(str(tmp_path / "c"))
    model, optimizer = pair(), keras.optimizers.Adam()
    optimizer.build(model.layers[1].trainable_variables + model.layers[0].trainable_variables)
    faults = told(model, optimizer)
    assert list(faults) == ["optimizer-order"]
    agrees(faults, model, optimizer)
    # what the sentence says: the model's own weights cross over
    tf.train.Checkpoint(model=model, optimizer=optimizer).read(path).assert_existing_objects_matched()
    assert np.array_equal(model.layers[0].kernel, saved.layers[1].kernel)
    assert np.array_equal(model.layers[1].kernel, saved.layers[0].kernel)


def test_a_deferred_restore_leaves_an_orphan(tmp_path: Any) -> None:
    class Net(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = keras.layers.Dense(8), keras.layers.Dense(2)

        def call(self, x: Any) -> Any:
            return self.two(self.one(x))

    saved = Net()
    saved(X)
    path = tf.train.Checkpoint(model=saved).write(str(tmp_path / "c"))
    model = Net()
    unbuilt = live_catalog(model=model)
    assert [f.slug for f in unbuilt.faults] == ["not-built"]
    assert set(unbuilt.unbuilt) >= {model.one.name, model.two.name}
    assert len(unbuilt) == 0
    tf.train.Checkpoint(model=model).restore(path)
    model(X)
    assert len(model.weights) == 5
    optimizer = keras.optimizers.Adam()
    faults = told(model, optimizer)
    assert list(faults) == ["duplicate-variable"]
    assert not np.array_equal(model.one.kernel, saved.one.kernel)
    live = live_catalog(model=model)
    assert len(live) == 5  # both of one path are listed, under names of their own
    agrees(faults, model, optimizer)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((model(X) - Y) ** 2)
    gradients = tape.gradient(loss, model.trainable_variables)
    orphan = [v.path for v, g in zip(model.trainable_variables, gradients, strict=True) if g is None]
    assert len(orphan) == 1
    assert "gradient-none" in told(model, optimizer, gradients)


def test_gradients() -> None:
    model, optimizer = sequential(), keras.optimizers.SGD()
    weights = model.trainable_variables
    zeros = [tf.zeros(v.shape) for v in weights]
    some = [None, *zeros[1:]]
    faults = told(model, optimizer, some)
    assert list(faults) == ["gradient-none"]
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        agrees(faults, model, optimizer, some)
    none = [None] * len(zeros)
    agrees(told(model, optimizer, none), model, optimizer, none)
    wrong = [tf.zeros((3, 5)), *zeros[1:]]
    faults = told(model, optimizer, wrong)
    assert list(faults) == ["gradient-mismatch"]
    agrees(faults, model, optimizer, wrong)
    pairs = list(zip(wrong, weights, strict=True))
    agrees(told(model, optimizer, pairs), model, optimizer, pairs)
    fewer = told(model, optimizer, zeros[1:])
    assert list(fewer) == ["gradient-mismatch"]
    with pytest.raises(ValueError, match="gradients"):
        optimizer.apply(zeros[1:])
    with pytest.raises(Exception, match="neither a list"):
        told(model, optimizer, 3)
    # another dtype is cast without a word: nothing to say
    assert told(model, optimizer, [tf.zeros(v.shape, tf.float64) for v in weights]) == {}
    assert runs(model, optimizer, [tf.zeros(v.shape, tf.float64) for v in weights])


def test_sparse_gradients_have_the_whole_shape() -> None:
    table = keras.layers.Embedding(5, 3)
    model = keras.Sequential([keras.Input((2,), dtype="int32"), table])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(np.array([[0, 1]])))
    gradients = tape.gradient(loss, model.trainable_variables)
    assert isinstance(gradients[0], tf.IndexedSlices)
    optimizer = keras.optimizers.Adam()
    assert told(model, optimizer, gradients) == {}
    assert runs(model, optimizer, gradients)


def test_a_slot_of_another_shape() -> None:
    model, optimizer = sequential(), keras.optimizers.Adam()
    steps(model, optimizer)
    optimizer._momentums[0] = keras.Variable(np.zeros((3, 3), "float32"), name="odd")
    faults = told(model, optimizer)
    assert list(faults) == ["slot-mismatch"]
    agrees(faults, model, optimizer)


def test_gradients_left_over_from_accumulation() -> None:
    model, optimizer = sequential(), keras.optimizers.SGD(gradient_accumulation_steps=3)
    steps(model, optimizer, 3)
    assert told(model, optimizer) == {}
    steps(model, optimizer, 1)
    faults = told(model, optimizer)
    assert list(faults) == ["gradient-left"]
    agrees(faults, model, optimizer)


def test_averages_that_were_not_restored_with_the_count(tmp_path: Path) -> None:
    other, averaging = sequential(), keras.optimizers.Adam(use_ema=True)
    averaging.build(other.trainable_variables)
    assert told(other, averaging) == {}  # the first step will begin them
    tf.train.Checkpoint(step=tf.Variable(2, dtype=tf.int64)).write(str(tmp_path / "ck"))
    tf.train.Checkpoint(step=averaging.iterations.value).restore(str(tmp_path / "ck"))
    faults = told(other, averaging)
    assert list(faults) == ["average-not-begun"] and "after 2 steps" in faults["average-not-begun"].message
    lines = re.search(r"`(for .*)`", faults["average-not-begun"].attributes["remedy"])
    assert lines is not None
    whole = np.abs(np.asarray(other.trainable_variables[0])).sum()
    exec(lines[1], {"optimizer": averaging})
    assert told(other, averaging) == {}
    steps(other, averaging)
    assert told(other, averaging) == {}
    averaging.finalize_variable_values(other.trainable_variables)  # as ``fit`` does at its end
    assert np.abs(np.asarray(other.trainable_variables[0])).sum() > whole / 2


def test_averages_of_a_run_that_makes_no_step_yet() -> None:
    model, optimizer = sequential(), keras.optimizers.SGD(use_ema=True, gradient_accumulation_steps=3)
    steps(model, optimizer, 3)
    assert told(model, optimizer) == {}


def test_describing_changes_nothing() -> None:
    class Net(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.block, self.drop = Block(4), keras.layers.Dropout(0.5)

        def call(self, x: Any) -> Any:
            return self.drop(self.block(x))

    model, optimizer = Net(), keras.optimizers.Adam(use_ema=True)
    before = keras.layers.Dense(1).name
    keras.utils.set_random_seed(1)
    seeds = [bytes(np.asarray(g.state)) for g in model.drop._seed_generators]
    for _ in range(2):
        live = live_catalog(model=model, optimizer=optimizer)
        live.readiness()
        for name in live:
            if live.variables[name].read is not None:
                live.read(name)
    assert not model.built
    assert not optimizer.built
    assert model.variables == [g.state for g in model.drop._seed_generators]
    assert [bytes(np.asarray(g.state)) for g in model.drop._seed_generators] == seeds
    drawn = keras.random.normal((3,))
    keras.utils.set_random_seed(1)
    assert np.array_equal(drawn, keras.random.normal((3,)))
    after = keras.layers.Dense(1).name
    assert int(after.rpartition("_")[2]) == int(before.rpartition("_")[2] if before != "dense" else 0) + 1
    model.compile(optimizer, "mse", metrics=["mae"])
    state = live_catalog(model=model, optimizer=optimizer)
    assert state.optimizers[0].step == 0


def normalising(around: float, **options: Any) -> Any:
    layer = keras.layers.Normalization(name="norm", **options)
    if not options:
        layer.adapt(np.random.default_rng(0).normal(around, 1.0 + around, (50, 8)).astype("float32"))
    front = keras.Sequential([keras.Input((8,)), layer], name="front")
    return keras.Sequential([keras.Input((8,)), front, keras.layers.Dense(3, kernel_initializer="ones")])


@pytest.mark.parametrize("way", ["Checkpoint", "set_weights"])
def test_constants_that_are_not_the_variables(way: str, tmp_path: Path) -> None:
    saved, model = normalising(0.0), normalising(5.0)
    assert told(model, keras.optimizers.SGD()) == {}
    model.predict(X, verbose=0)
    if way == "Checkpoint":
        tf.train.Checkpoint(model=model).restore(tf.train.Checkpoint(model=saved).write(str(tmp_path / "c")))
    else:
        model.set_weights(saved.get_weights())
    assert not np.array_equal(model(X), saved(X))
    faults = told(model, keras.optimizers.SGD())
    assert list(faults) == ["stale-constants"]
    agrees(faults, model, keras.optimizers.SGD())
    remedy = faults["stale-constants"].attributes["remedy"]
    exec(re.search(r"model\.get_layer.*finalize_state\(\)", remedy)[0])  # type: ignore[index]
    exec(re.search(r"model\.train_function.*None", remedy)[0])  # type: ignore[index]
    assert np.array_equal(model.predict(X, verbose=0), saved.predict(X, verbose=0))
    assert told(model, keras.optimizers.SGD()) == {}


def test_constants_in_half_precision_and_those_of_the_constructor_are_what_they_should_be() -> None:
    given = normalising(0.0, mean=[1.0] * 8, variance=[4.0] * 8)
    assert told(given, keras.optimizers.SGD()) == {}
    assert told(normalising(0.0, dtype="mixed_float16"), keras.optimizers.SGD()) == {}
