"""Repaired: the model is called once, so that its variables exist; then it is restored, and nothing is deferred."""

import numpy as np
import tensorflow as tf


class MyModel(tf.keras.Model):
    def __init__(self):
        super().__init__()
        self.first = tf.keras.layers.Dense(32, activation="relu")
        self.second = tf.keras.layers.Dense(4)

    def call(self, x):
        return self.second(self.first(x))


x = np.random.default_rng(0).normal(size=(8, 16)).astype("float32")
model = MyModel()
expected = model(x)
path = tf.train.Checkpoint(model=model).save("./ckpt")

model = MyModel()
model(x)
tf.train.Checkpoint(model=model).restore(path).assert_existing_objects_matched()
difference = np.abs(model(x) - expected).max()
print("variables:", len(model.weights), "difference:", difference)
