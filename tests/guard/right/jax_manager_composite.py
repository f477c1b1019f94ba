"""A CheckpointManager of several items (state, metadata as JSON, best by a metric), asked for a start where nothing is yet."""

import os

import jax
import jax.numpy as jnp
import optax
import orbax.checkpoint as ocp
from digest import digest, random_states

params = {"w": jax.random.normal(jax.random.key(0), (4, 3)), "b": jnp.zeros(3)}
optimizer = optax.adam(1e-2)
x = jax.random.normal(jax.random.key(1), (8, 4))


@jax.jit
def step(params, state):
    grads = jax.grad(lambda p: jnp.mean((x @ p["w"] + p["b"]) ** 2))(params)
    updates, state = optimizer.update(grads, state, params)
    return optax.apply_updates(params, updates), state


def run(params, epochs):
    state, start = optimizer.init(params), 0
    options = ocp.CheckpointManagerOptions(
        max_to_keep=3, best_fn=lambda m: m["loss"], best_mode="min", create=True
    )
    with ocp.CheckpointManager(os.path.abspath("items"), options=options) as manager:
        if manager.latest_step() is not None:
            target = jax.tree_util.tree_map(ocp.utils.to_shape_dtype_struct, {"params": params, "opt": state})
            found = manager.restore(
                manager.latest_step(),
                args=ocp.args.Composite(state=ocp.args.StandardRestore(target), meta=ocp.args.JsonRestore()),
            )
            params, state, start = found["state"]["params"], found["state"]["opt"], found["meta"]["epoch"] + 1
        print("starts at", start)
        for epoch in range(start, epochs):
            params, state = step(params, state)
            manager.save(
                epoch,
                args=ocp.args.Composite(
                    state=ocp.args.StandardSave({"params": params, "opt": state}),
                    meta=ocp.args.JsonSave({"epoch": epoch}),
                ),
                metrics={"loss": 1.0 / (epoch + 1)},
            )
        manager.wait_until_finished()
        print(manager.best_step())
    return params, state


run(params, 3)
last = run(jax.tree_util.tree_map(jnp.ones_like, params), 5)
print(digest(jax.tree_util.tree_leaves(last)), random_states())
