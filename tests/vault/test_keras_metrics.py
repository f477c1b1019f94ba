"""The numbers that ``VaultCallback`` records are what they say: audited against the vault that a real ``fit`` wrote."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast
from holdfast import Metric, Vault, data_identity
from holdfast._record.metrics import from_keras_logs, metric_of

tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")
if keras.backend.backend() != "tensorflow":
    pytest.skip("Keras runs on another backend", allow_module_level=True)

from holdfast.keras import VaultCallback  # noqa: E402

IN_MEMORY = True
RNG = np.random.default_rng(3)
X = RNG.normal(size=(230, 12)).astype("f4")
Y = (X[:, :3].sum(1) + RNG.normal(size=230) > 0).astype("i4")
XV, YV = X[170:], Y[170:]
X, Y = X[:170], Y[:170]
KINDS = ("plain", "dropout", "batch-norm", "mixed_bfloat16")


def model(kind: str = "plain", seed: int = 1) -> Any:
    keras.utils.set_random_seed(seed)
    layers = [keras.layers.Dense(24, activation="relu")]
    if kind == "dropout":
        layers.append(keras.layers.Dropout(0.4))
    if kind == "batch-norm":
        layers.append(keras.layers.BatchNormalization(momentum=0.8))
    with_policy = keras.dtype_policies.DTypePolicy(kind if kind == "mixed_bfloat16" else "float32")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(with_policy)
    try:
        layers = [type(layer).from_config({**layer.get_config(), "dtype": with_policy}) for layer in layers]
        made = keras.Sequential([keras.layers.Input((12,)), *layers, keras.layers.Dense(2, dtype="float32")])
    finally:
        keras.config.set_dtype_policy(before)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    made.compile(keras.optimizers.Adam(0.02), loss, metrics=["accuracy"])
    return made


def fit(made: Any, *callbacks: Any, epochs: int = 3, **options: Any) -> Any:
    given = {"validation_data": (XV, YV), "batch_size": 32, "verbose": 0, **options}
    return made.fit(X, Y, epochs=epochs, callbacks=[*callbacks], **given)


def metrics_of(run: Path, step: int) -> dict[str, Metric]:
    with holdfast.open(run / f"step-{step:08d}") as catalog:
        record = catalog.record
    known = record.measured or {}
    return {name: metric_of(name, value, known.get(name)) for name, value in record.metrics.items()}


def evaluate(made: Any, batch: int = 32) -> dict[str, float]:
    trained = made.evaluate(X, Y, batch_size=batch, verbose=0, return_dict=True)
    tested = made.evaluate(XV, YV, batch_size=batch, verbose=0, return_dict=True)
    return {**trained, **{f"val_{name}": value for name, value in tested.items()}}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Any]]:
    found = {}
    for kind in KINDS:
        run = tmp_path_factory.mktemp("fit") / kind
        found[kind] = (run, fit(model(kind), VaultCallback(run)))
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_the_numbers_of_an_epochs_end_say_what_they_are(runs: Any, kind: str) -> None:
    run, history = runs[kind]
    found = metrics_of(run, 18)
    precision = "bfloat16" if kind == "mixed_bfloat16" else None
    for name in ("val_loss", "val_accuracy"):
        metric = found[name]
        assert metric.value == pytest.approx(history.history[name][-1])
        assert (metric.kind, metric.step, metric.samples) == ("evaluation", 18, 60)
        assert (metric.data, metric.precision, metric.weights) == (data_identity(XV), precision, None)
    for name in ("loss", "accuracy"):
        metric = found[name]
        assert (metric.kind, metric.first_step, metric.step, metric.samples) == (
            "running-average",
            12,
            18,
            170,
        )
        assert metric.precision == precision


@pytest.mark.parametrize(("kind", "batch"), list(zip(KINDS, (60, 60, 32, 17), strict=True)))
def test_audit_reproduces_val_and_takes_the_loss_apart(runs: Any, kind: str, batch: int) -> None:
    run, _ = runs[kind]
    report = holdfast.audit(run, evaluate=lambda m: evaluate(m, batch), model=model(kind, seed=9))
    rows = {row.metric.name: row for row in report.rows}
    assert report.verdict == "reproduced", report.summary
    assert rows["val_loss"].verdict == rows["val_accuracy"].verdict == "reproduced"
    loss = rows["loss"]
    assert loss.verdict == "cannot-compare" and loss.now is not None
    assert sum(amount for amount, _ in loss.parts) == pytest.approx(loss.metric.value - loss.now)


@pytest.mark.parametrize("kind", ["plain", "batch-norm"])
def test_audit_still_sees_another_validation_set(runs: Any, kind: str) -> None:
    run, _ = runs[kind]

    def other(made: Any) -> dict[str, float]:
        tested = made.evaluate(X[:60], Y[:60], verbose=0, return_dict=True)
        return {f"val_{name}": value for name, value in tested.items()}

    report = holdfast.audit(run, evaluate=other, model=model(kind, seed=9))
    assert report.verdict == "differs"
    assert report.causes[0].slug == "metric-other-data"


def test_mid_epoch_the_running_values_say_since_when(tmp_path: Path) -> None:
    fit(model(), VaultCallback(tmp_path, every=4))
    found = metrics_of(tmp_path, 8)
    assert set(found) == {"loss", "accuracy"}, "the last validation measured another state"
    for metric in found.values():
        assert (metric.kind, metric.first_step, metric.step) == ("running-average", 6, 8)
        assert metric.samples is None


def test_a_resumed_epoch_began_where_it_began(tmp_path: Path) -> None:
    class Broken(Exception):
        pass

    class Break(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if int(self.model.optimizer.iterations) == 9:
                raise Broken

    with pytest.raises(Broken):
        fit(model(), VaultCallback(tmp_path, every=4), Break(), shuffle=False)
    fit(model(), VaultCallback(tmp_path, every=4), shuffle=False, epochs=2)
    loss = metrics_of(tmp_path, 12)["loss"]
    assert (loss.first_step, loss.step) == (6, 12)


def test_part_of_a_validation_set_has_no_identity_and_a_data_set_of_batches_neither(tmp_path: Path) -> None:
    fit(model(), VaultCallback(tmp_path / "steps"), epochs=1, validation_steps=1)
    data = tf.data.Dataset.from_tensor_slices((XV, YV)).batch(20)
    fit(model(), VaultCallback(tmp_path / "set"), epochs=1, validation_data=data)
    for run in ("steps", "set"):
        metric = metrics_of(tmp_path / run, 6)["val_loss"]
        assert (metric.kind, metric.samples, metric.data) == ("evaluation", None, "validation_data")
    fit(model(), VaultCallback(tmp_path / "split"), epochs=1, validation_data=None, validation_split=0.25)
    metric = metrics_of(tmp_path / "split", 4)["val_loss"]
    assert (metric.samples, metric.data) == (43, data_identity(X[127:]))


def test_what_a_callback_or_a_train_step_of_the_users_puts_there(tmp_path: Path) -> None:
    class Adds(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            logs["grad_norm"] = 3.5

    class Own(keras.Model):
        def train_step(self, data: Any) -> dict[str, Any]:
            return {"energy": super().train_step(data)["loss"]}

    plateau = keras.callbacks.ReduceLROnPlateau()
    fit(model(), Adds(), plateau, VaultCallback(tmp_path / "adds"), epochs=1)
    found = metrics_of(tmp_path / "adds", 6)
    assert found["grad_norm"].kind == found["learning_rate"].kind == "external"
    assert found["loss"].kind == "running-average"

    inputs = keras.Input((12,))
    own = Own(inputs, keras.layers.Dense(2)(inputs))
    own.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    fit(own, VaultCallback(tmp_path / "own"), epochs=1)
    metric = metrics_of(tmp_path / "own", 6)["energy"]
    assert (metric.kind, metric.when, metric.first_step) == ("batch", "before", None), (
        "Keras hands on the last batch's"
    )


def test_an_evaluation_of_other_weights_is_none_of_the_state(tmp_path: Path) -> None:
    """SwapEMAWeights evaluates the average; another callback changes weights after the validation."""

    def averaged() -> Any:
        made = model()
        rate = keras.optimizers.SGD(0.3, use_ema=True, ema_momentum=0.9)
        made.compile(rate, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        return made

    class Shrinks(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.set_weights([w * 0.5 for w in self.model.get_weights()])

    fit(averaged(), VaultCallback(tmp_path / "ema"), keras.callbacks.SwapEMAWeights(), epochs=2)
    fit(model(), VaultCallback(tmp_path / "shrunk"), Shrinks(), epochs=1)
    fit(averaged(), VaultCallback(tmp_path / "plain"), epochs=2)
    assert metrics_of(tmp_path / "ema", 12)["val_loss"].weights == "ema"
    assert metrics_of(tmp_path / "shrunk", 6)["val_loss"].weights == "others than were saved"
    assert metrics_of(tmp_path / "plain", 12)["val_loss"].weights is None

    def loss(made: Any) -> dict[str, float]:
        return {"val_loss": made.evaluate(XV, YV, verbose=0, return_dict=True)["loss"]}

    report = holdfast.audit(tmp_path / "shrunk", evaluate=loss, model=model(seed=9))
    (row,) = [row for row in report.rows if row.metric.name == "val_loss"]
    assert row.verdict == "cannot-compare" and "other weights" in row.why
    assert not [f for f in report.findings if f.severity == "error"]


def test_best_is_still_the_best_and_nothing_warns(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    keep = holdfast.Keep(last=1, best=1, by="val_loss")
    with Vault(tmp_path, keep) as vault:
        history = fit(model("dropout"), VaultCallback(vault), epochs=4)
        best = vault.best()
    losses = history.history["val_loss"]
    assert best is not None and best.step == 6 * (losses.index(min(losses)) + 1)
    assert not [r for r in caplog.records if "measured at step" in r.getMessage()]


def _kinds(logs: dict[str, Any], **given: Any) -> Iterator[tuple[str, str]]:
    for metric in from_keras_logs(logs, epoch_end=True, **given):
        yield metric.name, metric.kind


def test_logs_alone_are_told_apart_by_their_names() -> None:
    logs = {"loss": 1.0, "val_loss": 2.0, "lr": 0.1, "note": "text", "norm": np.float32(3)}
    assert dict(_kinds(logs, elsewhere=["norm"])) == {
        "loss": "running-average",
        "val_loss": "evaluation",
        "lr": "external",
        "norm": "external",
    }
