"""The optimizer is built over the same variables in another order, before the checkpoint is restored.

People do: ``optimizer.build(b.trainable_variables + a.trainable_variables)``, where the saving run had a first.
They are told: ``assert_consumed`` proves that every value went where it belongs.
True is: the weights of a and b themselves cross over, and ``assert_consumed`` passes. After one step the file keeps the
weights under the optimizer, by position. Restore first and build the optimizer after, or keep the order.
"""

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

model, optimizer = make("b", "a")
tf.train.Checkpoint(model=model, optimizer=optimizer).restore(path).assert_consumed()
restored = model.get_layer("a").kernel.numpy()
print("a has a's weights:", np.array_equal(restored, a), "- has b's:", np.array_equal(restored, b))
