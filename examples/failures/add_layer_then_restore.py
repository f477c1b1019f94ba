"""A layer is added to the model and the checkpoint is restored by the name that was given to save().

People do: ``checkpoint.save("./ckpt")``, a layer more, ``checkpoint.restore("./ckpt")``, and then the next step.
They are told: the new layer makes a shape error in apply_gradients.
True is: ``save`` put a number behind the name, so that no file is called ``./ckpt``: the restore stops with NotFoundError.
The layer has no part in it (add_layer_then_restore_by_number.py shows what it does do).
"""

import numpy as np
import tensorflow as tf


def make(extra_layer):
    layers = [tf.keras.layers.Dense(32, activation="relu"), tf.keras.layers.Dense(10)]
    if extra_layer:
        layers.append(tf.keras.layers.Dense(10))
    return tf.keras.Sequential([tf.keras.Input((16,)), *layers])


def step(model, optimizer):
    x, y = np.random.default_rng(0).normal(size=(64, 16)).astype("float32"), np.arange(64) % 10
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.keras.losses.sparse_categorical_crossentropy(y, model(x), from_logits=True))
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    return float(loss)


model, optimizer = make(extra_layer=False), tf.keras.optimizers.Adam(1e-3)
for _ in range(5):
    step(model, optimizer)
tf.train.Checkpoint(model=model, optimizer=optimizer).save("./ckpt")

model, optimizer = make(extra_layer=True), tf.keras.optimizers.Adam(1e-3)
tf.train.Checkpoint(model=model, optimizer=optimizer).restore("./ckpt")
print("loss after the restore:", step(model, optimizer))
