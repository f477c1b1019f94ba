"""Print the conformance table: ``python tests/conformance/table.py [--verbose] [--only WORD] [--no-examine]``."""

from __future__ import annotations

import argparse
import os
import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from walk import Outcome, cases, walk


def table(outcomes: list[tuple[str, Outcome]]) -> str:
    """The table by folder and format."""
    rows: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for which, outcome in outcomes:
        rows[which, outcome.format].append(outcome)
    lines = [
        f"{'folder':7}{'format':26}{'cases':>6}{'exact':>7}{'names right':>18}{'framework names':>18}"
        f"{'findings right':>16}{'false alarms':>14}{'warnings':>10}"
    ]
    total = [0] * 9
    for (which, kind), group in sorted(rows.items()):
        broken = [o for o in group if o.finding_right is not None]
        numbers = [
            len(group),
            sum(o.exact for o in group),
            sum(o.names_right for o in group),
            sum(o.names_all for o in group),
            sum(o.framework_right for o in group),
            sum(o.framework_all for o in group),
            sum(bool(o.finding_right) for o in broken),
            sum(len(o.alarms) for o in group),
            sum(len(o.warnings) for o in group),
        ]
        total = [a + b for a, b in zip(total, numbers, strict=True)]
        lines.append(_row(which, kind, numbers, len(broken)))
    lines.append(_row("", "all", total, sum(o.finding_right is not None for _, o in outcomes)))
    return "\n".join(lines)


def _row(which: str, kind: str, n: list[int], broken: int) -> str:
    names = f"{n[2]}/{n[3]} {100 * n[2] / n[3]:.1f}%" if n[3] else "-"
    framework = f"{n[4]}/{n[5]} {100 * n[4] / n[5]:.1f}%" if n[5] else "-"
    findings = f"{n[6]}/{broken}" if broken else "-"
    return f"{which:7}{kind:26}{n[0]:>6}{n[1]:>7}{names:>18}{framework:>18}{findings:>16}{n[7]:>14}{n[8]:>10}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--verbose", action="store_true", help="say what is wrong with each case")
    parser.add_argument("--only", default="", help="cases whose id or format contains this")
    parser.add_argument("--no-examine", action="store_true", help="values and names only")
    options = parser.parse_args()
    outcomes = []
    for which, case in cases():
        if options.only in case["id"] or options.only in case["format"]:
            outcome = walk(which, case, examine=not options.no_examine)
            outcomes.append((which, outcome))
            if options.verbose and (outcome.trouble or outcome.alarms or outcome.warnings):
                print(f"{which} {outcome.id}")
                for line in [
                    *outcome.trouble[:6],
                    *(f"ALARM {a}" for a in outcome.alarms[:4]),
                    *(f"warning {w}" for w in outcome.warnings[:4]),
                ]:
                    print(f"    {line[:240]}")
    print(table(outcomes))


if __name__ == "__main__":
    os.environ.setdefault("COLUMNS", "160")
    main()
