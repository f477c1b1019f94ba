"""Silent failures of TensorFlow that people reported, by their id in the corpus: folders that were moved."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Any

import pytest

tf = pytest.importorskip("tensorflow")

import holdfast  # noqa: E402
from guard.watching import Watched  # noqa: E402

ELSEWHERE = "hdfs://namenode/user/me/run"


def saved(folder: Path) -> Any:
    """A run of one checkpoint; gives what holds its variable."""
    variable = tf.Variable(7.0)
    tf.train.CheckpointManager(tf.train.Checkpoint(v=variable), str(folder), max_to_keep=2).save()
    return variable


def codes(folder: Path) -> list[str]:
    return [f.code for one in holdfast.examine(folder).checkpoints for f in one.findings]


def test_tf_203_a_state_file_that_keeps_addresses_of_another_service(tmp_path: Path) -> None:
    """What ``save_relative_paths=True`` left in older versions where the run lay at an address; then the folder was copied."""
    folder = tmp_path / "run"
    saved(folder)
    assert "F115" not in codes(folder)
    state = (folder / "checkpoint").read_text()
    (folder / "checkpoint").write_text(state.replace('"ckpt-1"', f'"{ELSEWHERE}/ckpt-1"'))
    assert codes(folder) == ["F115"]
    watched = Watched()
    variable = tf.Variable(0.0)
    with contextlib.suppress(tf.errors.OpError):  # where it has no file system for that address
        tf.train.Checkpoint(v=variable).restore(tf.train.latest_checkpoint(str(folder)))
    watched.guard.close()
    assert float(variable) == 0.0
    # the names as they are in the folder
    (folder / "checkpoint").write_text(state)
    shutil.move(folder, tmp_path / "moved")
    watched = Watched()
    tf.train.Checkpoint(v=variable).restore(tf.train.latest_checkpoint(str(tmp_path / "moved")))
    watched.guard.close()
    assert float(variable) == 7.0 and watched.codes() == []
    assert "F115" not in codes(tmp_path / "moved")
