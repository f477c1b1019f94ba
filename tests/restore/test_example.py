"""``examples/restore.py`` runs, and tells what it promises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from cli.test_process import environment

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "restore.py"


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
    told = done.stdout
    assert told.startswith("restored all 4 tensors, 100 % of bytes")
    assert "nothing was restored: 1 error stands against it" in told
    assert "`head/*` kept their initial values (allowed)" in told
    assert "ChecksumMismatch: bytes changed since the checkpoint was sealed" in told
