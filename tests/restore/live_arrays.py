"""Live tensors of numpy arrays (and what goes wrong with them) for tests of the verified read."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace

from holdfast._core.catalog import Catalog
from holdfast._core.dtypes import carrier, dtype_of, known
from holdfast._core.spec import TensorSpec
from holdfast._frameworks.live import Variable
from holdfast._integrity.seal import find_seal, write_seal
from holdfast._layouts.resolve import resolve
from holdfast._layouts.target import Target
from holdfast._record.schema import dump_record
from holdfast._restore.reading import Transfer, Transferred, transfer


class Live:
    """Arrays by name, filled with bytes that no checkpoint holds, each with the variable to restore it through.

    ``way``: ``"memory"`` (its memory can be written), ``"write"`` (only through the framework) or ``"odd"`` (memory that
    begins at an odd address).
    """

    def __init__(self, specs: dict[str, TensorSpec], way: str = "memory") -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self.variables: dict[str, Variable] = {}
        for name, spec in specs.items():
            kind = carrier(spec.dtype) if known(spec.dtype) else np.dtype(spec.dtype)
            if kind.hasobject:
                array = np.full(spec.shape, b"before", object)
            else:
                room = np.full(int(np.prod(spec.shape)) * kind.itemsize + 1, 0xA5, np.uint8)
                array = room[1:] if way == "odd" else room[:-1]
                array = array.view(kind).reshape(spec.shape)
            self.add(name, spec, array, way)
        self.first = {name: array.copy() for name, array in self.arrays.items()}

    def add(self, name: str, spec: TensorSpec, array: np.ndarray, way: str = "memory") -> None:
        def write(values: np.ndarray) -> None:
            assert values.flags.c_contiguous
            assert (values.shape, values.dtype) == (array.shape, array.dtype)
            array[...] = values

        def memory() -> np.ndarray | None:
            return None if way == "write" or array.dtype.hasobject else array

        self.arrays[name] = array
        self.variables[name] = Variable(spec, lambda: array, write, memory)

    def transfers(self) -> list[Transfer]:
        return [Transfer(name, name, variable) for name, variable in self.variables.items()]

    def changed(self) -> set[str]:
        """Names of arrays that are not what they were."""
        return {name for name, array in self.arrays.items() if not same(array, self.first[name])}


def same(a: np.ndarray, b: np.ndarray) -> bool:
    """Bit for bit; texts by value."""
    if a.shape != b.shape:
        return False
    if a.dtype.hasobject or b.dtype.hasobject:
        return a.tolist() == b.tolist()
    return a.tobytes() == b.tobytes() and dtype_of(a.dtype) == dtype_of(b.dtype)


@contextmanager
def opened(path: Path, *, sealed: bool | str = False) -> Iterator[tuple[Catalog, Target]]:
    """A checkpoint; ``sealed`` writes its seal first, ``"older"`` one that says only what the first seals said."""
    (target,) = resolve(os.fspath(path))
    assert target.format is not None and target.main is not None, path
    with target.format.read(target.store.open(target.main), target.store) as catalog:
        if sealed and find_seal(target) is None:
            write_seal(target, catalog)
            if sealed == "older":
                _without_checksums(target)
        yield catalog, target


def _without_checksums(target: Target) -> None:
    seal = find_seal(target)
    assert seal is not None and seal.record is not None
    files = tuple(
        replace(file, regions=tuple(replace(row, checksums=()) for row in file.regions))
        for file in seal.record.files
    )
    tensors = tuple(replace(tensor, finite=None) for tensor in seal.record.tensors)
    older = replace(seal.record, files=files, tensors=tensors)
    Path(seal.path).write_text(json.dumps(dump_record(older)))
    assert b"checksums" not in Path(seal.path).read_bytes()


def restore(catalog: Catalog, target: Target, transfers: list[Transfer], **more: Any) -> Transferred:
    """:func:`transfer` with the seal that lies beside the checkpoint."""
    return transfer(catalog, target, transfers, seal=find_seal(target), **more)
