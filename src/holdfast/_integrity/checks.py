"""Runs checks on several threads, so that neither many small ones nor a single large one leave a processor
idle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from .._core.errors import HoldfastError
from .._core.fault import Check, Fault
from .._layouts.target import Target
from .._storage import Source
from .._storage.mapped import mapped
from .crc import POLYNOMIALS, combine, crc_function
from .errors import fault_of
from .files import Names
from .workers import Shared, run_all

__all__ = ["SPLIT", "run_checks"]

SPLIT = 16 << 20
"""Checks larger than two of these, and than a thread's fair share, are computed in parts of this size."""


def run_checks(
    checks: Sequence[Check], target: Target, names: Names, jobs: int, shared: Shared
) -> dict[int, Fault | None]:
    """What each check says, by its ``id``.

    Large ones come first, so that none is left alone at the end; the rest in the order given, which is that
    of the files. A check that tells its CRC (``expected``) and is larger than a thread's share is computed in
    parts; only where those disagree is it run as a whole, for the fault that it words.
    """
    said: dict[int, Fault | None] = {id(check): None for check in checks}
    total = sum(check.nbytes for check in checks)
    share = total // jobs
    large = share // 4 + 1
    ordered = sorted(checks, key=lambda check: -check.nbytes if check.nbytes >= large else 0)
    apart = [c for c in ordered if jobs > 1 and _can_split(c) and c.nbytes > max(2 * SPLIT, share // 2)]
    split = [_Parts(check, target, names) for check in apart]
    try:

        def tasks() -> Iterator[Callable[[memoryview], None]]:
            for parts in split:
                yield from parts.tasks(shared)
            for check in ordered:
                if check not in apart:
                    yield lambda _, check=check: whole(check, said, shared)

        run_all(tasks(), jobs if total > 1 << 20 else 1, shared)
        doubtful = [parts.check for parts in split if not parts.agree()]
        run_all([lambda _, check=check: whole(check, said, shared) for check in doubtful], jobs, shared)
    finally:
        for parts in split:
            parts.close()
    return said


def whole(check: Check, said: dict[int, Fault | None], shared: Shared) -> None:
    """Run one check as its reader wrote it."""
    try:
        said[id(check)] = check.run(shared.tell)
    except HoldfastError as error:
        said[id(check)] = fault_of(error, check.tensor)


def _can_split(check: Check) -> bool:
    return check.expected is not None and check.kind in POLYNOMIALS


class _Parts:
    """A CRC over a run of plain bytes, part by part."""

    def __init__(self, check: Check, target: Target, names: Names) -> None:
        self.check = check
        self._source: Source | None = None
        self._parts: list[tuple[int, int]] = []
        self._found: dict[int, int] = {}
        start, length = check.span() if check.span is not None else (check.offset, check.nbytes)
        try:
            self._source = target.store.open(names.name_of(check.file))
        except HoldfastError:  # the check itself will say so
            return
        if start + length <= self._source.size:
            self._parts = [
                (at, min(SPLIT, start + length - at)) for at in range(start, start + length, SPLIT)
            ]

    def tasks(self, shared: Shared) -> Iterator[Callable[[memoryview], None]]:
        function = crc_function(self.check.kind)
        for at, length in self._parts:

            def task(window: memoryview, at: int = at, length: int = length) -> None:
                assert self._source is not None
                try:
                    self._found[at] = _crc(self._source, at, length, window, function)
                except HoldfastError:  # it stays unknown, and the check is run as a whole
                    return
                shared.tell(length)

            yield task

    def agree(self) -> bool:
        """Whether all parts were read and together give what is expected."""
        if not self._parts or len(self._found) != len(self._parts):
            return False
        crc = self._found[self._parts[0][0]]
        for at, length in self._parts[1:]:
            crc = combine(self.check.kind, crc, self._found[at], length)
        return crc == self.check.expected

    def close(self) -> None:
        if self._source is not None:
            self._source.close()


def _crc(
    source: Source, at: int, length: int, window: memoryview, function: Callable[[memoryview, int], int]
) -> int:
    with mapped(source, at, length) as view:
        if view is not None:
            return function(view, 0)
    crc = 0
    for start in range(at, at + length, len(window)):
        part = window[: min(len(window), at + length - start)]
        source.readinto(start, part)
        crc = function(part, crc)
    return crc
