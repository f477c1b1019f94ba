"""Keras by ``fit``: checkpoints of weights and of whole models, best only, continued, early stopping, backups, export."""

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras
import numpy as np
import tensorflow as tf
from digest import digest, random_states
from keras import layers

keras.utils.set_random_seed(20)
x, y = np.random.rand(64, 6).astype("float32"), np.random.rand(64, 1).astype("float32")


def made():
    model = keras.Sequential(
        [keras.Input((6,)), layers.Dense(8, activation="relu"), layers.BatchNormalization(), layers.Dense(1)]
    )
    model.compile(
        keras.optimizers.Adam(0.01),
        keras.losses.MeanSquaredError(),
        metrics=[keras.metrics.MeanAbsoluteError(name="mae")],
    )
    return model


def fit(model, epochs, *callbacks, start=0):
    held = model.fit(
        x,
        y,
        epochs=epochs,
        initial_epoch=start,
        batch_size=16,
        verbose=0,
        shuffle=False,
        validation_split=0.25,
        callbacks=list(callbacks),
    )
    print([f"{value:.9g}" for value in held.history["val_loss"]])


# Weights of each epoch, and the best whole model.
model = made()
os.makedirs("weights")
fit(
    model,
    3,
    keras.callbacks.ModelCheckpoint("weights/{epoch:02d}.weights.h5", save_weights_only=True),
    keras.callbacks.ModelCheckpoint("best.keras", monitor="val_loss", save_best_only=True),
    keras.callbacks.EarlyStopping(patience=2, restore_best_weights=True),
    keras.callbacks.ReduceLROnPlateau(patience=1),
)

# The weights into a fresh model, for evaluation; and to train on, with the optimizer built.
one = made()
one.load_weights("weights/03.weights.h5")
print(one.evaluate(x, y, verbose=0, return_dict=True)["mae"])

two = made()
two.optimizer.build(two.trainable_variables)
two.load_weights("weights/03.weights.h5")
fit(two, 5, start=3)

# The whole model, and training goes on.
three = keras.models.load_model("best.keras")
fit(three, 2)
three.save("again.keras")
four = keras.saving.load_model("again.keras")

# The old HDF5 format, and weights in memory.
four.save("legacy.h5")
five = keras.models.load_model(
    "legacy.h5", compile=False
)  # its optimizer could not go on: Keras builds it over nothing
clone = keras.models.clone_model(four)
clone.set_weights(four.get_weights())

# A run that is interrupted, and starts again.
six = made()


class Interrupt(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise RuntimeError("interrupted")


try:
    fit(six, 4, keras.callbacks.BackupAndRestore("backup"), Interrupt())
except RuntimeError as error:
    print(error)
seven = made()
fit(seven, 4, keras.callbacks.BackupAndRestore("backup"))

# For serving.
four.export("served", verbose=False)
served = tf.saved_model.load("served")
print(np.allclose(served.serve(x[:4]), four.predict(x[:4], verbose=0), atol=1e-6))
for model in (model, one, two, three, four, five, clone, seven):
    print(digest(model.get_weights()))
print(digest(seven.optimizer.variables), random_states(numpy=True))
