"""Keras on JAX: fit, whole model and weights, continued; custom serializable layer; ``set_weights`` from a plain archive."""

import os

os.environ["KERAS_BACKEND"] = "jax"
import keras
import numpy as np
from digest import digest, random_states
from keras import layers

keras.utils.set_random_seed(26)
x, y = np.random.rand(32, 5).astype("float32"), np.random.rand(32, 2).astype("float32")


@keras.saving.register_keras_serializable(package="right")
class Scale(layers.Layer):
    def build(self, shape):
        self.factor = self.add_weight(shape=(shape[-1],), initializer="ones", name="factor")

    def call(self, x):
        return x * self.factor


def made():
    inputs = keras.Input((5,))
    a, b = layers.Dense(6, name="left")(inputs), layers.Dense(6, name="right")(inputs)
    outputs = layers.Dense(2)(Scale()(layers.Add()([a, b])))
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), "mse")
    return model


model = made()
print(model.fit(x, y, epochs=2, verbose=0, shuffle=False).history["loss"])
model.save("model.keras")
model.save_weights("model.weights.h5")
back = keras.saving.load_model("model.keras")
print(back.fit(x, y, epochs=1, verbose=0, shuffle=False).history["loss"])
fresh = made()
fresh.optimizer.build(fresh.trainable_variables)
fresh.load_weights("model.weights.h5")
print(fresh.fit(x, y, epochs=1, verbose=0, shuffle=False).history["loss"])
np.savez("weights.npz", *model.get_weights())
plain = made()
with np.load("weights.npz") as held:
    plain.set_weights([held[name] for name in held.files])
print(
    digest([m.get_weights() for m in (model, back, fresh, plain)], back.optimizer.variables),
    random_states(numpy=True),
)
