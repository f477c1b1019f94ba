"""A catalog whose tensors are datasets of HDF5 files, and where their bytes lie."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from ..._core.catalog import Catalog
from ..._core.errors import NotStored
from ..._core.fault import Check
from ..._core.spec import Stored, TensorSpec
from ..hdf5.file import Dataset, H5File

__all__ = ["H5Catalog", "Place", "stored_at"]

Place = Mapping[str, tuple[str, int]]
"""Source name -> (file as listed in the catalog, offset of the source in it)."""


class H5Catalog(Catalog):
    """A catalog whose tensors are datasets of one or several HDF5 files. Reads are safe from several
    threads.
    """

    def __init__(
        self,
        specs: Iterable[TensorSpec],
        datasets: Mapping[str, Dataset],
        opened: Iterable[Any],
        *,
        format: str,
        checks: Iterable[Check] = (),
        **rest: Any,
    ) -> None:
        super().__init__(specs, **rest)
        self.format = format
        self._datasets = datasets
        self._opened = tuple(opened)
        self._more_checks = tuple(checks)

    def _dataset(self, name: str) -> Dataset:
        spec = self[name]
        found = self._datasets.get(spec.key)
        if found is None:
            raise NotStored("the tensor is named, but its file is not here", tensor=spec.name)
        return found

    def read(self, name: str) -> np.ndarray:
        """The values; zero-copy and read-only for plain datasets. Raises as :meth:`Catalog.read` says."""
        found = self._dataset(name)
        return found.file.read(found)

    def pieces(self, name: str, limit: int = 1 << 24) -> Iterator[np.ndarray]:
        found = self._dataset(name)
        return found.file.pieces(found, limit)

    def checks(self) -> Iterator[Check]:
        yield from self._more_checks
        for file in self._opened:
            if isinstance(file, H5File):
                yield from file.checks()

    def close(self) -> None:
        for item in self._opened:
            item.close()


def stored_at(dataset: Dataset, places: Place) -> tuple[Stored, ...]:
    """Where a dataset's bytes lie, in a file that the catalog lists."""
    file, shift = places.get(dataset.file.source.name, (dataset.file.source.name, 0))
    if shift < 0 or dataset.offset is None:  # inside a compressed member, or chunked
        return (Stored(file, None, dataset.stored),)
    return (Stored(file, dataset.offset + shift, dataset.nbytes),)
