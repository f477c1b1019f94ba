"""A Keras ``fit`` on digits (BatchNorm, dropout), and what may be wrong when it is audited."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

import holdfast
from audit.digits import RAW, VALID, XV, YV, X, Y, extra_of, measured, scaled
from holdfast._record.metrics import Metric, from_keras_logs
from holdfast._record.probe import make_probe

LAST = 3


def make(epsilon: float = 1e-3, activation: str = "relu", seed: int = 0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.layers.Input((64,)),
            keras.layers.Dense(32, activation=activation, name="inner"),
            keras.layers.BatchNormalization(epsilon=epsilon, name="norm"),
            keras.layers.Dropout(0.3, name="drop"),
            keras.layers.Dense(10, name="head"),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-2), loss=loss, metrics=["accuracy"])
    return model


def evaluate(
    model: keras.Model, x: np.ndarray = XV, y: np.ndarray = YV, *, batch: int = 200
) -> dict[str, Any]:
    return dict(model.evaluate(x, y, batch_size=batch, verbose=0, return_dict=True))


@dataclass
class Run:
    folder: Path
    metrics: list[Metric]
    logs: list[Metric]
    at: dict[int, dict[str, float]] = field(default_factory=dict)

    def loaded(self, epoch: int = LAST) -> keras.Model:
        model = make(seed=5)
        holdfast.restore(self.folder / f"step-{epoch:08d}", model=model)
        return model


class _Save(keras.callbacks.Callback):
    def __init__(self, vault: holdfast.Vault, run: Run) -> None:
        super().__init__()
        self.vault, self.run = vault, run

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        values = {"val_loss": logs["val_loss"], "val_accuracy": logs["val_accuracy"]}
        probe = make_probe(self.model, RAW[VALID][:32], preprocess=scaled)
        self.run.at[epoch + 1] = values
        self.run.logs[:] = from_keras_logs(logs, step=epoch + 1, epoch_end=True)
        self.vault.save(epoch + 1, model=self.model, extra=extra_of(probe), metrics=values, blocking=True)


def train(folder: Path) -> Run:
    """Three epochs of ``fit``, saved at the end of each."""
    run = Run(folder, [], [])
    model = make()
    with holdfast.Vault(folder) as vault:
        model.fit(
            X, Y, batch_size=50, epochs=LAST, verbose=0, validation_data=(XV, YV), validation_batch_size=200,
            callbacks=[_Save(vault, run)],
        )  # fmt: skip
    run.metrics = measured(run.at[LAST])
    return run


def _outputs(model: keras.Model, x: np.ndarray, training: bool) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(model(x, training=training)))


def _training_now(model: keras.Model) -> dict[str, Any]:
    given = np.concatenate([_outputs(model, XV[n : n + 200], True) for n in range(0, len(XV), 200)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return {"val_loss": float(loss(YV, given)), "val_accuracy": float((given.argmax(1) == YV).mean())}


def _reset(model: keras.Model) -> keras.Model:
    norm = model.get_layer("norm")
    norm.moving_mean.assign(np.zeros(32))
    norm.moving_variance.assign(np.ones(32))
    return model


def _new_head(model: keras.Model) -> keras.Model:
    head = model.get_layer("head")
    head.kernel.assign(np.random.default_rng(0).normal(0, 0.2, (32, 10)))
    return model


def _rounded(model: keras.Model) -> keras.Model:
    import ml_dtypes

    model.set_weights([w.astype(ml_dtypes.bfloat16).astype(w.dtype) for w in model.get_weights()])
    return model


def _permuted(model: keras.Model) -> dict[str, Any]:
    labels = (YV * 3 + 1) % 10
    return {**evaluate(model, y=labels), "outputs": _outputs(model, XV, False), "labels": labels}


Case = tuple[str, str, Callable[[Run], dict[str, Any]]]
CASES: tuple[Case, ...] = (
    ("called with training=True", "metric-training-mode", lambda run: {"evaluate": _training_now}),
    ("BatchNorm statistics reset while loading", "metric-batch-statistics",
     lambda run: {"model": _reset(run.loaded()), "loaded": True}),
    ("BatchNorm statistics lost before it was logged", "metric-batch-statistics",
     lambda run: {"metrics": measured(_as_val(evaluate(_reset(run.loaded()))))}),
    ("other constants in the preprocessing", "metric-other-inputs",
     lambda run: {"evaluate": lambda m: evaluate(m, scaled(RAW[VALID], 5.0, 8.0))}),
    ("label map permuted", "metric-labels-permuted", lambda run: {"evaluate": _permuted}),
    ("logged an epoch earlier", "metric-other-step", lambda run: {"metrics": measured(run.at[LAST - 1])}),
    ("loaded in bfloat16", "metric-precision", lambda run: {"model": _rounded(run.loaded()), "loaded": True}),
    ("last layer initialised anew", "metric-state-changed", lambda run: {"model": _new_head(run.loaded()), "loaded": True}),
    ("epsilon 1e-3 became 1e-5", "metric-function-changed", lambda run: {"model": make(epsilon=1e-5)}),
    ("relu became gelu", "metric-function-changed", lambda run: {"model": make(activation="gelu")}),
    ("two metrics' names swapped", "metric-names-swapped",
     lambda run: {"metrics": measured(dict(zip(run.at[LAST], reversed(run.at[LAST].values()), strict=True)))}),
    ("another validation split", "metric-other-data",
     lambda run: {"evaluate": lambda m: evaluate(m, scaled(RAW[900:1497]), np.concatenate([Y, YV])[900:1497])}),
)  # fmt: skip


def _as_val(values: dict[str, float]) -> dict[str, float]:
    return {f"val_{name}": value for name, value in values.items()}


def audited(run: Run, **given: Any) -> holdfast.AuditReport:
    """The audit of the run's last epoch, with some arguments of another kind."""
    given = {"metrics": run.metrics, "evaluate": evaluate, **given}
    if "model" not in given:
        given["model"] = make(seed=9)
    return holdfast.audit(run.folder, **given)
