"""Data in NumPy's files: what comes back normalized, and whether what it was normalized with was saved.

Statistics of columns: mean and standard deviation over the first axis. Data counts as normalized where every column has mean 0
and deviation 1 (or is constant) to within rounding, over 32 rows and more: samples of any distribution do not come so close.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core.words import plural
from .._frameworks.events import Call
from .seen import Seen

if TYPE_CHECKING:
    from .guard import Guard

__all__ = ["Arrays", "normalized"]

_MOST = 1 << 26
"""Elements; larger arrays are not looked at."""
_LEAST_ROWS = 32
_MOST_CALLS = 256
"""Of ``load``; a program that reads its batches this way is not slowed down any further."""

_MOST_KEPT = 64
"""Arrays of up to 1 MiB that ``save`` has written, kept to compare what ``load`` gives."""


class Arrays:
    """The policy for calls of the kind ``data``: nothing is said of them but this."""

    def __init__(self, guard: Guard) -> None:
        self.guard = guard
        self._statistics: set[int] = set()
        self._saved: dict[str, tuple[str, np.ndarray]] = {}
        self._done = multiprocessing.parent_process() is not None  # of workers that read batches, none tells
        self._loads = 0

    def around(self, call: Call, run: Callable[[str | None], Any]) -> Any:
        """Carry the call out; see :class:`Guard`."""
        result = run(call.path)
        self._loads += call.state is None
        if self._done or self._loads > _MOST_CALLS:
            return result
        seen = Seen.of(call)
        with self.guard.looking(seen):
            if call.state is not None:
                self._note(call)
            elif isinstance(result, np.ndarray) and not isinstance(result, np.memmap):
                seen.sentence = self._of(call, result)
        if seen.sentence or seen.findings:
            self.guard.note(seen)
        return result

    def _note(self, call: Call) -> None:
        arrays = [np.asarray(array) for array in call.state if isinstance(array, np.ndarray)]
        self._statistics |= {a.size for a in arrays if a.ndim == 1 or (a.ndim > 1 and a.shape[0] == 1)}
        if (
            call.path is not None
            and len(arrays) == 1
            and arrays[0].nbytes <= 1 << 20
            and len(self._saved) < _MOST_KEPT
        ):
            self._saved[os.path.realpath(call.path)] = (str(call.site), arrays[0].copy())

    def _of(self, call: Call, array: np.ndarray) -> str:
        if array.ndim == 1:
            self._statistics.add(array.size)
        columns = normalized(array)
        place = os.path.realpath(call.path or "")
        if not columns or columns in self._statistics:
            return ""
        self._done = True  # once: files of samples, each normalized by itself, would all be told
        site, saved = self._saved.get(place, ("", None))
        same = saved is not None and saved.dtype == array.dtype and np.array_equal(saved, array)
        said = [f"normalized already: {_each(columns)} has mean 0 and deviation 1"]
        if same:
            said.append(f"bit for bit as {site} saved it")
        said.append(
            "what it was normalized with is in no array that this program saved or loaded, and new data must be normalized with "
            "just that: a batch's own mean and deviation are others"
        )
        return "; ".join(said)


def normalized(array: np.ndarray) -> int:
    """The number of columns of an array whose columns all have mean 0 and deviation 1 over its rows; else 0."""
    if (
        array.dtype.kind != "f"
        or array.ndim < 2
        or array.shape[0] < _LEAST_ROWS
        or not 0 < array.size <= _MOST
    ):
        return 0
    rows = array.shape[0]
    table = array.reshape(rows, -1)
    if not _unit(table[:, :1], rows) and table[:, 0].any():
        return 0  # most arrays end here
    return table.shape[1] if table.any() and _unit(table, rows) else 0


def _unit(table: np.ndarray, rows: int) -> bool:
    mean = table.mean(axis=0, dtype=np.float64)
    deviation = table.std(axis=0, dtype=np.float64)
    constant = deviation < 1e-6
    near = np.minimum(abs(deviation - 1), abs(deviation * (rows / (rows - 1)) ** 0.5 - 1)) < 1e-3
    return bool((abs(mean) < 1e-3).all() and (near | constant).all() and near.any())


def _each(columns: int) -> str:
    return "its one column" if columns == 1 else f"each of its {plural(columns, 'column')}"
