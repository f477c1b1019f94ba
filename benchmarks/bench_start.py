"""Start-up: ``holdfast --version``, called both ways, against an empty interpreter.

    python benchmarks/bench_start.py [ROUNDS]

Target: the installed command within 1.5x of ``python -c pass``. ``python -m holdfast`` pays for ``runpy`` as every
``python -m`` does; ``python -m this_is_empty``-like peers stand beside it to tell how much.
"""

from __future__ import annotations

import sys
from pathlib import Path

from _timing import environment, folder, interleaved, medians, script, verdict


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 25
    with folder() as place:
        empty = Path(place, "an_empty_module.py")
        empty.touch()
        env = environment(place / "bytecode")
        env["PYTHONPATH"] = f"{place}{':' + env['PYTHONPATH'] if env.get('PYTHONPATH') else ''}"
        python = sys.executable
        commands = {
            "python -c pass": [python, "-c", "pass"],
            "holdfast --version": [*script(), "--version"],
            "python -m (an empty module)": [python, "-m", "an_empty_module"],
            "python -m holdfast --version": [python, "-m", "holdfast", "--version"],
            "python -c 'import numpy'": [python, "-c", "import numpy"],
            "python -c 'import holdfast'": [python, "-c", "import holdfast"],
            "holdfast rule F101": [*script(), "rule", "F101"],
            "holdfast --help": [*script(), "--help"],
        }
        middle = medians(interleaved(commands, rounds, env))
    base = middle["python -c pass"].seconds
    for name, run in middle.items():
        print(f"{name:32} {run.seconds / base:6.2f} x python -c pass   peak {run.megabytes:5.0f} MB")
    module = middle["python -m holdfast --version"].seconds / middle["python -m (an empty module)"].seconds
    print(f"python -m holdfast --version is {module:.2f} x python -m of an empty module")
    ratio = middle["holdfast --version"].seconds / base
    return verdict([("holdfast --version / python -c pass", ratio, lambda x: x <= 1.5, "<= 1.5")])


if __name__ == "__main__":
    sys.exit(main())
