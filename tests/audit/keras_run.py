"""Keras on TensorFlow: ``fit`` of four models, and a loop of its own over ``tf.GradientTape``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import holdfast
from audit.digits import XV, YV, X, Y, evaluated, numbers
from audit.kinds import BATCH, EPOCH, FIRST, LATER, Kind, Run
from holdfast._record.data.identity import data_identity
from holdfast._record.metrics import from_keras_logs

LOSS = keras.losses.SparseCategoricalCrossentropy


class Fit(Kind):
    """``fit`` with validation data; saved by a callback at the end of epochs; the optimizer keeps averaged weights."""

    def __init__(self, name: str, *, drops: bool, normalises: bool, policy: str = "float32") -> None:
        self.name, self.drops, self.normalises, self.policy = name, drops, normalises, policy
        self.narrow = policy != "float32"

    @contextmanager
    def setting(self) -> Iterator[None]:
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(self.policy)
        try:
            yield
        finally:
            keras.config.set_dtype_policy(before)

    def make(self, seed: int = 0, *, epsilon: float | None = None, activation: str = "relu") -> keras.Model:
        keras.utils.set_random_seed(seed)
        inner = [keras.layers.Input((64,)), keras.layers.Dense(64, name="inner")]
        if self.normalises:
            inner += [keras.layers.BatchNormalization(epsilon=epsilon or 1e-3, momentum=0.9, name="norm")]
        inner += [keras.layers.Activation(activation, name="act")]
        if self.drops:
            inner += [keras.layers.Dropout(0.3, name="drop")]
        model = keras.Sequential([*inner, keras.layers.Dense(10, name="head", dtype="float32")])
        optimizer = keras.optimizers.Adam(5e-3, use_ema=True, ema_momentum=0.95)
        model.compile(optimizer, loss=LOSS(from_logits=True), metrics=["accuracy"])
        return model

    def outputs(self, model: Any, x: np.ndarray, batch: int = 100, *, training: bool = False) -> np.ndarray:
        parts = [model(x[n : n + batch], training=training) for n in range(0, len(x), batch)]
        return np.concatenate([np.asarray(keras.ops.convert_to_numpy(part), np.float32) for part in parts])

    def evaluate(
        self, model: Any, x: np.ndarray = XV, y: np.ndarray = YV, *, batch: int = 100
    ) -> dict[str, Any]:
        return dict(model.evaluate(x, y, batch_size=batch, verbose=0, return_dict=True))

    def read(self, model: Any) -> dict[str, np.ndarray]:
        return {_own(w): np.array(w) for w in model.weights}

    def put(self, model: Any, values: Mapping[str, np.ndarray]) -> Any:
        for weight in model.weights:
            if _own(weight) in values:
                weight.assign(values[_own(weight)])
        return model

    def train(self, folder: Path) -> Run:
        model, run = self.make(), Run(self, folder)
        with holdfast.Vault(folder) as vault:
            self.recorded(vault)
            model.fit(
                X, Y, batch_size=BATCH, epochs=LATER // EPOCH, verbose=0, shuffle=False, validation_data=(XV, YV),
                validation_batch_size=100, callbacks=[_Save(vault, run)],
            )  # fmt: skip
        return run


def _own(weight: Any) -> str:
    """``inner/kernel`` of ``sequential_3/inner/kernel``: Keras numbers its models."""
    return "/".join(weight.path.split("/")[-2:])


class _Save(keras.callbacks.Callback):
    def __init__(self, vault: holdfast.Vault, run: Run) -> None:
        super().__init__()
        self.vault, self.run = vault, run

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        step = (epoch + 1) * EPOCH
        if step < FIRST:
            return
        model, optimizer = self.model, self.model.optimizer
        averages = zip(model.trainable_variables, optimizer._model_variables_moving_average, strict=True)
        self.run.at[step] = {name: logs[name] for name in ("val_loss", "val_accuracy")}
        self.run.averages[step] = {_own(weight): np.array(average) for weight, average in averages}
        self.run.logged[step] = logs["loss"]
        known = from_keras_logs(logs, step=step, first_step=step - EPOCH, epoch_end=True)
        metrics = [
            replace(m, data=data_identity(XV), samples=len(XV)) if m.kind == "evaluation" else m
            for m in known
        ]
        self.vault.save(step, model=model, optimizer=optimizer, metrics=metrics, blocking=True)


class Net(keras.Model):
    """A model by subclassing."""

    def __init__(self, epsilon: float = 1e-3, activation: str = "relu") -> None:
        super().__init__()
        self.inner = keras.layers.Dense(64, name="inner")
        self.norm = keras.layers.BatchNormalization(epsilon=epsilon, momentum=0.9, name="norm")
        self.act = keras.layers.Activation(activation, name="act")
        self.drop = keras.layers.Dropout(0.3, name="drop")
        self.head = keras.layers.Dense(10, name="head")

    def call(self, x: Any, training: bool = False) -> Any:
        return self.head(self.drop(self.act(self.norm(self.inner(x), training=training)), training=training))


class Tape(Fit):
    """A compiled step over ``tf.GradientTape``; an evaluation of its own; averaged weights in a second model."""

    def __init__(self) -> None:
        super().__init__("tape", drops=True, normalises=True)

    def make(self, seed: int = 0, *, epsilon: float | None = None, activation: str = "relu") -> Net:
        keras.utils.set_random_seed(seed)
        model = Net(epsilon or 1e-3, activation)
        model(X[:2])
        return model

    def outputs(self, model: Any, x: np.ndarray, batch: int = 100, *, training: bool = False) -> np.ndarray:
        compiled = vars(model).setdefault("_compiled", {})  # past Keras, which would track it
        if training not in compiled:
            compiled[training] = tf.function(
                lambda part: model(part, training=training), reduce_retracing=True
            )
        run = compiled[training]
        return np.concatenate([run(tf.constant(x[n : n + batch])).numpy() for n in range(0, len(x), batch)])

    def evaluate(
        self, model: Any, x: np.ndarray = XV, y: np.ndarray = YV, *, batch: int = 100
    ) -> dict[str, Any]:
        return numbers(self.outputs(model, x, batch), y)

    def train(self, folder: Path) -> Run:
        model, average, run = self.make(), self.make(), Run(self, folder)
        optimizer, mean = keras.optimizers.Adam(5e-3), keras.metrics.Mean(name="loss")
        optimizer.build(model.trainable_variables)

        @tf.function
        def step_of(x: Any, y: Any) -> None:
            with tf.GradientTape() as tape:
                loss = LOSS(from_logits=True)(y, model(x, training=True))
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
            mean.update_state(loss)
            for a, b in zip(average.trainable_variables, model.trainable_variables, strict=True):
                a.assign(0.95 * a + 0.05 * b)

        with holdfast.Vault(folder) as vault:
            self.recorded(vault)
            for step in range(1, LATER + 1):
                n = (step - 1) % EPOCH * BATCH
                step_of(tf.constant(X[n : n + BATCH]), tf.constant(Y[n : n + BATCH]))
                if step % EPOCH:
                    continue
                if step >= FIRST:
                    run.at[step] = self.evaluate(model)
                    run.averages[step] = {_own(w): np.array(w) for w in average.trainable_variables}
                    run.logged[step] = float(mean.result())
                    known = {m.name: m for m in evaluated(run.at[step], step=step)}
                    vault.save(
                        step, model=model, optimizer=optimizer, ema=average, metrics={**known, "loss": mean},
                        blocking=True,
                    )  # fmt: skip
                mean.reset_state()
        return run


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Fit("keras-plain", drops=False, normalises=False),
        Fit("keras-dropout", drops=True, normalises=False),
        Fit("keras-batchnorm", drops=False, normalises=True),
        Fit("keras-bfloat16", drops=True, normalises=True, policy="mixed_bfloat16"),
        Tape(),
    )
}
