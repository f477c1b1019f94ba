"""Transfer learning and subclassed models: weights into a backbone, a new head, thawed later; a subclassed model built first."""

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras
import numpy as np
from digest import digest, random_states
from keras import layers

keras.utils.set_random_seed(21)
images = np.random.rand(24, 8, 8, 3).astype("float32")


def backbone():
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.GlobalAveragePooling2D(),
        ],
        name="backbone",
    )


# The first task.
body = backbone()
source = keras.Sequential([keras.Input((8, 8, 3)), body, layers.Dense(10)])
source.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
source.fit(images, np.arange(24) % 10, epochs=2, verbose=0)
body.save_weights("backbone.weights.h5")
body.save("backbone.keras")

# Its backbone, frozen, below a new head; then thawed with a small rate.
base = backbone()
base.load_weights("backbone.weights.h5")
base.trainable = False
inputs = keras.Input((8, 8, 3))
outputs = layers.Dense(2, name="new_head")(layers.Dropout(0.2)(base(inputs, training=False)))
model = keras.Model(inputs, outputs)
model.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
labels = np.arange(24) % 2
print(model.fit(images, labels, epochs=2, verbose=0, shuffle=False).history["loss"])
base.trainable = True
model.compile(keras.optimizers.Adam(1e-4), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
print(model.fit(images, labels, epochs=1, verbose=0, shuffle=False).history["loss"])
model.save("tuned.keras")
tuned = keras.models.load_model("tuned.keras")
print(tuned.fit(images, labels, epochs=1, verbose=0, shuffle=False).history["loss"])

# The saved backbone model as a layer of another.
second = keras.Sequential(
    [keras.Input((8, 8, 3)), keras.models.load_model("backbone.keras"), layers.Dense(3)]
)


# A subclassed model, registered; its weights are loaded once it is built.
@keras.saving.register_keras_serializable()
class Block(keras.Model):
    def __init__(self, width=5, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.first = layers.Dense(width, activation="relu")
        self.second = layers.Dense(1)

    def call(self, x):
        return self.second(self.first(x))

    def get_config(self):
        return {**super().get_config(), "width": self.width}


rows = np.random.rand(16, 4).astype("float32")
block = Block()
block.compile("adam", "mse")
block.fit(rows, rows[:, :1], epochs=2, verbose=0, shuffle=False)
block.save_weights("block.weights.h5")
block.save("block.keras")
fresh = Block()
fresh(rows[:1])
fresh.load_weights("block.weights.h5")
whole = keras.models.load_model("block.keras")

# Mixed precision, an average of the weights kept by the optimizer, a schedule, a tokenizer-like layer with a state of its own.
keras.mixed_precision.set_global_policy("mixed_float16")
mixed = keras.Sequential(
    [keras.Input((4,)), layers.Normalization(), layers.Dense(4), layers.Dense(1, dtype="float32")]
)
mixed.layers[0].adapt(rows)
schedule = keras.optimizers.schedules.CosineDecay(0.01, 100)
mixed.compile(keras.optimizers.AdamW(schedule, use_ema=True), "mse")
mixed.fit(rows, rows[:, :1], epochs=2, verbose=0, shuffle=False)
mixed.save("mixed.keras")
back = keras.models.load_model("mixed.keras")
back.fit(rows, rows[:, :1], epochs=1, verbose=0, shuffle=False)
for model in (base, model, tuned, second, block, fresh, whole, mixed, back):
    print(digest(model.get_weights()))
print(digest(back.optimizer.variables), random_states(numpy=True))
