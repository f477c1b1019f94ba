"""``make matrix``: the restore matrix as a table, expected against got, with totals."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness import Row, judge
from rows import rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", help="only rows whose system or mutation contains one of these")
    parser.add_argument("--wrong", action="store_true", help="print wrong rows only")
    chosen = parser.parse_args()
    totals: Counter[str] = Counter()
    for row in rows():
        if chosen.words and not any(word in row.id for word in chosen.words):
            continue
        for sealed in (False, True) if row.sealed is not None else (False,):
            _print(row, sealed, chosen.wrong, totals)
    print(", ".join(f"{count} {what}" for what, count in sorted(totals.items())))
    return int(any(totals[bad] for bad in ("missed", "false alarm", "wrong")))


def _print(row: Row, sealed: bool, wrong_only: bool, totals: Counter[str]) -> None:
    got = judge(row, sealed=sealed)
    what = "as expected" if got.right else got.kind
    totals[what] += 1
    if wrong_only and got.right:
        return
    expect = (row.sealed if sealed else row.expect) or ""
    name = row.mutation + (" [sealed]" if sealed else "")
    print(f"{row.system:<14} {name:<58} {expect:<18} {got.outcome:<18} {' '.join(got.codes):<22} {what}")
    if not got.right and got.detail:
        print("    " + got.detail.replace("\n", "\n    "))


if __name__ == "__main__":
    raise SystemExit(main())
