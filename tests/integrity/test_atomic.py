"""A small file that is there whole or not at all; and what is no file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast import SealError
from holdfast._integrity.atomic import write_whole


def test_a_file_is_made_and_replaced_and_nothing_is_left(tmp_path: Path) -> None:
    write_whole(tmp_path / "a", b"one", replace=True)
    write_whole(tmp_path / "a", b"two", replace=True)
    with pytest.raises(SealError):
        write_whole(tmp_path / "a", b"three", replace=False)
    assert (tmp_path / "a").read_bytes() == b"two" and os.listdir(tmp_path) == ["a"]


@pytest.mark.skipif(sys.platform == "win32", reason="pipes that are files")
def test_what_is_no_file_is_written_to_and_never_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE)
    write_whole(pipe, b"said", replace=True)
    assert reader.communicate(timeout=60)[0] == b"said"
    assert pipe.is_fifo() and os.listdir(tmp_path) == ["pipe"]
