"""The other backends of Keras, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys, numpy as np, keras
import holdfast
from holdfast._compare.compare import compare_catalogs
from holdfast._frameworks import live_catalog
folder = sys.argv[1]
x, y = np.ones((16, 8), "float32"), np.arange(32, dtype="float32").reshape(16, 2)
def make():
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(6), keras.layers.BatchNormalization(),
                              keras.layers.Dense(2, dtype="bfloat16")])
    model.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=keras.backend.backend() == "jax")
    return model
def train(model, epochs=2):
    model.fit(x, y, batch_size=8, epochs=epochs, shuffle=False, verbose=0)
def state(model):
    return [np.asarray(keras.ops.convert_to_numpy(v)).tobytes() for v in (*model.weights, *model.optimizer.variables)]
model = make()
train(model)
path = f"{folder}/m.weights.h5"
model.save_weights(path)
live = live_catalog(model=model, optimizer=model.optimizer)
assert live.framework == "keras", live.framework
assert live.attributes["backend"] == keras.backend.backend()
stored = holdfast.open(path)
skip = ("rng", "metric")
wrong = [d.message for d in compare_catalogs(stored, live, depth="full").differences
         if not (d.code == "T201" and d.evidence["role"] in skip)]
assert wrong == [], wrong
assert live.readiness() == []
train(model)
other = make()
there = live_catalog(model=other, optimizer=other.optimizer)
for pair in compare_catalogs(stored, there, depth="header").pairs:
    variable = there.variables[pair.b]
    values = np.array(stored.read(pair.a))
    variable.write(values)
    values[...] = 0  # the variable must not keep the array
train(other)
assert state(other) == state(model)
print("agreed")
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_another_backend(backend: str, tmp_path: Path) -> None:
    pytest.importorskip("keras")
    pytest.importorskip(backend)
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip().endswith("agreed")
