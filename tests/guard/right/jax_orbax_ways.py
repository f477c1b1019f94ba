"""Orbax's other doors: PyTreeCheckpointer, Checkpointer with a handler, asynchronous, without a target, in half precision."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
from digest import digest, random_states

here = os.path.abspath(".")
tree = {
    "a": np.arange(8),
    "b": {"c": 42, "d": np.arange(16.0, dtype=np.float32)},
    "layers": [jnp.ones((2, 2)), jnp.zeros(3)],
}

standard = ocp.StandardCheckpointer()
standard.save(os.path.join(here, "standard"), tree)
standard.wait_until_finished()
whole = standard.restore(os.path.join(here, "standard"))
abstract = jax.tree_util.tree_map(ocp.utils.to_shape_dtype_struct, tree)
typed = standard.restore(os.path.join(here, "standard"), abstract)

old = ocp.PyTreeCheckpointer()
old.save(os.path.join(here, "pytree"), tree)
first = old.restore(os.path.join(here, "pytree"))
second = old.restore(os.path.join(here, "pytree"), item=tree)

with ocp.AsyncCheckpointer(ocp.PyTreeCheckpointHandler()) as background:
    background.save(os.path.join(here, "async"), args=ocp.args.PyTreeSave(tree))
    total = sum(float(np.sum(leaf)) for leaf in jax.tree_util.tree_leaves(tree))
    background.wait_until_finished()
with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as door:
    door.save(os.path.join(here, "handler"), args=ocp.args.StandardSave(tree))
    third = door.restore(os.path.join(here, "handler"), args=ocp.args.StandardRestore(abstract))

# Overwritten on purpose, with another tree.
standard.save(os.path.join(here, "standard"), {"a": np.ones(3)}, force=True)
standard.wait_until_finished()
fourth = standard.restore(os.path.join(here, "standard"))

# Inference in bfloat16: the target asks for it.
weights = {"w": jax.random.normal(jax.random.key(0), (8, 8)), "b": jnp.zeros(8)}
standard.save(os.path.join(here, "weights"), weights)
standard.wait_until_finished()
half = standard.restore(
    os.path.join(here, "weights"),
    jax.tree_util.tree_map(lambda v: jax.ShapeDtypeStruct(v.shape, jnp.bfloat16), weights),
)

# A fresh optimizer for weights that were restored: fine-tuning.
state = optax.adam(1e-3).init(weights)
standard.close()
print(
    total,
    half["w"].dtype,
    digest([jax.tree_util.tree_leaves(t) for t in (whole, typed, first, second, third, fourth, half, state)]),
)
print(random_states())
