"""Repaired: one writer, TensorFlow's own option for the background, and ``sync`` before the file is used."""

import tensorflow as tf

model = tf.keras.Sequential([tf.keras.Input((16,)), tf.keras.layers.Dense(16)])
checkpoint = tf.train.Checkpoint(model=model)
path = checkpoint.save("./ckpt", tf.train.CheckpointOptions(experimental_enable_async_checkpoint=True))
checkpoint.sync()
checkpoint.restore(path).assert_existing_objects_matched()
print("saved in the background, and restored")
