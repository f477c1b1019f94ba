"""flax's bytes in a file, the legacy ``checkpoints`` module, plain pytrees by ``numpy.savez`` and pickle, safetensors."""

import os
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
from digest import digest, random_states
from flax import linen as nn
from flax import serialization
from flax.training import checkpoints, train_state
from safetensors.flax import load_file, save_file


class Net(nn.Module):
    @nn.compact
    def __call__(self, x, train: bool = True):
        x = nn.Dense(8)(x)
        x = nn.BatchNorm(use_running_average=not train)(x)
        return nn.Dense(2)(nn.relu(x))


x = jax.random.normal(jax.random.key(5), (16, 4))
model = Net()
variables = model.init(jax.random.key(0), x)
optimizer = optax.inject_hyperparams(optax.sgd)(learning_rate=0.1, momentum=0.9)
state = train_state.TrainState.create(apply_fn=model.apply, params=variables["params"], tx=optimizer)


def loss_fn(params, stats):
    out, new = model.apply({"params": params, "batch_stats": stats}, x, mutable=["batch_stats"])
    return jnp.mean(out**2), new["batch_stats"]


stats = variables["batch_stats"]
for _ in range(3):
    (loss, stats), grads = jax.value_and_grad(loss_fn, has_aux=True)(state.params, stats)
    state = state.apply_gradients(grads=grads)
print(float(loss))

# 1. Bytes into a file, and back into a fresh target.
with open("state.msgpack", "wb") as file:
    file.write(serialization.to_bytes({"state": state, "stats": stats}))
fresh = model.init(jax.random.key(1), x)
target = {
    "state": train_state.TrainState.create(apply_fn=model.apply, params=fresh["params"], tx=optimizer),
    "stats": fresh["batch_stats"],
}
with open("state.msgpack", "rb") as file:
    back = serialization.from_bytes(target, file.read())
(loss, _), grads = jax.value_and_grad(loss_fn, has_aux=True)(back["state"].params, back["stats"])
going = back["state"].apply_gradients(grads=grads)
print(float(loss))

# 2. Only the parameters of it, into another state.
raw = serialization.msgpack_restore(serialization.to_bytes(state))
params = serialization.from_state_dict(fresh["params"], raw["params"])

# 3. The legacy module.
for step in range(4):
    checkpoints.save_checkpoint(os.path.abspath("legacy"), state, step=step, keep=2, overwrite=True)
legacy = checkpoints.restore_checkpoint(os.path.abspath("legacy"), target["state"])
print(checkpoints.latest_checkpoint(os.path.abspath("legacy")).split("/")[-1])

# 4. Plain pytrees.
flat = {
    "/".join(str(k.key) for k in path): np.asarray(leaf)
    for path, leaf in jax.tree_util.tree_flatten_with_path(state.params)[0]
}
np.savez("params.npz", **flat)
with np.load("params.npz") as held:
    plain = {name: jnp.asarray(held[name]) for name in held.files}
with open("params.pkl", "wb") as file:
    pickle.dump(jax.tree_util.tree_map(np.asarray, state.params), file)
with open("params.pkl", "rb") as file:
    pickled = pickle.load(file)
save_file({name: jnp.asarray(value) for name, value in flat.items()}, "params.safetensors")
safe = load_file("params.safetensors")
np.save("data.npy", np.arange(12.0).reshape(3, 4))
data = np.load("data.npy")
print(
    digest([jax.tree_util.tree_leaves(t) for t in (going, params, legacy, plain, pickled, safe)], data),
    random_states(),
)
