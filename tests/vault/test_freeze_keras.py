"""Keras and TensorFlow: reads are held, and every write copies first; Keras on JAX and PyTorch in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast
from holdfast import Vault

from .freezing import Gate, copies, frozen, torn_saves

tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")
if keras.backend.backend() != "tensorflow":
    pytest.skip("Keras runs on another backend", allow_module_level=True)


def _pair(jit: bool = False) -> tuple[Any, Any]:
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.layers.Input((4,), dtype="int32"),
            keras.layers.Embedding(11, 6),
            keras.layers.Flatten(),
            keras.layers.Dense(8),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(3),
        ]
    )
    rate = keras.optimizers.schedules.CosineDecay(0.05, 30, warmup_target=0.1, warmup_steps=3)
    optimizer = keras.optimizers.AdamW(rate, use_ema=True, ema_overwrite_frequency=None)
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=jit)
    optimizer.build(model.trainable_variables)
    return model, optimizer


X = np.random.default_rng(0).integers(0, 11, (16, 4)).astype("i4")
Y = X[:, 0] % 3


@pytest.mark.parametrize("proof", ["protocol", "content"])
@pytest.mark.parametrize("jit", [False, True])
def test_fit_after_the_save_does_not_reach_it(tmp_path: Path, jit: bool, proof: str) -> None:
    model, optimizer = _pair(jit)
    model.train_on_batch(X, Y)
    frozen(
        tmp_path / "run", lambda: [model.train_on_batch(X, Y) for _ in range(3)], model=model, optimizer=optimizer,
        proof=proof,
    )  # fmt: skip


@pytest.mark.parametrize("way", ["eager", "function", "jit"])
def test_tensorflow_variables_in_every_way(tmp_path: Path, way: str) -> None:
    kinds = ["bfloat16", "complex64", "bool", "int8", "float16"]
    state = tf.train.Checkpoint(
        w=tf.Variable(tf.random.normal((5, 4))), s=tf.Variable(tf.zeros((6, 3))), n=tf.Variable(1, dtype=tf.int64),
        e=tf.Variable(tf.zeros((0, 2))), **{k: tf.Variable(tf.cast([1, 0, 1], k)) for k in kinds},
    )  # fmt: skip

    def change() -> None:
        state.w.assign_add(tf.ones((5, 4)))
        state.w.assign(state.w * 2.0)
        state.n.assign_add(1)
        state.bfloat16.assign(tf.cast([9, 9, 9], tf.bfloat16))
        if way != "jit":
            state.s.scatter_update(tf.IndexedSlices(tf.ones((2, 3)), [0, 2]))
            state.s[1:2].assign(tf.ones((1, 3)))
            state.bool.assign([False, True, False])
            state.s.batch_scatter_update(tf.IndexedSlices(tf.ones((6, 1)) * 3, tf.zeros((6, 1), tf.int32)))

    act = change if way == "eager" else tf.function(change, jit_compile=way == "jit")
    frozen(tmp_path / "run", lambda: [act() for _ in range(3)], model=state)


def test_trains_on_bit_for_bit(tmp_path: Path) -> None:
    model, optimizer = _pair()
    for _ in range(4):
        model.train_on_batch(X, Y)
    sink = Gate(tmp_path / "run")
    with Vault(tmp_path / "run", sink=sink, proof="content") as vault:
        vault.save(4, model=model, optimizer=optimizer)
        model.reset_metrics()
        losses = [float(model.train_on_batch(X, Y)) for _ in range(4)]
        sink.open.set()
    fresh, fresh_optimizer = _pair()
    Vault(tmp_path / "run").restore(model=fresh, optimizer=fresh_optimizer)
    fresh.reset_metrics()
    live = copies(model=model, optimizer=optimizer)
    again = [float(fresh.train_on_batch(X, Y)) for _ in range(4)]
    found = copies(model=fresh, optimizer=fresh_optimizer)
    # Keras counts its names up in one process: the order is the same
    assert [v.tobytes() for v in found.values()] == [v.tobytes() for v in live.values()]
    assert again == losses


def test_texts_of_tensorflow(tmp_path: Path) -> None:
    state = tf.train.Checkpoint(w=tf.Variable([1.0]), words=tf.Variable([["a", "ö"], ["", "\0"]]))
    path = frozen(tmp_path / "run", lambda: state.words.assign([["x"] * 2] * 2), model=state)
    fresh = tf.train.Checkpoint(w=tf.Variable([0.0]), words=tf.Variable([["", ""], ["", ""]]))
    holdfast.restore(path, model=fresh)
    assert fresh.words.numpy().tolist() == [[b"a", "ö".encode()], [b"", b"\0"]]


@pytest.mark.parametrize("saves", [16, pytest.param(200, marks=pytest.mark.long)])
@pytest.mark.parametrize("pausing", [False, True])
def test_torn(tmp_path: Path, saves: int, pausing: bool) -> None:
    state = tf.train.Checkpoint(**{f"v{n}": tf.Variable(tf.zeros(3000)) for n in range(6)})
    variables = [getattr(state, f"v{n}") for n in range(6)]

    def update(k: int) -> None:
        for variable in variables:
            variable.assign(tf.fill([3000], float(k)))

    committed, torn = torn_saves(tmp_path / "run", saves, {"model": state}, update, pausing=pausing)
    assert torn == 0
    assert not pausing or committed >= saves * 0.99


_OTHER = """
import sys, pathlib
sys.path.insert(0, {tests!r})
import numpy as np, keras
from vault.freezing import frozen
assert keras.backend.backend() == {backend!r}
keras.utils.set_random_seed(0)
model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(4), keras.layers.BatchNormalization()])
model.compile(keras.optimizers.Adam(0.1), "mse")
x, y = np.ones((4, 3), "f4"), np.zeros((4, 4), "f4")
model.train_on_batch(x, y)
for proof in ("protocol", "content"):
    frozen(pathlib.Path({run!r}), lambda: [model.train_on_batch(x, y) for _ in range(3)], model=model,
           optimizer=model.optimizer, proof=proof)
print("held")
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_keras_on_other_backends(tmp_path: Path, backend: str) -> None:
    pytest.importorskip(backend)
    tests = str(Path(__file__).resolve().parent.parent)
    code = _OTHER.format(tests=tests, backend=backend, run=str(tmp_path / "run"))
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "KERAS_BACKEND": backend}, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert done.stdout.strip().endswith("held"), done.stderr[-2000:]
