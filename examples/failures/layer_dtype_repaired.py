"""Repaired: the new model computes in float16 and keeps its weights in float32, as the checkpoint has them."""

import numpy as np
import tensorflow as tf


def make(dtype):
    layers = [
        tf.keras.layers.Dense(32, activation="relu", dtype=dtype),
        tf.keras.layers.Dense(10, dtype=dtype),
    ]
    return tf.keras.Sequential([tf.keras.Input((16,)), *layers])


model = make("float32")
path = tf.train.Checkpoint(model=model).save("./ckpt")

model = make("mixed_float16")
tf.train.Checkpoint(model=model).restore(path).assert_existing_objects_matched()
print(model(np.ones((1, 16), "float32")).dtype)
