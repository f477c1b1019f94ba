"""``python tests/guard/matrix_table.py``: the restore matrix under a guard, with the frameworks' own calls, and totals."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from importlib import import_module
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent))

from watched_matrix import judge_watched


def main() -> int:
    """Print the table; 1 where a cell was missed, a false alarm, or changed by being watched."""
    found = sorted(p.stem for p in Path(__file__).parent.glob("matrix_*.py") if p.stem != "matrix_table")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", help="only cells whose names contain one of these")
    parser.add_argument("--only", choices=[n.removeprefix("matrix_") for n in found], help="of one framework")
    parser.add_argument("--wrong", action="store_true", help="print only cells at which the guard is wrong")
    parser.add_argument("-v", action="store_true", help="print what was told")
    chosen = parser.parse_args()
    totals: Counter[str] = Counter()
    for name in found:
        if chosen.only is not None and name != f"matrix_{chosen.only}":
            continue
        for cell in import_module(name).CELLS:
            if chosen.words and not any(word in cell.id for word in chosen.words):
                continue
            got = judge_watched(cell)
            totals[got.fault or f"{got.happened}, as it should be"] += 1
            if chosen.wrong and not got.fault:
                continue
            print(
                f"{cell.id:<95} {got.happened:<6} {got.wanted:<7} {' '.join(got.told):<22} {got.fault}",
                flush=True,
            )
            if (got.fault or chosen.v) and got.detail:
                print("    " + got.detail.replace("\n", "\n    "))
    print(", ".join(f"{count} {what}" for what, count in sorted(totals.items())))
    return int(any(totals[bad] for bad in ("missed", "false alarm", "changed", "broken")))


if __name__ == "__main__":
    raise SystemExit(main())
