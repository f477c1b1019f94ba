"""Header diff of two checkpoints of 20,000 tensors against an interpreter that imports numpy.

    python benchmarks/bench_diff.py [ROUNDS]

Whole processes (start, import, open both, match, plan), best of interleaved runs. Three formats, each with the same
names on both sides, with a wrapper's prefix on one, and with another prefix altogether. Target: 20x. The cost grows
with the names that differ: a diff of equal names plans nothing.
"""

from __future__ import annotations

import sys

import _files as files
from _timing import environment, fastest, folder, interleaved, verdict

TENSORS = 20_000
CASES = {"same names": "", "wrapper prefix": "module.", "another prefix": "encoder.blocks."}
WRITERS = {
    "safetensors": (files.safetensors, ".safetensors"),
    "torch zip": (files.torch_zip, ".pt"),
    "TF bundle": (files.bundle, ".index"),
}
DIFF = "import sys, holdfast; print(holdfast.compare(sys.argv[1], sys.argv[2], depth='header').summary)"


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    commands = {"import numpy": [sys.executable, "-c", "import numpy"]}
    with folder() as place:
        for kind, (write, suffix) in WRITERS.items():
            base = place / f"base{suffix}"
            write(base, files.layers(TENSORS))
            for number, (case, prefix) in enumerate(CASES.items()):
                other = place / f"other{number}{suffix}"
                write(other, files.layers(TENSORS, prefix))
                commands[f"{kind}, {case}"] = [sys.executable, "-c", DIFF, str(other), str(base)]
        best = fastest(interleaved(commands, rounds, environment(place / "bytecode")))
    peer = best.pop("import numpy")
    print(f"header diff of two checkpoints of {TENSORS} tensors, as multiples of python -c 'import numpy'")
    for name, run in best.items():
        print(
            f"{name:32} {run.seconds / peer.seconds:6.1f}x   processor time {run.busy / peer.busy:6.1f}x   "
            f"peak {run.megabytes:4.0f} MB"
        )
    slowest = max(run.seconds for run in best.values()) / peer.seconds
    return verdict([("slowest diff / import numpy", slowest, lambda x: x <= 20, "<= 20")])


if __name__ == "__main__":
    sys.exit(main())
