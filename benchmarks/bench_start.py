"""Start-up: `holdfast --version` against an empty interpreter, whole processes, medians of interleaved runs.

    python benchmarks/bench_start.py [RUNS]

Target: `--version` within 1.5x of `python -c pass`.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

RUNS = int(sys.argv[1]) if len(sys.argv) > 1 else 15
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "holdfast --version": [sys.executable, "-m", "holdfast", "--version"],
    "python -c 'import numpy'": [sys.executable, "-c", "import numpy"],
    "holdfast rule F101": [sys.executable, "-m", "holdfast", "rule", "F101"],
}


def main() -> None:
    """Print medians as ratios to the empty interpreter."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(RUNS + 1):
        for name, command in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            times[name].append(time.perf_counter() - start)
    base = statistics.median(times["python -c pass"][1:])
    for name, all_times in times.items():
        print(f"{name:28} {statistics.median(all_times[1:]) / base:6.2f} x python -c pass")


if __name__ == "__main__":
    main()
