"""One pass over the values: NaN, infinities, zeros, range, mean, and runs of zeros as long as a page.

Memory stays at a few pieces per thread, whatever the tensors' size. The fast path of a piece is min, max,
one dot product, one sum and one comparison; counting NaN, infinities, huge values and zero runs costs more
passes and is done only in pieces where the fast path says that there are any.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType

import numpy as np

from .._core.catalog import Catalog
from .._core.dtypes import DTYPES
from .._core.effort import excess, too_often
from .._core.errors import HoldfastError
from .._core.fault import Progress
from .._core.spec import TensorSpec
from .._core.stats import MOST_RUNS, PAGE, TensorStats
from .numbers import as_numbers, kind_of

__all__ = ["HUGE", "LEAST_QUICK", "PIECE", "ordinary", "scan_catalog", "scan_tensor"]

PIECE = 1 << 20  # fits the second-level cache together with its temporaries
HUGE = 1e10
LEAST_QUICK = 1 << 20  # bytes of a tensor
_ORDINARY = 3.6e9  # sum of squares below which no value reaches 60 000, where the rules on magnitudes begin


def ordinary(x: np.ndarray, page: int) -> float | None:
    """The sum of squares of values, where it and a few of them tell that there is nothing to find: no NaN, nothing infinite or
    large, no run of zeros of a ``page`` of elements, nor one that goes on beyond the values (the first is not zero); else
    ``None``."""
    if not x[:: page // 2 if x.size >= 2 * page else 1].all():
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        squares = float(np.dot(x, x))
    return squares if squares < _ORDINARY else None


class _Sums:
    """The running sums of one tensor."""

    def __init__(self, spec: TensorSpec, *, quick: bool = False) -> None:
        self.quick = quick and spec.nbytes >= LEAST_QUICK
        self.passed_over = False
        row = DTYPES[spec.dtype]
        parts = 2 if row.kind == "c" else 1
        self.width = max(1, row.bits // 8) // parts or 1  # bytes of one number as stored
        self.size = self.nan = self.inf = self.zeros = self.huge = 0
        self.low: float = math.inf
        self.high: float = -math.inf
        self.total = self.squares = 0.0
        self.finite = 0
        self.runs: list[tuple[int, int]] = []
        self.run_count = 0
        self.open: tuple[int, int] | None = None  # a run of zeros that touches the end of the last piece
        self.typical: float | None = None
        self.sub_byte = row.bits < 8

    def integers(self, x: np.ndarray) -> None:
        self.size += x.size
        self.low, self.high = min(self.low, int(x.min())), max(self.high, int(x.max()))
        if self.low <= 0 <= self.high:
            self.zeros += x.size - int(np.count_nonzero(x))

    def floats(self, x: np.ndarray) -> None:
        if self.quick and self._ordinary(x):
            return
        low, high = float(x.min()), float(x.max())  # NaN if there is one
        # of floats numpy counts what is not zero one by one, and what a comparison gave many at once
        zeros = int(np.count_nonzero(x == 0)) if not (low > 0 or high < 0) else 0
        self._zero_runs(x, zeros)
        self.zeros += zeros
        self.size += x.size
        finite = x
        if not (math.isfinite(low) and math.isfinite(high)):
            keep = np.isfinite(x)
            nan = int(np.count_nonzero(np.isnan(x)))
            self.nan += nan
            finite = x[keep]
            self.inf += x.size - finite.size - nan
            if finite.size == 0:
                return
            low, high = float(finite.min()), float(finite.max())
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.finite += finite.size
        if max(-low, high) > HUGE:
            finite = self._huge(finite)
        with np.errstate(over="ignore"):
            self.total += float(finite.sum(dtype=np.float64) if finite.size < 4096 else finite.sum())
            self.squares += float(np.dot(finite, finite))

    def _ordinary(self, x: np.ndarray) -> bool:
        """Whether there is nothing to find."""
        page = PAGE // self.width
        squares = None if self.sub_byte else ordinary(x, page)
        if squares is None:
            return False
        if self.open:
            self.open = (self.open[0], self.size + int(np.argmax(x[:page] != 0)))
            self._shut()
        trail = int(np.argmax(x[: -page - 1 : -1] != 0)) if x[-1] == 0 else 0
        self.size += x.size
        self.finite += x.size
        self.squares += squares
        self.passed_over = True
        if trail:
            self.open = (self.size - trail, self.size)
        return True

    def _huge(self, finite: np.ndarray) -> np.ndarray:
        magnitude = np.abs(finite)
        self.huge += int(np.count_nonzero(magnitude > HUGE))
        rest = magnitude[(magnitude <= HUGE) & (magnitude > 0)]
        if rest.size and self.typical is None:
            self.typical = float(np.median(rest[:: max(1, rest.size // 4096)]))
        return finite.astype(np.float64)

    def _zero_runs(self, x: np.ndarray, zeros: int) -> None:
        """Note runs of zeros; ``self.size`` still tells where this piece begins."""
        if zeros == 0 or self.sub_byte:
            self._shut()
            return
        least = PAGE // self.width - 1  # a page that starts within an element covers one element less
        starts = self.size
        if zeros == x.size:
            self.open = (self.open[0] if self.open else starts, starts + x.size)
            return
        if zeros < least and x[0] != 0 and x[-1] != 0:
            self._shut()
            return
        if zeros < least or not self._long_run(x, least):  # only the runs at the edges can matter
            lead = int(np.argmax(x != 0)) if x[0] == 0 else 0
            trail = int(np.argmax(x[::-1] != 0)) if x[-1] == 0 else 0
            edges = [(0, lead), (x.size - trail, x.size)]
        else:
            mask = np.zeros(x.size + 2, np.int8)
            mask[1:-1] = x == 0
            turns = np.flatnonzero(np.diff(mask))
            firsts, ends = turns[::2], turns[1::2]
            keep = (ends - firsts >= least) | (firsts == 0) | (ends == x.size)
            edges = list(zip(firsts[keep].tolist(), ends[keep].tolist(), strict=True))
        for first, end in edges:
            if first == end:
                continue
            if first == 0 and self.open:
                first = self.open[0] - starts
            elif self.open:
                self._shut()
            self.open = None
            if end == x.size:
                self.open = (starts + first, starts + end)
            else:
                self._note(starts + first, starts + end)
        if self.open and self.open[1] != starts + x.size:
            self._shut()

    @staticmethod
    def _long_run(x: np.ndarray, least: int) -> bool:
        """Whether some run of zeros may be ``least`` long: it then covers a block of half that length."""
        block = max(1, least // 2)
        whole = x.size // block * block
        return not bool(x[:whole].reshape(-1, block).any(axis=1).all())

    def _shut(self) -> None:
        if self.open:
            self._note(*self.open)
            self.open = None

    def _note(self, first: int, end: int) -> None:
        if end - first >= PAGE // self.width - 1:
            self.run_count += 1
            if len(self.runs) < MOST_RUNS:
                self.runs.append((first * self.width, (end - first) * self.width))

    def done(self, floating: bool) -> TensorStats:
        self._shut()
        if self.size == 0:
            return TensorStats(0)
        known = math.isfinite(self.low) and (not self.passed_over or bool(self.huge))
        mean = std = None
        if floating and self.finite and not self.passed_over:
            mean = self.total / self.finite
            spread = self.squares / self.finite - mean * mean
            std = math.sqrt(max(0.0, spread)) if math.isfinite(spread) else None
        whole = self.zeros == self.size
        return TensorStats(
            size=self.size,
            nan=self.nan,
            inf=self.inf,
            zeros=self.zeros,
            minimum=self.low if known else None,
            maximum=self.high if known else None,
            mean=mean,
            std=std,
            zero_pages=() if whole else tuple(self.runs),
            runs=0 if whole else self.run_count,
            huge=self.huge,
            typical=self.typical,
        )


class _Stopped(Exception):
    """Raised in a worker once another one has failed or the person has interrupted."""


def scan_tensor(
    catalog: Catalog, name: str, progress: Progress | None = None, *, quick: bool = False
) -> TensorStats | HoldfastError:
    """The numbers of one tensor, or the error that reading it raised. Strings and objects give an empty
    count.

    Objects are read nevertheless: that they read is worth knowing. ``quick``: of large tensors only what is wrong is
    counted; their range, mean and zeros are not told.
    """
    spec = catalog[name]
    kind = kind_of(spec.dtype)
    try:
        if not kind:
            for _ in catalog.pieces(name):
                pass
            if progress is not None:
                progress(spec.nbytes)
            return TensorStats(0)
        sums = _Sums(spec, quick=quick)
        for piece in catalog.pieces(name):
            if piece.size == 0:
                continue
            flat = piece.reshape(-1)
            step = max(1, PIECE // max(1, flat.dtype.itemsize))
            for start in range(0, flat.size, step):
                part = as_numbers(flat[start : start + step], spec.dtype)
                if kind == "int":
                    sums.integers(part)
                else:
                    sums.floats(part)
            if progress is not None:
                progress(int(piece.nbytes))
        return sums.done(kind == "float")
    except HoldfastError as error:
        return error


def scan_catalog(
    catalog: Catalog,
    *,
    names: Iterable[str] | None = None,
    jobs: int | None = None,
    progress: Progress | None = None,
    quick: bool = False,
    known: Mapping[str, TensorStats] = MappingProxyType({}),
) -> dict[str, TensorStats | HoldfastError]:
    """The numbers of all tensors (or of ``names``), in the catalog's order; errors of single tensors stand
    in their place.

    Tensors that are the same bytes under several names are read once. ``jobs`` threads (default: the
    machine's cores, 8 at most); ``progress`` is called with byte counts, from any of them. ``quick``: see
    :func:`scan_tensor`. ``known``: numbers of tensors that need not be read.
    """
    wanted = list(catalog) if names is None else [catalog[n].name for n in names]
    firsts: dict[object, str] = {}
    twin: dict[str, str] = {}
    for name in wanted:
        spec = catalog[name]
        if spec.shares is not None and spec.stored:
            # Views of one storage are the same values only where they begin, end and are laid out alike.
            layout = (
                spec.shares,
                spec.dtype,
                spec.shape,
                spec.stored,
                str(sorted(spec.attributes.items(), key=str)),
            )
            twin[name] = firsts.setdefault(layout, name)
    todo = [n for n in wanted if twin.get(n, n) == n]
    skipped = excess(catalog[n] for n in todo)
    found: dict[str, TensorStats | HoldfastError] = {n: too_often(n) for n in skipped}
    for name in todo:
        if name in known and name not in skipped:
            found[name] = known[name]
            if progress is not None:
                progress(catalog[name].nbytes)
    todo = [n for n in todo if n not in found]
    workers = min(jobs or min(8, os.cpu_count() or 1), max(1, len(todo)))
    if workers == 1 or sum(catalog[n].nbytes for n in todo) < 1 << 22:
        for name in todo:
            found[name] = scan_tensor(catalog, name, progress, quick=quick)
    else:
        stopped = threading.Event()

        def told(nbytes: int) -> None:
            if stopped.is_set():
                raise _Stopped
            if progress is not None:
                progress(nbytes)

        with ThreadPoolExecutor(workers, thread_name_prefix="holdfast-scan") as pool:
            try:
                results = pool.map(lambda n: scan_tensor(catalog, n, told, quick=quick), todo)
                found.update(zip(todo, results, strict=True))
            except (
                BaseException
            ):  # an interruption waits for a piece, not for the tensors that are being read
                stopped.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    return {name: found[twin.get(name, name)] for name in wanted}
