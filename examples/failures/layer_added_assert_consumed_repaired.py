"""Repaired: the path is what ``save`` returned, the model has the layers that were saved, and no error is swallowed."""

import tensorflow as tf


def make(layers):
    return tf.keras.Sequential([tf.keras.Input((16,)), *[tf.keras.layers.Dense(16) for _ in range(layers)]])


path = tf.train.Checkpoint(model=make(2)).save("./ckpt")

checkpoint = tf.train.Checkpoint(model=make(2))
checkpoint.restore(path).assert_consumed()
print("every variable of the checkpoint was restored")
