"""Header diff of two 20,000-tensor safetensors files against an interpreter that imports numpy, in one run.

Whole processes are timed (start, import, open, match, plan), best of several. Run: ``python
benchmarks/bench_diff.py``; exits 1 when the slowest case costs more than 20 times the peer.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TENSORS = 20_000
LIMIT = 20.0
KINDS = (
    "attn.q.weight",
    "attn.k.weight",
    "attn.v.weight",
    "attn.o.weight",
    "mlp.up.weight",
    "mlp.down.weight",
)
VECTORS = ("norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias")


def write(path: Path, prefix: str) -> None:
    """A safetensors file of :data:`TENSORS` small tensors (8 x 8 and 8, float32), all zero."""
    header: dict[str, object] = {}
    at = 0
    for layer in range(TENSORS // (len(KINDS) + len(VECTORS))):
        for name in (*KINDS, *VECTORS):
            shape = [8, 8] if name in KINDS else [8]
            size = 256 if name in KINDS else 32
            header[f"{prefix}layers.{layer}.{name}"] = {
                "dtype": "F32",
                "shape": shape,
                "data_offsets": [at, at + size],
            }
            at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(at))


def timed(code: str, *arguments: str, times: int = 3) -> float:
    """Seconds of the fastest of several fresh interpreters that run ``code``."""
    best = float("inf")
    for _ in range(times):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code, *arguments], check=True, stdout=subprocess.DEVNULL)
        best = min(best, time.perf_counter() - start)
    return best


def main() -> int:
    diff = "import sys, holdfast; print(holdfast.compare(sys.argv[1], sys.argv[2], depth='header').summary)"
    peer = timed("import numpy")
    print(f"python -c 'import numpy'                {peer:8.3f} s")
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder, "plain.safetensors")
        write(plain, "")
        for title, prefix in (
            ("same names", ""),
            ("wrapper prefix", "module."),
            ("another prefix", "encoder.blocks."),
        ):
            other = Path(folder, "other.safetensors")
            write(other, prefix)
            seconds = timed(diff, str(other), str(plain))
            worst = max(worst, seconds / peer)
            print(f"header diff, {TENSORS} tensors, {title:15}{seconds:8.3f} s {seconds / peer:6.1f}x")
    print(f"slowest: {worst:.1f}x (limit {LIMIT:.0f}x)")
    return int(worst > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
