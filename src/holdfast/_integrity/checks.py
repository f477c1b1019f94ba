"""Runs checks on several threads, so that neither many small ones nor a single large one leave a processor
idle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from .._core.errors import HoldfastError
from .._core.fault import Check, Fault, fault_of
from .._layouts.target import Target
from .._storage import Source
from .._storage.mapped import mapped
from .crc import POLYNOMIALS, combine, crc_function
from .files import Names
from .workers import WINDOW, Shared, run_all

__all__ = ["SPLIT", "Look", "Looks", "run_checks"]

Look = Callable[[memoryview], None]
"""Shown each piece of a check's bytes while the processor's cache holds it, from any thread and in any order; keeps none.
Pieces are :data:`WINDOW` bytes, but for the last."""

Looks = Callable[[str, int, int], Look | None]
"""Given a file's name in the store, and offset and length of the bytes that a check is about: who is to be shown them."""

SPLIT = 16 << 20
"""Checks larger than two of these, and than a thread's fair share, are computed in parts of this size."""

_WORTH = 1 << 20
"""Plain bytes from this size on are computed here, without a fresh buffer for each piece."""


def run_checks(
    checks: Sequence[Check],
    target: Target,
    names: Names,
    jobs: int,
    shared: Shared,
    looks: Looks | None = None,
) -> dict[int, Fault | None]:
    """What each check says, by its ``id``.

    Large ones come first, so that none is left alone at the end; the rest in the order given, which is that
    of the files. A check that tells its CRC (``expected``) is computed here, and in parts where it is larger than
    a thread's share; only where that disagrees is it run as its reader wrote it, for the fault that it words. Of those that
    are computed here, ``looks`` may see the bytes as well, so that nobody need read them again.
    """
    said: dict[int, Fault | None] = {id(check): None for check in checks}
    total = sum(check.nbytes for check in checks)
    share = total // jobs
    large = share // 4 + 1
    ordered = sorted(checks, key=lambda check: -check.nbytes if check.nbytes >= large else 0)
    least = max(2 * SPLIT, share // 2) if jobs > 1 else total
    sources: dict[str, Source | None] = {}
    planned = {
        id(c): _Parts(c, _source(c, target, names, sources), SPLIT if c.nbytes > least else c.nbytes)
        for c in ordered
        if c.nbytes >= _WORTH and _can_split(c)
    }
    for parts in planned.values() if looks is not None else ():
        assert looks is not None
        parts.look = looks(names.name_of(parts.check.file), *parts.span)
    try:

        def tasks() -> Iterator[Callable[[memoryview], None]]:
            for check in ordered:
                if id(check) in planned:
                    yield from planned[id(check)].tasks(shared)
                else:
                    yield partial(_whole_alone, check, said, shared)

        run_all(tasks(), jobs if total > 1 << 20 else 1, shared)
        doubtful = [parts.check for parts in planned.values() if not parts.agree()]
        run_all([partial(_whole_alone, check, said, shared) for check in doubtful], jobs, shared)
    finally:
        for source in sources.values():
            if source is not None:
                source.close()
    return said


def _source(check: Check, target: Target, names: Names, opened: dict[str, Source | None]) -> Source | None:
    """The file that a check is about, opened once for all checks; ``None`` where that fails: the check will say so."""
    if check.file not in opened:
        try:
            opened[check.file] = target.store.open(names.name_of(check.file))
        except HoldfastError:
            opened[check.file] = None
    return opened[check.file]


def _whole_alone(check: Check, said: dict[int, Fault | None], shared: Shared, _window: memoryview) -> None:
    whole(check, said, shared)  # a check brings its own memory


def whole(check: Check, said: dict[int, Fault | None], shared: Shared) -> None:
    """Run one check as its reader wrote it."""
    try:
        said[id(check)] = check.run(shared.tell)
    except HoldfastError as error:
        said[id(check)] = fault_of(error, check.tensor)


def _can_split(check: Check) -> bool:
    return check.expected is not None and check.kind in POLYNOMIALS


class _Parts:
    """A CRC over a run of plain bytes, in parts of ``step`` bytes."""

    def __init__(self, check: Check, source: Source | None, step: int) -> None:
        self.check = check
        self.look: Look | None = None
        self._source = source
        self._parts: list[tuple[int, int]] = []
        self._found: dict[int, int] = {}
        self.span = start, length = check.span() if check.span is not None else (check.offset, check.nbytes)
        if source is not None and start + length <= source.size:
            self._parts = [(at, min(step, start + length - at)) for at in range(start, start + length, step)]

    def tasks(self, shared: Shared) -> Iterator[Callable[[memoryview], None]]:
        function = crc_function(self.check.kind)
        for at, length in self._parts:

            def task(window: memoryview, at: int = at, length: int = length) -> None:
                assert self._source is not None
                try:
                    self._found[at] = _crc(self._source, at, length, window, function, self.look)
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


def _crc(
    source: Source,
    at: int,
    length: int,
    window: memoryview,
    function: Callable[[memoryview, int], int],
    look: Look | None,
) -> int:
    """The CRC of a run of bytes: mapped where they can be (CRCs keep up with memory, so that a copy is what takes time), else
    read through ``window``."""
    crc, end = 0, at + length
    while at < end:
        step = min(SPLIT, end - at)
        with mapped(source, at, step) as view:
            if view is None:
                break
            for piece in [view] if look is None else _cut(view):
                crc = function(piece, crc)
                if look is not None:
                    look(piece)
                    piece.release()
        at += step
    while at < end:
        part = window[: min(len(window), end - at)]
        source.readinto(at, part)
        crc = function(part, crc)
        if look is not None:
            look(part)
        at += len(part)
    return crc


def _cut(view: memoryview) -> Iterator[memoryview]:
    """Pieces that the cache holds."""
    for at in range(0, len(view), WINDOW):
        yield view[at : at + WINDOW]
