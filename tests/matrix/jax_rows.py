"""Rows on JAX: trees of arrays flattened to ``.npz`` and ``.safetensors``, flax linen variables, nnx modules, optax
states. A tuple cannot change in place, so optimizer states are looked at in the outcome."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
from flax import nnx, serialization, traverse_util
from harness import Case, Row
from jax import numpy as jnp
from safetensors.numpy import save_file

Tree = dict[str, Any]
SYSTEMS = ("jax npz", "jax safetensors")


# -- trees and files -----------------------------------------------------------------------------------------
def tree(seed: int, classes: int = 3, width: int = 8) -> Tree:
    """Variables as flax linen names them; two layers of one shape, statistics beside the weights."""
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> jax.Array:
        return jnp.asarray(rng.normal(size=shape), jnp.float32)

    return {
        "params": {
            "encoder": {"kernel": draw(8, width), "bias": draw(width)},
            "decoder": {"kernel": draw(width, 8), "bias": draw(8)},
            "head": {"kernel": draw(8, classes), "bias": draw(classes)},
        },
        "batch_stats": {"norm": {"mean": draw(8), "var": jnp.abs(draw(8))}},
    }


def flat(found: Any, sep: str) -> dict[str, np.ndarray]:
    state = traverse_util.flatten_dict(serialization.to_state_dict(found), sep=sep)
    return {name: np.asarray(value) for name, value in state.items()}


def write(folder: Path, found: Any, system: str) -> str:
    if system == "jax npz":
        np.savez(folder / "state.npz", **flat(found, "/"))
        return str(folder / "state.npz")
    save_file({n: np.ascontiguousarray(v) for n, v in flat(found, ".").items()}, folder / "state.safetensors")
    return str(folder / "state.safetensors")


def forward(params: Any, x: Any) -> Any:
    for name in ("encoder", "decoder", "head"):
        x = jnp.tanh(x @ params[name]["kernel"] + params[name]["bias"])
    return x


def trained(found: Tree, tx: Any, state: Any, first: int, last: int) -> tuple[Tree, Any]:
    """Train so many steps, data by the step."""
    for step in range(first, last):
        x = jax.random.normal(jax.random.key(step), (4, 8))
        gradients = jax.grad(lambda p, x=x: jnp.mean((forward(p, x) - 0.5) ** 2))(found["params"])
        updates, state = tx.update(gradients, state, found["params"])
        found = {**found, "params": optax.apply_updates(found["params"], updates)}
    return found, state


def bits(found: Any) -> list[bytes]:
    return [str(np.asarray(x).dtype).encode() + np.asarray(x).tobytes() for x in jax.tree.leaves(found)]


Change = Callable[[Tree], Tree]
Making = Callable[[], Any]


def same(found: Tree) -> Tree:
    return found


def row(
    system: str,
    mutation: str,
    expect: str,
    codes: tuple[str, ...] = (),
    *,
    optimizer: Making | None = None,
    live_optimizer: Making | None = None,
    saved: Change = same,
    live: Change = same,
    with_state: bool = True,
    steps: int = 3,
    truth: Change | None = None,
    settles: bool = False,
) -> Row:
    """``saved`` and ``live`` change the trees on either side; with ``optimizer`` a few steps are trained first."""

    def make(folder: Path) -> Case:
        origin, here = tree(1), live(tree(2))
        parts: dict[str, Any] = {"model": here}
        state = None
        if optimizer is not None:
            tx = optimizer()
            origin, state = trained(origin, tx, tx.init(origin["params"]), 0, steps)
            parts["optimizer"] = (live_optimizer or optimizer)().init(here["params"])
        content = saved(origin)
        if state is not None and with_state:
            content = {**content, "opt_state": state}
        path = write(folder, content, system)
        mine = flat(here, "/")
        right = flat((truth or same)(origin if truth else saved(origin)), "/")
        expected = {name: values.astype(mine[name].dtype) for name, values in right.items() if name in mine}
        if state is not None and with_state:
            slots = flat({"opt_state": state}, "/")
            expected |= {renamed_slot(name) if truth else name: values for name, values in slots.items()}

        def after(outcome: Any) -> None:
            assert bits(outcome.objects["optimizer"]) == bits(state)
            went_on = trained(outcome.objects["model"], tx, outcome.objects["optimizer"], 5, 8)
            assert bits(went_on) == bits(trained(origin, tx, state, 5, 8))

        goes_on = state is not None and with_state and live_optimizer is None and live is same
        return Case(path, parts, expected, after=after if goes_on else None)

    return Row(mutation, system, expect, make, codes, settles=settles)


# -- changes -------------------------------------------------------------------------------------------------
def params(change: Callable[[Tree], Tree]) -> Change:
    return lambda found: {**found, "params": change(dict(found["params"]))}


def adapter(found: Tree) -> Tree:
    return {**found, "adapter": {"kernel": jnp.ones((3, 2)), "bias": jnp.ones(2)}}


def headless(found: Tree) -> Tree:
    return {name: value for name, value in found.items() if name != "head"}


def head_of(classes: int) -> Callable[[Tree], Tree]:
    return lambda found: {**found, "head": {"kernel": jnp.zeros((8, classes)), "bias": jnp.zeros(classes)}}


def renamed(found: Tree) -> Tree:
    found = dict(found)
    return {**headless(found), "classifier": found["head"]}


def renamed_slot(name: str) -> str:
    """Where the state of a tensor stands after :func:`renamed`."""
    return name.replace("/head/", "/classifier/")


def cast(dtype: Any) -> Callable[[Tree], Tree]:
    return lambda found: jax.tree.map(lambda x: x.astype(dtype), found)


def double(found: Tree) -> Tree:
    return jax.tree.map(lambda x: np.asarray(x, np.float64), found)


def crossed(found: Tree) -> Tree:
    return {**found, "encoder": found["decoder"], "decoder": found["encoder"]}


def turned(name: str) -> Callable[[Tree], Tree]:
    return lambda found: {
        **found,
        name: {**found[name], "kernel": jnp.asarray(np.asarray(found[name]["kernel"]).T)},
    }


def without_statistics(found: Tree) -> Tree:
    return {"params": found["params"]}


def in_order(*names: str) -> Callable[[Tree], Tree]:
    return lambda found: {name: found[name] for name in names}


def nan(found: Tree) -> Tree:
    return {**found, "head": {**found["head"], "kernel": found["head"]["kernel"].at[0, 0].set(jnp.nan)}}


def other_model(found: Tree) -> Tree:
    return {"params": {f"stage{n}": {"kernel": jnp.ones((3, 3, 2, n + 1))} for n in range(4)}}


def with_average(found: Tree) -> Tree:
    return {**found, "ema_params": jax.tree.map(lambda x: x * 0.5, found["params"])}


def averages_swapped(found: Tree) -> Tree:
    return {
        **found,
        "params": jax.tree.map(lambda x: x * 0.5, found["params"]),
        "ema_params": found["params"],
    }


def rows_permuted(found: Tree) -> Tree:
    return {**found, "encoder": {**found["encoder"], "kernel": found["encoder"]["kernel"][::-1]}}


def labels(found: Tree) -> Tree:
    return {
        name: jax.tree.map(lambda _, n=name: "a" if n == "head" else "b", part)
        for name, part in found.items()
    }


def adam() -> Any:
    return optax.adam(1e-2)


def momentum() -> Any:
    return optax.sgd(1e-2, momentum=0.9)


def sgd() -> Any:
    return optax.sgd(1e-2)


def injected(rate: float = 1e-2) -> Any:
    return optax.inject_hyperparams(optax.adam)(rate)


def split() -> Any:
    return optax.partition({"a": optax.adam(1e-2), "b": optax.adam(1e-3)}, labels)


def scheduled() -> Any:
    return optax.adamw(optax.cosine_decay_schedule(1e-2, 10))


# -- nnx modules -----------------------------------------------------------------------------------------------
class Net(nnx.Module):
    """Dense layers of one shape, normalisation, dropout, attention."""

    def __init__(self, seed: int, *, heads: int = 2, epsilon: float = 1e-6, rate: float = 0.0) -> None:
        rngs = nnx.Rngs(seed)
        self.encoder = nnx.Linear(8, 8, rngs=rngs)
        self.decoder = nnx.Linear(8, 8, rngs=rngs)
        self.norm = nnx.LayerNorm(8, epsilon=epsilon, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(heads, 8, qkv_features=8, decode=False, rngs=rngs)
        self.drop = nnx.Dropout(rate)
        self.head = nnx.Linear(8, 3, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        x = self.norm(self.decoder(jnp.tanh(self.encoder(x))))
        return self.head(self.drop(self.attention(x[None])[0]))


class Conv(nnx.Module):
    def __init__(self, seed: int, *, strides: int = 1, padding: str = "SAME") -> None:
        self.conv = nnx.Conv(1, 4, (3,), strides=strides, padding=padding, rngs=nnx.Rngs(seed))

    def __call__(self, x: Any) -> Any:
        return self.conv(x[..., None]).mean(1)


def module_values(model: Any, sep: str) -> dict[str, np.ndarray]:
    found = {}
    for path, variable in nnx.to_flat_state(nnx.state(model, nnx.Param)):
        found[sep.join(map(str, path))] = np.array(variable[...])
    return found


def nnx_row(
    system: str,
    mutation: str,
    expect: str,
    codes: tuple[str, ...] = (),
    *,
    saved: Callable[[int], Any] = Net,
    live: Callable[[int], Any] | None = None,
    sealed: str | None = None,
) -> Row:
    def make(folder: Path) -> Case:
        origin, here = saved(1), (live or saved)(2)
        values = module_values(origin, "/" if system == "jax npz" else ".")
        if system == "jax npz":
            path = folder / "model.npz"
            np.savez(path, **values)
        else:
            path = folder / "model.safetensors"
            save_file(values, path)

        mine = module_values(here, "/")  # heads are reshaped, where their count changed
        truth = {
            name: values.reshape(mine[name].shape)
            for name, values in module_values(origin, "/").items()
            if name in mine
        }
        return Case(str(path), {"model": here}, truth, origin=origin)

    return Row(mutation, system + " nnx", expect, make, codes, sealed)


def cut(system: str) -> Row:
    whole = row(system, "half truncated", "refuse")

    def make(folder: Path) -> Case:
        case = whole.make(folder)
        path = Path(case.path)

        def damage() -> None:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

        case.damage = damage
        return case

    return Row("half truncated", system, "refuse", make)


ROWS: list[Row] = [
    made
    for system in SYSTEMS
    for made in (
        row(system, "plain", "exact"),
        row(system, "plain, Adam", "exact", optimizer=adam),
        row(system, "plain, momentum", "exact", optimizer=momentum),
        row(system, "plain, schedule in the state", "exact", optimizer=scheduled),
        row(system, "plain, injected hyperparameters", "exact", optimizer=injected),
        row(system, "plain, partitioned", "exact", optimizer=split),
        row(system, "saved before the first step", "exact", optimizer=adam, steps=0),
        row(system, "weights of a training checkpoint", "exact", saved=with_average),
        row(system, "layer added at end", "refuse", ("T201",), live=params(adapter)),
        row(system, "layer added at end, with optimizer", "refuse", ("T201",), optimizer=adam, live=params(adapter)),
        row(system, "layer removed at end", "leftover", ("T202",), live=params(headless)),
        row(system, "units changed", "lossy", ("T203",), live=lambda found: tree(2, width=12)),
        row(system, "fewer classes", "lossy", ("T203",), live=params(head_of(2))),
        row(system, "more classes, with optimizer", "lossy", ("T203",), optimizer=adam, live=params(head_of(5))),
        row(
            system, "layer renamed only", "refuse", ("T205",), live=params(renamed), truth=params(renamed), settles=True,
        ),
        row(
            system, "layer renamed only, with optimizer", "refuse", ("T205",), optimizer=adam, live=params(renamed),
            truth=params(renamed), settles=True,
        ),
        row(system, "order of the layers changed", "exact", live=params(in_order("head", "decoder", "encoder"))),
        row(system, "dtype f32->f16", "lossy", ("T204",), live=params(cast(jnp.float16))),
        row(system, "dtype f32->bf16", "lossy", ("T204",), live=params(cast(jnp.bfloat16))),
        row(system, "dtype f64->f32", "lossy", ("T204",), saved=params(double)),
        row(system, "kernel transposed", "refuse", ("T206", "T203"), saved=params(turned("head"))),
        row(system, "square weight transposed", "indistinguishable", saved=params(turned("encoder"))),
        row(system, "same-shape layers crossed in the file", "indistinguishable", saved=params(crossed)),
        row(system, "vocabulary rows permuted", "indistinguishable", saved=params(rows_permuted)),
        row(system, "averaged copy and raw weights swapped", "indistinguishable", saved=averages_swapped),
        row(system, "BatchNorm running stats absent", "refuse", ("T201",), saved=without_statistics),
        row(system, "NaN in weights", "refuse", ("N101",), saved=params(nan)),
        row(system, "another model altogether", "refuse", ("T223",), live=other_model),
        row(system, "optimizer Adam->SGD(no momentum)", "refuse", ("O202", "O203"), optimizer=adam, live_optimizer=sgd),
        row(
            system, "optimizer Adam->SGD(momentum)", "refuse", ("O203", "O204"), optimizer=adam, live_optimizer=momentum,
        ),
        row(
            system, "optimizer SGD(momentum)->Adam", "refuse", ("O203", "O204"), optimizer=momentum, live_optimizer=adam,
        ),
        row(system, "optimizer SGD->Adam", "refuse", ("O201", "O203", "O204"), optimizer=sgd, live_optimizer=adam),
        # optax keeps no settings: the decay of AdamW and the rate are the code's alone
        row(
            system, "optimizer Adam->AdamW", "indistinguishable", optimizer=adam,
            live_optimizer=lambda: optax.adamw(1e-2),
        ),
        row(system, "lr changed before restore", "exact", optimizer=adam, live_optimizer=lambda: optax.adam(2e-2)),
        row(
            system, "injected lr changed before restore", "refuse", ("O207",), optimizer=injected,
            live_optimizer=lambda: injected(2e-2),
        ),
        row(system, "optimizer state absent in ckpt", "refuse", ("O201",), optimizer=adam, with_state=False),
        row(
            system, "param group split (partition)", "refuse", ("O203", "O204", "O206", "T202", "T201"), optimizer=adam,
            live_optimizer=split,
        ),
        nnx_row(system, "plain", "exact", sealed="exact"),
        nnx_row(
            system, "head count changed", "lossy", ("T203",), live=lambda seed: Net(seed, heads=4),
        ),
        nnx_row(system, "epsilon changed", "indistinguishable", ("T218",), live=lambda s: Net(s, epsilon=1e-2), sealed="refuse"),
        nnx_row(system, "dropout rate changed", "indistinguishable", ("T218",), live=lambda s: Net(s, rate=0.5), sealed="warn"),
        nnx_row(
            system, "stride changed", "indistinguishable", ("T218",),
            saved=Conv, live=lambda s: Conv(s, strides=2), sealed="refuse",
        ),
        nnx_row(
            system, "padding changed", "indistinguishable", ("T218",),
            saved=Conv, live=lambda s: Conv(s, padding="VALID"), sealed="refuse",
        ),
        cut(system),
    )
]  # fmt: skip
