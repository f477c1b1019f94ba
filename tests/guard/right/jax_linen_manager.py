"""flax linen's TrainState and an Orbax CheckpointManager: saved each second step, the latest restored, training goes on."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
from digest import digest, random_states
from flax import linen as nn
from flax.training import train_state


class MLP(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(1)(nn.relu(nn.Dense(16)(x)))


rng = np.random.default_rng(1)
x, y = jnp.asarray(rng.normal(size=(32, 4)), jnp.float32), jnp.asarray(rng.normal(size=(32, 1)), jnp.float32)


def created(seed):
    model = MLP()
    schedule = optax.warmup_cosine_decay_schedule(0.0, 0.1, 3, 20)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(schedule))
    return train_state.TrainState.create(
        apply_fn=model.apply, params=model.init(jax.random.key(seed), x)["params"], tx=optimizer
    )


@jax.jit
def train_step(state):
    def loss_fn(params):
        return jnp.mean((state.apply_fn({"params": params}, x) - y) ** 2)

    loss, grads = jax.value_and_grad(loss_fn)(state.params)
    return state.apply_gradients(grads=grads), loss


options = ocp.CheckpointManagerOptions(max_to_keep=2, save_interval_steps=2)
state = created(0)
with ocp.CheckpointManager(os.path.abspath("run"), options=options) as manager:
    for step in range(6):
        state, loss = train_step(state)
        manager.save(step, args=ocp.args.StandardSave(state))
        print(step, float(loss))
    manager.wait_until_finished()
    print(manager.latest_step(), sorted(manager.all_steps()))

state = created(1)
with ocp.CheckpointManager(os.path.abspath("run"), options=options) as manager:
    latest = manager.latest_step()
    abstract = jax.tree_util.tree_map(ocp.utils.to_shape_dtype_struct, state)
    state = manager.restore(latest, args=ocp.args.StandardRestore(abstract))
    for step in range(latest + 1, 9):
        state, loss = train_step(state)
        manager.save(step, args=ocp.args.StandardSave(state))
        print(step, float(loss))
print(int(state.step), digest(jax.tree_util.tree_leaves((state.params, state.opt_state))), random_states())
