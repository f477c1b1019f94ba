"""Repaired: the loss that is logged with a checkpoint is that of the weights in it, evaluated after the last update."""

import numpy as np
import tensorflow as tf

tf.keras.utils.set_random_seed(0)
rng = np.random.default_rng(0)
x = rng.normal(size=(512, 16)).astype("float32")
y = (x[:, 0] * x[:, 1] > 0).astype("int32")


def make():
    return tf.keras.Sequential(
        [tf.keras.Input((16,)), tf.keras.layers.Dense(64, activation="relu"), tf.keras.layers.Dense(2)]
    )


def loss_of(model, x, y):
    return tf.reduce_mean(tf.keras.losses.sparse_categorical_crossentropy(y, model(x), from_logits=True))


model, optimizer = make(), tf.keras.optimizers.Adam(1e-2)
for epoch in range(1, 4):
    for start in range(0, len(x), 128):
        with tf.GradientTape() as tape:
            loss = loss_of(model, x[start : start + 128], y[start : start + 128])
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    logged = float(loss_of(model, x, y))
    model.save_weights(f"checkpoint_epoch_{epoch}.weights.h5")

model = make()
model.load_weights("checkpoint_epoch_3.weights.h5")
loaded = float(loss_of(model, x, y))
print(f"logged {logged:.5f}, after loading {loaded:.5f}")
if abs(loaded - logged) > 1e-5:
    raise SystemExit("the checkpoint does not give back the logged loss")
