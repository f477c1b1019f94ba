"""Repaired: the name says what the file is. The validation loss logged is that of the weights in it, bit for bit."""

import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)
x, y = rng.normal(size=(512, 16)).astype("float32"), rng.integers(0, 2, 512)
x_val, y_val = rng.normal(size=(128, 16)).astype("float32"), rng.integers(0, 2, 128)


def make():
    return tf.keras.Sequential(
        [tf.keras.Input((16,)), tf.keras.layers.Dense(32, activation="relu"), tf.keras.layers.Dense(2)]
    )


model = make()
model.compile("adam", tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True))
for epoch in range(1, 4):
    history = model.fit(x, y, batch_size=64, validation_data=(x_val, y_val), verbose=0)
    print("epoch", epoch, "val_loss", history.history["val_loss"][-1])
    model.save_weights(f"checkpoint_epoch_{epoch}.weights.h5")

model = make()
model.load_weights("checkpoint_epoch_3.weights.h5")
model.compile("adam", tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True))
print("after loading", model.evaluate(x_val, y_val, batch_size=64, verbose=0))
