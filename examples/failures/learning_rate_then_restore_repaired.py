"""Repaired: the optimizer is restored as it was saved, and gets its new learning rate after that."""

import numpy as np
import tensorflow as tf


def make():
    model = tf.keras.Sequential([tf.keras.Input((8,)), tf.keras.layers.Dense(4)])
    optimizer = tf.keras.optimizers.Adam(0.001)
    optimizer.build(model.trainable_variables)
    return model, optimizer


def step(model, optimizer):
    x = np.random.default_rng(0).normal(size=(32, 8)).astype("float32")
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((model(x) - 1.0) ** 2)
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))


model, optimizer = make()
for _ in range(3):
    step(model, optimizer)
path = tf.train.Checkpoint(model=model, optimizer=optimizer).save("./ckpt")

model, optimizer = make()
tf.train.Checkpoint(model=model, optimizer=optimizer).restore(path).assert_consumed()
optimizer.learning_rate = 0.1
step(model, optimizer)
print("one step; the learning rate is", float(optimizer.learning_rate))
