"""Writing past the page cache: what the system is asked, and what happens where it refuses."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path

import pytest

from holdfast._core.errors import SaveFailed
from holdfast._storage import direct, placed
from holdfast._storage.direct import BLOCK, aligned_memory, in_memory, set_direct, start_writeback
from holdfast._storage.local_sink import LocalSink
from holdfast._storage.placed import LocalPlacedFile
from holdfast.testing import FaultySink

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="O_DIRECT is Linux's")


def _file(sink: LocalSink, size: int) -> LocalPlacedFile:
    sink.large = 0
    file = sink.create_placed("x", size)
    assert isinstance(file, LocalPlacedFile)
    return file


def _direct_or_skip(file: LocalPlacedFile) -> LocalPlacedFile:
    if not file.direct:
        file.close()
        pytest.skip("the file system of the tests has no O_DIRECT")
    return file


def test_memory_begins_at_a_block() -> None:
    for size in (BLOCK, 3 * BLOCK):
        memory = aligned_memory(size)
        assert len(memory) == size
        assert ctypes.addressof(ctypes.c_char.from_buffer(memory)) % BLOCK == 0


def test_the_flag_comes_and_goes(tmp_path: Path) -> None:
    handle = os.open(tmp_path / "x", os.O_WRONLY | os.O_CREAT)
    try:
        if not set_direct(handle, True):
            pytest.skip("the file system of the tests has no O_DIRECT")
        with pytest.raises(OSError, match="Invalid") as refused:
            os.pwrite(handle, b"odd", 0)
        assert refused.value.errno == errno.EINVAL
        assert set_direct(handle, False)
        assert os.pwrite(handle, b"odd", 0) == 3
    finally:
        os.close(handle)


def test_a_closed_descriptor_is_an_error() -> None:
    read, write = os.pipe()
    os.close(read)
    os.close(write)
    with pytest.raises(OSError, match="Bad file descriptor"):
        set_direct(write, True)


def test_what_is_padded_is_cut(tmp_path: Path) -> None:
    file = _direct_or_skip(_file(LocalSink(tmp_path), BLOCK + 3))
    memory = aligned_memory(2 * BLOCK)
    memory[:] = b"a" * (2 * BLOCK)
    file.write_at(memory[BLOCK:], BLOCK)
    file.write_at(memory[:BLOCK], 0)
    file.sync()
    file.close()
    file.close()
    assert (tmp_path / "x").read_bytes() == b"a" * (BLOCK + 3)


def test_what_was_written_past_the_cache_is_not_in_it(tmp_path: Path) -> None:
    """So the first reading after a save comes from the disk, and the cache keeps what training wants there."""
    size = 64 * BLOCK
    for direct_, expected in ((True, 0), (False, 64)):
        folder = tmp_path / str(direct_)
        folder.mkdir()
        file = _file(LocalSink(folder, direct=direct_), size)
        if direct_:
            _direct_or_skip(file)
        file.write_at(aligned_memory(size), 0)
        file.sync()
        file.close()
        assert _cached_pages(folder / "x", size) == expected


def _cached_pages(path: Path, size: int) -> int:
    """How many pages of a file lie in the cache (man 2 mincore)."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    handle = os.open(path, os.O_RDONLY)
    try:
        address = libc.mmap(None, ctypes.c_size_t(size), 1, 1, handle, ctypes.c_long(0))
        found = (ctypes.c_ubyte * (size // BLOCK))()
        assert libc.mincore(ctypes.c_void_p(address), ctypes.c_size_t(size), found) == 0
        libc.munmap(ctypes.c_void_p(address), ctypes.c_size_t(size))
        return sum(byte & 1 for byte in found)
    finally:
        os.close(handle)


def test_less_than_a_block_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = _direct_or_skip(_file(LocalSink(tmp_path), BLOCK))
    monkeypatch.setattr(LocalSink, "write_some_at", lambda self, handle, data, offset: 100)
    with pytest.raises(SaveFailed, match="less than a block") as failed:
        file.write_at(aligned_memory(BLOCK), 0)
    assert failed.value.number == errno.EIO
    file.close()


def test_a_refused_write_goes_through_the_cache(tmp_path: Path) -> None:
    sink = FaultySink(tmp_path, at=1, kinds={"write"}, error=errno.EINVAL)
    file = _direct_or_skip(_file(sink, BLOCK))
    file.write_at(aligned_memory(BLOCK), 0)
    assert not file.direct
    file.sync()
    file.close()
    assert (tmp_path / "x").read_bytes() == bytes(BLOCK)


def test_another_error_is_raised_and_the_flag_stays(tmp_path: Path) -> None:
    sink = FaultySink(tmp_path, at=1, kinds={"write"}, error=errno.ENOSPC)
    file = _direct_or_skip(_file(sink, BLOCK))
    with pytest.raises(SaveFailed, match="the disk is full"):
        file.write_at(aligned_memory(BLOCK), 0)
    assert file.direct
    file.close()


def test_invalid_through_the_cache_is_raised(tmp_path: Path) -> None:
    sink = FaultySink(tmp_path, at=1, kinds={"write"}, error=errno.EINVAL, direct=False)
    file = _file(sink, 5)
    with pytest.raises(SaveFailed, match="write"):
        file.write_at(memoryview(b"hello"), 0)
    file.close()


def test_writeback_is_a_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handle = os.open(tmp_path / "x", os.O_WRONLY | os.O_CREAT)
    os.write(handle, bytes(BLOCK))
    start_writeback(handle, 0, BLOCK)
    os.close(handle)
    with pytest.raises(OSError, match="Bad file descriptor"):
        start_writeback(handle, 0, BLOCK)
    monkeypatch.setattr(direct, "_sync_file_range", lambda: None)
    start_writeback(handle, 0, BLOCK)  # a system without it: nothing
    monkeypatch.setattr(placed, "writeback_known", lambda: False)
    sink = FaultySink(tmp_path / "y", direct=False)
    Path(sink.path).mkdir()
    file = _file(sink, 5)
    file.write_at(memoryview(b"hello"), 0)
    file.start_writeback(0, 5)
    file.close()
    assert [kind for kind, _ in sink.operations] == ["open", "write", "close"]


def test_the_type_of_a_file_system_is_found_by_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        "22 1 0:21 / /proc rw shared:5 - proc proc rw\n"
        "30 1 8:1 / / rw,relatime shared:1 master:2 - ext4 /dev/sda1 rw\n"
        "31 30 0:55 / /mnt/a\\040b rw - tmpfs none rw,size=8m\n"
    )
    monkeypatch.setattr(Path, "read_text", lambda self, *_: text)
    assert direct._type_of(8, 1) == "ext4"
    assert direct._type_of(0, 55) == "tmpfs"
    assert direct._type_of(9, 9) == ""


def test_nothing_is_in_memory_where_the_system_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, *_: object) -> str:
        raise PermissionError(errno.EACCES, "no /proc here")

    monkeypatch.setattr(Path, "read_text", refuse)
    assert not in_memory("/")
