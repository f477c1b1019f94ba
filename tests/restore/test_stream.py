"""How runs are read: memory is lent and taken over in the calling thread alone, and nothing waits for ever."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from holdfast._core.errors import ChecksumMismatch
from holdfast._integrity.digest import LEAF
from holdfast._integrity.workers import Shared
from holdfast._restore.runs import Claims, Run
from holdfast._restore.stream import bring, survey
from holdfast._storage import LocalFile

MIB = 1 << 20


class Lender:
    """Lends memory of ``room`` bytes together at most, and notes what happens in which thread."""

    def __init__(self, room: int) -> None:
        self.room, self.lent, self.most = room, 0, 0
        self.threads: set[threading.Thread] = set()
        self.values: dict[str, bytes] = {}
        self.begun: list[str] = []

    def lend(self, run: Run) -> bool:
        self.threads.add(threading.current_thread())
        if self.lent and self.lent + run.length > self.room:
            return False
        self.lent += run.length
        self.most = max(self.most, self.lent)
        run.buffer = memoryview(bytearray(run.length))
        return True

    def arrive(self, run: Run) -> None:
        self.threads.add(threading.current_thread())
        assert run.buffer is not None
        self.values[run.tensor] = bytes(run.buffer)
        run.buffer = None
        self.lent -= run.length


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFile]:
    path = tmp_path_factory.mktemp("stream") / "x.bin"
    np.arange(40 * MIB, dtype="<u4").tofile(path)
    source = LocalFile(path)
    yield source
    source.close()


def runs_of(file: LocalFile, lengths: list[int], direct: set[int]) -> list[Run]:
    runs, at = [], 0
    for n, length in enumerate(lengths):
        buffer = memoryview(bytearray(length)) if n in direct else None
        runs.append(Run(n, f"t{n}", file, at, length, buffer))
        at += length
    assert at <= file.size
    return runs


CUTS = {
    "one after the other": ([LEAF] * 12, set()),
    "small ones": ([100] * 500, set()),
    "larger than the room": ([40 * MIB, 3, 50 * MIB, 5 * MIB], set()),
    "far behind what needs none": ([30 * MIB, 80 * MIB, 20 * MIB, 20 * MIB, 7], {1}),
    "in turns with what needs none": ([6 * MIB] * 24, set(range(0, 24, 2))),
    "none": ([], set()),
}


@pytest.mark.parametrize("cold", [False, True])
@pytest.mark.parametrize("jobs", [1, 2, 5])
@pytest.mark.parametrize("cut", CUTS)
def test_every_byte_arrives_with_little_room(file: LocalFile, cut: str, jobs: int, cold: bool) -> None:
    lengths, direct = CUTS[cut]
    runs, lender = runs_of(file, lengths, direct), Lender(32 * MIB)
    bring(
        runs,
        jobs=jobs,
        shared=Shared(),
        cold=cold,
        lend=lender.lend,
        begin=lambda run: lender.begun.append(run.tensor),
        arrive=lender.arrive,
    )
    for n, run in enumerate(runs):
        got = bytes(run.buffer) if run.buffer is not None else lender.values[run.tensor]
        assert got == file.read(run.offset, run.length), run.tensor
        assert (run.buffer is not None) == (n in direct)
    assert lender.lent == 0
    assert lender.most <= max([32 * MIB, *lengths])
    assert lender.threads <= {threading.current_thread()}
    assert sorted(lender.begun) == sorted(f"t{n}" for n in direct)


@pytest.mark.parametrize("cold", [False, True])
def test_nothing_arrives_after_a_piece_that_is_wrong(file: LocalFile, cold: bool) -> None:
    runs, lender = runs_of(file, [LEAF] * 40, set()), Lender(32 * MIB)
    for run in runs:
        run.summed = True
    survey(runs, jobs=1, shared=Shared(), cold=cold)
    for run in runs:
        run.claims = Claims(tuple(run.found))
        run.reset()
    runs[20].claims = Claims(("0" * 64,))
    with pytest.raises(ChecksumMismatch) as caught:
        bring(
            runs,
            jobs=2,
            shared=Shared(),
            cold=cold,
            lend=lender.lend,
            begin=lambda run: None,
            arrive=lender.arrive,
        )
    assert caught.value.tensor == "t20"
    assert set(lender.values) <= {f"t{n}" for n in range(len(runs)) if n != 20}


@pytest.mark.parametrize("where", ["lend", "arrive"])
def test_what_a_framework_raises_comes_out_and_ends_the_threads(file: LocalFile, where: str) -> None:
    runs, lender = runs_of(file, [LEAF] * 40, set()), Lender(16 * MIB)
    calls = []

    def failing(run: Run) -> None:
        calls.append(run)
        if len(calls) == 7:
            raise MemoryError("no more")

    def lend(run: Run) -> bool:
        if where == "lend":
            failing(run)
        return lender.lend(run)

    def arrive(run: Run) -> None:
        if where == "arrive":
            failing(run)
        lender.arrive(run)

    with pytest.raises(MemoryError, match="no more"):
        bring(runs, jobs=2, shared=Shared(), cold=False, lend=lend, begin=lambda run: None, arrive=arrive)
    assert not [t for t in threading.enumerate() if t.name.startswith("holdfast-")]
    assert len(calls) == 7
