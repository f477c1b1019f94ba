"""Prints what the audit says of each planted fault: ``python tests/audit/fault_table.py [torch|keras ...]``."""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent


def main(frameworks: list[str]) -> int:
    """Print the tables; the exit code counts faults whose first cause is another than the planted one."""
    sys.path.insert(0, str(TESTS))
    wrong = 0
    for name in frameworks or ["torch", "keras"]:
        room = importlib.import_module(f"audit.{name}_run")
        print(f"\n| {name}: planted | first cause | says | right |\n|---|---|---|---|")
        with tempfile.TemporaryDirectory() as folder:
            run = room.train(Path(folder, "run"))
            for title, slug, given in room.CASES:
                report = room.audited(run, **given(run))
                first = report.causes[0].slug if report.causes else "none"
                wrong += first != slug
                said = report.causes[0].message if report.causes else report.summary
                print(f"| {title} | {first} | {said[:150]} | {'yes' if first == slug else f'NO, {slug}'} |")
            clean = room.audited(run)
            wrong += clean.verdict != "reproduced"
            print(
                f"| nothing | {clean.verdict} | {clean.summary} | {'yes' if clean.verdict == 'reproduced' else 'NO'} |"
            )
    return wrong


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
