"""A float16 model is made anew, and a checkpoint of its float32 weights is restored into it.

People do: ``keras.config.set_floatx("float16")`` or ``dtype="float16"`` on each layer, then ``checkpoint.restore``.
They are told: the types conflict later, in apply_gradients.
True is: the restore itself stops with InvalidArgumentError: TensorFlow casts nothing. Keras' ``mixed_float16`` keeps its
weights in float32, computes in float16, and restores exactly.
"""

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

model = make("float16")
tf.train.Checkpoint(model=model).restore(path)
print(model(np.ones((1, 16), "float16")))
