"""Runs: stretches of a file that are read, summed and compared piece by piece, wherever they are read to.

What is computed of a run's bytes is what its evidence asks for, and no more: checksums that keep up with memory (XXH3-128 of a
seal, the format's CRC-32 or CRC-32C), digests where a seal has nothing else (one that an older Holdfast wrote).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from blake3 import blake3
from xxhash import xxh3_128

from .._core.errors import ChecksumMismatch
from .._integrity.crc import combine, crc_function
from .._integrity.digest import LEAF, checksum_of
from .._storage import Source

__all__ = ["Claims", "Part", "Run"]

_PIECE = 512 << 10
"""Bytes that are read and then summed: small enough that the core's own cache still holds them (10 % less time than 256 KiB
and than 1 MiB on an EPYC with 1 MiB a core)."""


class Claims(NamedTuple):
    """What evidence says of a run.

    ``checksums``: of its leaves of 4 MiB; ``leaves``: their digests, where there are no checksums. ``inner``: ``(start,
    length, digest)`` of stretches that are cut otherwise. ``crcs``: ``(kind, value)`` of the whole run. ``proved``: whether
    all of its bytes are covered. ``finite``: all values were found finite when these bytes were sealed.
    """

    checksums: tuple[str, ...] | None = None
    leaves: tuple[str, ...] | None = None
    inner: tuple[tuple[int, int, str], ...] = ()
    crcs: tuple[tuple[str, int], ...] = ()
    proved: bool = False
    finite: bool = False


class Run:
    """One tensor's bytes in one file, and where they go.

    ``item`` is whatever the caller wants back (the transfer). ``buffer`` is the memory they are read to: the live
    tensor's own, or memory that is lent when its turn comes (``direct`` tells which): ``scratch``, or the framework's,
    which ``commit()`` makes the live value. ``summed`` asks for checksums though no claim does: ``found`` are those of
    the leaves as read, ``checksum()`` that of the whole. ``finite`` tells of a piece whether all its values are, and
    ``nonfinite`` is set where they were not; nothing is asked where the claims tell already.
    """

    __slots__ = (
        "_left",
        "_lock",
        "_sums",
        "begun",
        "buffer",
        "claims",
        "commit",
        "direct",
        "finite",
        "found",
        "item",
        "length",
        "nonfinite",
        "offset",
        "scratch",
        "source",
        "summed",
        "tensor",
    )

    def __init__(
        self, item: Any, tensor: str, source: Source, offset: int, length: int, buffer: memoryview | None
    ) -> None:
        self.item, self.tensor = item, tensor
        self.source, self.offset, self.length = source, offset, length
        self.buffer = buffer
        self.direct = buffer is not None
        self.scratch: np.ndarray | None = None
        self.commit: Callable[[], None] | None = None
        self.claims = Claims()
        self.summed = False
        self.finite: Callable[[memoryview], bool] | None = None
        self.nonfinite = False
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Ready to be read (again)."""
        count = -(-self.length // LEAF)
        self.found: list[str] = [""] * count
        self._sums: list[tuple[int, ...]] = [()] * count
        self._left = count
        self.begun = False

    def parts(self) -> list[Part]:
        """What one worker takes at a time, in the order of the file: a leaf each."""
        return [Part(self, n) for n in range(len(self.found))]

    def checksum(self) -> str:
        """The checksum of the bytes as read, as :func:`holdfast._integrity.digest.checksum_array` makes it; they must have been
        ``summed``."""
        return checksum_of(self.length, self.found)

    def put(self, number: int, checksum: str, digest: str, sums: tuple[int, ...]) -> bool:
        """Take what was computed of a part (empty where it was not); whether it was the last one. Raises
        :class:`ChecksumMismatch`."""
        for expected, now in ((self.claims.checksums, checksum), (self.claims.leaves, digest)):
            if expected is not None and expected[number] != now:
                raise self.mismatch(
                    number * LEAF, min(LEAF, self.length - number * LEAF), expected[number], now
                )
        self.found[number], self._sums[number] = checksum, sums
        with self._lock:
            self._left -= 1
            last = self._left == 0
        if last:
            self._compare_crcs()
        return last

    def _compare_crcs(self) -> None:
        for n, (kind, expected) in enumerate(self.claims.crcs):
            crc = self._sums[0][n]
            for number in range(1, len(self._sums)):
                length = min(LEAF, self.length - number * LEAF)
                crc = combine(kind, crc, self._sums[number][n], length)
            if crc != expected:
                raise self.mismatch(0, self.length, f"{kind} {expected:08x}", f"{crc:08x}")

    def compare_inner(self) -> None:
        """Compare the stretches that are cut otherwise, once all bytes lie in ``buffer``."""
        if self.buffer is None:
            return
        for start, length, expected in self.claims.inner:
            digest = blake3(self.buffer[start : start + length]).hexdigest()
            if digest != expected:
                raise self.mismatch(start, length, expected, digest)

    def mismatch(self, start: int, length: int, expected: str, found: str) -> ChecksumMismatch:
        """The error for bytes of this run that contradict their evidence."""
        return ChecksumMismatch(
            f"{length:,} bytes of a tensor contradict their checksum",
            file=self.source.name,
            offset=self.offset + start,
            tensor=self.tensor,
            expected=expected,
            found=found,
            remedy="Run `holdfast doctor` on the checkpoint to see what can be saved of it.",
        )


class Part(NamedTuple):
    """One leaf of a run."""

    run: Run
    number: int

    @property
    def length(self) -> int:
        """Its bytes."""
        return min(LEAF, self.run.length - self.number * LEAF)

    def place(self, window: memoryview | None) -> memoryview | None:
        """Where its bytes go: ``None`` where they only pass through ``window``."""
        if window is not None:
            return None
        assert self.run.buffer is not None
        start = self.number * LEAF
        return self.run.buffer[start : start + self.length]

    def fill(self) -> None:
        """Read it."""
        place = self.place(None)
        assert place is not None
        self.run.source.readinto(self.run.offset + self.number * LEAF, place)

    def work(self, window: memoryview | None, *, read: bool) -> bool:
        """Read (where it was not filled yet) and sum it, piece by piece, so that what is summed lies in the processor's
        cache; with ``window`` the bytes go nowhere else. Whether it was the run's last part."""
        run, place = self.run, self.place(window)
        at, end = self.number * LEAF, self.number * LEAF + self.length
        functions = [crc_function(kind) for kind, _ in run.claims.crcs]
        sums = [0] * len(functions)
        checksum = xxh3_128() if run.summed or run.claims.checksums is not None else None
        digest = blake3() if run.claims.leaves is not None else None
        finite = None if run.claims.finite else run.finite
        for start in range(at, end, _PIECE):
            size = min(_PIECE, end - start)
            if place is None:
                assert window is not None
                piece = window[:size]
            else:
                piece = place[start - at : start - at + size]
            if read:
                run.source.readinto(run.offset + start, piece)
            for hasher in (checksum, digest):
                if hasher is not None:
                    hasher.update(piece)
            if finite is not None and not run.nonfinite and not finite(piece):
                run.nonfinite = True
            for n, function in enumerate(functions):
                sums[n] = function(piece, sums[n])
        last = run.put(
            self.number,
            "" if checksum is None else checksum.hexdigest(),
            "" if digest is None else digest.hexdigest(),
            tuple(sums),
        )
        if last and window is None:
            run.compare_inner()
        return last
