"""Several threads save one ``tf.train.Checkpoint`` at the same time.

People do: start a thread a save, so that training need not wait.
They are told: each save makes a file of its own, and ``latest_checkpoint`` names the newest.
True is: the saves share one counter and one state file. Some raise inside their thread, where nobody looks; with no error
at all, checkpoints are missing or ``latest_checkpoint`` names an older one. Right in 3 of 20 trials.
"""

import os
import threading

import tensorflow as tf

model = tf.keras.Sequential([tf.keras.Input((256,)), *[tf.keras.layers.Dense(256) for _ in range(8)]])
checkpoint = tf.train.Checkpoint(model=model)


def save():
    checkpoint.save("./run/ckpt")


threads = [threading.Thread(target=save) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("saved:", sorted(name for name in os.listdir("run") if name.endswith(".index")))
print("latest:", tf.train.latest_checkpoint("run"))
