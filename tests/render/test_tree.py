from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast._render.tree import grow, rows
from holdfast._render.words import plural, ranges, share, size


def entry(name: str, shape: tuple[int, ...] = (2, 2), **more: object) -> dict:
    return {
        "name": name,
        "key": name,
        "shape": list(shape),
        "dtype": "float32",
        "role": "weight",
        "nbytes": 16,
        **more,
    }


def labels(*entries: dict, fold: bool = True) -> list[str]:
    return ["  " * r.depth + r.label for r in rows(grow(entries), fold=fold)]


def test_equal_layers_fold_into_one() -> None:
    found = labels(*(entry(f"net.layers.{i}.{p}.weight") for i in range(24) for p in ("q", "k")))
    assert found == ["net.layers.{0..23}.", "  q.weight", "  k.weight"]


def test_layers_that_differ_in_shape_dtype_role_or_names_stay_apart() -> None:
    one, other = entry("a.0.w"), entry("a.1.w")
    for change in (
        {"shape": [3]},
        {"dtype": "bfloat16"},
        {"role": "buffer"},
        {"shares": "s"},
        {"name": "a.1.v"},
    ):
        assert len(labels(one, {**other, **change})) == 3, change
    assert labels(one, other) == ["a.{0,1}.w"]


def test_keras_numbers_fold_and_the_sums_are_of_all() -> None:
    found = list(rows(grow([entry(f"conv2d_{i}/kernel") for i in (1, 2, 3, 7)])))
    assert [(r.label, r.times, r.nbytes, r.tensors) for r in found] == [("conv2d_{1..3,7}/kernel", 4, 64, 4)]


def test_numbers_with_zeros_in_front_keep_them() -> None:
    assert labels(entry("b.007.w"), entry("b.008.w"), entry("b.8.w")) == ["b.", "  {007,008}.w", "  8.w"]


def test_without_folding_every_tensor_has_its_line() -> None:
    assert labels(entry("a.0.w"), entry("a.1.w"), fold=False) == ["a.", "  0.w", "  1.w"]


def test_a_tensor_that_is_a_folder_too() -> None:
    """Name-based TensorFlow files put slots below their weight."""
    weight, *slots = (entry(f"dense/kernel{end}") for end in ("", "/Adam", "/Adam_1"))
    assert labels(weight, *slots) == ["dense/kernel", "  /Adam", "  /Adam_1"]
    slots = [{**slot, "role": "slot", "slot": word} for slot, word in zip(slots, "mv", strict=True)]
    (row,) = rows(grow([weight, *slots]))
    assert (row.label, row.slots, row.told) == ("dense/kernel", ("m", "v"), 3)
    assert len(labels(weight, *slots, fold=False)) == 3


def test_optimizer_state_beside_the_weights_takes_one_line() -> None:
    state = [entry(f"opt/state/{i}/{s}", (i + 1,), role="slot", slot=s) for i in range(5) for s in ("m", "v")]
    state.append(entry("opt/state/0/step", role="counter"))
    found = list(rows(grow([entry("w"), *state])))
    assert [(r.label, r.slots, r.told) for r in found] == [("w", (), 1), ("opt/state/", ("m", "v"), 11)]
    assert len(labels(entry("w"), *state[:2])) == 4  # so few are listed


def test_tied_tensors_are_counted_once() -> None:
    assert grow([entry("a", shares="s"), entry("b", shares="s"), entry("c")]).nbytes == 32


def test_a_name_of_many_segments_does_not_grow_a_deep_tree() -> None:
    assert len(labels(entry("a/" * 5000 + "w"))) == 1


names = st.lists(st.sampled_from(["a", "b", "0", "1", "12", ".", "/", "_3", ""]), min_size=1, max_size=8).map(
    "".join
)


@given(st.lists(names, unique=True, max_size=30), st.booleans())
def test_no_tensor_is_lost_in_the_tree(found: list[str], fold: bool) -> None:
    drawn = list(rows(grow([entry(name) for name in found]), fold=fold))
    unfolded = [row for row in drawn if row.tensor is not None]
    if not fold:
        assert sorted(row.tensor["name"] for row in unfolded) == sorted(found)
    assert sum(row.tensors for row in drawn if row.depth == 0) == len(found)
    assert sum(row.told for row in drawn) == len(found)


@pytest.mark.parametrize(
    ("numbers", "text"),
    [([], ""), ([4], "4"), ([0, 1], "0,1"), ([0, 1, 2, 5], "0..2,5"), (range(0, 40, 2), "0,2,4,6,8,10,…,38")],
)
def test_ranges(numbers: list[int], text: str) -> None:
    assert ranges(numbers) == text


def test_words() -> None:
    assert [size(n) for n in (0, 999, 1000, 1_500_000, 312_000_000_000)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "1.5 MB",
        "312 GB",
    ]
    assert share(999_999, 1_000_000) == "over 99.9 %"
    assert share(1, 1_000_000) == "under 0.1 %"
    assert [share(5, 5), share(0, 5), share(1, 3)] == ["100 %", "0 %", "33.3 %"]
    assert [plural(1, "tensor"), plural(2000, "tensor"), plural(0, "copy", "copies")] == [
        "1 tensor",
        "2,000 tensors",
        "0 copies",
    ]
