"""Repaired: the layers stand in the order that they were saved in; a new order is made after the weights are loaded."""

import numpy as np
import tensorflow as tf


def make(*names):
    return tf.keras.Sequential(
        [tf.keras.Input((8,)), *[tf.keras.layers.Dense(8, name=name) for name in names]]
    )


model = make("encoder", "decoder")
model.save_weights("model.weights.h5")
encoder = model.get_layer("encoder").kernel.numpy()

model = make("encoder", "decoder")
model.load_weights("model.weights.h5")
print("the encoder has its weights:", np.array_equal(model.get_layer("encoder").kernel.numpy(), encoder))
