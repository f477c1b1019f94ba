"""Files of very many tiny tensors that their own libraries wrote: opened whole, without a word of a limit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast


def of_torch(path: Path, count: int, **options: Any) -> None:
    torch = pytest.importorskip("torch")
    torch.save({f"{i}": torch.ones(1) for i in range(count)}, path, **options)


def of_torch_before_zip(path: Path, count: int) -> None:
    of_torch(path, count, _use_new_zipfile_serialization=False)


def of_safetensors(path: Path, count: int) -> None:
    numpy = pytest.importorskip("safetensors.numpy")
    numpy.save_file({f"{i}": np.ones(1, np.float32) for i in range(count)}, path)


def of_numpy(path: Path, count: int) -> None:
    with path.open("wb") as file:
        np.savez(file, **{f"{i}": np.ones(1, np.float32) for i in range(count)})


def opens_whole(path: Path, count: int, write: Callable[[Path, int], None]) -> None:
    write(path, count)
    with holdfast.open(path) as catalog:
        assert len(catalog) == count
        assert [str(fault) for fault in catalog.faults] == []
        assert catalog.read(str(count - 1)).tolist() == [1.0]
    assert [f.code for f in holdfast.examine(path, depth="structure").findings if f.slug == "limit"] == []


@pytest.mark.parametrize("write", [of_torch, of_safetensors])
def test_a_hundred_thousand(tmp_path: Path, write: Callable[[Path, int], None]) -> None:
    opens_whole(tmp_path / "many", 100_000, write)


def test_sixty_thousand_in_a_stream_of_old(tmp_path: Path) -> None:
    opens_whole(tmp_path / "many", 60_000, of_torch_before_zip)


@pytest.mark.long
@pytest.mark.parametrize("write", [of_torch, of_safetensors, of_numpy])
def test_two_hundred_thousand(tmp_path: Path, write: Callable[[Path, int], None]) -> None:
    opens_whole(tmp_path / "many", 200_000, write)
