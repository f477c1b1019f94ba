"""How long a save takes until it is durable, as ratios against a raw write of the same bytes and against the peers.

    python benchmarks/bench_save.py [--small] [--folder DIR] [--rounds N] [--only disk memory] [--no-peers]

The state is a model of 12 layers (q, k, v, o 1024 x 1024; up 1024 x 4096; down 4096 x 1024; four vectors of 1024) with
Adam's two moments, 1.81 GB; ``--small`` has 3 layers of a quarter of the width, 28 MB. PyTorch and JAX share its memory,
TensorFlow has variables of its own.

On a disk that can be written past the page cache, a second raw way does that with two threads, without copy or hash: no
save can be faster than it, whatever ``raw`` takes (a buffered write is faster or slower with what the kernel has to
write back).

``raw`` writes these bytes into one file through the page cache, in pieces of 16 MiB, and forces it. Ours is a blocking
``Vault.save`` of live objects: described, copied where they must be (PyTorch), hashed, written, forced, committed. Peers
save as their documentation says, and what they have written is made equally durable: every file and every folder is
forced; an asynchronous save is waited for first. All take turns in one process, in another order each round, on a disk
(``--folder``) and in memory (/dev/shm); what a save has written is removed before the next begins. Extra memory is the
peak of resident memory during a save beyond what was there before.

Targets: at most 0.8 times raw on a disk that can be written past the page cache; 1.1 times in memory and where that is
refused; less time than every peer of the same framework.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from _timing import folder, installed, verdict

import holdfast
from holdfast._storage.direct import aligned_memory, in_memory
from holdfast._storage.local_sink import LocalSink
from holdfast._storage.placed import LocalPlacedFile

MIB = 1 << 20
SHAPES = (("q", 1, 1), ("k", 1, 1), ("v", 1, 1), ("o", 1, 1), ("up", 1, 4), ("down", 4, 1))
State = dict[str, dict[str, np.ndarray]]
Save = Callable[[Path, int], object]
OURS = "Holdfast"
FLOOR = "raw, past the page cache, two threads"


def state_of(options: Any) -> State:
    """``weights``, ``m`` and ``v`` by name; every array begins at a multiple of 64 bytes, so that JAX can share it."""
    noise = np.random.default_rng(0)
    made: State = {part: {} for part in ("weights", "m", "v")}
    width = options.width
    for part in made.values():
        for layer in range(options.layers):
            shapes = [(name, (i * width, o * width)) for name, i, o in SHAPES]
            shapes += [(f"n{n}", (width,)) for n in range(4)]
            for name, shape in shapes:
                part[f"layer{layer}_{name}"] = _aligned(noise, shape)
    return made


def _aligned(noise: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    count = int(np.prod(shape))
    memory = np.empty(count + 16, np.float32)
    shift = -memory.ctypes.data % 64 // 4
    array = memory[shift : shift + count].reshape(shape)
    noise.standard_normal(out=array, dtype=np.float32)
    return array


def flat(state: State) -> dict[str, np.ndarray]:
    return {f"{part}/{name}": array for part, arrays in state.items() for name, array in arrays.items()}


# -- the ways ------------------------------------------------------------------------------------------------------------
def raw(state: State) -> Save:
    def save(place: Path, number: int) -> None:
        handle = os.open(place / "raw", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        for array in flat(state).values():
            view = memoryview(array.reshape(-1).view(np.uint8))
            for at in range(0, len(view), 16 * MIB):
                os.write(handle, view[at : at + 16 * MIB])
        os.fsync(handle)
        os.close(handle)
        force(place)

    return save


def raw_direct(state: State) -> Save:
    """As many bytes past the page cache, by two threads, from memory that is ready: no copy, no hash. What the disk gives."""
    total = sum(array.nbytes for array in flat(state).values())

    def save(place: Path, number: int) -> None:
        file = LocalSink(place).create_placed("direct", total)
        pieces = iter(range(0, total, file.piece))
        turn = threading.Lock()

        def write() -> None:
            memory = aligned_memory(file.piece)
            while True:
                with turn:
                    at = next(pieces, None)
                if at is None:
                    return
                length = -(-min(file.piece, total - at) // file.align) * file.align
                file.write_at(memory[:length], at)

        threads = [threading.Thread(target=write) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        file.sync()
        file.close()
        force(place)

    return save


def force(place: Path) -> None:
    """Bring every file and every folder under ``place`` to the medium."""
    for path in [*place.rglob("*"), place]:
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)


def durable(save: Save) -> Save:
    """A peer's save, made as durable as ours."""

    def run(place: Path, number: int) -> None:
        save(place, number)
        force(place)

    return run


def ours(name: str, parts: dict[str, Any]) -> Save:
    """One vault a folder, as a training run has: what it keeps between saves, it keeps."""
    vaults: dict[Path, holdfast.Vault] = {}

    def save(place: Path, number: int) -> None:
        run = place.parent / name
        if run not in vaults:
            vaults[run] = holdfast.Vault(run)
        path = vaults[run].save(number, **parts, blocking=True).wait()
        os.rename(path, place / "step")  # the next save shall find the room that this one found

    return save


def torch_ways(state: State, peers: bool) -> dict[str, Save]:
    import torch

    model = torch.nn.ParameterDict(
        {n: torch.nn.Parameter(torch.from_numpy(a)) for n, a in state["weights"].items()}
    )
    optimizer = torch.optim.Adam(model.parameters())
    for name, parameter in model.items():
        optimizer.state[parameter] = {
            "step": torch.tensor(7.0),
            "exp_avg": torch.from_numpy(state["m"][name]),
            "exp_avg_sq": torch.from_numpy(state["v"][name]),
        }
    ways: dict[str, Save] = {f"{OURS}, PyTorch": ours("torch", {"model": model, "optimizer": optimizer})}
    if not peers:
        return ways

    def whole() -> dict[str, Any]:
        return {"model": model.state_dict(), "optimizer": optimizer.state_dict()}

    ways["PyTorch: torch.save"] = durable(lambda place, _: torch.save(whole(), place / "model.pt"))
    try:
        import torch.distributed as dist
        from torch.distributed import checkpoint

        os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
        os.environ.setdefault("MASTER_PORT", "29741")
        dist.init_process_group("gloo", rank=0, world_size=1)
    except (ImportError, RuntimeError) as error:
        print(f"skipped: DCP ({error})")
    else:
        ways["PyTorch: DCP"] = durable(
            lambda place, _: checkpoint.save(whole(), checkpoint_id=os.fspath(place / "dcp"))
        )

        def later(place: Path, _: int) -> None:
            done = checkpoint.async_save(whole(), checkpoint_id=os.fspath(place / "dcp"))
            getattr(done, "upload_completion", done).result()

        ways["PyTorch: DCP async"] = durable(later)
    if installed("safetensors"):
        from safetensors.torch import save_file

        tensors = {name: torch.from_numpy(array) for name, array in flat(state).items()}
        ways["PyTorch: safetensors save_file"] = durable(
            lambda place, _: save_file(tensors, place / "model.safetensors")
        )
    else:
        print("skipped: safetensors is not installed")
    return ways


def tensorflow_ways(state: State, peers: bool) -> dict[str, Save]:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    checkpoint = tf.train.Checkpoint(
        **{name.replace("/", "_"): tf.Variable(array) for name, array in flat(state).items()}
    )
    ways: dict[str, Save] = {f"{OURS}, TensorFlow": ours("tensorflow", {"model": checkpoint})}
    if not peers:
        return ways
    later = tf.train.CheckpointOptions(experimental_enable_async_checkpoint=True)

    def asynchronous(place: Path, _: int) -> None:
        checkpoint.write(os.fspath(place / "ckpt"), options=later)
        checkpoint.sync()

    ways["TensorFlow: tf.train.Checkpoint"] = durable(
        lambda place, _: checkpoint.write(os.fspath(place / "ckpt"))
    )
    ways["TensorFlow: tf.train.Checkpoint async"] = durable(asynchronous)
    return ways


def jax_ways(state: State, peers: bool) -> dict[str, Save]:
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import jax

    tree = jax.tree.map(jax.device_put, state)
    jax.block_until_ready(tree)
    ways: dict[str, Save] = {f"{OURS}, JAX": ours("jax", {"model": tree})}
    if not peers:
        return ways
    if not installed("orbax"):
        print("skipped: Orbax is not installed")
        return ways
    import orbax.checkpoint as ocp

    now = ocp.Checkpointer(ocp.StandardCheckpointHandler())
    later = ocp.StandardCheckpointer()

    def asynchronous(place: Path, _: int) -> None:
        later.save(place / "orbax", tree)
        later.wait_until_finished()

    ways["JAX: Orbax"] = durable(lambda place, _: now.save(place / "orbax", args=ocp.args.StandardSave(tree)))
    ways["JAX: Orbax async"] = durable(asynchronous)
    return ways


FRAMEWORKS: dict[str, Callable[[State, bool], dict[str, Save]]] = {
    "torch": torch_ways,
    "tensorflow": tensorflow_ways,
    "jax": jax_ways,
}


# -- measuring -----------------------------------------------------------------------------------------------------------
def status(key: str) -> int:
    """``VmRSS`` or ``VmHWM`` of this process in bytes (man 5 proc); 0 where the system does not tell."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith(key)), 0)


@contextmanager
def extra_memory(found: list[int]) -> Iterator[None]:
    """Adds the peak of resident memory meanwhile, beyond what was there before."""
    try:
        Path("/proc/self/clear_refs").write_text("5")  # starts the peak anew
    except OSError:
        found.append(0)
        yield
        return
    before = status("VmRSS")
    yield
    found.append(max(0, status("VmHWM") - before))


@contextmanager
def empty(place: Path) -> Iterator[Path]:
    """A folder for one save, on a disk that has nothing else to do."""
    target = place / "save"
    target.mkdir()
    os.sync()
    try:
        yield target
    finally:
        shutil.rmtree(target)
        os.sync()


def in_turns(ways: dict[str, Save], place: Path, rounds: int) -> dict[str, dict[str, list[Any]]]:
    """Seconds (wall, processor) and extra memory of each way in each round but the first, which warms all up."""
    rows: dict[str, dict[str, list[Any]]] = {w: {"seconds": [], "busy": [], "memory": []} for w in ways}
    order = list(ways)
    for number in range(rounds + 1):
        random.Random(number).shuffle(order)
        for name in order:
            memory: list[int] = []
            with empty(place) as target, extra_memory(memory):
                begin, busy = time.perf_counter(), time.process_time()
                ways[name](target, number)
                taken = time.perf_counter() - begin, time.process_time() - busy
            rows[name]["memory"].append(memory[0])  # the first save counts too: its buffers stay
            if number:
                rows[name]["seconds"].append(taken[0])
                rows[name]["busy"].append(taken[1])
    return rows


def takes_direct(place: Path) -> bool:
    """Whether the vault writes past the page cache there."""
    sink = LocalSink(place)
    file = sink.create_placed("probe", sink.large)
    assert isinstance(file, LocalPlacedFile)
    try:
        file.write_at(memoryview(bytearray(1)) if not file.direct else _block(), 0)
        return file.direct
    finally:
        file.close()
        (place / "probe").unlink()


def _block() -> memoryview:
    from holdfast._storage.direct import BLOCK

    return aligned_memory(BLOCK)


def show(
    title: str, rows: dict[str, dict[str, list[Any]]], limit: float, nbytes: int
) -> list[tuple[str, float, Callable[[float], bool], str]]:
    """Print the table of one place; gives its targets."""
    base = rows["raw"]
    seconds = statistics.median(base["seconds"])
    print(f"{title}: raw {seconds:.3f} s ({nbytes / 1e9 / seconds:.2f} GB/s)")
    ratios: dict[str, float] = {}
    for name, row in rows.items():
        pairs = [a / b for a, b in zip(row["seconds"], base["seconds"], strict=True)]
        ratios[name] = statistics.median(pairs)
        middle = statistics.median(row["seconds"])
        print(
            f"  {name:40} {middle:7.3f} s [{min(row['seconds']):.3f}-{max(row['seconds']):.3f}] {ratios[name]:6.2f} x raw; "
            f"processor {min(row['busy']):6.2f} s; memory +{max(row['memory']) / 1e6:5.0f} MB"
        )
    print("JSON " + json.dumps({"place": title, "bytes": nbytes, "rows": rows}), flush=True)
    targets: list[tuple[str, float, Callable[[float], bool], str]] = []
    for name in ratios:
        if not name.startswith(OURS):
            continue
        if FLOOR in rows:
            pairs = [a / b for a, b in zip(rows[name]["seconds"], rows[FLOOR]["seconds"], strict=True)]
            print(f"  {name} is {statistics.median(pairs):.2f} x what the disk gives without copy and hash")
        targets.append((f"{title}: {name} / raw", ratios[name], lambda x: x <= limit, f"<= {limit}"))
        framework = name.removeprefix(f"{OURS}, ")
        mine = statistics.median(rows[name]["seconds"])
        for peer in ratios:
            if peer.startswith(f"{framework}: "):
                theirs = statistics.median(rows[peer]["seconds"])
                targets.append((f"{title}: {name} / {peer}", mine / theirs, lambda x: x < 1, "< 1"))
    return targets


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--small", action="store_true", help="28 MB in place of 1.81 GB; figures without targets"
    )
    parser.add_argument("--folder", help="a folder on the disk to measure")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=("disk", "memory"), default=("disk", "memory"))
    parser.add_argument("--frameworks", nargs="+", choices=tuple(FRAMEWORKS), default=tuple(FRAMEWORKS))
    parser.add_argument("--no-peers", dest="peers", action="store_false")
    options = parser.parse_args()
    options.layers, options.width = (3, 256) if options.small else (12, 1024)
    state = state_of(options)
    nbytes = sum(array.nbytes for array in flat(state).values())
    ways = {"raw": raw(state)}
    for name in options.frameworks:
        if installed(name):
            ways |= FRAMEWORKS[name](state, options.peers)
        else:
            print(f"skipped: {name} is not installed")
    targets = []
    for kind, given in (("disk", options.folder), ("memory", "/dev/shm")):
        if kind not in options.only:
            continue
        if kind == "memory" and not (Path(given).is_dir() and in_memory(given)):
            print("skipped: no file system in memory")
            continue
        with folder(given) as place:
            free = shutil.disk_usage(place).free
            if free < 2 * nbytes:
                print(
                    f"skipped: {place} has {free / 1e9:.1f} GB free of the {2 * nbytes / 1e9:.1f} GB that are needed"
                )
                continue
            direct = takes_direct(place)
            title = (
                "memory" if kind == "memory" else f"disk ({'past' if direct else 'through'} the page cache)"
            )
            here = {**ways, FLOOR: raw_direct(state)} if direct else ways
            targets += show(title, in_turns(here, place, options.rounds), 0.8 if direct else 1.1, nbytes)
    if options.small:
        return 0
    return verdict(targets)


if __name__ == "__main__":
    sys.exit(main())
