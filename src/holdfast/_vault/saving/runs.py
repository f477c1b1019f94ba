"""Writes the bytes of files by several threads, each leaf hashed from the memory that is written.

Two ways. *Past the page cache*: the file is cut into blocks of 8 MiB; a thread copies the block that is next into aligned
memory, hashes it there, and writes it at its place. A leaf that lies across two blocks is hashed by two threads: the first
hands its hasher on. *Through it*: a thread takes some leaves, and hashes and writes them piece by piece.

The kernel lets one thread at a time write a file. So the threads spread over the files that are to be written, and a piece is
hashed before the kernel copies it, which then finds it in the processor's cache.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from time import perf_counter
from typing import NamedTuple

import numpy as np

from ..._integrity.digest import LEAF, Hashes, LeafHashes
from ..._integrity.workers import Shared, Task, run_all
from ..._storage.direct import aligned_memory
from ..._storage.placed import PlacedFile
from ..._storage.sink import SinkFile

__all__ = ["Appended", "Hashed", "Run", "write_runs"]

_CACHED = 512 << 10
"""Bytes that are hashed at once, next to their being copied: no more than a processor's own cache holds."""
_WAIT = 0.05


class Run(NamedTuple):
    """A stretch of the file whose bytes ``read`` gives; called once, from any thread, when its turn comes."""

    offset: int
    length: int
    read: Callable[[], memoryview]


class Leaf(NamedTuple):
    """A stretch of a run that is hashed by itself."""

    offset: int
    length: int
    run: int


class Hashed(NamedTuple):
    """Of one file: what was hashed of the leaves of each run, and the seconds that all threads together spent on it."""

    leaves: list[list[Hashes]]
    seconds: float


class Appended(PlacedFile):
    """A file that is written from its start to its end, seen as a placed one: for one thread."""

    def __init__(self, file: SinkFile) -> None:
        self._file = file
        self.name = file.name

    def write_at(self, data: memoryview, offset: int) -> None:
        self._file.write(data)

    def sync(self) -> None:
        self._file.sync()

    def close(self) -> None:
        self._file.close()


def write_runs(
    files: Sequence[tuple[PlacedFile, Sequence[Run]]],
    *,
    threads: int,
    tell: Callable[[int], None] = lambda _: None,
) -> list[Hashed]:
    """Write the runs of each file, which follow each other from 0 without holes; gives what was hashed, file by file.

    ``tell`` gets byte counts, never from two threads at once. The first error of a thread stops the others and is raised
    here, when all have ended.
    """
    shared = Shared(tell)
    works = [(_Blocks if file.align > 1 else _Pieces)(file, runs, shared) for file, runs in files]
    run_all(_spread(works), threads, shared)
    return [work.hashed() for work in works]


def _spread(works: Sequence[_Work]) -> Iterator[Task]:
    """The tasks of all files, those of one in their order: the next is of the file that fewest threads are at."""
    waiting = [(work, work.tasks()) for work in works]
    while waiting:
        one = min(waiting, key=lambda pair: pair[0].busy)
        work, tasks = one
        task = next(tasks, None)
        if task is None:
            waiting.remove(one)
            continue
        work.begun()
        yield partial(work.carry_out, task)


class _Work:
    """What the threads share: the bytes of the runs as long as they are needed, and the leaves that are done."""

    def __init__(self, file: PlacedFile, runs: Sequence[Run], shared: Shared) -> None:
        self.file, self.runs, self.shared = file, runs, shared
        self.leaves = [
            Leaf(run.offset + at, min(LEAF, run.length - at), number)
            for number, run in enumerate(runs)
            for at in range(0, run.length, LEAF)
        ]
        self.done: list[Hashes | None] = [None] * len(self.leaves)
        self.seconds = 0.0
        self.busy = 0
        self._values: list[np.ndarray | None] = [None] * len(runs)
        self._left = [run.length for run in runs]
        self._guard = threading.Lock()

    def tasks(self) -> Iterator[Task]:
        raise NotImplementedError

    def begun(self) -> None:
        """A thread more is at this file."""
        with self._guard:
            self.busy += 1

    def carry_out(self, task: Task, window: memoryview) -> None:
        """A task of this file, and the thread is free again."""
        try:
            task(window)
        finally:
            with self._guard:
                self.busy -= 1

    def hashed(self) -> Hashed:
        """What all tasks together have hashed."""
        found: list[list[Hashes]] = [[] for _ in self.runs]
        for leaf, done in zip(self.leaves, self.done, strict=True):
            assert done is not None
            found[leaf.run].append(done)
        return Hashed(found, self.seconds)

    def values(self, number: int) -> np.ndarray:
        """The bytes of a run. One thread reads it (a copy, where the values do not lie as they are stored)."""
        found = self._values[number]
        if found is None:
            with self._guard:
                found = self._values[number]
                if found is None:
                    found = np.frombuffer(self.runs[number].read(), np.uint8)
                    self._values[number] = found
        return found

    def used(self, number: int, count: int) -> None:
        """So many bytes of a run are copied or written; after the last its values are let go of."""
        with self._guard:
            self._left[number] -= count
            if self._left[number] == 0:
                self._values[number] = None

    def spent(self, seconds: float) -> None:
        with self._guard:
            self.seconds += seconds


class _Pieces(_Work):
    """Each task: some leaves, written piece by piece and hashed."""

    def tasks(self) -> Iterator[Task]:
        first, size = 0, 0
        for number, leaf in enumerate(self.leaves):
            size += leaf.length
            if size >= min(LEAF, self.file.piece) or number == len(self.leaves) - 1:
                yield partial(self._write, first, number + 1)
                first, size = number + 1, 0

    def _write(self, first: int, stop: int, _: memoryview) -> None:
        hashing = 0.0
        for number in range(first, stop):
            leaf = self.leaves[number]
            inner = leaf.offset - self.runs[leaf.run].offset
            data = self.values(leaf.run)[inner : inner + leaf.length].data
            hasher = LeafHashes()
            for at in range(0, leaf.length, _CACHED):
                piece = data[at : at + _CACHED]
                begin = perf_counter()
                hasher.update(piece)
                hashing += perf_counter() - begin
                self.file.write_at(piece, leaf.offset + at)
                self.shared.tell(len(piece))
            self.done[number] = hasher.hashes()
            del data, piece
            self.used(leaf.run, leaf.length)
        self.spent(hashing)
        start = self.leaves[first].offset
        self.file.start_writeback(start, self.leaves[stop - 1].offset + self.leaves[stop - 1].length - start)


class _Part(NamedTuple):
    """What of a leaf lies in a block: the leaf's number, and where in the block."""

    number: int
    start: int
    stop: int


class _Blocks(_Work):
    """Each task: one block, copied into aligned memory, hashed there, and written."""

    def __init__(self, file: PlacedFile, runs: Sequence[Run], shared: Shared) -> None:
        super().__init__(file, runs, shared)
        self._size = self.leaves[-1].offset + self.leaves[-1].length
        self._free: list[memoryview] = []
        self._handed: dict[int, LeafHashes] = {}  # block -> what hashes the leaf that goes on in the next
        self._change = threading.Condition()

    def tasks(self) -> Iterator[Task]:
        first = 0
        for block, start in enumerate(range(0, self._size, self.file.piece)):
            stop = min(start + self.file.piece, self._size)
            parts = []
            for number in range(first, len(self.leaves)):
                leaf = self.leaves[number]
                if leaf.offset >= stop:
                    break
                first = number
                begin, end = max(leaf.offset, start), min(leaf.offset + leaf.length, stop)
                if begin < end:
                    parts.append(_Part(number, begin - start, end - start))
            yield partial(self._write, block, parts)

    def _write(self, block: int, parts: Sequence[_Part], _: memoryview) -> None:
        start = block * self.file.piece
        bounce = self._memory()
        memory = np.frombuffer(bounce, np.uint8)
        hashing = 0.0
        for part in parts:
            leaf = self.leaves[part.number]
            values = self.values(leaf.run)
            shift = start - self.runs[leaf.run].offset
            hasher = LeafHashes() if start + part.start == leaf.offset else None
            for at in range(part.start, part.stop, _CACHED):
                end = min(at + _CACHED, part.stop)
                np.copyto(memory[at:end], values[shift + at : shift + end])
                if hasher is not None:
                    begin = perf_counter()
                    hasher.update(bounce[at:end])
                    hashing += perf_counter() - begin
            del values
            self.used(leaf.run, part.stop - part.start)
            if hasher is not None:
                self._pass_on(block, part, hasher)
        length = parts[-1].stop
        padded = length + -length % self.file.align
        memory[length:padded] = 0
        self.file.write_at(bounce[:padded], start)
        first = parts[0]
        if self.leaves[first.number].offset < start:  # begun in the block before
            hasher = self._taken_over(block - 1)
            begin = perf_counter()
            hasher.update(bounce[: first.stop])
            hashing += perf_counter() - begin
            self._pass_on(block, first, hasher)
        self._free.append(bounce)
        self.spent(hashing)
        self.shared.tell(length)
        self.file.start_writeback(start, length)

    def _memory(self) -> memoryview:
        try:
            return self._free.pop()
        except IndexError:
            return aligned_memory(self.file.piece)

    def _pass_on(self, block: int, part: _Part, hasher: LeafHashes) -> None:
        """A leaf that ends here is done; one that does not is the next block's."""
        leaf = self.leaves[part.number]
        if block * self.file.piece + part.stop == leaf.offset + leaf.length:
            self.done[part.number] = hasher.hashes()
            return
        with self._change:
            self._handed[block] = hasher
            self._change.notify_all()

    def _taken_over(self, block: int) -> LeafHashes:
        """The hasher that an earlier block hands on. Tasks are begun in order, so that one is at work or done."""
        with self._change:
            while block not in self._handed:
                self.shared.tell(0)  # raises where another thread has failed
                self._change.wait(_WAIT)
            return self._handed.pop(block)
