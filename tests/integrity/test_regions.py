"""The partition of a file into regions."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from holdfast._integrity.regions import Run, leaves_of, merge, overlap, partition, units

runs = st.lists(
    st.builds(Run, st.integers(-5, 120), st.integers(0, 60), st.sampled_from("abcdef")), max_size=12
)


@given(st.integers(0, 100), runs)
def test_regions_tile_the_file_and_name_all_tensors(size: int, given_runs: list[Run]) -> None:
    regions = partition(size, given_runs)
    at = 0
    for region in regions:
        assert region.offset == at
        assert region.length > 0
        at += region.length
        for byte in range(region.offset, region.offset + region.length):
            owners = {r.tensor for r in given_runs if r.offset <= byte < r.offset + r.length}
            assert set(region.tensors) == owners
        assert (region.kind == "tensor") == bool(region.tensors)
    assert at == size


def test_kinds() -> None:
    regions = partition(100, [Run(10, 20, "a"), Run(40, 10, "b"), Run(40, 10, "tied")])
    assert [(r.kind, r.offset, r.tensors) for r in regions] == [
        ("header", 0, ()),
        ("tensor", 10, ("a",)),
        ("gap", 30, ()),
        ("tensor", 40, ("b", "tied")),
        ("end", 50, ()),
    ]
    assert [r.kind for r in partition(10, [])] == ["file"]
    assert partition(0, []) == []


def test_nested_runs_of_a_hostile_file_cost_no_square() -> None:
    count = 20_000
    start = time.thread_time()  # a pause of the machine is none of ours
    regions = partition(4 * count, [Run(n, 4 * count - 2 * n, f"t{n}") for n in range(count)])
    assert sum(len(r.tensors) for r in regions) <= 8 * count + 1024 + count
    assert sum(r.length for r in regions) == 4 * count
    assert time.thread_time() - start < 10


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=10),
    st.integers(0, 50),
    st.integers(0, 50),
)
def test_overlap_counts_each_byte_once(ranges: list[tuple[int, int]], low: int, high: int) -> None:
    covered = {b for start, end in ranges for b in range(start, end)}
    assert overlap(merge(ranges), low, high) == len(covered & set(range(low, high)))


def test_leaves_and_units() -> None:
    assert leaves_of(3, 10, 4) == [(3, 4), (7, 4), (11, 2)]
    assert list(units([(0, 4), (4, 4), (8, 4), (12, 9)], 8)) == [[(0, 4), (4, 4)], [(8, 4)], [(12, 9)]]
