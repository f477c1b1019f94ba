"""Header diff of two checkpoints of 20,000 tensors against an interpreter that imports numpy.

    python benchmarks/bench_diff.py [ROUNDS]

Whole processes (start, import, open both, match, plan; on the command line also the text), best of interleaved runs.
Three formats, each with the same names on both sides, with a wrapper's prefix on one, with another prefix altogether,
and with names that no rule carries over; each through ``holdfast.compare`` and through ``holdfast diff``. Target: 20x.
The cost grows with the names that differ: a diff of equal names plans nothing.
"""

from __future__ import annotations

import re
import sys

import _files as files
from _timing import environment, fastest, folder, interleaved, script, verdict

TENSORS = 20_000
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def worded(name: str) -> str:
    """``layers.42.mlp.up.weight`` -> ``stack.four_two.mlp.up.weight``: all shapes and kinds alike, so all ambiguous."""
    return re.sub(r"layers\.(\d+)", lambda m: "stack." + "_".join(DIGITS[int(d)] for d in m[1]), name)


CASES = {
    "same names": lambda name: name,
    "wrapper prefix": lambda name: f"module.{name}",
    "another prefix": lambda name: f"encoder.blocks.{name}",
    "other names": worded,
}
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
            tensors = files.layers(TENSORS)
            write(base, tensors)
            for number, (case, renamed) in enumerate(CASES.items()):
                other = place / f"other{number}{suffix}"
                write(other, [(renamed(name), shape) for name, shape in tensors])
                pair = [str(other), str(base)]
                commands[f"{kind}, {case}"] = [sys.executable, "-c", DIFF, *pair]
                # exit code 1 tells of a difference, which is none of the benchmark's concern
                line = [*script(), "diff", *pair, "--depth", "header", "--fail-on", "never"]
                commands[f"{kind}, {case}, command"] = line
        best = fastest(interleaved(commands, rounds, environment(place / "bytecode")))
    peer = best.pop("import numpy")
    print(f"header diff of two checkpoints of {TENSORS} tensors, as multiples of python -c 'import numpy'")
    for name, run in best.items():
        print(
            f"{name:38} {run.seconds / peer.seconds:6.1f}x   processor time {run.busy / peer.busy:6.1f}x   "
            f"peak {run.megabytes:4.0f} MB"
        )
    slowest = max(run.seconds for run in best.values()) / peer.seconds
    return verdict([("slowest diff / import numpy", slowest, lambda x: x <= 20, "<= 20")])


if __name__ == "__main__":
    sys.exit(main())
