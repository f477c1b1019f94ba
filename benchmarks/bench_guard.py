"""What ``holdfast run`` costs: a training step while nothing is saved or loaded, and a load.

    python benchmarks/bench_guard.py [--rounds N] [--frameworks torch keras jax] [--layers N] [--only steps loads]

Steps: blocks of steps of one small model (a step of some milliseconds, so that a cost of microseconds would be seen), with the
guard off and on in turns, in another order each round; the figure is the median of the rounds' ratios. ``after a load`` is the
same once the model and its optimizer were restored under the guard. Target: at most 1.01.

Loads: the framework's own call on a checkpoint of ``--layers`` layers of 2048 x 2048 (16.8 MB each), cached, with the guard
off and on in turns. The figure is what the guard adds, in wall time and in processor time: as a ratio to the load itself,
and as one to reading the file once more, which is ``anew`` (``read``, as a program reads a file) or ``again`` (one thread's
``readinto`` of all of it, into memory that is there already, the least that a read can cost). ``floor`` is the format's
checksum alone, over as many bytes that the processor's cache holds, on one processor: a guard that verifies every byte costs
no less processor time. Targets: at most 1 of the load and of ``anew``, in wall time; ``again`` is there to be compared with.
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
from holdfast._integrity.crc import crc_function

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
CHECKSUMS = {"torch": crc_function("crc32"), "keras": crc_function("crc32c")}


def timed(run: Callable[[], Any], times: int, around: Any) -> float:
    with around:
        begin = time.perf_counter()
        for _ in range(times):
            run()
        return time.perf_counter() - begin


def both(run: Callable[[], Any], around: Any) -> tuple[float, float]:
    """Wall time and processor time of one run."""
    with around:
        busy, begin = time.process_time(), time.perf_counter()
        run()
        return time.perf_counter() - begin, time.process_time() - busy


def of_steps(name: str, step: Callable[[], Any], resume: Callable[[], Any], rounds: int) -> float:
    """What the guard makes of a step; guarded / plain."""
    for _ in range(STEPS):
        step()
    idle = ratio(step, rounds)
    with guarded():
        resume()
        step()
        after = statistics.median(timed(step, STEPS, nullcontext()) for _ in range(rounds))
    plain = statistics.median(timed(step, STEPS, nullcontext()) for _ in range(rounds))
    print(
        f"{name:6} step {plain / STEPS * 1e3:6.2f} ms; guarded {idle:.4f}, after a load {after / plain:.4f}"
    )
    return idle


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


def added(name: str, load: Callable[[], Any], path: Path, rounds: int) -> dict[str, tuple[float, float]]:
    """Medians of wall time and of processor time: of the ``load``, of what the guard ``adds`` to it, of reading the file
    (``again``, ``anew``), of its checksum (``floor``)."""
    files = [f for f in path.rglob("*") if f.is_file()] if path.is_dir() else [path]
    memory = {file: bytearray(file.stat().st_size) for file in files}

    def again() -> None:
        for file in files:
            left = memoryview(memory[file])
            with file.open("rb", buffering=0) as opened:
                while left:
                    left = left[opened.readinto(left) :]

    def anew() -> None:
        for file in files:
            with file.open("rb", buffering=0) as opened:
                opened.read()

    checksum, piece = CHECKSUMS.get(name), os.urandom(1 << 18)

    def floor() -> None:
        assert checksum is not None
        for _ in range(sum(map(len, memory.values())) >> 18):
            checksum(piece, 0)

    ways = {
        "load": lambda: both(load, nullcontext()),
        "guarded": lambda: both(load, guarded()),
        "again": lambda: both(again, nullcontext()),
        "anew": lambda: both(anew, nullcontext()),
    }
    if checksum is not None:
        ways["floor"] = lambda: both(floor, nullcontext())
    runs: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    load()
    for _ in range(rounds):
        for way in random.sample(tuple(ways), len(ways)):
            runs[way].append(ways[way]())
    found = {
        way: tuple(statistics.median(column) for column in zip(*rows, strict=True))
        for way, rows in runs.items()
    }
    found["adds"] = tuple(on - off for on, off in zip(found.pop("guarded"), found["load"], strict=True))
    return found  # type: ignore[return-value]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--frameworks", nargs="+", choices=tuple(WAYS), default=tuple(WAYS))
    parser.add_argument("--only", nargs="+", choices=("steps", "loads"), default=("steps", "loads"))
    options = parser.parse_args()
    targets = []
    for name in options.frameworks:
        if not installed({"keras": "tensorflow"}.get(name, name)):
            print(f"skipped: {name} is not installed")
            continue
        with folder() as place:
            step, load, file, resume = WAYS[name](place, options.layers)
            if "steps" in options.only:
                idle = of_steps(name, step, resume, options.rounds)
                targets.append((f"{name}: step, guarded / plain", idle, lambda x: x <= 1.01, "<= 1.01"))
            if "loads" in options.only:
                cost = added(name, load, file, max(5, options.rounds // 3))
                for peer in ("load", "again", "anew"):
                    wall, busy = (adds / base for adds, base in zip(cost["adds"], cost[peer], strict=True))
                    print(
                        f"{name:6} the guard adds to a load {wall:5.2f} x {peer} ({busy:.2f} in processor time)"
                    )
                if "floor" in cost:
                    print(
                        f"{name:6} floor: {cost['floor'][1] / cost['again'][1]:5.2f} x again, in processor time"
                    )
                for peer, words in (("load", "the load"), ("anew", "reading the file once more")):
                    more = cost["adds"][0] / cost[peer][0]
                    targets.append((f"{name}: added to a load / {words}", more, lambda x: x <= 1, "<= 1"))
    return verdict(targets)


if __name__ == "__main__":
    sys.exit(main())
