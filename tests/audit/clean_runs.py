"""Clean re-runs: each kind's run audited and proved again in new processes, with one and two threads and other batch sizes.

``python tests/audit/clean_runs.py [kind ...]`` prints what was said of each; nothing but "reproduced" is right. With a folder
(``--of FOLDER KIND THREADS BATCH ...``) it is the new process itself.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent.parent
BATCHES = {1: (64, 100, 597), 2: (1, 7, 100, 256)}
"""By number of threads."""


def measured(folder: str, name: str, threads: int, batches: Iterable[int]) -> Iterator[dict[str, Any]]:
    """In this process: what the audit says with each batch size, and what the proof says first."""
    import holdfast
    from audit.digits import scaled
    from audit.kinds import LAST, kind_named

    kind = kind_named(name)
    if name == "torch":
        import torch

        torch.set_num_threads(threads)
    step = Path(folder) / f"step-{LAST:08d}"
    with kind.setting():
        outcome = holdfast.restore(step, model=kind.make(6), prove=True, preprocess=scaled, apply=kind.apply)
        yield {"batch": "probe", "verdict": "reproduced", "said": outcome.proved, "findings": []}
        for batch in batches:
            report = holdfast.audit(
                step, model=kind.make(7), apply=kind.apply, preprocess=scaled,
                evaluate=lambda model, batch=batch: kind.evaluate(model, batch=batch),
            )  # fmt: skip
            yield {
                "batch": batch,
                "verdict": report.verdict,
                "said": report.summary,
                "findings": [f.code for f in report.findings if f.severity != "note"],
                "far": max(r.distance or 0.0 for r in report.rows if r.verdict in ("reproduced", "differs")),
                "setup": [change.name for change in report.environment if change.matters],
            }


def rerun(folder: Path, name: str, threads: int, batches: Iterable[int]) -> list[dict[str, Any]]:
    """The same in a new process that has so many threads."""
    words = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    words += ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    environment = {**os.environ, **dict.fromkeys(words, str(threads)), "TF_CPP_MIN_LOG_LEVEL": "2"}
    places = [str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment["PYTHONPATH"] = os.pathsep.join(places)
    command = [sys.executable, __file__, "--of", str(folder), name, str(threads), *map(str, batches)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=300)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(names: list[str]) -> int:
    """Print one line a re-run; the exit code counts false alarms."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.getLogger("tensorflow").setLevel("ERROR")  # that many models are traced is as it should be
    sys.path.insert(0, str(TESTS))
    from audit.kinds import KINDS, kind_named

    runs = wrong = 0
    print("| run | threads | batch | said | off by at most |\n|---|---|---|---|---|")
    for name in names or KINDS:
        kind = kind_named(name)
        with tempfile.TemporaryDirectory() as folder:
            with kind.setting():
                kind.train(Path(folder, "run"))
            for threads, batches in BATCHES.items():
                for row in rerun(Path(folder, "run"), name, threads, batches):
                    clean = row["verdict"] == "reproduced" and not row["findings"]
                    runs, wrong = runs + 1, wrong + (not clean)
                    said = row["verdict"] if clean else f"FALSE ALARM: {row['said']} {row['findings']}"
                    print(
                        f"| {name} | {threads} | {row['batch']} | {said} | {row.get('far', 0):.1g} |",
                        flush=True,
                    )
    print(f"\n{runs} clean re-runs, {wrong} false alarms")
    return wrong


if __name__ == "__main__":
    if sys.argv[1:2] == ["--of"]:
        folder, name, threads, *batches = sys.argv[2:]
        if hasattr(os, "sched_setaffinity"):  # JAX takes as many threads as there are processors
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(threads)])
        print(json.dumps(list(measured(folder, name, int(threads), map(int, batches)))))
    else:
        sys.exit(main(sys.argv[1:]))
