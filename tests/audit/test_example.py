"""``examples/audit.py`` runs, and tells what it promises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from cli.test_process import environment

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "audit.py"


def test_the_example() -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLE)],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    told = done.stdout.splitlines()
    assert told[0] == "as it was measured: reproduced: 2 metrics"
    assert "that of step-00000200, which reproduces it" in told[1]
    assert "another number each time" in told[2]
    assert "have each other's values" in told[3]
