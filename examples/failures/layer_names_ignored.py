"""Encoder and decoder have changed places in the code; their names are the same as ever.

People do: give each layer a name, reorder the layers, and load the old weights.
They are told: weights are loaded by the layers' names.
True is: ``.weights.h5`` counts the layers of one class (``dense``, ``dense_1``) and compares no name. The encoder gets the
decoder's weights and the other way round, in silence, where the shapes allow it. tf.train.Checkpoint does the same.
"""

import numpy as np
import tensorflow as tf


def make(*names):
    return tf.keras.Sequential(
        [tf.keras.Input((8,)), *[tf.keras.layers.Dense(8, name=name) for name in names]]
    )


model = make("encoder", "decoder")
model.save_weights("model.weights.h5")
encoder = model.get_layer("encoder").kernel.numpy()

model = make("decoder", "encoder")
model.load_weights("model.weights.h5")
print("the encoder has its weights:", np.array_equal(model.get_layer("encoder").kernel.numpy(), encoder))
