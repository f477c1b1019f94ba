"""A subclassed Keras model is restored before it has ever been called.

People do: ``tf.train.Checkpoint(model=MyModel()).restore(path)``, then call the model or ``fit`` it.
They are told: the restore is deferred, and each variable gets its value when it is made.
True is: the first layer's kernel does not. The layer is built twice, the restored value goes to a second kernel that
nobody uses, and the live one stays random. No error, no warning. Call the model once first, then restore.
"""

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
tf.train.Checkpoint(model=model).restore(path)
difference = np.abs(model(x) - expected).max()
print("variables:", len(model.weights), "difference:", difference)
