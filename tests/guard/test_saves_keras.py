"""Saves of Keras and TensorFlow under a guard: whole, moved by ``--protect``, and looked at for values that move."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import holdfast
from holdfast._frameworks.events import Call, watched
from holdfast._frameworks.sampling import glance, named_leaves
from holdfast._guard.guard import Guard, Options

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")
np = pytest.importorskip("numpy")

GRAVE = ("error", "warning")


def codes(guard: Guard, *severities: str) -> list[str]:
    return [f.code for s in guard.seen for f in s.findings if f.severity in (severities or GRAVE)]


@pytest.fixture(scope="module")
def model() -> Any:
    made = keras.Sequential(
        [keras.layers.Input((8,)), keras.layers.Dense(64, name="dense"), keras.layers.Dense(2, name="head")]
    )
    made.compile("adam", "mse")
    made.fit(np.ones((8, 8), "float32"), np.ones((8, 2), "float32"), verbose=0)
    return made


@pytest.fixture(params=[True, False], ids=["protect", "plain"])
def guard(request: pytest.FixtureRequest) -> Iterator[Guard]:
    with Guard(Options(protect=request.param, seal=request.param)) as made:
        yield made


@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5", "m.weights.json"])
def test_every_ending_is_whole(guard: Guard, model: Any, tmp_path: Path, name: str) -> None:
    place = tmp_path / name
    for _ in range(2):
        if ".weights." in name:
            more = {"max_shard_size": 0.0005} if name.endswith("json") else {}
            model.save_weights(place, **more)
        else:
            model.save(place)
    assert not codes(guard)
    report = holdfast.examine(place)
    assert report.verdict == "sound"
    assert report.proof == "sealed" if guard.options.seal else report.proof != "sealed"
    assert not [p for p in os.listdir(tmp_path) if ".holdfast-" in p]
    if ".weights." in name:
        model.load_weights(place)
    else:
        assert type(keras.saving.load_model(place).optimizer).__name__ == "Adam"
    assert not codes(guard)


def test_the_trainings_own_callback(guard: Guard, model: Any, tmp_path: Path) -> None:
    best = keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", monitor="loss", save_best_only=True)
    each = keras.callbacks.ModelCheckpoint(tmp_path / "e{epoch}.weights.h5", save_weights_only=True)
    model.fit(
        np.ones((8, 8), "float32"), np.ones((8, 2), "float32"), epochs=2, verbose=0, callbacks=[best, each]
    )
    assert not codes(guard)
    assert {"best.keras", "e1.weights.h5", "e2.weights.h5"} <= set(os.listdir(tmp_path))


def test_a_name_that_keras_refuses(guard: Guard, model: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"filepath={tmp_path}/m.txt"):
        model.save(tmp_path / "m.txt")
    with pytest.raises(FileNotFoundError) as caught:
        model.save(tmp_path / "nowhere" / "m.keras")
    assert caught.value.filename == str(tmp_path / "nowhere" / "m.keras")
    assert os.listdir(tmp_path) == []
    guard.close(1)


def test_prefixes_are_not_moved(guard: Guard, model: Any, tmp_path: Path) -> None:
    for _ in range(2):
        tf.train.Checkpoint(model=model).write(str(tmp_path / "ckpt"))
    assert holdfast.examine(tmp_path / "ckpt").verdict == "sound"
    assert not codes(guard, "error", "warning", "note")  # it is atomic by itself


@pytest.mark.parametrize("writer", ["keras", "tensorflow"])
@pytest.mark.parametrize("torn", [True, False])
def test_weights_that_move_while_they_are_saved(
    guard: Guard, model: Any, tmp_path: Path, writer: str, torn: bool
) -> None:
    kernel = model.layers[0].kernel

    def step() -> None:
        kernel.assign_add(tf.ones((8, 64)))

    def run(path: str | None) -> None:  # another thread steps before the kernel is read, or after it
        if torn:
            step()
        model.save(path) if writer == "keras" else tf.train.Checkpoint(model=model).write(path)
        if not torn:
            step()

    place = tmp_path / ("m.keras" if writer == "keras" else "ckpt")
    watched(guard, Call(writer, "a save", "save", str(place), parts={"model": model}), run)
    (finding,) = [f for s in guard.seen for f in s.findings if f.code == "S145"]
    assert "dense/kernel" in finding.message
    assert finding.severity == ("error" if torn else "note")


def test_another_models_weights_may_move(guard: Guard, model: Any, tmp_path: Path) -> None:
    other, stop, begun = tf.Variable(tf.zeros((8, 64))), threading.Event(), threading.Event()

    def train() -> None:
        while not stop.is_set():
            other.assign_add(tf.ones((8, 64)))
            begun.set()

    thread = threading.Thread(target=train)
    thread.start()
    begun.wait()
    try:
        model.save(tmp_path / "m.keras")
    finally:
        stop.set()
        thread.join()
    assert not codes(guard, "error", "warning", "note")


def test_every_variable_is_looked_at(model: Any) -> None:
    parts = {"model": model, "checkpoint": tf.train.Checkpoint(v=tf.Variable(tf.zeros(3)), m=model)}
    looked = [name for name, value in named_leaves(parts) if glance(value) is not None]
    assert len(looked) >= len(model.variables) + 1
    assert glance(tf.zeros(3)) is None  # a tensor does not change
    half = keras.Variable(np.zeros((5, 5)), dtype="bfloat16")
    before = glance(half)
    half.assign(np.ones((5, 5)))
    assert before is not None and before != glance(half)


def test_whole_models_in_hdf5(guard: Guard, model: Any, tmp_path: Path) -> None:
    # last: from its first save of this kind on, Keras 3.15 saves .keras files whose optimizer it does not load again
    for _ in range(2):
        model.save(tmp_path / "m.h5")
    assert holdfast.examine(tmp_path / "m.h5").verdict == "sound" and not codes(guard)
    assert keras.saving.load_model(tmp_path / "m.h5", compile=False).name == model.name
