"""A JAX loop on digits that resumes exactly (Optax, dropout by a key, a loss scale, gathered gradients); ``--plant`` spoils
one thing. ``--by pickle``: its own files; ``--by vault``: a Holdfast vault. The drill is told of each step.
"""

import argparse
import os
import pickle

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

import holdfast
import holdfast.drill

parser = argparse.ArgumentParser()
parser.add_argument("--plant", default="")
parser.add_argument("--by", default="pickle")
options = parser.parse_args()
plant, STEPS, BATCH, N = options.plant, 30, 32, 256
SAVE = 5 if plant == "accumulation" else 6

digits = load_digits()
X, Y = (digits.data[:N] / 16).astype(np.float32), digits.target[:N]
XV, YV = (digits.data[1500:] / 16).astype(np.float32), digits.target[1500:]
start = jax.random.split(jax.random.key(0), 2)
params = {
    "hidden": {"w": jax.random.normal(start[0], (64, 24)) / 8, "b": jnp.zeros(24)},
    "out": {"w": jax.random.normal(start[1], (24, 10)) / 5, "b": jnp.zeros(10)},
}
if plant in ("lr", "scheduler"):
    optimizer = optax.inject_hyperparams(optax.adam)(learning_rate=5e-3)
else:
    optimizer = optax.MultiSteps(optax.adam(optax.exponential_decay(5e-3, 1, 0.97)), every_k_schedule=2)
state = {
    "params": params,
    "opt": optimizer.init(params),
    "key": jax.random.key_data(jax.random.key(1)),
    "scale": jnp.float32(64),
    "good": jnp.int32(0),
}


@jax.jit
def train(state, x, y):
    key, draw = jax.random.split(jax.random.wrap_key_data(state["key"]))

    def loss_of(params):
        hidden = jax.nn.relu(x @ params["hidden"]["w"] + params["hidden"]["b"])
        hidden = hidden * jax.random.bernoulli(draw, 0.8, hidden.shape) / 0.8
        given = hidden @ params["out"]["w"] + params["out"]["b"]
        loss = optax.softmax_cross_entropy_with_integer_labels(given, y).mean()
        return loss * state["scale"], loss

    grads, loss = jax.grad(loss_of, has_aux=True)(state["params"])
    grads = jax.tree.map(lambda g: (g.astype(jnp.float16) / state["scale"]).astype(jnp.float32), grads)
    updates, opt = optimizer.update(grads, state["opt"], state["params"])
    good = state["good"] + 1
    return {
        "params": optax.apply_updates(state["params"], updates),
        "opt": opt,
        "key": jax.random.key_data(key),
        "scale": jnp.where(good % 4 == 0, state["scale"] * 2, state["scale"]),
        "good": good,
    }, loss


def rate_at(step):
    return 5e-3 * (0.9 ** (step // 4))


def evaluate(params):
    hidden = jax.nn.relu(XV @ params["hidden"]["w"] + params["hidden"]["b"])
    given = hidden @ params["out"]["w"] + params["out"]["b"]
    return float(optax.softmax_cross_entropy_with_integer_labels(given, YV).mean())


vault = holdfast.Vault("vault", keep=holdfast.Keep(last=2)) if options.by == "vault" else None


def save(step, best):
    if vault is not None:
        vault.save(step, model=state, extra={"best": best})
        return
    held = jax.tree.map(np.asarray, state)
    if plant == "accumulation":  # the parameters and Adam's state, and not what MultiSteps has gathered
        held["opt"] = held["opt"]._replace(
            mini_step=np.int32(0), acc_grads=jax.tree.map(np.zeros_like, held["opt"].acc_grads)
        )
    with open("last.pkl.tmp", "wb") as file:
        pickle.dump({"step": step, "state": held, "best": best}, file)
    os.replace("last.pkl.tmp", "last.pkl")


def load():
    global state
    fresh = state
    if vault is not None:
        outcome = vault.restore(model=state, or_start_fresh=True)
        if outcome is None:
            return 0, float("inf")
        step, best, state = outcome.step, outcome.extra["best"], outcome.model
    elif os.path.exists("last.pkl"):
        with open("last.pkl", "rb") as file:
            held = pickle.load(file)
        step, best, state = held["step"], held["best"], jax.tree.map(jnp.asarray, held["state"])
    else:
        return 0, float("inf")
    lost = {"dropout-seed": ("key",), "rng": ("key",), "scaler": ("scale", "good"), "optimizer": ("opt",)}
    state = {**state, **{name: fresh[name] for name in lost.get(plant, ())}}
    return step, float("inf") if plant == "best" else best


first, best = load()
for step in range(first + 1, STEPS + 1):
    if plant in ("lr", "scheduler"):
        shown = step - first if plant == "scheduler" and first else step
        rate = rate_at(0) if plant == "lr" and first else rate_at(shown)
        state["opt"].hyperparams["learning_rate"] = jnp.float32(rate)
    else:
        rate = None
    number = step - 1 - (first if plant == "sampler" else 0)
    epoch, place = divmod(number, N // BATCH)
    ids = np.random.RandomState(epoch).permutation(N)[place * BATCH : (place + 1) * BATCH]
    state, loss = train(state, X[ids], Y[ids])
    if step % 5 == 0:
        best = min(best, evaluate(state["params"]) + (step > 8))
    holdfast.drill.step(
        step,
        loss=loss,
        batch=ids,
        state=state,
        lr=rate,
        rng=state["key"],
        best=best,
        loss_scale=state["scale"],
    )
    if step % SAVE == 0:
        save(step, best)
if vault is not None:
    vault.close()
