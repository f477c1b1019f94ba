"""How fast ``verify`` is, as ratios in one run: against raw reading, raw hashing, and ``zipfile.testzip``.

    python benchmarks/bench_verify.py [MiB=1024] [--folder DIR] [--jobs N]

Each figure is the best of several, taken in turns, over the same bytes, lying in the page cache. The target:
``verify`` of a sealed file reaches 80 % of the slower of raw read and raw hash.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import struct
import tempfile
import threading
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from blake3 import blake3

from holdfast._formats.registry import recognise
from holdfast._integrity.seal import find_seal, write_seal
from holdfast._integrity.verify import verify_catalog
from holdfast._integrity.workers import default_jobs
from holdfast._layouts.target import Target
from holdfast._storage import LocalFolder

MIB = 1 << 20


def best(action: Callable[[], object], rounds: int = 3) -> float:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def interleaved(*actions: Callable[[], object], rounds: int = 5) -> list[float]:
    """The best time of each, taken in turns so that a neighbour's load meets all alike."""
    times: list[list[float]] = [[] for _ in actions]
    for _ in range(rounds):
        for action, taken in zip(actions, times, strict=True):
            taken.append(best(action, 1))
    return [min(taken) for taken in times]


def in_threads(jobs: int, action: Callable[[int], None]) -> None:
    threads = [threading.Thread(target=action, args=(n,)) for n in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def raw(
    path: Path, jobs: int, touch: Callable[[memoryview], object] | None, *, read: bool = True
) -> Callable[[], None]:
    """Read (``read``) and/or touch all bytes of ``path``, in MiB pieces, shared out among threads in equal
    runs."""
    size = path.stat().st_size

    def run() -> None:
        handle = os.open(path, os.O_RDONLY)

        def part(n: int) -> None:
            window = memoryview(bytearray(MIB))
            for at in range(n * size // jobs, (n + 1) * size // jobs, MIB):
                piece = window[: min(MIB, (n + 1) * size // jobs - at)]
                if read:
                    os.preadv(handle, [piece], at)
                if touch is not None:
                    touch(piece)

        in_threads(jobs, part)
        os.close(handle)

    return run


def hash_in_place(path: Path, jobs: int) -> Callable[[], None]:
    """Hash the bytes of ``path`` as they lie in memory already."""
    data = np.fromfile(path, np.uint8)

    def part(n: int) -> None:
        for at in range(n * len(data) // jobs, (n + 1) * len(data) // jobs, 4 * MIB):
            blake3(data[at : min(at + 4 * MIB, (n + 1) * len(data) // jobs)]).digest()

    return lambda: in_threads(jobs, part)


def write_safetensors(path: Path, mib: int) -> None:
    """A file of ``mib`` MiB by hand, so that the benchmark needs no more memory than a window."""
    import json

    count = max(1, mib // 16)
    header = {
        f"layers.{n}.weight": {
            "dtype": "F32",
            "shape": [4096, 1024],
            "data_offsets": [n << 24, (n + 1) << 24],
        }
        for n in range(count)
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    rng = np.random.default_rng(0)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _ in range(count * 16):
            file.write(rng.bytes(MIB))


def write_npz(path: Path, mib: int) -> None:
    rng = np.random.default_rng(1)
    with zipfile.ZipFile(path, "w") as archive:
        for n in range(max(1, mib // 16)):
            with archive.open(f"w{n}.npy", "w") as member:
                np.lib.format.write_array(member, rng.integers(0, 255, 16 * MIB, np.uint8))


def target_of(path: Path) -> Target:
    store = LocalFolder(path.parent, os.fspath(path.parent))
    return Target(os.fspath(path), store, path.name, recognise(store.open(path.name)))


def verifier(target: Target, jobs: int) -> Callable[[], None]:
    def run() -> None:
        with target.format.read(target.store.open(target.main), target.store) as catalog:
            done = verify_catalog(catalog, target, jobs=jobs, seal=find_seal(target))
        assert not done.faults, done.faults

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mib", nargs="?", type=int, default=1024)
    parser.add_argument("--folder", help="where to write the files (default: a temporary folder)")
    parser.add_argument("--jobs", type=int, default=default_jobs())
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=options.folder, prefix="holdfast-bench-"))
    jobs = options.jobs
    try:
        path = folder / "model.safetensors"
        write_safetensors(path, options.mib)
        target = target_of(path)
        gb = path.stat().st_size / 1e9
        with target.format.read(target.store.open(target.main), target.store) as catalog:
            start = time.perf_counter()
            write_seal(target, catalog, jobs=jobs)
            print(f"seal                       {gb / (time.perf_counter() - start):6.2f} GB/s (written)")
        check = verifier(target, jobs)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        check()
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        reading, in_place, hashing, both, verify = interleaved(
            raw(path, jobs, None),
            hash_in_place(path, jobs),
            raw(path, jobs, lambda piece: blake3(piece).digest(), read=False),
            raw(path, jobs, lambda piece: blake3(piece).digest()),
            check,
        )
        slower = max(reading, in_place)
        print(f"raw read,   {jobs} thread(s)    {gb / reading:6.2f} GB/s")
        print(f"raw blake3, {jobs} thread(s)    {gb / in_place:6.2f} GB/s (one hot MiB: {gb / hashing:.2f})")
        print(f"raw read + blake3 bound    {gb / both:6.2f} GB/s")
        print(f"verify, sealed             {gb / verify:6.2f} GB/s   memory +{grown:.0f} MiB")
        print(f"  = {slower / verify:.0%} of the slower of raw read and raw hash (target 80 %)")
        print(f"  = {both / verify:.0%} of reading and hashing the same bytes by hand")
        zipped = folder / "model.npz"
        write_npz(zipped, options.mib // 4)
        target, gb = target_of(zipped), zipped.stat().st_size / 1e9
        with zipfile.ZipFile(zipped) as archive:
            own, peer, crc = interleaved(
                verifier(target, jobs), archive.testzip, raw(zipped, jobs, zlib.crc32)
            )
        print(f"zip CRC-32: verify         {gb / own:6.2f} GB/s")
        print(f"  = {peer / own:.1f}x zipfile.testzip ({gb / peer:.2f} GB/s)")
        print(f"  = {crc / own:.0%} of raw read + zlib.crc32 with {jobs} thread(s) ({gb / crc:.2f} GB/s)")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
