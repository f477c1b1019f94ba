"""The learning rate is changed in the code, and training goes on from a checkpoint.

People do: ``Adam(0.1)`` in place of ``Adam(0.001)``, then ``checkpoint.restore`` of model and optimizer.
They are told: Adam's slots depend on the learning rate and are of no use with another.
True is: the slots do not depend on it. The learning rate is itself a variable in the checkpoint: the restore puts 0.001
back in silence, and the new 0.1 is never used. beta_1 is not in the checkpoint: there the code's new value holds.
"""

import numpy as np
import tensorflow as tf


def make(learning_rate):
    model = tf.keras.Sequential([tf.keras.Input((8,)), tf.keras.layers.Dense(4)])
    optimizer = tf.keras.optimizers.Adam(learning_rate)
    optimizer.build(model.trainable_variables)
    return model, optimizer


def step(model, optimizer):
    x = np.random.default_rng(0).normal(size=(32, 8)).astype("float32")
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((model(x) - 1.0) ** 2)
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables))


model, optimizer = make(learning_rate=0.001)
for _ in range(3):
    step(model, optimizer)
tf.train.Checkpoint(model=model, optimizer=optimizer).save("./ckpt")

model, optimizer = make(learning_rate=0.1)
tf.train.Checkpoint(model=model, optimizer=optimizer).restore("./ckpt-1").assert_consumed()
step(model, optimizer)
print("one step with Adam(0.1); the learning rate is", float(optimizer.learning_rate))
