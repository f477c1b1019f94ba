"""A leased file cannot be cut short; who wants to write waits, and a lease is never joined while somebody waits."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from holdfast._storage.local import LocalFile
from holdfast._storage.mapped import mapped

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="leases are Linux's")


@pytest.fixture
def source(tmp_path: Path) -> LocalFile:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 4096)
    source = LocalFile(path)
    with source.lease.held() as steady:
        if not steady:
            pytest.skip("this file system has no leases")
    return source


def test_a_writer_waits_until_the_lease_is_given_up(source: LocalFile) -> None:
    done = threading.Event()

    def writer() -> None:
        os.truncate(source.path, 10)
        done.set()

    with source.lease.held() as steady:
        assert steady
        thread = threading.Thread(target=writer)
        thread.start()
        assert not done.wait(0.2)
        assert Path(source.path).stat().st_size == 256 * 4096
        with source.lease.held() as joined:
            assert not joined, "a lease that somebody waits for was joined"
    thread.join(60)
    assert done.is_set()
    assert Path(source.path).stat().st_size == 10


def test_no_lease_while_somebody_has_the_file_open_for_writing(source: LocalFile) -> None:
    with Path(source.path).open("r+b"):
        with source.lease.held() as steady:
            assert not steady
        with mapped(source, 0, 4096) as view:
            assert view is None
    with source.lease.held() as steady:
        assert steady, "the writer is gone, and the lease can be had again"


def test_two_readers_share_it(source: LocalFile) -> None:
    with source.lease.held() as first, source.lease.held() as second:
        assert first
        assert second
    with mapped(source, 100, 300) as view:
        assert view is not None
        assert bytes(view) == (bytes(range(256)) * 3)[100:400]


def test_the_kernels_word_ends_nobody(source: LocalFile) -> None:
    assert signal.getsignal(signal.SIGURG) == signal.SIG_DFL
    for _ in range(20):
        with source.lease.held():
            thread = threading.Thread(target=lambda: Path(source.path).open("r+b").close())
            thread.start()
        thread.join(60)
        assert not thread.is_alive()
