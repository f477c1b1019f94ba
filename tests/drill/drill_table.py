"""Every right and spoiled script of :mod:`cases` through the drill: expected against got.

``python tests/drill/drill_table.py [WORD]``"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from drill.cases import CASES, SCRIPTS
from holdfast._drill.drill import drill


def main() -> int:
    wrong = 0
    word = " ".join(sys.argv[1:])
    for case in CASES:
        if word not in case.name:
            continue
        report = drill(
            case.script, case.arguments, workdir=SCRIPTS, kills=case.kills, exclude=("__pycache__",)
        )
        got = report.findings[0].code if report.findings else ""
        wrong += got != case.first
        mark = "  " if got == case.first else "X "
        said = report.findings[0].message if report.findings else report.summary
        print(
            f"{mark}{case.name:<32} expected {case.first or '-':<5} got {got or '-':<5} {report.seconds:4.0f} s  {said}",
            flush=True,
        )
    print(f"{wrong} wrong")
    return int(wrong > 0)


if __name__ == "__main__":
    raise SystemExit(main())
