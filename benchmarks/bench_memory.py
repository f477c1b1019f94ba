"""Memory of ``doctor`` (every value read) and ``verify`` on files of 1 GB: what the process itself holds.

    python benchmarks/bench_memory.py [MiB=1024] [--folder DIR]

The kernel counts pages of a mapped file as resident though they are the page cache's and can be taken back at any
time; so two figures stand here: the peak of all that is resident, and the peak of anonymous memory (``RssAnon``), read
every few milliseconds. Target: anonymous memory below 256 MB, and it does not grow with the file. Linux only.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import _files as files
import numpy as np
from _timing import environment, folder, verdict

MIB = 1 << 20
WRITERS = {
    "safetensors": (files.safetensors, "m.safetensors"),
    "torch zip": (files.torch_zip, "m.pt"),
    "TF bundle": (files.bundle, "m.index"),
}


def peaks(command: list[str], env: dict[str, str]) -> tuple[float, float]:
    """Peak of anonymous and of all resident memory of a process, in MB."""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=env)
    anonymous = resident = 0
    while child.poll() is None:
        try:
            rows = Path(f"/proc/{child.pid}/status").read_text().splitlines()
        except OSError:
            break
        found = {row.split(":")[0]: row.split()[1] for row in rows if row.startswith(("RssAnon", "VmHWM"))}
        anonymous = max(anonymous, int(found.get("RssAnon", 0)))
        resident = max(resident, int(found.get("VmHWM", 0)))
        time.sleep(0.005)
    child.wait()
    return anonymous * 1024 / 1e6, resident * 1024 / 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("mib", nargs="?", type=int, default=1024)
    parser.add_argument("--folder", help="where to write the files (default: a temporary folder)")
    options = parser.parse_args()
    if not Path("/proc/self/status").exists():
        print("skipped: /proc/PID/status is not there")
        return 0
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(16 * MIB // 4, np.float32).tobytes()
    tensors = [(f"layers.{n:03d}.weight", (4096, 1024)) for n in range(max(1, options.mib // 16))]
    large = [("embedding.weight", (max(1, options.mib // 4), MIB))]

    def data(number: int, size: int) -> bytes:
        start = number * 4096 % (1 << 16)
        piece = noise[start:] + noise[:start]
        return (piece * (size // len(piece) + 1))[:size]

    targets = []
    with folder(options.folder) as place:
        env = environment(place / "bytecode")
        for kind, (write, name) in WRITERS.items():
            for title, shapes in ((f"{len(tensors)} tensors", tensors), ("one tensor", large)):
                path = place / name
                write(path, shapes, data)
                for command in ("doctor", "verify"):
                    run = [sys.executable, "-m", "holdfast", command, str(path)]
                    anonymous, resident = peaks(run, env)
                    print(
                        f"{kind:12} {options.mib} MiB in {title:12} {command:7} "
                        f"anonymous {anonymous:5.0f} MB   resident {resident:6.0f} MB"
                    )
                    targets.append(
                        (f"{kind}, {title}, {command}: anonymous MB", anonymous, lambda x: x < 256, "< 256")
                    )
                for file in place.glob("m.*"):
                    file.unlink()
    return verdict(targets)


if __name__ == "__main__":
    sys.exit(main())
