"""A Keras run on digits, by ``fit`` or by a loop of one's own, that resumes exactly; ``--plant`` spoils one thing.

``--by vault``: VaultCallback. ``--by keras``: Keras's own BackupAndRestore and ModelCheckpoint (without dropout, whose seeds
Keras does not save). ``--by tape``: a GradientTape loop with tf.train.Checkpoint.
"""

import argparse
import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras
import numpy as np
from sklearn.datasets import load_digits

parser = argparse.ArgumentParser()
parser.add_argument("--plant", default="")
parser.add_argument("--by", default="vault")
options = parser.parse_args()
plant, EPOCHS, BATCH, N = options.plant, 3, 32, 192

keras.utils.set_random_seed(1)
digits = load_digits()
X, Y = (digits.data[:N] / 16).astype(np.float32), digits.target[:N]
XV, YV = (digits.data[1500:] / 16).astype(np.float32), digits.target[1500:]


def make():
    layers = [
        keras.Input((64,)),
        keras.layers.Dense(24, activation="relu"),
        keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.3, seed=5),
        keras.layers.Dense(10),
    ]
    if options.by == "keras" and plant != "dropout-seed":
        layers.pop(3)  # Keras's save_weights keeps no seed generator
    model = keras.Sequential(layers)
    schedule = keras.optimizers.schedules.ExponentialDecay(4e-3, 1, 0.95)
    rate = 4e-3 if plant == "lr" else schedule
    gather = 5 if plant == "accumulation" else None
    optimizer = keras.optimizers.Adam(rate, gradient_accumulation_steps=gather)
    if plant == "scaler" or options.by == "tape":
        optimizer = keras.optimizers.LossScaleOptimizer(
            optimizer, initial_scale=256.0, dynamic_growth_steps=4
        )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"])
    return model


class Orders(keras.utils.PyDataset):
    """Each epoch in its own order, by its number."""

    def __init__(self):
        super().__init__()
        self.epoch = 0
        if os.path.exists("epoch.json") and plant != "sampler":
            with open("epoch.json") as file:
                self.epoch = json.load(file)

    def __len__(self):
        return N // BATCH

    def __getitem__(self, n):
        order = np.random.RandomState(self.epoch).permutation(N)[n * BATCH : (n + 1) * BATCH]
        return X[order], Y[order]

    def on_epoch_end(self):
        self.epoch += 1


class Epoch(keras.callbacks.Callback):
    """Writes down how many epochs are done."""

    def on_epoch_end(self, epoch, logs=None):
        with open("epoch.json", "w") as file:
            json.dump(epoch + 1, file)


class Spoil(keras.callbacks.Callback):
    """Loses something after the backup was read."""

    def on_train_begin(self, logs=None):
        optimizer = self.model.optimizer
        if not self.model._initial_epoch:
            return
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        if plant == "scheduler":
            inner.iterations.assign(0)
        if plant == "lr":
            inner.learning_rate.assign(4e-3)
        if plant == "scaler":
            optimizer.dynamic_scale.assign(256.0)
            optimizer.step_counter.assign(0)
        if plant == "optimizer":
            for variable in inner.variables[2:]:
                variable.assign(keras.ops.zeros_like(variable))
        if plant == "accumulation":
            for variable in inner._accumulated_gradients:
                variable.assign(keras.ops.zeros_like(variable))


def halved(epoch, rate):
    return rate * 0.5 if epoch == 1 else rate


def by_keras():
    model = make()
    callbacks = [
        keras.callbacks.BackupAndRestore("backup", double_checkpoint=True, delete_checkpoint=False),
        Epoch(),
        Spoil(),
    ]
    if plant == "lr":
        callbacks.append(keras.callbacks.LearningRateScheduler(halved))
    if plant == "best":
        callbacks.append(
            keras.callbacks.ModelCheckpoint("best.keras", monitor="val_loss", save_best_only=True)
        )
    model.fit(
        Orders(), shuffle=False, epochs=EPOCHS, validation_data=(XV, YV), callbacks=callbacks, verbose=0
    )


def by_vault():
    from holdfast.keras import VaultCallback

    model = make()
    callback = VaultCallback("vault", every=4)
    spoils = []
    if plant == "dropout-seed":

        class Seed(keras.callbacks.Callback):
            def on_train_begin(self, logs=None):
                layer = self.model.layers[2]
                layer.seed_generator.state.assign(keras.random.SeedGenerator(5).state)

        spoils = [Seed()]
    model.fit(X, Y, batch_size=BATCH, epochs=EPOCHS, shuffle=False, validation_data=(XV, YV),
              callbacks=[callback, *spoils], verbose=0)  # fmt: skip


def by_tape():
    import tensorflow as tf

    model = make()
    optimizer, at = model.optimizer, tf.Variable(0)
    optimizer.build(model.trainable_variables)
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    generator = tf.random.Generator.from_seed(7)

    @tf.function
    def train(x, y):
        with tf.GradientTape() as tape:
            x = x + 0.01 * generator.normal(tf.shape(x))
            loss = loss_of(y, model(x, training=True))
            scaled = optimizer.scale_loss(loss)
        optimizer.apply(tape.gradient(scaled, model.trainable_variables), model.trainable_variables)
        return loss

    parts = {"model": model, "optimizer": optimizer, "at": at, "generator": generator}
    if plant != "dropout-seed":  # Keras does not save it
        parts["seed"] = model.layers[2].seed_generator.state.value
    if plant == "rng":
        del parts["generator"]
    manager = tf.train.CheckpointManager(tf.train.Checkpoint(**parts), "tape", max_to_keep=2)
    if manager.latest_checkpoint:
        manager.checkpoint.restore(manager.latest_checkpoint)
    data = (
        tf.data.Dataset.from_tensor_slices((X, Y))
        .shuffle(N, seed=3, reshuffle_each_iteration=False)
        .batch(BATCH)
        .repeat()
    )
    skip = 0 if plant == "sampler" else int(at)
    for x, y in data.skip(skip).take(18 - int(at)):
        train(x, y)
        at.assign_add(1)
        if int(at) % 5 == 0:
            manager.save()


{"keras": by_keras, "vault": by_vault, "tape": by_tape}[options.by]()
