"""A custom loop logs the training loss and saves the weights; the loaded weights give another loss.

People do: ``loss``, ``apply_gradients``, ``save_weights``, and later compare the logged loss with the loaded model's.
They are told: the weights are changed between the save and the metric, or the checkpoint is broken.
True is: the loss is computed before the update and the weights are saved after it, so that the two are of different
weights (and with a batch's mean, of another batch). The checkpoint holds exactly what was saved.
"""

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
    losses = []
    for start in range(0, len(x), 128):
        with tf.GradientTape() as tape:
            loss = loss_of(model, x[start : start + 128], y[start : start + 128])
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        losses.append(float(loss))
    logged = sum(losses) / len(losses)
    model.save_weights(f"checkpoint_epoch_{epoch}.weights.h5")

model = make()
model.load_weights("checkpoint_epoch_3.weights.h5")
loaded = float(loss_of(model, x, y))
print(f"logged {logged:.5f}, after loading {loaded:.5f}")
if abs(loaded - logged) > 1e-5:
    raise SystemExit("the checkpoint does not give back the logged loss")
