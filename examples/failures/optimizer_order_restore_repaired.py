"""Repaired: the optimizer is built over the variables in the order of the run that saved."""

import numpy as np
import tensorflow as tf


def make(first, second):
    layers = [tf.keras.layers.Dense(8, name="a"), tf.keras.layers.Dense(8, name="b")]
    model, optimizer = tf.keras.Sequential([tf.keras.Input((8,)), *layers]), tf.keras.optimizers.Adam(1e-2)
    optimizer.build(model.get_layer(first).trainable_variables + model.get_layer(second).trainable_variables)
    return model, optimizer


def step(model, optimizer):
    x = np.random.default_rng(0).normal(size=(32, 8)).astype("float32")
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((model(x) - 1.0) ** 2)
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))


model, optimizer = make("a", "b")
step(model, optimizer)
path = tf.train.Checkpoint(model=model, optimizer=optimizer).save("./ckpt")
a, b = (model.get_layer(name).kernel.numpy() for name in "ab")

model, optimizer = make("a", "b")
tf.train.Checkpoint(model=model, optimizer=optimizer).restore(path).assert_consumed()
restored = model.get_layer("a").kernel.numpy()
print("a has a's weights:", np.array_equal(restored, a), "- has b's:", np.array_equal(restored, b))
