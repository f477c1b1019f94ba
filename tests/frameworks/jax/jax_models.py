"""Small models, optimizers and files for the tests of live JAX objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np
from flax import nnx, serialization, traverse_util
from jax import numpy as jnp
from safetensors.numpy import save_file


class Net(nn.Module):
    """Convolution, dense, BatchNorm, dense."""

    width: int = 4

    @nn.compact
    def __call__(self, x: Any, train: bool = True) -> Any:
        x = nn.Conv(3, (2, 2))(x).reshape(x.shape[0], -1)
        x = nn.relu(nn.Dense(self.width)(x))
        x = nn.BatchNorm(use_running_average=not train)(x)
        return nn.Dense(2)(x)


class Layers(nnx.Module):
    """Dense, BatchNorm, dropout, a list of layers."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.a = nnx.Linear(3, 4, rngs=rngs)
        self.bn = nnx.BatchNorm(4, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.rest = nnx.List([nnx.Linear(4, 4, rngs=rngs)])

    def __call__(self, x: Any) -> Any:
        return self.rest[0](self.drop(self.bn(self.a(x))))


def variables(seed: int = 0) -> dict[str, Any]:
    """Params and batch_stats of :class:`Net`, BatchNorm's statistics not at their initial values."""
    found = Net().init(jax.random.key(seed), jnp.ones((2, 3, 3, 2)))
    stats = jax.tree.map(lambda x: x + 0.25 * (seed + 1), found["batch_stats"])
    return {"params": dict(found["params"]), "batch_stats": stats}


def images(step: int) -> jax.Array:
    return jax.random.normal(jax.random.fold_in(jax.random.key(7), step), (4, 3, 3, 2))


def loss(params: Any, step: int) -> Any:
    x = images(step)
    out = Net().apply({"params": params["params"], "batch_stats": params["batch_stats"]}, x, train=False)
    return jnp.mean((out - 1.0) ** 2)


def gradients(found: dict[str, Any], step: int) -> Any:
    def only(params: Any) -> Any:
        return loss({"params": params, "batch_stats": found["batch_stats"]}, step)

    return jax.grad(only)(found["params"])


def flat(tree: Any, sep: str) -> dict[str, np.ndarray]:
    """The tree as people flatten it before they write safetensors or npz; plain numbers as arrays."""
    found = {}
    for name, value in traverse_util.flatten_dict(serialization.to_state_dict(tree), sep=sep).items():
        if hasattr(value, "dtype") and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
            value = jax.random.key_data(value)
        found[name] = np.asarray(value)
    return found


def save(path: Path, tree: Any, sep: str = "/") -> Path:
    """Write the tree as ``.safetensors`` or ``.npz``, by the path's ending."""
    if path.suffix == ".npz":
        np.savez(path, **flat(tree, sep))
    else:
        save_file({name: np.ascontiguousarray(v) for name, v in flat(tree, sep).items()}, path)
    return path


def nnx_flat(*things: tuple[str, Any]) -> dict[str, np.ndarray]:
    """State of nnx objects under a prefix each, names joined with ``.``."""
    found = {}
    for prefix, thing in things:
        for path, variable in nnx.to_flat_state(nnx.state(thing)):
            value = variable.get_value() if hasattr(variable, "get_value") else variable.value
            if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
                value = jax.random.key_data(value)
            found[".".join((prefix, *map(str, path)) if prefix else map(str, path))] = np.asarray(value)
    return found


def bits(tree: Any) -> list[bytes]:
    """Every leaf's bytes, to compare states bit for bit."""
    found = []
    for leaf in jax.tree.leaves(tree):
        if hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        found.append(str(np.asarray(leaf).dtype).encode() + np.asarray(leaf).tobytes())
    return found
