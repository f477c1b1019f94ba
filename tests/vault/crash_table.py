"""Print the crash sweep's table: `python tests/vault/crash_table.py`; exits 1 where a point fails."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from vault.crashing import SCENARIOS, TROUBLES, examine_point, operations


def main() -> int:
    logging.disable(logging.CRITICAL)
    counts = [(scenario, len(operations(scenario))) for scenario in SCENARIOS]
    print("each cell: saved / raised and nothing new visible / raised and the new step is whole; X = wrong")
    print(f"{'operations':24}" + "".join(f"{s.name + ' ' + str(n):>26}" for s, n in counts))
    wrong: list[str] = []
    total: Counter[str] = Counter()
    for trouble in TROUBLES:
        line = f"{trouble.name:24}"
        for scenario, count in counts:
            seen: Counter[str] = Counter()
            for at in range(1, count + 1):
                try:
                    seen[examine_point(scenario, trouble, at)] += 1
                except AssertionError as error:
                    seen["X"] += 1
                    wrong.append(f"{scenario.name}, {trouble.name}, operation {at}: {error}")
            total += seen
            cell = f"{seen['saved']}/{seen['raised']}/{seen['raised, new step whole']}"
            line += f"{cell + (' X' + str(seen['X']) if seen['X'] else ''):>26}"
        print(line, flush=True)
    print(f"{sum(total.values())} points, {len(wrong)} wrong")
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
