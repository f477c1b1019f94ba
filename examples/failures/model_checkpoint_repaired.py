"""Repaired: the name ends in ``.weights.h5``; what is compared with the loaded model is val_loss."""

import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)
x, y = rng.normal(size=(512, 16)).astype("float32"), rng.integers(0, 2, 512)


def make():
    return tf.keras.Sequential(
        [tf.keras.Input((16,)), tf.keras.layers.Dense(32, activation="relu"), tf.keras.layers.Dense(2)]
    )


model = make()
model.compile("adam", tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True))
saving = tf.keras.callbacks.ModelCheckpoint("checkpoint-{epoch:02d}.weights.h5", save_weights_only=True)
history = model.fit(x, y, epochs=2, validation_split=0.25, callbacks=[saving], verbose=0).history

model = make()
model.load_weights("checkpoint-02.weights.h5")
model.compile("adam", tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True))
print("val_loss", history["val_loss"][-1], "after loading", model.evaluate(x[384:], y[384:], verbose=0))
