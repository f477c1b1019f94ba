"""Prints what the audit says of each planted fault: ``python tests/audit/fault_table.py [torch|keras-plain|tape|jax ...]``."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent


def main(names: list[str]) -> int:
    """Print a table for each kind of run, and the counts; the exit code counts what was told wrong."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.getLogger("tensorflow").setLevel("ERROR")  # that many models are traced is as it should be
    sys.path.insert(0, str(TESTS))
    from audit.faults import FAULTS, audited, first_told
    from audit.kinds import KINDS, kind_named

    wrong = planted = alarms = 0
    for name in names or KINDS:
        kind = kind_named(name)
        print(f"\n| {name}: planted | expected | got | says |\n|---|---|---|---|")
        with tempfile.TemporaryDirectory() as folder, kind.setting():
            run = kind.train(Path(folder, "run"))
            clean = kind.audited(run)
            alarms += first_told(clean) != "reproduced"
            print(f"| nothing | reproduced | {first_told(clean)} | {clean.summary} |")
            for n, fault in enumerate(FAULTS):
                why = fault.none(kind)
                if why is not None:
                    print(f"| {fault.title} | does not apply: {why} | | |")
                    continue
                report = audited(fault, kind, run, Path(folder, f"copy-{n}"))
                got, expected = first_told(report), " or ".join(fault.told)
                planted, wrong = planted + 1, wrong + (got not in fault.told)
                said = report.causes[0].message if report.causes else report.summary
                mark = got if got in fault.told else f"WRONG: {got}"
                print(f"| {fault.title} | {expected} | {mark} | {said[:160]} |", flush=True)
    print(f"\n{planted} planted, {wrong} told wrong; {alarms} false alarms on the clean runs")
    return wrong + alarms


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
