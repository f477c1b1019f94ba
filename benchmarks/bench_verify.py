"""How fast ``verify`` is, as ratios in one run: against reading and hashing the same bytes by hand.

    python benchmarks/bench_verify.py [MiB=512] [--folder DIR] [--jobs N] [--rounds N] [--cold]

Three cases: a sealed safetensors file (BLAKE3), a torch zip (CRC-32 of its members) and a TensorFlow bundle (crc32c of
its tensors). Beside each, with the same number of threads, taken in turns over the same bytes in the page cache: raw
read (``preadv`` into a MiB that stays hot), raw hash (in place, of bytes that lie in memory already), both one after
the other by hand, and the peer that the field has. Target: 80 % of the slower of raw read and raw hash.

``--cold`` drops the file from the page cache before each run (Linux; ``posix_fadvise``): then the disk is what is
measured, and the peer is a raw read that is as cold.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import _files as files
import numpy as np
from _timing import folder, verdict
from blake3 import blake3
from crc32c import crc32c
from isal.isal_zlib import crc32

from holdfast._formats.registry import recognise
from holdfast._integrity.seal import find_seal, write_seal
from holdfast._integrity.verify import verify_catalog
from holdfast._integrity.workers import default_jobs
from holdfast._layouts.target import Target
from holdfast._storage import LocalFolder

MIB = 1 << 20
Action = Callable[[], object]
Hash = Callable[[memoryview], object]


def in_turns(actions: Mapping[str, Action], rounds: int, before: Action) -> dict[str, list[float]]:
    """Seconds of each action in each round; the first round, which warms up, does not count."""
    times: dict[str, list[float]] = {name: [] for name in actions}
    for number in range(rounds + 1):
        for name, action in actions.items():
            before()
            start = time.perf_counter()
            action()
            if number:
                times[name].append(time.perf_counter() - start)
    return times


def in_threads(jobs: int, action: Callable[[int], None]) -> None:
    threads = [threading.Thread(target=action, args=(n,)) for n in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def by_hand(path: Path, jobs: int, touch: Hash | None) -> Action:
    """Read all bytes of ``path`` in MiB pieces, threads taking equal runs; ``touch`` each."""
    size = path.stat().st_size

    def run() -> None:
        handle = os.open(path, os.O_RDONLY)

        def part(n: int) -> None:
            window = memoryview(bytearray(MIB))
            end = (n + 1) * size // jobs
            for at in range(n * size // jobs, end, MIB):
                piece = window[: min(MIB, end - at)]
                os.preadv(handle, [piece], at)
                if touch is not None:
                    touch(piece)

        in_threads(jobs, part)
        os.close(handle)

    return run


def in_place(path: Path, jobs: int, touch: Hash) -> Action:
    """Hash the bytes of ``path`` as they lie in memory already."""
    data = np.fromfile(path, np.uint8)

    def part(n: int) -> None:
        end = (n + 1) * len(data) // jobs
        for at in range(n * len(data) // jobs, end, 4 * MIB):
            touch(memoryview(data)[at : min(at + 4 * MIB, end)])

    return lambda: in_threads(jobs, part)


def target_of(path: Path) -> Target:
    store = LocalFolder(path.parent, os.fspath(path.parent))
    form = recognise(store.open(path.name))
    assert form is not None
    return Target(os.fspath(path), store, path.name, form)


def verifier(target: Target, jobs: int) -> Action:
    def run() -> None:
        assert target.format is not None and target.main is not None
        with target.format.read(target.store.open(target.main), target.store) as catalog:
            done = verify_catalog(catalog, target, jobs=jobs, seal=find_seal(target))
        assert not done.faults, done.faults

    return run


def seal(path: Path, jobs: int) -> None:
    target = target_of(path)
    assert target.format is not None and target.main is not None
    with target.format.read(target.store.open(target.main), target.store) as catalog:
        write_seal(target, catalog, jobs=jobs)


def testzip(path: Path) -> Action:
    def run() -> None:
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None

    return run


def drop(path: Path) -> None:
    """Take a file out of the page cache."""
    handle = os.open(path, os.O_RDONLY)
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(handle)


def case(
    title: str, main: Path, data: Path, touch: Hash, peers: Mapping[str, Action], options: argparse.Namespace
) -> float:
    """One format: print its ratios and give the one that the target is about. ``data`` bears the bytes."""
    jobs = options.jobs
    check = verifier(target_of(main), jobs)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    check()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    if options.cold:
        actions: dict[str, Action] = {"read": by_hand(data, jobs, None), "verify": check}
    else:
        actions = {
            "read": by_hand(data, jobs, None),
            "hash": in_place(data, jobs, touch),
            "both": by_hand(data, jobs, touch),
            "verify": check,
            **peers,
        }
    with open(data, "rb") as file:
        os.fsync(file.fileno())
    times = in_turns(actions, options.rounds, lambda: drop(data) if options.cold else None)
    best = {name: min(taken) for name, taken in times.items()}
    slower = max(best["read"], best.get("hash", 0.0))
    rounds = [
        max(a, b) / v
        for a, b, v in zip(times["read"], times.get("hash", times["read"]), times["verify"], strict=True)
    ]
    print(f"{title}, {jobs} thread(s){', cold' if options.cold else ''}:")
    print(
        f"  verify: {slower / best['verify']:.0%} of the slower of raw read and raw hash, best of rounds;",
        end=" ",
    )
    print(f"{statistics.median(rounds):.0%} median of rounds; memory beyond the window +{grown:.0f} MiB")
    for name in actions:
        if name != "verify":
            print(f"  verify: {best[name] / best['verify']:.2f} x as fast as {name}")
    return slower / best["verify"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("mib", nargs="?", type=int, default=512)
    parser.add_argument("--folder", help="where to write the files (default: a temporary folder)")
    parser.add_argument("--jobs", type=int, default=default_jobs())
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--cold", action="store_true", help="drop the file from the page cache before each run"
    )
    options = parser.parse_args()
    if options.cold and not hasattr(os, "posix_fadvise"):
        raise SystemExit("--cold needs posix_fadvise")
    noise = np.random.default_rng(0).bytes(16 * MIB)
    tensors = [(f"layers.{n:03d}.weight", (4096, 1024)) for n in range(max(1, options.mib // 16))]

    def data(number: int, size: int) -> bytes:
        start = number * 4099 % (1 << 16)
        return (noise[start:] + noise[:start])[:size]

    found = []
    with folder(options.folder) as place:
        path = place / "model.safetensors"
        files.safetensors(path, tensors, data)
        seal(path, options.jobs)
        sealed = "sealed safetensors (BLAKE3)"
        found.append((sealed, case(sealed, path, path, lambda p: blake3(p).digest(), {}, options)))
        path.unlink()
        path = place / "model.pt"
        files.torch_zip(path, tensors, data)
        peers = {"zipfile.testzip, which has one thread": testzip(path)}
        zipped = "torch zip (CRC-32)"
        found.append((zipped, case(zipped, path, path, crc32, peers, options)))
        path.unlink()
        path = place / "model.index"
        files.bundle(path, tensors, data)
        shard = place / "model.data-00000-of-00001"
        bundled = "TF bundle (crc32c)"
        found.append((bundled, case(bundled, path, shard, crc32c, {}, options)))
    if options.cold:
        return 0
    return verdict(
        [(f"{title}: verify / slower of both", x, lambda x: x >= 0.8, ">= 0.80") for title, x in found]
    )


if __name__ == "__main__":
    sys.exit(main())
