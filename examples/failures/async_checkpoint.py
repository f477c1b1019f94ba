"""A checkpoint is to be saved in the background.

People do: ``tf.train.experimental.async_checkpoint.async_save(checkpoint, path)``.
They are told: that is TensorFlow's call for it, and ``save`` is asynchronous by default.
True is: there is no such module (AttributeError), and ``save`` returns when the files are there. The background save
is an option: ``tf.train.CheckpointOptions(experimental_enable_async_checkpoint=True)``.
"""

import tensorflow as tf

model = tf.keras.Sequential([tf.keras.Input((16,)), tf.keras.layers.Dense(16)])
checkpoint = tf.train.Checkpoint(model=model)
tf.train.experimental.async_checkpoint.async_save(checkpoint, "./ckpt")
print("saving in the background")
