"""What ``holdfast run`` costs: a training step while nothing is saved or loaded, and a load.

    python benchmarks/bench_guard.py [--rounds N] [--frameworks torch keras jax] [--layers N]

Steps: blocks of steps of one small model (a step of some milliseconds, so that a cost of microseconds would be seen), with the
guard off and on in turns, in another order each round; the figure is the median of the rounds' ratios. ``after a load`` is the
same once the model and its optimizer were restored under the guard. Target: at most 1.01.

Loads: the framework's own call on a checkpoint of ``--layers`` layers of 2048 x 2048 (16.8 MB each), cached, with the guard off
and on in turns. The figure is what the guard adds, as a ratio to the load itself, which is the cost of reading the file once
more; ``raw`` is one thread's ``readinto`` of the file. Target: at most 1.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from _timing import folder, installed, verdict

import holdfast

WIDTH = 2048
STEPS = 60


@contextmanager
def guarded() -> Iterator[None]:
    with holdfast.guard(quiet=True):
        yield


def torch_ways(
    place: Path, layers: int
) -> tuple[Callable[[], Any], Callable[[], Any], Path, Callable[[], Any]]:
    """A step, a load, the file of it, and a load of what the step trains."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    small = nn.Sequential(nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 256))
    optimizer = torch.optim.Adam(small.parameters())
    batch = torch.randn(64, 256)

    def step() -> None:
        optimizer.zero_grad()
        small(batch).pow(2).mean().backward()
        optimizer.step()

    step()
    state = place / "small.pt"
    torch.save({"model": small.state_dict(), "optimizer": optimizer.state_dict()}, state)

    def resume() -> None:
        found = torch.load(state)
        small.load_state_dict(found["model"])
        optimizer.load_state_dict(found["optimizer"])

    large = nn.Sequential(*(nn.Linear(WIDTH, WIDTH) for _ in range(layers)))
    file = place / "large.pt"
    torch.save(large.state_dict(), file)
    return step, lambda: large.load_state_dict(torch.load(file)), file, resume


def keras_ways(
    place: Path, layers: int
) -> tuple[Callable[[], Any], Callable[[], Any], Path, Callable[[], Any]]:
    """The same with Keras on TensorFlow; the load is that of a ``tf.train.Checkpoint``."""
    import keras
    import numpy as np
    import tensorflow as tf

    small = keras.Sequential([keras.Input((256,)), keras.layers.Dense(512, "relu"), keras.layers.Dense(256)])
    small.compile(keras.optimizers.Adam(), "mse")
    batch = np.random.default_rng(0).normal(size=(64, 256)).astype("float32")

    def step() -> None:
        small.train_on_batch(batch, batch)

    step()
    saved = tf.train.Checkpoint(model=small, optimizer=small.optimizer).write(os.fspath(place / "small"))
    large = tf.train.Checkpoint(
        weights=[tf.Variable(tf.random.normal((WIDTH, WIDTH))) for _ in range(layers)]
    )
    prefix = large.write(os.fspath(place / "large"))
    return (
        step,
        lambda: large.read(prefix),
        Path(prefix + ".data-00000-of-00001"),
        lambda: tf.train.Checkpoint(model=small, optimizer=small.optimizer).read(saved),
    )


def jax_ways(
    place: Path, layers: int
) -> tuple[Callable[[], Any], Callable[[], Any], Path, Callable[[], Any]]:
    """The same with JAX and Orbax."""
    import jax
    import jax.numpy as jnp
    import optax
    import orbax.checkpoint as ocp

    optimizer = optax.adam(1e-3)
    keys = jax.random.split(jax.random.key(0), 3)
    params = {"a": jax.random.normal(keys[0], (256, 512)), "b": jax.random.normal(keys[1], (512, 256))}
    held = {"params": params, "state": optimizer.init(params)}
    batch = jax.random.normal(keys[2], (64, 256))

    @jax.jit
    def update(params: Any, state: Any) -> Any:
        grads = jax.grad(lambda p: jnp.mean((jax.nn.relu(batch @ p["a"]) @ p["b"]) ** 2))(params)
        moved, state = optimizer.update(grads, state)
        return optax.apply_updates(params, moved), state

    def step() -> None:
        held["params"], held["state"] = jax.block_until_ready(update(held["params"], held["state"]))

    step()
    keeper = ocp.StandardCheckpointer()
    keeper.save(place / "small", held)
    large = {f"l{n}": jax.random.normal(jax.random.key(n), (WIDTH, WIDTH)) for n in range(layers)}
    keeper.save(place / "large", large)
    keeper.wait_until_finished()
    return (
        step,
        lambda: keeper.restore(place / "large", large),
        place / "large",
        lambda: held.update(keeper.restore(place / "small", held)),
    )


WAYS = {"torch": torch_ways, "keras": keras_ways, "jax": jax_ways}


def timed(run: Callable[[], Any], times: int, around: Any) -> float:
    with around:
        begin = time.perf_counter()
        for _ in range(times):
            run()
        return time.perf_counter() - begin


def ratio(step: Callable[[], Any], rounds: int) -> float:
    """Median over the rounds of guarded / plain."""
    found = []
    for _ in range(rounds):
        seconds = {}
        for on in random.sample((False, True), 2):
            with guarded() if on else nullcontext():
                step()
                seconds[on] = timed(step, STEPS, nullcontext())
        found.append(seconds[True] / seconds[False])
    return statistics.median(found)


def added(load: Callable[[], Any], rounds: int) -> tuple[float, float]:
    """Seconds of a load, and what the guard adds to it, both medians."""
    plain, watched = [], []
    load()
    for _ in range(rounds):
        for on in random.sample((False, True), 2):
            (watched if on else plain).append(timed(load, 1, guarded() if on else nullcontext()))
    return statistics.median(plain), statistics.median(watched) - statistics.median(plain)


def raw(path: Path) -> float:
    memory = bytearray(1 << 24)
    files = [f for f in path.rglob("*") if f.is_file()] if path.is_dir() else [path]
    begin = time.perf_counter()
    for file in files:
        with file.open("rb", buffering=0) as opened:
            while opened.readinto(memory):
                pass
    return time.perf_counter() - begin


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--frameworks", nargs="+", choices=tuple(WAYS), default=tuple(WAYS))
    options = parser.parse_args()
    targets = []
    for name in options.frameworks:
        if not installed({"keras": "tensorflow"}.get(name, name)):
            print(f"skipped: {name} is not installed")
            continue
        with folder() as place:
            step, load, file, resume = WAYS[name](place, options.layers)
            for _ in range(STEPS):
                step()
            idle = ratio(step, options.rounds)
            with guarded():
                resume()
                step()
                after = statistics.median(timed(step, STEPS, nullcontext()) for _ in range(options.rounds))
            plain = statistics.median(timed(step, STEPS, nullcontext()) for _ in range(options.rounds))
            seconds, more = added(load, max(5, options.rounds // 3))
            once = raw(file)
            print(
                f"{name:6} step {plain / STEPS * 1e3:6.2f} ms; guarded {idle:.4f}, after a load {after / plain:.4f}; load "
                f"{seconds / once:5.2f} x raw, the guard adds {more / seconds:5.2f} of the load, {more / once:5.2f} x raw"
            )
        targets.append((f"{name}: step, guarded / plain", idle, lambda x: x <= 1.01, "<= 1.01"))
        targets.append((f"{name}: added to a load / the load", more / seconds, lambda x: x <= 1, "<= 1"))
    return verdict(targets)


if __name__ == "__main__":
    sys.exit(main())
