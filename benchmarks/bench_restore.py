"""How fast a verified restore into a live model is, as ratios in one run: against a raw read and against the peers.

    python benchmarks/bench_restore.py [layers=36] [--folder DIR] [--rounds N] [--only torch keras jax] [--check-first]

The live model has six matrices a layer, as a transformer (36 layers: 216 matrices, 1.8 GB). Each framework is measured
in a process of its own, all its ways in turns over the same values, from the page cache and then cold (dropped with
``posix_fadvise`` before each read). ``raw`` is ``preadv`` of 16 MiB pieces into the live memory, with no check at all.
Ours verifies every byte: a sealed safetensors file (its checksums, XXH3-128), a torch zip by its CRC-32, a TensorFlow bundle
by its crc32c. The ``floor`` row is no restore: reading and summing the same bytes, with nothing else around it. Peers
restore as their documentation says. Extra memory is the peak of resident memory beyond what the process
held before the restore; mapped pages of a file count.

Targets: at least as fast as every peer; sealed at most 1.6 times raw from the cache (best of the rounds) and 1.1 times cold
(median of the rounds, each against the raw read of the same round); extra memory at most the largest tensor and 256 MB.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import _files as files
import numpy as np
from _timing import environment, folder, installed, verdict
from xxhash import xxh3_128

from holdfast._frameworks.live import Variable
from holdfast._integrity.seal import find_seal, write_seal
from holdfast._integrity.workers import default_jobs
from holdfast._layouts.resolve import resolve
from holdfast._restore.reading import Transfer, transfer

MIB = 1 << 20
Action = Callable[[], object]
_LAYER = (
    ("q", 1024, 1024),
    ("k", 1024, 1024),
    ("v", 1024, 1024),
    ("o", 1024, 1024),
    ("up", 1024, 4096),
    ("down", 4096, 1024),
)
_noise = np.random.default_rng(0).standard_normal(6 * MIB, dtype=np.float32).tobytes()


def data(number: int, size: int) -> bytes:
    """The bytes of tensor ``number``."""
    start = number * 4096 % (4 * MIB)
    return _noise[start : start + size]


# -- ours ----------------------------------------------------------------------------------------------------------------
def ours(path: Path, live: Mapping[str, Variable], check_first: bool) -> Action:
    """Restore every live tensor from ``path``; the whole of what a user's call does but the comparison of structure."""

    def run() -> None:
        (target,) = resolve(os.fspath(path))
        assert target.format is not None and target.main is not None
        with target.format.read(target.store.open(target.main), target.store) as catalog:
            items = [Transfer(name, name, live[name]) for name in live]
            done = transfer(catalog, target, items, seal=find_seal(target), check_first=check_first)
        assert done.verified_bytes == done.bytes and not done.faults

    return run


def seal(path: Path) -> None:
    (target,) = resolve(os.fspath(path))
    assert target.format is not None and target.main is not None
    with target.format.read(target.store.open(target.main), target.store) as catalog:
        write_seal(target, catalog)


# -- measuring -----------------------------------------------------------------------------------------------------------
def drop(path: Path) -> None:
    """Take a file, or all files of a folder, out of the page cache."""
    for file in [path, *path.rglob("*")] if path.is_dir() else [path]:
        if file.is_file():
            handle = os.open(file, os.O_RDONLY)
            os.fsync(handle)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(handle)


def resident(key: str) -> int:
    """``VmRSS`` or ``VmHWM`` of this process in bytes (man 5 proc)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) << 10
    return 0


def extra(action: Action) -> int:
    """The peak of resident memory during ``action`` beyond what was there before."""
    try:
        Path("/proc/self/clear_refs").write_text("5")  # starts the peak anew
    except OSError:
        return 0
    before = resident("VmRSS")
    action()
    return max(0, resident("VmHWM") - before)


def in_turns(
    ways: Mapping[str, Action], rounds: int, place: Path, cold: bool
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Seconds of each way in each round, and its least processor seconds (all threads), which a neighbour's load
    hardly changes."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    busy: dict[str, float] = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, action in ways.items():
            if cold:
                drop(place)
            start, before = time.perf_counter(), time.process_time()
            action()
            times[name].append(time.perf_counter() - start)
            busy[name] = min(busy[name], time.process_time() - before)
    return times, busy


def measure(
    title: str,
    ways: Mapping[str, Action],
    wrong: Callable[[], list[str]],
    spoil: Action,
    place: Path,
    options: Any,
) -> None:
    """Run all ways of one framework (``raw`` first) and print their ratios and a line of JSON for the verdict."""
    memory = {}
    for name, action in ways.items():
        spoil()
        memory[name] = extra(action)
        bad = wrong()
        assert not bad, f"{name}: wrong values in {bad[:3]}"
    rows = []
    for cold in (False, True):
        if cold and not hasattr(os, "posix_fadvise"):
            break
        times, busy = in_turns(ways, options.rounds, place, cold)
        raw = times["raw"]
        print(f"{title}, {'cold' if cold else 'cached'} (raw: {min(raw):.3f} s):")
        for name, taken in times.items():
            best = min(taken) / min(raw)
            middle = statistics.median(a / b for a, b in zip(taken, raw, strict=True))
            cpu = busy[name] / busy["raw"]
            line = f"  {name:44} {best:6.2f} x raw, best of rounds; {middle:6.2f} x median; processor {cpu:5.2f} x"
            print(line + ("" if cold else f"; memory +{memory[name] / 1e6:5.0f} MB"))
            rows.append({"way": name, "cold": cold, "best": best, "median": middle, "memory": memory[name]})
    print("JSON " + json.dumps({"framework": title, "rows": rows}), flush=True)


# -- the frameworks ------------------------------------------------------------------------------------------------------
def names_of(layers: int) -> list[tuple[str, int, int]]:
    return [(f"layers.{n}.{name}.weight", i, o) for n in range(layers) for name, i, o in _LAYER]


def raw_read(path: Path, memory: Callable[[], list[np.ndarray]], start: int) -> Action:
    """The file from byte ``start`` on into arrays that lie in it one after the other."""

    def run() -> None:
        handle, at = os.open(path, os.O_RDONLY), start
        for array in memory():
            view = memoryview(array.reshape(-1).view(np.uint8))
            for first in range(0, len(view), 16 * MIB):
                at += os.preadv(handle, [view[first : first + 16 * MIB]], at)
        os.close(handle)

    return run


def floor(path: Path, memory: Callable[[], list[np.ndarray]], start: int) -> Action:
    """The bytes read into the live memory and summed there, by one thread a processor: what a verified restore can hardly go
    below, as it has no more to it than the loop."""

    def run() -> None:
        handle, at = os.open(path, os.O_RDONLY), start
        parts: list[tuple[memoryview, int]] = []
        for array in memory():
            view = memoryview(array.reshape(-1).view(np.uint8))
            parts += [(view[first : first + 4 * MIB], at + first) for first in range(0, len(view), 4 * MIB)]
            at += len(view)
        waiting = iter(parts)
        lock = threading.Lock()

        def work() -> None:
            while True:
                with lock:
                    part = next(waiting, None)
                if part is None:
                    return
                view, offset = part
                whole = xxh3_128()
                for first in range(0, len(view), MIB // 2):
                    piece = view[first : first + MIB // 2]
                    os.preadv(handle, [piece], offset + first)
                    whole.update(piece)
                whole.hexdigest()

        threads = [threading.Thread(target=work) for _ in range(default_jobs())]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        os.close(handle)

    return run


def payload_start(path: Path) -> int:
    with path.open("rb") as file:
        return 8 + int.from_bytes(file.read(8), "little")


def of_torch(place: Path, options: Any) -> None:
    import torch

    rows = names_of(options.layers)
    model = torch.nn.Module()
    model.layers = torch.nn.ModuleList()
    for _ in range(options.layers):
        layer = torch.nn.Module()
        for name, i, o in _LAYER:
            linear = torch.nn.utils.skip_init(torch.nn.Linear, i, o, bias=False)
            setattr(layer, name, linear)
        model.layers.append(layer)
    live = {name: p.detach() for name, p in model.named_parameters()}
    with torch.no_grad():
        for n, tensor in enumerate(live.values()):
            tensor.copy_(
                torch.frombuffer(bytearray(data(n, tensor.nbytes)), dtype=torch.float32).view(tensor.shape)
            )
    assert [name for name, _, _ in rows] == list(live)
    sealed, zipped = place / "model.safetensors", place / "model.pt"
    files.safetensors(sealed, [(name, tuple(t.shape)) for name, t in live.items()], data)
    torch.save(model.state_dict(), zipped)
    seal(sealed)

    def variable(tensor: torch.Tensor) -> Variable:
        return Variable(None, tensor.numpy, lambda v: tensor.copy_(torch.from_numpy(v)), tensor.numpy)  # type: ignore[arg-type]

    variables = described("torch", model) or with_specs(sealed, {n: variable(t) for n, t in live.items()})

    def spoil() -> None:
        for tensor in live.values():
            tensor.fill_(-1.0)

    def wrong() -> list[str]:
        return [n for k, (n, t) in enumerate(live.items()) if t.numpy().tobytes() != data(k, t.nbytes)]

    def load_state_dict(state: Any) -> None:
        model.load_state_dict(state)

    start = payload_start(sealed)
    ways: dict[str, Action] = {
        "raw": raw_read(sealed, lambda: [t.numpy() for t in live.values()], start),
        "ours, sealed safetensors": ours(sealed, variables, options.check_first),
        "ours, torch zip (CRC-32)": ours(zipped, variables, options.check_first),
        "torch.load + load_state_dict": lambda: load_state_dict(torch.load(zipped)),
        "torch.load(mmap=True) + load_state_dict": lambda: load_state_dict(torch.load(zipped, mmap=True)),
    }
    arrays = [t.numpy() for t in live.values()]
    # hash only: of what the way before it has left there
    ways["floor: read and sum, a thread a processor"] = floor(sealed, lambda: arrays, start)
    if installed("safetensors"):
        from safetensors.torch import load_file

        ways["load_file + load_state_dict"] = lambda: load_state_dict(load_file(sealed))
    measure("torch", ways, wrong, spoil, place, options)


def described(framework: str, model: Any) -> dict[str, Variable] | None:
    """The model's variables by our own adapter, where that framework has one."""
    from importlib.util import find_spec

    if find_spec(f"holdfast._frameworks.{framework}") is None:
        return None
    from holdfast._frameworks import live_catalog

    return live_catalog(model=model).variables


def with_specs(path: Path, variables: dict[str, Variable]) -> dict[str, Variable]:
    """Variables that say of themselves what the checkpoint says of its tensors."""
    (target,) = resolve(os.fspath(path))
    assert target.format is not None and target.main is not None
    with target.format.read(target.store.open(target.main), target.store) as catalog:
        for name, variable in variables.items():
            variable.spec = catalog[name]
    return variables


def of_keras(place: Path, options: Any) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras
    import tensorflow as tf

    rows = names_of(options.layers)
    model = keras.Sequential([keras.Input((1024,))])
    for name, _, o in rows:
        model.add(
            keras.layers.Dense(o, use_bias=False, name=name.replace(".", "_"), kernel_initializer="zeros")
        )
    live = {v.path: v.value for v in model.trainable_variables}
    for n, tensor in enumerate(live.values()):
        size = int(np.prod(tensor.shape)) * 4
        tensor.assign(np.frombuffer(data(n, size), np.float32).reshape(tensor.shape))
    sealed, weights = place / "model.safetensors", place / "model.weights.h5"
    files.safetensors(sealed, [(name, tuple(t.shape)) for name, t in live.items()], data)
    seal(sealed)
    model.save_weights(weights)
    prefix = tf.train.Checkpoint(model=model).write(os.fspath(place / "model.ckpt"))

    def variable(tensor: tf.Variable) -> Variable:
        return Variable(None, tensor.numpy, tensor.assign)  # type: ignore[arg-type]

    variables = described("keras", model) or with_specs(sealed, {n: variable(t) for n, t in live.items()})
    variables = {name: variables[name] for name in live}

    def spoil() -> None:
        for tensor in live.values():
            tensor.assign(tf.fill(tensor.shape, -1.0))

    def wrong() -> list[str]:
        return [
            name
            for n, (name, t) in enumerate(live.items())
            if t.numpy().tobytes() != data(n, int(np.prod(t.shape)) * 4)
        ]

    by_bundle = _by_bundle(Path(prefix), variables)
    start = payload_start(sealed)
    ways: dict[str, Action] = {
        # the memory of the variable itself: only for the raw figure, as other holders of the value would see the change
        "raw": raw_read(sealed, lambda: [t.read_value()._numpy() for t in live.values()], start),
        "ours, sealed safetensors": ours(sealed, variables, options.check_first),
        "ours, TF bundle (crc32c)": ours(Path(prefix), by_bundle, options.check_first),
        "tf.train.Checkpoint.read": lambda: tf.train.Checkpoint(model=model).read(prefix).assert_consumed(),
        "Keras load_weights": lambda: model.load_weights(weights),
    }
    measure("keras", ways, wrong, spoil, place, options)


def _by_bundle(prefix: Path, variables: dict[str, Variable]) -> dict[str, Variable]:
    """The same variables by the names that the bundle's reader gives them, in the order of the layers."""
    (target,) = resolve(os.fspath(prefix))
    assert target.format is not None and target.main is not None
    with target.format.read(target.store.open(target.main), target.store) as catalog:
        weights = [spec for spec in catalog.values() if len(spec.shape) == 2]
    by_name = {spec.name: spec for spec in weights}
    if set(variables) <= set(by_name):
        return variables
    raise SystemExit(f"the bundle calls them {list(by_name)[:3]}, the model {list(variables)[:3]}")


def of_jax(place: Path, options: Any) -> None:
    import jax
    import orbax.checkpoint as ocp

    rows = names_of(options.layers)
    sealed, tree = place / "model.safetensors", place / "orbax"
    files.safetensors(sealed, [(name, (i, o)) for name, i, o in rows], data)
    seal(sealed)
    state: dict[str, Any] = {
        name: jax.numpy.array(np.frombuffer(data(n, i * o * 4), np.float32).reshape(i, o))
        for n, (name, i, o) in enumerate(rows)
    }
    keeper = ocp.PyTreeCheckpointer()
    keeper.save(tree, state)
    memory = {name: np.empty((i, o), np.float32) for name, i, o in rows}
    for array in memory.values():
        array.fill(-1)
    variables = with_specs(
        sealed,
        {n: Variable(None, lambda a=a: a, None, lambda a=a: a) for n, a in memory.items()},  # type: ignore[arg-type,misc]
    )
    got: dict[str, Any] = {}

    def by_orbax() -> None:
        got.clear()
        got.update(keeper.restore(tree))
        for value in got.values():
            np.asarray(value)

    def by_ours() -> None:
        got.clear()
        run_ours()
        got.update(memory)

    run_ours = ours(sealed, variables, options.check_first)
    run_raw = raw_read(sealed, lambda: list(memory.values()), payload_start(sealed))

    def raw() -> None:
        got.clear()
        run_raw()
        got.update(memory)

    def wrong() -> list[str]:
        return [n for k, (n, i, o) in enumerate(rows) if np.asarray(got[n]).tobytes() != data(k, i * o * 4)]

    def spoil() -> None:
        for array in memory.values():
            array.fill(-1)

    ways: dict[str, Action] = {
        "raw": raw,
        "ours, sealed safetensors, into numpy memory": by_ours,
        "Orbax restore": by_orbax,
    }
    measure("jax", ways, wrong, spoil, place, options)


_FRAMEWORKS = {
    "torch": (of_torch, ("torch",)),
    "keras": (of_keras, ("keras", "tensorflow")),
    "jax": (of_jax, ("jax", "orbax")),
}


# -- all of them ---------------------------------------------------------------------------------------------------------
def judged(found: Mapping[str, Any], largest: int) -> list[tuple[str, float, Callable[[float], bool], str]]:
    """The targets of one framework's rows."""
    targets: list[tuple[str, float, Callable[[float], bool], str]] = []
    for cold, limit in ((False, 1.6), (True, 1.1)):
        rows = {row["way"]: row for row in found["rows"] if row["cold"] == cold}
        if not rows:
            continue
        when = f"{found['framework']} {'cold' if cold else 'cached'}"
        by = (
            "median" if cold else "best"
        )  # a disk is shared with others: only what was read in the same round compares
        peers = {name: row[by] for name, row in rows.items() if not name.startswith(("raw", "ours", "floor"))}
        for name, row in rows.items():
            if not name.startswith("ours"):
                continue
            fastest = min(peers, key=lambda peer: peers[peer])
            targets.append(
                (f"{when}: {name} / {fastest}", row[by] / peers[fastest], lambda x: x <= 1, "<= 1")
            )
            if "sealed" in name:
                targets.append(
                    (f"{when}: {name} / raw", row[by], lambda x, most=limit: x <= most, f"<= {limit}")  # type: ignore[misc]
                )
            if not cold:
                most = largest / 1e6 + 256
                targets.append(
                    (
                        f"{when}: {name}, extra MB",
                        row["memory"] / 1e6,
                        lambda x, most=most: x <= most,
                        f"<= {most:.0f}",
                    )  # type: ignore[misc]
                )
    return targets


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("layers", nargs="?", type=int, default=36)
    parser.add_argument("--folder", help="where to write the files (default: a temporary folder)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=list(_FRAMEWORKS), default=list(_FRAMEWORKS))
    parser.add_argument(
        "--check-first", action="store_true", help="verify everything before anything changes"
    )
    parser.add_argument("--inside", help=argparse.SUPPRESS)  # a child: the folder to work in
    options = parser.parse_args()
    if options.inside:
        _FRAMEWORKS[options.only[0]][0](Path(options.inside), options)
        return 0
    targets = []
    for name in options.only:
        if not installed(*_FRAMEWORKS[name][1]):
            print(f"{name} is not installed: skipped")
            continue
        with folder(options.folder) as place:
            command = [
                sys.executable,
                __file__,
                str(options.layers),
                "--only",
                name,
                "--inside",
                os.fspath(place),
            ]
            command += ["--rounds", str(options.rounds), *(["--check-first"] if options.check_first else [])]
            child = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment())
        if child.returncode:
            raise SystemExit(child.stdout + f"\n{name}: the measuring process ended with {child.returncode}")
        for line in child.stdout.splitlines():
            if line.startswith("JSON "):
                targets += judged(json.loads(line[5:]), 4 * 1024 * 4096)
            else:
                print(line)
    return verdict(targets)


if __name__ == "__main__":
    sys.exit(main())
