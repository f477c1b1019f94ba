"""What happens to Keras and TensorFlow files on their way, done to real ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

import holdfast

BLOCK = 4096


def data_of(path: Path) -> Path:
    """The file that holds the tensors' bytes: of a TensorFlow prefix its only shard."""
    shard = path.with_name(path.name + ".data-00000-of-00001")
    return shard if shard.exists() else path


def index_of(path: Path) -> Path:
    return path.with_name(path.name + ".index")


def change(path: Path, how: Callable[[bytearray], bytearray | None]) -> None:
    """Rewrite a file's bytes."""
    data = bytearray(path.read_bytes())
    path.write_bytes(how(data) or data)


def place(path: Path, word: str = "encoder") -> int:
    """Where the bytes of a kernel begin in the data file, found by its values."""
    with holdfast.open(path) as stored:
        name = next(n for n, s in stored.items() if s.role == "weight" and len(s.shape) == 2)
        needle = np.ascontiguousarray(stored.read(name)).tobytes()
    at = data_of(path).read_bytes().find(needle)
    assert at >= 0, f"the bytes of {name} were not found"
    return at


def flip_data(path: Path) -> None:
    at = place(path)

    def how(data: bytearray) -> None:
        data[at + 7] ^= 0x10

    change(data_of(path), how)


def zero_block(path: Path) -> None:
    """Zeros over the first tensor's bytes (the files are smaller than a page of 4 KiB on a disk)."""
    at = place(path)

    def how(data: bytearray) -> None:
        size = min(BLOCK, 200)
        data[at : at + size] = bytes(size)

    change(data_of(path), how)


def cut_one(path: Path) -> None:
    change(data_of(path), lambda data: data[:-1])


def cut_half(path: Path) -> None:
    change(data_of(path), lambda data: data[: len(data) // 2])


def empty(path: Path) -> None:
    data_of(path).write_bytes(b"")


def zeros(path: Path) -> None:
    change(data_of(path), lambda data: bytearray(len(data)))


def flip_index(path: Path) -> None:
    def how(data: bytearray) -> None:
        data[len(data) // 2] ^= 0x04

    change(index_of(path), how)


def no_index(path: Path) -> None:
    index_of(path).unlink()


def no_data(path: Path) -> None:
    data_of(path).unlink()


def other_data(path: Path) -> None:
    """The shard of another save of the same model: every length fits."""

    def how(data: bytearray) -> None:
        values = np.frombuffer(bytes(data[: len(data) // 4 * 4]), "<f4").copy()
        values += np.float32(0.25)
        data[: values.nbytes] = values.tobytes()

    change(data_of(path), how)


def no_statistics(path: Path) -> None:
    """A file of a writer that keeps trained weights only: BatchNormalization has no moving statistics in it."""
    with h5py.File(path, "r+") as file:
        found: list[str] = []

        def visit(name: str, thing: object) -> None:
            if isinstance(thing, h5py.Dataset) and ("norm" in name and name.rsplit("/", 1)[-1] in "23"):
                found.append(name)
            if isinstance(thing, h5py.Dataset) and "moving_" in name:
                found.append(name)

        file.visititems(visit)
        assert found, "no moving statistics in the file"
        for name in found:
            del file[name]
