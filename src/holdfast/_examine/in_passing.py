"""Values that are looked at while their bytes are being verified, so that nobody reads them again.

A piece that has just been read for its checksum lies in the processor's cache, where one sum over it costs little. Where every
piece of a tensor is ordinary (:func:`ordinary`), the tensor is; all others are left to the scan.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from .._core.catalog import Catalog
from .._core.dtypes import DTYPES, carrier
from .._core.errors import HoldfastError
from .._core.spec import TensorSpec
from .._core.stats import PAGE, TensorStats
from .._integrity.checks import Look, Looks
from .._integrity.files import Names
from .._integrity.places import stored_run
from .._layouts.target import Target
from .._storage import Source
from .numbers import as_numbers, kind_of
from .scan import LEAST_QUICK, ordinary

__all__ = ["InPassing"]


class InPassing:
    """Looks at the large floating tensors of a catalog whose stored bytes are their values.

    Hand :meth:`among` to :func:`verify_catalog`, and then ask :meth:`stats`.
    """

    def __init__(self, catalog: Catalog, target: Target) -> None:
        self._catalog, self._target = catalog, target
        self._places: dict[tuple[str, int, int], TensorSpec] = {}
        self._seen: dict[str, list[int]] = {}

    def among(self, names: Names) -> Looks:
        """Find out where the tensors lie; nothing of them is read."""
        sources: dict[str, Source] = {}

        def opened(name: str) -> Source:
            if name not in sources:
                sources[name] = self._target.store.open(name)
            return sources[name]

        try:
            for spec in self._catalog.values():
                runs = names.runs_of(spec.name)
                if spec.nbytes < LEAST_QUICK or len(runs) != 1 or runs[0] in self._places:
                    continue
                if kind_of(spec.dtype) == "float" and DTYPES[spec.dtype].bits >= 8:
                    try:
                        plain = stored_run(self._catalog, spec, names, opened)
                    except HoldfastError:  # the scan will tell
                        continue
                    if plain is not None:
                        self._places[runs[0]] = spec
        finally:
            for source in sources.values():
                source.close()
        return self._look

    def _look(self, file: str, offset: int, length: int) -> Look | None:
        spec = self._places.get((file, offset, length))
        if spec is None:
            return None
        page = PAGE * (2 if DTYPES[spec.dtype].kind == "c" else 1) // carrier(spec.dtype).itemsize
        return partial(_see, spec.dtype, page, self._seen.setdefault(spec.name, []))

    def stats(self) -> dict[str, TensorStats]:
        """The numbers of the tensors that turned out ordinary, as a quick scan gives them."""
        parts = {s.name: 2 if DTYPES[s.dtype].kind == "c" else 1 for s in self._places.values()}
        return {
            name: TensorStats(sum(sizes))
            for name, sizes in self._seen.items()
            if sum(sizes)
            == parts[name] * self._catalog[name].nbytes // carrier(self._catalog[name].dtype).itemsize
        }


def _see(dtype: str, page: int, seen: list[int], piece: memoryview) -> None:
    """Note the number of the piece's values where they are ordinary."""
    values = as_numbers(np.frombuffer(piece, carrier(dtype)), dtype)
    if ordinary(values, page) is not None:
        seen.append(values.size)
