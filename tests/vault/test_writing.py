"""The fast writer: the same bytes and digests on every way, failures told, nothing left open or running."""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blake3 import blake3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ml_dtypes import bfloat16
from xxhash import xxh3_128_hexdigest

import holdfast
from holdfast import Vault
from holdfast._core.dtypes import dtype_of
from holdfast._core.errors import SaveFailed
from holdfast._core.spec import TensorSpec
from holdfast._integrity.digest import LEAF, LeafHasher, file_digest
from holdfast._record.schema import SUMMED_FROM
from holdfast._storage import placed
from holdfast._storage.direct import BLOCK, in_memory
from holdfast._storage.local_sink import LocalSink
from holdfast._vault.contents.payload import Item
from holdfast._vault.saving import runs
from holdfast._vault.saving.tensor_file import Written, write_tensors
from holdfast.testing import FaultySink, Killed

WAYS: dict[str, dict[str, Any]] = {
    "one thread": {"threads": 1, "direct": False},
    "two threads": {"direct": False},
    "past the cache": {},
    "past the cache, one thread": {"threads": 1},
    "past the cache, four threads": {"threads": 4},
}
MIXED: dict[str, np.ndarray] = {
    "first": np.arange(1000, dtype=np.float32),
    "large": np.arange(LEAF // 4 * 2 + 77, dtype=np.int32),
    "turned": np.arange(600 * 700, dtype=np.float64).reshape(600, 700).T,
    "every other": np.arange(40_000, dtype=np.int16)[::-2],
    "big end": np.arange(5000, dtype=">i8"),
    "half": np.arange(333).astype(bfloat16),
    "none": np.zeros((0, 4), np.int16),
    "one": np.array(7, np.uint8),
    "flags": np.arange(9) % 2 == 0,
    "complex": np.arange(70).astype(np.complex64),
    "leaf": np.zeros(LEAF, np.uint8),
    "last": np.arange(3, dtype=np.uint8),
}


def items_of(arrays: dict[str, np.ndarray], read: Callable[[str], np.ndarray] | None = None) -> list[Item]:
    get = read or arrays.__getitem__
    return [
        Item(TensorSpec(name, value.shape, dtype_of(value.dtype)), lambda name=name: get(name))  # type: ignore[misc]
        for name, value in arrays.items()
    ]


def sink_of(path: Path, **given: Any) -> LocalSink:
    """A sink that takes every file for a large one."""
    sink = LocalSink(path, **given)
    sink.large = 0
    return sink


def write_one(sink: LocalSink, items: list[Item], name: str = "x", **given: Any) -> Written:
    """One file."""
    return write_tensors(sink, {name: items}, **given)[name]


def is_right(path: Path, arrays: dict[str, np.ndarray], written: Written, leaf_bytes: int = LEAF) -> None:
    """The file's bytes and every digest are those of the tensors, one after the other behind the header."""
    found = path.read_bytes()
    start = 8 + int.from_bytes(found[:8], "little")
    parts = [found[:start]] + [
        np.ascontiguousarray(a.astype(a.dtype.newbyteorder("<"), copy=False)).tobytes()
        for a in arrays.values()
    ]
    assert found[start:] == b"".join(parts[1:])
    sums, at = [], 0
    rows = {row.offset: row for row in written.record.regions}
    for name, data in zip([None, *arrays], parts, strict=True):
        hasher = LeafHasher(leaf_bytes)
        hasher.update(data)
        if name is not None:
            place, digest = written.places[name]
            assert (place.offset, place.length, digest) == (at, len(data), hasher.digest()), name
        if data:
            assert rows[at].length == len(data)
            assert list(rows[at].leaves) == hasher.leaves
            assert rows[at].checksums == _sums(data, leaf_bytes)
            sums.append((len(data), hasher.digest()))
        at += len(data)
    assert len(rows) == len(sums)
    assert written.record.size == at == len(found)
    assert written.record.digest == file_digest(at, sums)


# -- the same on every way -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("way", WAYS)
def test_every_way_writes_the_same_bytes_and_digests(tmp_path: Path, way: str) -> None:
    written = write_one(sink_of(tmp_path, **WAYS[way]), items_of(MIXED))
    is_right(tmp_path / "x", MIXED, written)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    sizes=st.lists(st.integers(0, 30_000) | st.sampled_from([0, 1, BLOCK, BLOCK * 2, 8192 * 3]), max_size=12),
    leaf=st.sampled_from([1000, 4096, 9000, 40_000]),
    blocks=st.integers(1, 5),
    way=st.sampled_from(list(WAYS)),
)
def test_any_sizes(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], leaf: int, blocks: int, way: str
) -> None:
    """Leaves shorter and longer than blocks, tensors that end anywhere."""
    folder = tmp_path_factory.mktemp("any")
    arrays = {f"t{n}": np.random.default_rng(n).bytes(size) for n, size in enumerate(sizes)}
    values = {name: np.frombuffer(data, np.uint8) for name, data in arrays.items()}
    sink = sink_of(folder, **WAYS[way])
    sink.piece = blocks * BLOCK
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "LEAF", leaf)
        patch.setattr(runs, "_CACHED", 3000)
        written = write_one(sink, items_of(values))
    is_right(folder / "x", values, written, leaf)
    (folder / "x").unlink()


def test_the_default_takes_large_files_past_the_cache_and_small_ones_not(tmp_path: Path) -> None:
    sink = FaultySink(tmp_path)
    assert sink.create_placed("small", sink.large - 1) is None
    file = sink.create_placed("large", sink.large)
    assert isinstance(file, placed.LocalPlacedFile)
    file.close()
    if not in_memory(tmp_path):
        assert file.direct, "this disk takes O_DIRECT"
    state = {"a": np.ones(sink.large // 4, np.float32), "b": np.ones(5, np.float32)}
    write_one(sink, items_of(state))
    kinds = [kind for kind, name in sink.operations if name == "x"]
    if not in_memory(tmp_path):
        assert kinds == ["open", "write", "write", "truncate", "fsync", "close"]
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no file system in memory")
def test_a_file_system_in_memory_is_known(tmp_path: Path) -> None:
    assert in_memory("/dev/shm")
    assert not in_memory(tmp_path / "not there")


def test_a_disk_that_refuses_at_the_opening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placed, "set_direct", lambda handle, on: False)
    written = write_one(sink_of(tmp_path), items_of(MIXED))
    is_right(tmp_path / "x", MIXED, written)


@pytest.mark.parametrize("at", [1, 2])
def test_a_disk_that_refuses_at_a_write(tmp_path: Path, at: int) -> None:
    if in_memory(tmp_path):
        pytest.skip("a folder in memory is not written past the cache")
    sink = FaultySink(tmp_path, at=at, kinds={"write"}, error=errno.EINVAL)
    sink.large = 0
    written = write_one(sink, items_of(MIXED))
    assert sink.struck == 1
    is_right(tmp_path / "x", MIXED, written)


def test_a_hint_that_fails_fails_nothing(tmp_path: Path) -> None:
    sink = FaultySink(tmp_path, at=1, kinds={"writeback"}, direct=False, forever=True)
    sink.large = 0
    written = write_one(sink, items_of(MIXED))
    is_right(tmp_path / "x", MIXED, written)
    assert in_memory(tmp_path) or sink.struck <= 2, "it is not asked for again"


@pytest.mark.parametrize("way", WAYS)
def test_short_writes_are_continued(tmp_path: Path, way: str) -> None:
    sink = FaultySink(tmp_path, at=1, action="short", forever=True, **WAYS[way])
    sink.large = 0
    written = write_one(sink, items_of(MIXED))
    is_right(tmp_path / "x", MIXED, written)


# -- several files ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("way", WAYS)
def test_files_that_are_written_at_a_time_are_right_each(tmp_path: Path, way: str) -> None:
    (tmp_path / "step").mkdir()
    states = {
        "model": MIXED,
        "optimizer": {
            f"m{n}": np.random.default_rng(n).standard_normal(900_001, np.float32) for n in range(7)
        },
        "empty": {},
        "small": {"a": np.ones(3, np.float32)},
    }
    sink = sink_of(tmp_path, **WAYS[way])
    sink.piece = 1 << 20
    files = {name: items_of(values) for name, values in states.items()}
    written = write_tensors(sink, files, folder="step")
    assert list(written) == list(states)
    for name, values in states.items():
        is_right(tmp_path / "step" / name, values, written[name])


@pytest.mark.parametrize("way", ["two threads", "past the cache"])
def test_threads_spread_over_the_files(tmp_path: Path, way: str) -> None:
    """While one file's write hangs the other file is written to its end: the kernel lets one thread at a time into a file."""
    values = {f"t{n}": np.full(LEAF, n, np.uint8) for n in range(4)}
    sink = FaultySink(tmp_path, at=1, kinds={"write"}, action="hang", **WAYS[way])
    sink.large, sink.piece = 0, LEAF
    done: dict[str, Written] = {}
    thread = threading.Thread(
        target=lambda: done.update(write_tensors(sink, {"x": items_of(values), "y": items_of(values)}))
    )
    thread.start()
    assert sink.hanging.wait(60)

    def written() -> int:
        return max(sink.operations.count(("write", name)) for name in ("x", "y"))

    end = time.monotonic() + 60
    while written() < 5 and time.monotonic() < end:
        time.sleep(0.005)
    assert written() >= 5
    sink.release.set()
    thread.join(60)
    for name in ("x", "y"):
        is_right(tmp_path / name, values, done[name])


@pytest.mark.parametrize("way", WAYS)
def test_a_failure_in_one_file_ends_them_all(tmp_path: Path, way: str) -> None:
    sink = FaultySink(tmp_path, at=3, kinds={"write"}, error=errno.ENOSPC, forever=True, **WAYS[way])
    sink.large, sink.piece = 0, 1 << 20
    with pytest.raises(SaveFailed, match="the disk is full"):
        write_tensors(sink, {name: items_of(MIXED) for name in "xyz"})
    assert not [name for name in _open_files() if name.startswith(sink.path)]
    assert not sink.in_flight()


# -- values ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("way", WAYS)
def test_values_are_read_once_and_let_go_of_as_they_are_written(tmp_path: Path, way: str) -> None:
    shapes = {f"t{n}": np.zeros(6 << 18, np.float32) for n in range(12)}
    alive: list[weakref.ref[np.ndarray]] = []
    asked: list[str] = []
    most = 0

    def read(name: str) -> np.ndarray:
        nonlocal most
        value = np.full(6 << 18, float(name[1:]), np.float32)
        asked.append(name)
        alive.append(weakref.ref(value))
        most = max(most, sum(ref() is not None for ref in alive))
        return value

    write_one(sink_of(tmp_path, **WAYS[way]), items_of(shapes, read))
    assert sorted(asked) == sorted(shapes)
    assert most <= 2 * WAYS[way].get("threads", 2) + 1, "of 12 tensors"
    assert all(ref() is None for ref in alive)


@pytest.mark.parametrize("way", WAYS)
def test_a_tensor_that_changed_is_named(tmp_path: Path, way: str) -> None:
    arrays = {"a": np.zeros(3 << 20, np.float32), "b": np.zeros(10, np.float32)}
    broken = {**arrays, "b": np.zeros(11, np.float32)}
    with pytest.raises(SaveFailed, match="changed its shape or dtype") as failed:
        write_one(sink_of(tmp_path, **WAYS[way]), items_of(arrays, broken.__getitem__))
    assert failed.value.tensor == "b"


@pytest.mark.parametrize("way", WAYS)
def test_progress_is_told_by_one_thread_at_a_time(tmp_path: Path, way: str) -> None:
    inside = threading.Lock()
    total = 0

    def tell(count: int) -> None:
        nonlocal total
        assert inside.acquire(blocking=False), "two threads at once"
        total += count
        inside.release()

    write_one(sink_of(tmp_path, **WAYS[way]), items_of(MIXED), tell=tell)
    assert total == (tmp_path / "x").stat().st_size


@pytest.mark.parametrize("way", ["two threads", "past the cache"])
def test_one_thread_goes_on_while_another_waits_for_the_disk(tmp_path: Path, way: str) -> None:
    values = {f"t{n}": np.full(LEAF, n, np.uint8) for n in range(6)}
    sink = FaultySink(tmp_path, at=1, kinds={"write"}, action="hang", **WAYS[way])
    sink.large, sink.piece = 0, LEAF
    done: list[Written] = []
    thread = threading.Thread(target=lambda: done.append(write_one(sink, items_of(values))))
    thread.start()
    assert sink.hanging.wait(60)
    end = time.monotonic() + 60
    while sink.operations.count(("write", "x")) < 3 and time.monotonic() < end:
        time.sleep(0.005)
    assert sink.operations.count(("write", "x")) >= 3
    assert len(sink.in_flight()) >= 1
    sink.release.set()
    thread.join(60)
    is_right(tmp_path / "x", values, done[0])
    assert not sink.in_flight()


# -- failures --------------------------------------------------------------------------------------------------------
def _open_files() -> set[str]:
    return {os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd") if _exists(n)}


def _exists(number: str) -> bool:
    return os.path.lexists(f"/proc/self/fd/{number}")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc tells of open files")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["open", "write", "fsync", "close", "truncate"])
def test_a_failure_anywhere_is_raised_and_leaves_nothing_open_or_running(
    tmp_path: Path, way: str, kind: str
) -> None:
    count = FaultySink(tmp_path / "count", **WAYS[way])
    count.make_root()
    count.large, count.piece = 0, 1 << 20
    write_one(count, items_of(MIXED))
    times = count.operations.count((kind, "x"))
    assert times or kind == "truncate", "only what is padded is cut"
    before = threading.active_count()
    for at in sorted({1, 2, times // 2, times} & set(range(1, times + 1))):
        for action in ("fail", "kill"):
            sink = FaultySink(tmp_path / f"{at}{action}", at=at, kinds={kind}, action=action, **WAYS[way])  # type: ignore[arg-type]
            sink.pause = 0.0
            Path(sink.path).mkdir()
            sink.large, sink.piece = 0, 1 << 20
            with pytest.raises((SaveFailed, Killed)) as failed:
                write_one(sink, items_of(MIXED))
            assert isinstance(failed.value, Killed if action == "kill" else SaveFailed)
            assert not [name for name in _open_files() if name.startswith(sink.path)]
            after = [k for k, _ in sink.operations].count("write")
            if (
                kind == "write" and at + 2 * sink.threads < times
            ):  # the others end what they have begun, not the whole file
                assert after < times
            assert threading.active_count() == before


def test_the_first_failure_is_what_is_raised_though_others_follow(tmp_path: Path) -> None:
    sink = FaultySink(tmp_path, at=2, kinds={"write"}, error=errno.ENOSPC, forever=True)
    sink.large, sink.piece = 0, 1 << 20
    with pytest.raises(SaveFailed, match="the disk is full"):
        write_one(sink, items_of(MIXED))


def test_a_thread_that_waits_for_a_leaf_of_a_failed_one_ends(tmp_path: Path) -> None:
    """A leaf lies across two blocks; the thread that has its first half fails while the other waits for it."""
    values = {"a": np.zeros(LEAF, np.uint8)}
    sink = FaultySink(tmp_path, at=1, kinds={"write"}, action="fail")
    sink.large, sink.piece = 0, BLOCK
    with pytest.raises(SaveFailed):
        write_one(sink, items_of(values))


# -- through the vault -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("way", WAYS)
def test_a_large_state_comes_back_bit_for_bit_and_verifies(tmp_path: Path, way: str) -> None:
    model = {f"w{n}": np.random.default_rng(n).standard_normal(700_001, np.float32) for n in range(5)}
    model["turned"] = np.arange(2_000_000, dtype=np.float32).reshape(1000, 2000).T
    with Vault(tmp_path, sink=LocalSink(tmp_path, **WAYS[way])) as vault:
        handle = vault.save(1, model=model)
        path = handle.wait()
        fresh = {name: np.zeros_like(value) for name, value in model.items()}
        vault.restore(model=fresh)
    for name, value in model.items():
        assert fresh[name].tobytes() == value.tobytes(), name
    assert holdfast.verify(path).verdict == "sound"
    assert handle.timings["hash"] > 0
    assert handle.timings["fsync"] > 0


def test_what_is_written_is_what_was_hashed_though_somebody_writes_to_it(tmp_path: Path) -> None:
    """Past the cache the memory that is written is the memory that is hashed: a file never contradicts its record."""
    values = {"a": np.zeros(8 << 20, np.uint8)}
    stop = threading.Event()

    def disturb() -> None:
        n = 0
        while not stop.is_set():
            values["a"] += 1
            n += 1

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        written = [write_one(sink_of(tmp_path), items_of(values), f"x{n}") for n in range(3)]
    finally:
        stop.set()
        thread.join()
    if in_memory(tmp_path):
        pytest.skip("a folder in memory is not written past the cache")
    for n, one in enumerate(written):
        data = (tmp_path / f"x{n}").read_bytes()
        for row in one.record.regions:
            stored = data[row.offset : row.offset + row.length]
            assert list(row.leaves) == _leaves(stored)
            assert row.checksums == _sums(stored, LEAF)


def _sums(data: bytes, leaf_bytes: int) -> tuple[str, ...]:
    starts = range(0, len(data) if len(data) >= SUMMED_FROM else 0, leaf_bytes)
    return tuple(xxh3_128_hexdigest(data[at : at + leaf_bytes]) for at in starts)


def _leaves(data: bytes) -> Sequence[str]:
    return [blake3(data[at : at + LEAF]).hexdigest() for at in range(0, len(data), LEAF)]
