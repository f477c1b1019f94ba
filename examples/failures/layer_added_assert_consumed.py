"""A layer is added, and ``assert_consumed`` is to prove that the checkpoint cannot be loaded.

People do: ``restore("./ckpt").assert_consumed()`` in a try, and print what they expect when it raises anything.
They are told: two layers against three make an InternalError.
True is: the script says "structure change", and the structure was never looked at: no file is called ``./ckpt``, save()
wrote ``./ckpt-1``. With the right path ``assert_consumed`` raises AssertionError and names what was not bound.
"""

import tensorflow as tf


def make(layers):
    return tf.keras.Sequential([tf.keras.Input((16,)), *[tf.keras.layers.Dense(16) for _ in range(layers)]])


tf.train.Checkpoint(model=make(2)).save("./ckpt")

model = make(3)
try:
    tf.train.Checkpoint(model=model).restore("./ckpt").assert_consumed()
except Exception:
    print("Checkpoint load failed due to structure change")
