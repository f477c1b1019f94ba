"""Files of this machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest


def test_a_checkpoint_left_open_says_nothing_when_the_program_ends(tmp_path: Path) -> None:
    pytest.importorskip("jax")
    np.savez(tmp_path / "m.npz", a=np.ones(3))
    program = f"import jax, holdfast\njax.numpy.ones(1)\nckpt = holdfast.open({str(tmp_path / 'm.npz')!r})\nprint(len(ckpt))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout, "LocalFile" in done.stderr) == ("1\n", False)
