"""A model made under MirroredStrategy is trained in a loop that saves every epoch.

People do: call their own ``train_step`` directly, and save in the same loop.
They are told: saving inside the loop of a distributed run gives InternalError.
True is: the save is never reached. The step was not run by ``strategy.run``, and the optimizer's variables of a mirrored
model cannot be updated outside it: ValueError, "DistributedVariable.handle is not available outside the replica context".
"""

import numpy as np
import tensorflow as tf

x = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")
strategy = tf.distribute.MirroredStrategy(["/cpu:0"])
with strategy.scope():
    model = tf.keras.Sequential([tf.keras.Input((8,)), tf.keras.layers.Dense(1)])
    optimizer = tf.keras.optimizers.Adam(1e-2)
    checkpoint = tf.train.Checkpoint(model=model, optimizer=optimizer)

    @tf.function
    def train_step(batch):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(batch) - 1.0) ** 2)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        return loss

    for epoch in range(2):
        loss = train_step(x)
        print("epoch", epoch, "loss", float(loss), "saved as", checkpoint.save("./ckpt"))
