"""A lone numpy array file. Its tensor is called by the file's stem; fields of a structured array are
``stem.field``.

Format facts: numpy/lib/format.py. The format has no checksum.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

import numpy as np

from ..._core.catalog import Catalog
from ..._storage import Source, Store
from ..registry import Format
from .arrays import NpyArray
from .header import MAGIC

__all__ = ["FORMATS", "NpyCatalog", "open_npy"]


def recognise_npy(source: Source) -> bool:
    """Whether the file begins with numpy's magic."""
    return source.head(6) == MAGIC


def open_npy(source: Source, store: Store) -> Catalog:
    """Open by reading the header. Raises :class:`DamagedCheckpoint` where that is broken."""
    return NpyCatalog(source)


class NpyCatalog(Catalog):
    """One array file."""

    format = "npy"

    def __init__(self, source: Source) -> None:
        stem = posixpath.basename(source.name.replace("\\", "/"))
        stem = stem[:-4] if stem.lower().endswith(".npy") else stem
        self._array = NpyArray(lambda: source, source, source.size, stem or "array", source.name)
        self._source = source
        version = self._array.header.version
        super().__init__(
            self._array.specs,
            files=(source.name,),
            attributes={"npy_version": f"{version[0]}.{version[1]}"},
            faults=self._array.faults,
        )

    def read(self, name: str) -> np.ndarray:
        return self._array.read(self[name])

    def pieces(self, name: str, limit: int = 1 << 24) -> Iterator[np.ndarray]:
        """The elements in C order, converted piece by piece."""
        return self._array.pieces(self[name], min(limit, 1 << 22))

    def close(self) -> None:
        self._source.close()


FORMATS: tuple[Format, ...] = (
    Format("npy", "numpy array", recognise_npy, open_npy, suffixes=(".npy",), family="numpy"),
)
