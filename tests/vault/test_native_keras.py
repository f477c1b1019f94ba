"""Native payloads of Keras and TensorFlow: from the values that were frozen, opened by the framework's own loader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast
from holdfast import UsageError, Vault

from .freezing import Gate

tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")
if keras.backend.backend() != "tensorflow":
    pytest.skip("Keras runs on another backend", allow_module_level=True)

X = np.random.default_rng(0).normal(size=(16, 5)).astype("f4")
Y = X.sum(1, keepdims=True)


def _model(width: int = 8) -> Any:
    model = keras.Sequential(
        [
            keras.layers.Input((5,)),
            keras.layers.Dense(width),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(1),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.05, use_ema=True, ema_overwrite_frequency=None), "mse", metrics=["mae"]
    )
    model.optimizer.build(model.trainable_variables)
    return model


def _values(model: Any) -> list[np.ndarray]:
    variables = [*model.variables, *model.optimizer.variables]
    return [np.array(keras.ops.convert_to_numpy(v), copy=True) for v in variables]


def _same(a: list[np.ndarray], b: list[np.ndarray]) -> None:
    assert len(a) == len(b)
    for x, y in zip(a, b, strict=True):
        assert x.dtype == y.dtype and x.tobytes() == y.tobytes()


@pytest.mark.parametrize("proof", ["protocol", "content"])
def test_their_own_loaders_open_what_was_frozen(tmp_path: Path, proof: Any) -> None:
    model = _model()
    model.train_on_batch(X, Y)
    wanted = _values(model)
    sink = Gate(tmp_path / "run")
    with Vault(tmp_path / "run", payload=("keras", "tf"), proof=proof, sink=sink) as vault:
        handle = vault.save(3, model=model, optimizer=model.optimizer)
        for _ in range(3):
            model.train_on_batch(X, Y)
        sink.open.set()
        step = Path(handle.wait())
        assert handle.timings["native"] > 0
    loaded = keras.models.load_model(step / "model.keras")
    _same(_values(loaded), wanted)
    assert loaded.optimizer.use_ema
    fresh = _model()
    read = tf.train.Checkpoint(model=fresh, optimizer=fresh.optimizer).read(str(step / "checkpoint"))
    read.assert_existing_objects_matched()
    _same(_values(fresh), wanted)
    fresh = _model()
    outcome = Vault(tmp_path / "run").restore(model=fresh, optimizer=fresh.optimizer)
    assert outcome is not None and outcome.step == 3
    _same(_values(fresh), wanted)

    assert holdfast.verify(step).checkpoints[0].verdict == "sound"
    for own, form in (("model.keras", "keras-archive"), ("checkpoint.index", "tf-bundle")):
        with holdfast.open(step / own) as opened:
            assert opened.format == form
    file = step / "model.keras"
    file.chmod(0o644)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    assert holdfast.verify(step).checkpoints[0].verdict != "sound"
    assert not [name for name in tf.io.gfile.listdir("ram:///") if name.startswith("holdfast")]


def test_training_goes_on_while_the_file_is_written(tmp_path: Path) -> None:
    """Keras's scope holds for the writing thread alone."""
    model = _model(256)
    twin = _model(256)
    twin.set_weights(model.get_weights())
    with Vault(tmp_path / "run", payload="keras") as vault:
        for n in range(6):
            model.train_on_batch(X, Y)
            twin.train_on_batch(X, Y)
            vault.save(n, model=model, optimizer=model.optimizer)
    _same(_values(model), _values(twin))
    last = keras.models.load_model(tmp_path / "run" / "step-00000005" / "model.keras")
    _same(_values(last), _values(twin))


def test_several_models_and_none(tmp_path: Path) -> None:
    models = {"gen": _model(2), "critic": _model(3)}
    with Vault(tmp_path / "run", payload="keras") as vault:
        step = Path(vault.save(1, model=models, blocking=True).path or "")
        for name, model in models.items():
            _same(_values(keras.models.load_model(step / f"{name}.keras"))[:8], _values(model)[:8])
        with pytest.raises(UsageError, match=r"needs a keras\.Model"):
            vault.save(2, model=keras.layers.Dense(1), blocking=True)
        with pytest.raises(UsageError, match="own framework"):
            vault.save(2, model=models, payload="torch", blocking=True)


def test_a_checkpoint_object_and_a_module(tmp_path: Path) -> None:
    module = tf.Module()
    module.weights = [tf.Variable([1.0, 2.0]), tf.Variable(3)]
    text = tf.Variable("a text")
    with Vault(tmp_path / "run", payload="tf") as vault:
        step = Path(
            vault.save(1, model=tf.train.Checkpoint(module=module, text=text), blocking=True).path or ""
        )
        again = Path(vault.save(2, model=module, blocking=True).path or "")
    module.weights[0].assign([0.0, 0.0])
    tf.train.Checkpoint(module=module, text=text).read(str(step / "checkpoint")).assert_consumed()
    assert module.weights[0].numpy().tolist() == [1.0, 2.0]
    module.weights[1].assign(0)
    tf.train.Checkpoint(model=module).read(str(again / "checkpoint")).assert_consumed()
    assert module.weights[1].numpy() == 3
