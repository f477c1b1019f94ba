"""Names given by counting prove nothing, names given by people do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast._compare.compare import compare_catalogs

from .keras_models import differences, keras, live_catalog, open_checkpoint, restore, steps, tf


def of(*names: str | None, units: int = 8) -> Any:
    return keras.Sequential([keras.Input((8,)), *(keras.layers.Dense(units, name=name) for name in names)])


def saved(model: Any, folder: Path, kind: str, optimizer: Any = None) -> Path:
    if kind == "checkpoint":
        parts = {"model": model} if optimizer is None else {"model": model, "optimizer": optimizer}
        return Path(tf.train.Checkpoint(**parts).write(str(folder / "c")) + ".index")
    path = folder / f"m.{kind}"
    model.save(path) if kind == "keras" else model.save_weights(path)
    return path


KINDS = ("keras", "weights.h5", "checkpoint")


@pytest.mark.parametrize("kind", KINDS)
def test_counted_names_are_matched_by_place(kind: str, tmp_path: Path) -> None:
    keras.utils.clear_session()
    model = of(None, None, None)  # dense, dense_1, dense_2
    path = saved(model, tmp_path, kind)
    keras.utils.clear_session()
    keras.layers.Dense(1)
    other = of(None, None, None)  # dense_1, dense_2, dense_3: all names but one stand in both
    assert [layer.name for layer in other.layers] == ["dense_1", "dense_2", "dense_3"]
    live = live_catalog(model=other)
    pairs = compare_catalogs(open_checkpoint(path), live, depth="header").pairs
    assert len(pairs) == 6
    assert {p.by for p in pairs} == {"automatic"}
    restore(path, live)
    for mine, theirs in zip(model.weights, other.weights, strict=True):
        assert np.array_equal(mine, theirs)
    assert differences(path, live) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("names", [("enc", "dec"), ("block_1", "block_2"), ("conv2d", "conv2d_1")])
def test_given_names_beat_positions(kind: str, names: tuple[str, str], tmp_path: Path) -> None:
    model = of(*names)
    path = saved(model, tmp_path, kind)
    other = of(*reversed(names))
    restore(path, live_catalog(model=other))
    for name in names:
        assert np.array_equal(model.get_layer(name).kernel, other.get_layer(name).kernel)


@pytest.mark.parametrize("kind", KINDS)
def test_the_state_of_counted_names_follows_its_weight(kind: str, tmp_path: Path) -> None:
    keras.utils.clear_session()
    model, optimizer = of(None, None, None), keras.optimizers.Adam(use_ema=True)
    model.compile(optimizer, "mse")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(np.ones((2, 8), "float32")) ** 2)
    weights = model.trainable_variables
    optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
    path = saved(model, tmp_path, kind, optimizer)
    keras.utils.clear_session()
    keras.layers.Dense(1)
    other, fresh = of(None, None, None), keras.optimizers.Adam(use_ema=True)
    live = live_catalog(model=other, optimizer=fresh)
    restore(path, live)
    assert fresh.built
    for mine, theirs in zip(optimizer.variables, fresh.variables, strict=True):
        assert np.array_equal(mine, theirs)


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_more_or_less(kind: str, tmp_path: Path) -> None:
    keras.utils.clear_session()
    model = of(None, None)
    path = saved(model, tmp_path, kind)
    keras.utils.clear_session()
    keras.layers.Dense(1)
    more = of(None, None, None)  # dense_1 .. dense_3 for dense, dense_1
    found = differences(path, live_catalog(model=more), "header")
    assert [d.split()[:2] for d in found] == [["T201", f"{w.path}"] for w in more.layers[-1].weights]


def test_a_layer_of_another_shape_between(tmp_path: Path) -> None:
    def make(*units: int) -> Any:
        return keras.Sequential([keras.Input((8,)), *(keras.layers.Dense(u) for u in units)])

    keras.utils.clear_session()
    path = saved(make(8, 3), tmp_path, "weights.h5")
    keras.utils.clear_session()
    other = make(8, 8, 3)  # dense_1 here is not dense_1 there: the shapes tell
    pairs = compare_catalogs(open_checkpoint(path), live_catalog(model=other), depth="header").pairs
    assert ("sequential/dense_1/kernel", "sequential/dense_2/kernel") in {(p.a, p.b) for p in pairs}


def test_a_renamed_layer_is_found_by_its_place(tmp_path: Path) -> None:
    model = of("enc", "dec")
    path = saved(model, tmp_path, "weights.h5")
    other = of("encoder", "dec")
    restore(path, live_catalog(model=other))
    assert np.array_equal(model.layers[0].kernel, other.layers[0].kernel)


def test_models_within_models_that_repeat_names(tmp_path: Path) -> None:
    def tower() -> Any:
        inputs = keras.Input((8,))
        return keras.Model(inputs, keras.layers.Dense(8, name="dense")(inputs))

    inputs = keras.Input((8,))
    model = keras.Model(inputs, tower()(tower()(inputs)))
    optimizer = keras.optimizers.Adam()
    steps_model = keras.Model(inputs, keras.layers.Dense(2)(model(inputs)))
    steps(steps_model, optimizer)
    live = live_catalog(model=steps_model, optimizer=optimizer)
    assert not live.clashes
    for kind in ("keras", "weights.h5"):
        steps_model.compile(optimizer, "mse")
        assert differences(saved(steps_model, tmp_path, kind), live) == []
