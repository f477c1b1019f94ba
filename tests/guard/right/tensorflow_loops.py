"""tf.train.Checkpoint in custom loops: a manager with ``restore_or_initialize``, GradientTape, a step, data, plain modules."""

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras
import numpy as np
import tensorflow as tf
from digest import digest, random_states

keras.utils.set_random_seed(22)


class Net(keras.Model):
    """A linear model, as in the guide on training checkpoints."""

    def __init__(self):
        super().__init__()
        self.l1 = keras.layers.Dense(5)

    def call(self, x):
        return self.l1(x)


def dataset():
    inputs = tf.range(10.0)[:, None]
    labels = inputs * 5.0 + tf.range(5.0)[None, :]
    return tf.data.Dataset.from_tensor_slices({"x": inputs, "y": labels}).repeat().batch(2)


@tf.function
def train_step(net, example, optimizer):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.abs(net(example["x"]) - example["y"]))
    variables = net.trainable_variables
    optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
    return loss


def train_and_checkpoint(net, optimizer, ckpt, manager, iterator):
    path = manager.restore_or_initialize()
    print("Restored from", os.path.basename(path) if path else "nothing")
    for _ in range(6):
        loss = train_step(net, next(iterator), optimizer)
        ckpt.step.assign_add(1)
        if int(ckpt.step) % 3 == 0:
            print(int(ckpt.step), os.path.basename(manager.save()), f"{float(loss):.9g}")


def run():
    net, optimizer = Net(), keras.optimizers.Adam(0.1)
    net(tf.zeros((1, 1)))
    optimizer.build(net.trainable_variables)
    iterator = iter(dataset())
    ckpt = tf.train.Checkpoint(step=tf.Variable(0), optimizer=optimizer, net=net, iterator=iterator)
    manager = tf.train.CheckpointManager(ckpt, "./tf_ckpts", max_to_keep=2)
    train_step.python_function  # noqa: B018
    globals()["train_step"] = tf.function(
        train_step.python_function
    )  # a step of its own for the new variables
    train_and_checkpoint(net, optimizer, ckpt, manager, iterator)
    return net, optimizer


run()
net, optimizer = run()
print(digest(net.get_weights(), [v.numpy() for v in optimizer.variables]))

# Only the model of it, for inference: the rest is not wanted, and that is said.
only = Net()
only(tf.zeros((1, 1)))
status = tf.train.Checkpoint(net=only).restore(tf.train.latest_checkpoint("./tf_ckpts"))
status.expect_partial()
status.assert_existing_objects_matched()
print(digest(only.get_weights()))

# The step alone, as tools read it; and a variable by hand.
step = tf.Variable(0)
tf.train.Checkpoint(step=step).restore(tf.train.latest_checkpoint("./tf_ckpts")).expect_partial()
reader = tf.train.load_checkpoint("./tf_ckpts")
print(int(step), len(reader.get_variable_to_shape_map()))


# Without Keras: a module of variables, written and read at one path.
class Linear(tf.Module):
    def __init__(self):
        super().__init__()
        self.w, self.b = tf.Variable(tf.random.normal((3, 2))), tf.Variable(tf.zeros(2))

    @tf.function(input_signature=[tf.TensorSpec((None, 3))])
    def __call__(self, x):
        return x @ self.w + self.b


linear, other = Linear(), Linear()
path = tf.train.Checkpoint(model=linear).write("./linear")
tf.train.Checkpoint(model=other).read(path).assert_consumed()
tf.saved_model.save(linear, "./saved")
loaded = tf.saved_model.load("./saved")
print(np.array_equal(loaded(tf.ones((1, 3))), linear(tf.ones((1, 3)))))

# Two models, two optimizers (a GAN), as the tutorial saves them.
generator = keras.Sequential(
    [keras.Input((2,)), keras.layers.Dense(3), keras.layers.BatchNormalization(), keras.layers.Dense(2)]
)
critic = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3), keras.layers.Dense(1)])
optimizers = [keras.optimizers.Adam(1e-3), keras.optimizers.Adam(1e-3)]


def gan_step():
    noise = tf.constant([[1.0, 2.0], [0.5, 0.1]])
    with tf.GradientTape() as one, tf.GradientTape() as two:
        fake = generator(noise, training=True)
        loss_g, loss_c = (
            tf.reduce_mean(critic(fake)),
            tf.reduce_mean(critic(noise)) - tf.reduce_mean(critic(fake)),
        )
    optimizers[0].apply_gradients(
        zip(one.gradient(loss_g, generator.trainable_variables), generator.trainable_variables)
    )
    optimizers[1].apply_gradients(
        zip(two.gradient(loss_c, critic.trainable_variables), critic.trainable_variables)
    )


gan_step()
gan = tf.train.Checkpoint(
    generator_optimizer=optimizers[0],
    discriminator_optimizer=optimizers[1],
    generator=generator,
    discriminator=critic,
)
prefix = gan.save(file_prefix="./training_checkpoints/ckpt")
gan_step()
gan.restore(tf.train.latest_checkpoint("./training_checkpoints"))
gan_step()
print(
    digest(linear.variables, other.variables, generator.get_weights(), critic.get_weights()),
    random_states(numpy=True),
)
