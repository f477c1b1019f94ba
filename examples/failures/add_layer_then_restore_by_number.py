"""A layer is added to a model in training, and the checkpoint is restored into both, model and optimizer.

People do: ``checkpoint.restore("./ckpt-1")`` with the larger model and the optimizer that had already stepped.
They are told: the new layer makes a shape error in apply_gradients.
True is: the restore says nothing, the new layer stays at its initial values, and no shape is wrong. The next step raises
``Unknown variable``: an optimizer that is built takes no new weights. That is Keras' rule, with or without a checkpoint.
"""

import numpy as np
import tensorflow as tf


def step(model, optimizer):
    x, y = np.random.default_rng(0).normal(size=(64, 16)).astype("float32"), np.arange(64) % 10
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.keras.losses.sparse_categorical_crossentropy(y, model(x), from_logits=True))
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))
    return float(loss)


model = tf.keras.Sequential(
    [tf.keras.Input((16,)), tf.keras.layers.Dense(32, activation="relu"), tf.keras.layers.Dense(10)]
)
optimizer = tf.keras.optimizers.Adam(1e-3)
for _ in range(5):
    step(model, optimizer)
tf.train.Checkpoint(model=model, optimizer=optimizer).save("./ckpt")

model.add(tf.keras.layers.Dense(10))
tf.train.Checkpoint(model=model, optimizer=optimizer).restore("./ckpt-1")
print("loss after the restore:", step(model, optimizer))
