"""Repaired: the checkpoint goes into the model it was saved from, all of it; then the layer is added.

The path is the one that ``save`` returned. The larger model shares the restored layers, and has an optimizer of its own.
"""

import numpy as np
import tensorflow as tf


def make():
    layers = [tf.keras.layers.Dense(32, activation="relu"), tf.keras.layers.Dense(10)]
    return tf.keras.Sequential([tf.keras.Input((16,)), *layers])


def step(model, optimizer):
    x, y = np.random.default_rng(0).normal(size=(64, 16)).astype("float32"), np.arange(64) % 10
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.keras.losses.sparse_categorical_crossentropy(y, model(x), from_logits=True))
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    return float(loss)


model, optimizer = make(), tf.keras.optimizers.Adam(1e-3)
for _ in range(5):
    step(model, optimizer)
path = tf.train.Checkpoint(model=model, optimizer=optimizer).save("./ckpt")

model, optimizer = make(), tf.keras.optimizers.Adam(1e-3)
optimizer.build(model.trainable_variables)
tf.train.Checkpoint(model=model, optimizer=optimizer).restore(path).assert_existing_objects_matched()

larger = tf.keras.Sequential([tf.keras.Input((16,)), *model.layers, tf.keras.layers.Dense(10)])
print("loss after the restore:", step(larger, tf.keras.optimizers.Adam(1e-3)))
