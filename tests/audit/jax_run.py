"""A JAX loop: a linen module with BatchNorm and dropout, optax, averaged weights. Values are immutable, and the mode is the
program's own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import flax.linen as linen
import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import optax

import holdfast
from audit.digits import X, Y, evaluated
from audit.kinds import BATCH, EPOCH, FIRST, LATER, Kind, Run
from holdfast import Metric


class Net(linen.Module):
    """64 pixels, 64 units, 10 digits."""

    epsilon: float = 1e-5
    activation: str = "relu"

    @linen.compact
    def __call__(self, x: Any, train: bool = False) -> Any:
        x = linen.Dense(64, name="inner")(x)
        x = linen.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=self.epsilon, name="norm")(x)
        x = getattr(linen, self.activation)(x)
        x = linen.Dropout(0.3, deterministic=not train, name="drop")(x)
        return linen.Dense(10, name="head")(x)


@partial(jax.jit, static_argnums=(0, 3))
def _forward(net: Net, variables: Any, x: Any, train: bool) -> Any:
    if not train:
        return net.apply(variables, x)
    return net.apply(variables, x, True, mutable=["batch_stats"], rngs={"dropout": jax.random.key(1)})[0]


class Jax(Kind):
    name = "jax"
    layers = (
        "inner",
        "norm",
        "drop",
        "head",
    )  # the activation is a function; where it shows first is the next module
    apply = Net()

    def make(self, seed: int = 0, *, epsilon: float | None = None, activation: str = "relu") -> Any:
        return Net().init(jax.random.key(seed), X[:2])

    def outputs(
        self, model: Any, x: np.ndarray, batch: int = 100, *, training: bool = False, net: Any = None
    ) -> np.ndarray:
        net = net or Net()
        return np.concatenate(
            [np.asarray(_forward(net, model, x[n : n + batch], training)) for n in range(0, len(x), batch)]
        )

    def altered(self, **settings: Any) -> dict[str, Any]:
        from audit.digits import XV, YV, numbers

        net = Net(**settings)
        return {"apply": net, "evaluate": lambda model: numbers(self.outputs(model, XV, net=net), YV)}

    def read(self, model: Any) -> dict[str, np.ndarray]:
        return {n: np.array(v) for n, v in flax.traverse_util.flatten_dict(model, sep="/").items()}

    def put(self, model: Any, values: Mapping[str, np.ndarray]) -> Any:
        flat = flax.traverse_util.flatten_dict(model, sep="/")
        return flax.traverse_util.unflatten_dict(
            {n: jnp.asarray(values.get(n, v)) for n, v in flat.items()}, sep="/"
        )

    def train(self, folder: Path) -> Run:
        net, variables, run, losses = Net(), self.make(), Run(self, folder), []
        average, transform = variables, optax.adam(5e-3)
        state = transform.init(variables["params"])

        @jax.jit
        def step_of(variables: Any, state: Any, average: Any, x: Any, y: Any, key: Any) -> Any:
            def loss_of(params: Any) -> Any:
                given = {**variables, "params": params}
                logits, new = net.apply(given, x, True, mutable=["batch_stats"], rngs={"dropout": key})
                return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean(), new

            (loss, new), gradients = jax.value_and_grad(loss_of, has_aux=True)(variables["params"])
            updates, state = transform.update(gradients, state)
            params = optax.apply_updates(variables["params"], updates)
            average = {
                "params": jax.tree.map(lambda a, b: 0.95 * a + 0.05 * b, average["params"], params),
                **new,
            }
            return {"params": params, **new}, state, average, loss

        with holdfast.Vault(folder) as vault:
            self.recorded(vault)
            for step in range(1, LATER + 1):
                n = (step - 1) % EPOCH * BATCH
                key = jax.random.fold_in(jax.random.key(7), step)
                variables, state, average, loss = step_of(
                    variables, state, average, X[n : n + BATCH], Y[n : n + BATCH], key
                )
                losses.append(float(loss))
                if step >= FIRST and step % EPOCH == 0:
                    run.at[step] = self.evaluate(variables)
                    run.averages[step] = self.read(average)
                    run.logged[step] = float(np.mean(losses[-EPOCH:]))
                    running = Metric(
                        "loss", run.logged[step], kind="running-average", first_step=step - EPOCH
                    )
                    vault.save(
                        step, model=variables, optimizer=state, ema=average, blocking=True,
                        metrics=[*evaluated(run.at[step], step=step), running],
                    )  # fmt: skip
        return run


KINDS = {"jax": Jax()}
