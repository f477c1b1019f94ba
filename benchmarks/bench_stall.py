"""How long a save holds training up, in copies of the state (one memcpy into warm memory, same run).

    python benchmarks/bench_stall.py [--small] [--folder DIR] [--rounds N] [--only torch tensorflow jax] [--no-peers]

The state is a model of 12 layers (q, k, v, o 1024 x 1024; up 1024 x 4096; down 4096 x 1024; four vectors of 1024) with
Adam's two moments, 1.81 GB; ``--small`` has 3 layers of a quarter of the width, 28 MB, shows that all of it runs, and has
no targets. Each framework runs in a process of its own.

A round: a memcpy, a step without a save beside it, the save, and steps until it is durable. Of each way, medians of the rounds:

- **save**: time in ``save()`` (of peers: in their call).
- **join**: time that the next optimizer step waits in the join.
- **step**: how much longer the update next after the save takes than the update before it, the join not counted. Where
  values are held (TensorFlow, JAX) that is the copy that the runtime itself makes when it writes, and stands apart.
- **stall**: save + join, and + step where we hold nothing (PyTorch).
- **beside**: whole steps while the save is written, against steps without.
- **memory**: the peak of resident memory beyond what the process had before the first save, in states.

Targets (of the state's memcpy): dense TensorFlow and undonated JAX 0.1, PyTorch overlapped 0.2, not overlapped 1.2,
donated or sparsely updated 1.2.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from _timing import environment, folder, installed, verdict

Action = Callable[[], Any]
SHAPES = (("q", 1, 1), ("k", 1, 1), ("v", 1, 1), ("o", 1, 1), ("up", 1, 4), ("down", 4, 1))
ROWS = 256
"""Rows of a batch."""


class Way(NamedTuple):
    """One way to save. ``save(number)`` gives what waits for durability; ``joined(thing)`` the seconds of its join;
    ``before`` and ``update`` are the two halves of a training step: forward and backward, and the optimizer's."""

    save: Callable[[int], Action]
    before: Action
    update: Action
    joined: Callable[[], float] = lambda: 0.0
    holds: bool = False
    close: Action = lambda: None


def shapes(options: Any) -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes of the model's weights."""
    width = options.width
    made: list[tuple[str, tuple[int, ...]]] = []
    for layer in range(options.layers):
        made += [(f"l{layer}_{name}", (i * width, o * width)) for name, i, o in SHAPES]
        made += [(f"l{layer}_n{n}", (width,)) for n in range(4)]
    return made


def forward(weights: Any, x: Any, ops: Any, layers: int) -> Any:
    """A stack of mixing and feed-forward layers, in any framework's ``tanh`` and ``mean``."""
    for n in range(layers):
        w = {k.split("_", 1)[1]: v for k, v in weights.items() if k.startswith(f"l{n}_")}
        x = x + (ops.tanh(x @ w["q"] * w["n0"]) * (x @ w["k"]) + x @ w["v"]) @ w["o"] * w["n1"]
        x = x + ops.tanh(x @ w["up"]) @ w["down"] * w["n2"] + w["n3"]
    return (x * x).mean() if hasattr(x, "mean") else ops.reduce_mean(x * x)


def start(options: Any) -> dict[str, np.ndarray]:
    """The weights at the start."""
    noise = np.random.default_rng(0)
    return {name: noise.normal(0, 0.02, shape).astype("f4") for name, shape in shapes(options)}


# -- measuring -----------------------------------------------------------------------------------------------------------
def resident() -> int:
    """Resident memory of this process in bytes (man 5 proc)."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


@contextmanager
def peak() -> Iterator[list[int]]:
    """The highest resident memory meanwhile, looked at every 5 ms."""
    found, stop = [resident()], threading.Event()

    def look() -> None:
        while not stop.wait(0.005):
            found[0] = max(found[0], resident())

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()


def timed(action: Action) -> float:
    """Seconds of a call."""
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def memcpy(arrays: list[np.ndarray]) -> Action:
    """Copies the state into memory that is warm."""
    targets = [np.empty_like(a) for a in arrays]
    for target in targets:
        target.fill(0)

    def copy() -> None:
        for target, array in zip(targets, arrays, strict=True):
            np.copyto(target, array)

    return copy


def measure(ways: dict[str, Callable[[], Way]], copy: Action, nbytes: int, options: Any) -> None:
    """Run each way, one after the other (all at once would hold as many copies of the state), with a memcpy before each
    round; print a line of JSON for each. The first round warms caches, buffers and disks, and tells the memory."""
    copy()
    for name, make in ways.items():
        way = make()
        for _ in range(2):
            way.before(), way.update()
        before = resident()
        with peak() as top:
            one_round(way, 0)
        highest = (top[0] - before) / nbytes
        rows: dict[str, list[float]] = {}
        for number in range(options.rounds):
            row = {"memcpy": min(timed(copy) for _ in range(3)), **one_round(way, number + 1)}
            for word, value in row.items():
                rows.setdefault(word, []).append(value)
        way.close()
        del way
        figures = {word: statistics.median(values) for word, values in rows.items()}
        print(json.dumps({"way": name, "bytes": nbytes, **figures, "memory": highest}), flush=True)


def one_round(way: Way, number: int) -> dict[str, float]:
    """A step without a save, a save, steps beside it until it is durable."""
    alone = [timed(way.before) for _ in range(2)]
    plain = [timed(way.update) for _ in range(2)]
    begin = time.perf_counter()
    durable = way.save(number)
    save = time.perf_counter() - begin
    ended: list[float] = []

    def wait() -> None:
        durable()
        ended.append(time.perf_counter())

    waiting = threading.Thread(target=wait)
    waiting.start()
    steps, updates, joined = [], [], 0.0
    while not steps or (not ended and len(steps) < 50):
        first = timed(way.before)
        update = timed(way.update)
        if not steps:
            joined = way.joined()
            update -= joined
        steps.append(first + update)
        updates.append(update)
    waiting.join()
    longer = max(0.0, updates[0] - min(plain))
    return {
        "save": save,
        "join": joined,
        "step": longer,
        "stall": save + joined + (0 if way.holds else longer),
        "beside": statistics.fmean(steps) / (min(alone) + min(plain)),
        "durable": ended[0] - begin,
    }


def vault(place: Path, name: str, **options: Any) -> Any:
    """A vault that keeps one step."""
    import holdfast

    run = place / name.replace(" ", "-").replace(",", "")
    return holdfast.Vault(run, keep=holdfast.Keep(last=1), **options)


def ours(
    place: Path, name: str, parts: Action, before: Action, update: Action, **options: Any
) -> Callable[[], Way]:
    """Saves what ``parts()`` gives into a vault."""
    holds = options.pop("holds", False)

    def make() -> Way:
        run = vault(place, name, **options)
        handles: list[Any] = []

        def save(number: int) -> Action:
            handles[:] = [run.save(number, **parts())]
            return run.wait

        def joined() -> float:
            return float(handles[0].timings["join"])

        return Way(save, before, update, joined, holds, run.close)

    return make


# -- PyTorch -------------------------------------------------------------------------------------------------------------
def of_torch(place: Path, options: Any) -> None:
    import torch

    torch.set_num_threads(os.cpu_count() or 1)
    model = torch.nn.ParameterDict(
        {n: torch.nn.Parameter(torch.from_numpy(a)) for n, a in start(options).items()}
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    x = torch.ones(ROWS, options.width)

    def before() -> None:
        optimizer.zero_grad()
        forward(dict(model.items()), x, torch, options.layers).backward()

    def update() -> None:
        optimizer.step()

    before(), update()
    state = [t.detach().numpy() for t in model.values()]
    state += [v.numpy() for s in optimizer.state.values() for v in s.values()]

    def parts() -> dict[str, Any]:
        return {"model": model, "optimizer": optimizer}

    def dcp() -> Way:
        import torch.distributed as dist
        from torch.distributed import checkpoint
        from torch.distributed.checkpoint.state_dict import get_state_dict

        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="29731")
        dist.init_process_group("gloo", rank=0, world_size=1)

        def save(number: int) -> Action:
            weights, slots = get_state_dict(model, optimizer)
            target = place / "dcp"
            shutil.rmtree(target, ignore_errors=True)
            done = checkpoint.async_save(
                {"model": weights, "optimizer": slots}, checkpoint_id=os.fspath(target)
            )
            return getattr(done, "upload_completion", done).result

        return Way(save, before, update, close=dist.destroy_process_group)

    ways = {
        "torch, overlapped": ours(place, "overlapped", parts, before, update, overlap=True),
        "torch, not overlapped": ours(place, "at once", parts, before, update),
        "torch, overlapped, proved by content": ours(
            place, "content", parts, before, update, overlap=True, proof="content"
        ),
    }
    if options.peers:
        ways["DCP async"] = dcp
    measure(ways, memcpy(state), sum(a.nbytes for a in state), options)


# -- TensorFlow ----------------------------------------------------------------------------------------------------------
def of_tensorflow(place: Path, options: Any) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras
    import tensorflow as tf

    values = start(options)
    weights = {name: tf.Variable(array, name=name) for name, array in values.items()}
    adam = keras.optimizers.Adam(1e-4)
    adam.build(list(weights.values()))
    x = tf.ones((ROWS, options.width))

    @tf.function
    def gradients() -> Any:
        with tf.GradientTape() as tape:
            loss = forward(weights, x, tf, options.layers)
        return tape.gradient(loss, list(weights.values()))

    @tf.function
    def apply(grads: Any) -> None:
        adam.apply_gradients(zip(grads, weights.values(), strict=True))

    latest: list[Any] = []

    def before() -> None:
        latest[:] = gradients()
        latest[-1].numpy()

    def update() -> None:
        apply(latest)
        adam.iterations.numpy()

    state = tf.train.Checkpoint(**weights, optimizer=adam)
    arrays = [np.array(v) for v in (*weights.values(), *(v.value for v in adam.variables))]
    copy, nbytes = memcpy(arrays), sum(a.nbytes for a in arrays)
    rows = tf.constant(list(range(0, options.width, 16)))
    # as many bytes as the dense state has, all in variables whose rows are scattered into
    sparse = tf.train.Checkpoint(
        **{f"{name}_{k}": tf.Variable(a) for name, a in values.items() if a.ndim == 2 for k in range(3)}
    )
    scattered = [v for v in vars(sparse).values() if isinstance(v, tf.Variable)]

    @tf.function
    def scatter() -> None:
        for variable in scattered:
            change = tf.fill((rows.shape[0], variable.shape[1]), 0.001)
            variable.scatter_sub(tf.IndexedSlices(change, rows))

    def sparsely() -> None:
        scatter()

    def peer() -> Way:
        asynchronous = tf.train.CheckpointOptions(experimental_enable_async_checkpoint=True)
        # Keras's own variables cannot be saved like that (Keras 3.15): the tf.Variables within them
        plain = tf.train.Checkpoint(**weights, **{f"adam{n}": v.value for n, v in enumerate(adam.variables)})

        def save(number: int) -> Action:
            plain.write(os.fspath(place / "async"), options=asynchronous)
            return plain.sync

        return Way(save, before, update, holds=True)

    ways: dict[str, Callable[[], Way]] = {
        "TensorFlow, dense": ours(place, "dense", lambda: {"model": state}, before, update, holds=True),
        "TensorFlow, sparse updates": ours(
            place, "sparse", lambda: {"model": sparse}, lambda: None, sparsely, holds=True
        ),
    }
    if options.peers:
        ways["TF async checkpoint"] = peer
    measure(ways, copy, nbytes, options)


# -- JAX -----------------------------------------------------------------------------------------------------------------
def of_jax(place: Path, options: Any) -> None:
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import jax
    import optax
    from jax import numpy as jnp

    tx = optax.adam(1e-4)
    x = jnp.ones((ROWS, options.width))

    def make_loss(params: Any) -> Any:
        return forward(params, x, jnp, options.layers)

    gradients = jax.jit(jax.grad(make_loss))

    def apply(params: Any, state: Any, grads: Any) -> Any:
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    copying = [np.array(a) for a in start(options).values() for _ in range(3)]

    def trainer(donate: bool) -> tuple[Action, Action, Action]:
        step = jax.jit(apply, donate_argnums=(0, 1) if donate else ())
        params = {name: jnp.array(array) for name, array in start(options).items()}
        held: dict[str, Any] = {"params": params, "state": tx.init(params)}

        def before() -> None:
            held["grads"] = jax.block_until_ready(gradients(held["params"]))

        def update() -> None:
            held["params"], held["state"] = jax.block_until_ready(
                step(held["params"], held["state"], held["grads"])
            )

        return lambda: {"model": held["params"], "optimizer": held["state"]}, before, update

    def mine(name: str, donate: bool) -> Callable[[], Way]:
        return lambda: ours(place, name, *trainer(donate), holds=True)()

    def orbax() -> Way:
        import orbax.checkpoint as ocp

        parts, before, update = trainer(False)
        writer = ocp.AsyncCheckpointer(ocp.StandardCheckpointHandler())

        def save(number: int) -> Action:
            target = place / "orbax"
            shutil.rmtree(target, ignore_errors=True)
            writer.save(target, args=ocp.args.StandardSave(parts()))
            return writer.wait_until_finished

        return Way(save, before, update, holds=True, close=writer.close)

    ways = {"JAX, not donated": mine("plain", False), "JAX, donated": mine("donated", True)}
    if options.peers and installed("orbax"):
        ways["Orbax async"] = orbax
    measure(ways, memcpy(copying), sum(a.nbytes for a in copying), options)


CHILDREN = {"torch": of_torch, "tensorflow": of_tensorflow, "jax": of_jax}
NEEDS = {"torch": ("torch",), "tensorflow": ("tensorflow", "keras"), "jax": ("jax", "optax")}
LIMITS = {
    "torch, overlapped": 0.2,
    "torch, not overlapped": 1.2,
    "TensorFlow, dense": 0.1,
    "TensorFlow, sparse updates": 1.2,
    "JAX, not donated": 0.1,
    "JAX, donated": 1.2,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--folder")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=CHILDREN, default=list(CHILDREN))
    parser.add_argument("--no-peers", dest="peers", action="store_false")
    parser.add_argument("--child", choices=CHILDREN, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.layers, options.width = (3, 256) if options.small else (12, 1024)
    if options.child:
        CHILDREN[options.child](Path(options.folder), options)
        return 0
    targets = []
    for kind in options.only:
        if not installed(*NEEDS[kind]):
            print(f"{kind}: skipped, not installed")
            continue
        with folder(options.folder) as place:
            command = [sys.executable, __file__, "--child", kind, "--folder", os.fspath(place)]
            command += ["--rounds", str(options.rounds)]
            command += ["--small"] * options.small + ["--no-peers"] * (not options.peers)
            done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{kind} ended with {done.returncode}\n{done.stderr[-3000:]}")
        for line in done.stdout.splitlines():
            if line.startswith("{"):
                targets += show(json.loads(line), options.small)
    return verdict(targets)


def show(row: dict[str, Any], small: bool) -> list[tuple[str, float, Callable[[float], bool], str]]:
    """Print one way; gives its target, where it has one (a small state is all overhead and has none)."""
    name, ratio = row["way"], row["stall"] / row["memcpy"]
    print(
        f"{name:37s} {row['bytes'] / 1e9:.2f} GB, memcpy {row['memcpy']:.3f} s: stall {ratio:6.2f}x ({row['stall']:.3f} s: "
        f"save {row['save']:.3f}, join {row['join']:.3f}), next update +{row['step']:.3f} s, "
        f"steps beside {row['beside']:.2f}x, memory +{row['memory']:.2f} states, durable {row['durable']:.2f} s"
    )
    limit = LIMITS.get(name)
    if limit is None or small:
        return []
    return [(f"{name}, of one memcpy", ratio, lambda r: r <= limit, f"<= {limit}")]


if __name__ == "__main__":
    raise SystemExit(main())
