"""A MirroredStrategy is saved as one copy and goes on bit for bit (its devices must be set before TensorFlow begins, so it has
a process of its own)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("keras")


def test_two_virtual_devices(tmp_path: Path) -> None:
    script = Path(__file__).with_name("mirrored_run.py")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), str(tmp_path)],
        env={**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("went on from") == 2
