"""The dtype of a layer is changed before the checkpoint is restored.

People do: ``layer.dtype = tf.float16`` on every layer, then ``checkpoint.restore``.
They are told: the restored weights and the gradients have types that conflict in apply_gradients.
True is: ``dtype`` of a Keras layer cannot be set, and the script stops there, before anything is restored. Setting
``dtype_policy`` does not help: the weights that exist stay float32. What is stored in float32 is restored into float32.
"""

import numpy as np
import tensorflow as tf


def make():
    return tf.keras.Sequential(
        [tf.keras.Input((16,)), tf.keras.layers.Dense(32, activation="relu"), tf.keras.layers.Dense(10)]
    )


model = make()
model(np.zeros((1, 16), "float32"))
path = tf.train.Checkpoint(model=model).save("./ckpt")

model = make()
for layer in model.layers:
    layer.dtype = tf.float16
tf.train.Checkpoint(model=model).restore(path)
print(model(np.ones((1, 16), "float16")))
