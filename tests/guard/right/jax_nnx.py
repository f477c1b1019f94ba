"""flax NNX as in its checkpointing guide: split, save the state, restore into an abstract model, merge; optimizer beside it."""

import os

import jax
import jax.numpy as jnp
import optax
import orbax.checkpoint as ocp
from digest import digest, random_states
from flax import nnx


class TwoLayerMLP(nnx.Module):
    def __init__(self, dim, rngs):
        self.linear1 = nnx.Linear(dim, dim, rngs=rngs, use_bias=False)
        self.norm = nnx.BatchNorm(dim, rngs=rngs)
        self.linear2 = nnx.Linear(dim, dim, rngs=rngs, use_bias=False)

    def __call__(self, x):
        return self.linear2(self.norm(self.linear1(x)))


x = jax.random.normal(jax.random.key(42), (3, 4))
model = TwoLayerMLP(4, rngs=nnx.Rngs(0))
optimizer = nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.Param)


@nnx.jit
def train(model, optimizer):
    loss, grads = nnx.value_and_grad(lambda m: jnp.mean(m(x) ** 2))(model)
    optimizer.update(model, grads)
    return loss


for _ in range(3):
    print(float(train(model, optimizer)))

graph, state = nnx.split(model)
path = os.path.abspath("nnx")
checkpointer = ocp.StandardCheckpointer()
checkpointer.save(os.path.join(path, "state"), state)
checkpointer.save(os.path.join(path, "opt"), nnx.state(optimizer))
checkpointer.wait_until_finished()

abstract_model = nnx.eval_shape(lambda: TwoLayerMLP(4, rngs=nnx.Rngs(0)))
graphdef, abstract = nnx.split(abstract_model)
restored = nnx.merge(graphdef, checkpointer.restore(os.path.join(path, "state"), abstract))

# Into a live model, in place.
other = TwoLayerMLP(4, rngs=nnx.Rngs(1))
moving = nnx.Optimizer(other, optax.adam(1e-2), wrt=nnx.Param)
nnx.update(other, checkpointer.restore(os.path.join(path, "state"), nnx.state(other)))
nnx.update(moving, checkpointer.restore(os.path.join(path, "opt"), nnx.state(moving)))
print(float(train(other, moving)), float(train(model, optimizer)))

# As pure dicts, which stay readable when the library changes.
checkpointer.save(os.path.join(path, "pure"), nnx.to_pure_dict(nnx.state(model)))
checkpointer.wait_until_finished()
pure = checkpointer.restore(os.path.join(path, "pure"))
third = TwoLayerMLP(4, rngs=nnx.Rngs(2))
third_state = nnx.state(third)
nnx.replace_by_pure_dict(third_state, pure)
nnx.update(third, third_state)
print(
    digest([jax.tree_util.tree_leaves(nnx.state(m)) for m in (model, restored, other, third)]),
    random_states(),
)
