"""How many of the real failures of the shared corpus get their cause: `python tests/diagnose/score.py [odd|even|all] [-v]`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from holdfast._diagnose.diagnose import diagnose
from shared import SHARED


def rows(half: str) -> Iterator[dict[str, Any]]:
    """The failures of the odd or even lines of the corpus, or all."""
    lines = (SHARED / "corpus" / "diagnose.jsonl").read_text("utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        if half == "all" or (half == "odd") == bool(number % 2):
            yield {**json.loads(line), "number": number}


def scored(half: str) -> tuple[int, int, int, list[tuple[dict[str, Any], list[str]]]]:
    """First cause right, one of the first three right, how many, and those whose first is wrong."""
    first = three = total = 0
    wrong = []
    for row in rows(half):
        labels = [cause.label for cause in diagnose(row["text"]).causes]
        total += 1
        first += labels[:1] == [row["cause"]]
        three += row["cause"] in labels[:3]
        if labels[:1] != [row["cause"]]:
            wrong.append((row, labels))
    return first, three, total, wrong


def main() -> int:
    half = next((word for word in sys.argv[1:] if word in ("odd", "even", "all")), "all")
    for part in ("odd", "even") if half == "all" else (half,):
        first, three, total, wrong = scored(part)
        print(
            f"{part}: first {first}/{total} = {first / total:.1%}; of the first three {three}/{total} = {three / total:.1%}"
        )
        pairs = Counter((row["cause"], (labels or ["-"])[0]) for row, labels in wrong)
        for (cause, got), count in sorted(pairs.items()):
            print(f"  {cause:26} called {got:26} {count}")
        if "-v" in sys.argv:
            for row, labels in wrong:
                print(f"#{row['number']} {row['cause']}: {labels}\n   {row['text'][:300]!r}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
