"""What is known of the frameworks' writers, against what they do: the file that a save replaces, and the name it writes to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from holdfast._facts.savers import saver_of


def inode_after(place: Path, save: Any) -> bool:
    """Whether a second save of the same name made another file of it (renamed), or wrote into the one that was there."""
    save(place)
    keep = place.with_name("kept")
    os.link(place, keep)  # so that its number is not given away again
    save(place)
    return place.stat().st_ino != keep.stat().st_ino


def test_torch_writes_in_place(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    renamed = inode_after(tmp_path / "a.pt", lambda place: torch.save({"a": torch.ones(3)}, place))
    known = saver_of("torch.save")
    assert known is not None and known.atomic is renamed is False


def test_safetensors_renames(tmp_path: Path) -> None:
    module = pytest.importorskip("safetensors.numpy")
    np = pytest.importorskip("numpy")
    renamed = inode_after(tmp_path / "a", lambda place: module.save_file({"a": np.ones(3)}, place))
    known = saver_of("safetensors.numpy.save_file")
    assert known is not None and known.atomic is renamed


def test_older_safetensors_did_not(monkeypatch: pytest.MonkeyPatch) -> None:
    safetensors = pytest.importorskip("safetensors")
    monkeypatch.setattr(safetensors, "__version__", "0.7.1")
    known = saver_of("safetensors.torch.save_file")
    assert known is not None and not known.atomic


@pytest.mark.parametrize(
    ("api", "atomic"),
    [
        ("torch.save", False),
        ("Model.save", False),
        ("Model.save_weights", False),
        ("keras.saving.save_model", False),
        ("tf.train.Checkpoint.save", True),
        ("tf.train.Checkpoint.write", True),
        ("tf.train.CheckpointManager.save", True),
        ("tf.compat.v1.train.Saver.save", True),
        ("Trainer.save_checkpoint", True),
        ("dcp.save", False),
        ("dcp.async_save", False),
        ("StandardCheckpointer.save", False),
        ("ocp.save_pytree", False),
    ],
)
def test_every_watched_call_has_a_row(api: str, atomic: bool) -> None:
    known = saver_of(api)
    assert known is not None and known.atomic is atomic and known.how and known.source


def test_what_is_not_known_is_not_guessed() -> None:
    assert saver_of("some.save") is None
