"""Old values on a scratch disk that is small, full, or filled while they are written: an error, never a dead process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import holdfast
from holdfast._restore import journal
from holdfast._restore.journal import Room, room_for

MB = 1 << 20

CHILD = """
import sys
import numpy as np
import holdfast
from holdfast._restore import journal

path, case = sys.argv[1:]
journal._free_memory = lambda: 0  # as on a machine whose memory is taken
live = {f"layer{n}": {"kernel": np.full((256, 1024), n, np.float32)} for n in range(4)}
before = {n: v["kernel"].copy() for n, v in live.items()}
if case == "no share":
    journal._SHARE = 1.0  # the disk says yes, and then has not got it
if case == "filled meanwhile":
    journal._take = lambda fd, nbytes: None  # a file system whose promise of room is worth nothing
    journal._SHARE = 100.0
try:
    outcome = holdfast.restore(path, rollback=True, model=live)
except holdfast.HoldfastError as error:
    print(type(error).__name__, "|", error)
    untouched = all(np.array_equal(before[n], v["kernel"]) for n, v in live.items())
    print("untouched" if untouched else "CHANGED")
else:
    print(outcome)
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 8 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)], capture_output=True, text=True
    ) if sys.platform.startswith("linux") else None  # fmt: skip
    if made is None or made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.strip() if made else sys.platform}")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def checkpoint(folder: Path) -> str:
    """Four tensors of 1 MB."""
    np.savez(
        folder / "c.npz", **{f"layer{n}/kernel": np.full((256, 1024), 9 + n, np.float32) for n in range(4)}
    )
    return str(folder / "c.npz")


def child(path: str, disk: Path, case: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", CHILD, path, case],
        env={**os.environ, "TMPDIR": str(disk)}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert run.returncode == 0, f"exit {run.returncode} (a negative one is a signal): {run.stderr[-2000:]}"
    return run.stdout


def test_old_values_fit_on_the_disk(tmp_path: Path, small_disk: Path) -> None:
    assert "restored all 4 tensors" in child(checkpoint(tmp_path), small_disk, "fits")
    assert not list(small_disk.iterdir())


@pytest.mark.parametrize("case", ["full", "no share"])
def test_a_full_scratch_disk_is_said_before_anything_is_set(
    tmp_path: Path, small_disk: Path, case: str
) -> None:
    (small_disk / "other").write_bytes(bytes(6 * MB))
    told = child(checkpoint(tmp_path), small_disk, case)
    assert told.startswith("UsageError | neither memory nor the temporary folder has room for the old values")
    assert "4,194,304 bytes" in told
    assert "TMPDIR" in told
    assert told.endswith("untouched\n")


def test_a_disk_that_fills_up_meanwhile_is_an_error_and_undone(tmp_path: Path, small_disk: Path) -> None:
    """The room that was promised is not there when the third tensor is kept: what was set is put back."""
    (small_disk / "other").write_bytes(bytes(int(5.5 * MB)))
    told = child(checkpoint(tmp_path), small_disk, "filled meanwhile")
    assert told.startswith("HoldfastError | the old values cannot be kept on the scratch disk: No space left")
    assert "The live objects are as they were before the restore." in told
    assert told.endswith("untouched\n")


def test_blocks_are_taken_at_once(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else can have them afterwards."""
    monkeypatch.setattr("tempfile.tempdir", str(small_disk))
    monkeypatch.setattr(journal, "_free_memory", lambda: 0)
    room = room_for(4 * MB)
    assert room is not None
    assert room.kind == "disk"
    free = os.statvfs(small_disk)
    assert free.f_bavail * free.f_frsize <= 4 * MB
    with pytest.raises(OSError, match="No space"):
        (small_disk / "other").write_bytes(bytes(5 * MB))
    values = np.arange(MB, dtype=np.float32).reshape(1024, 1024)
    back = room.keep(values)
    assert np.array_equal(back(), values)
    assert back().dtype == values.dtype
    room.close()
    (small_disk / "other").unlink()
    assert os.statvfs(small_disk).f_bavail * free.f_frsize > 7 * MB


def test_a_disk_that_breaks_its_promise_is_told_by_name(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(small_disk))
    monkeypatch.setattr(journal, "_take", lambda fd, nbytes: None)
    room = Room("disk", 16 * MB)
    first = room.keep(np.ones(5 * MB, np.uint8))
    with pytest.raises(
        holdfast.HoldfastError, match="cannot be kept on the scratch disk: No space left"
    ) as caught:
        room.keep(np.ones(5 * MB, np.uint8))
    assert str(small_disk) in str(caught.value)
    assert "rollback=False" in str(caught.value)
    assert first().all()
    room.close()


def test_zeros_are_written_where_blocks_cannot_be_asked_for(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(small_disk))
    monkeypatch.delattr(os, "posix_fallocate")
    room = Room("disk", 6 * MB + 7)
    free = os.statvfs(small_disk)
    assert free.f_bavail * free.f_frsize < 2 * MB
    room.close()
    with pytest.raises(OSError, match="No space"):
        Room("disk", 9 * MB)


def test_every_kind_of_array_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    room = Room("disk", 1 * MB)
    kept = [
        np.arange(12, dtype=np.int16).reshape(3, 4).T,
        np.array(3.5),
        np.zeros((0, 4), np.float32),
        np.array(["a", "bc"], dtype=object),
        np.arange(5, dtype=np.complex64)[::2],
        np.array([True, False]),
    ]
    backs = [room.keep(values) for values in kept]
    for values, back in zip(kept, backs, strict=True):
        assert back().shape == values.shape
        assert back().dtype == values.dtype
        assert back().tolist() == values.tolist()
    room.close()
