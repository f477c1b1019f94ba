"""Weights kept in parts (weight norm, spectral norm, pruning), by names alone."""

from __future__ import annotations

import numpy as np
import pytest

from holdfast._compare.compare import compare
from holdfast._compare.reparametrized import kept_in_parts
from holdfast.testing import NumpyCatalog as Memory

OLDER = {
    "a.bias": (4,), "a.weight_g": (4, 1), "a.weight_v": (4, 3),
    "b.bias": (4,), "b.weight_g": (4, 1), "b.weight_v": (4, 3),
}  # fmt: skip
NEWER = {
    name.replace(".weight_g", ".parametrizations.weight.original0").replace(
        ".weight_v", ".parametrizations.weight.original1"
    ): shape
    for name, shape in OLDER.items()
}
SPECTRAL = {"d.weight_orig": (4, 3), "d.weight_u": (4,), "d.weight_v": (3,)}
WHOLE = {"a.bias": (4,), "a.weight": (4, 3), "b.bias": (4,), "b.weight": (4, 3)}


def memory(shapes: dict[str, tuple[int, ...]], prefix: str = "") -> Memory:
    made = np.random.default_rng(0)
    return Memory({prefix + name: made.normal(size=shape).astype("f4") for name, shape in shapes.items()})


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize(("here", "there"), [(OLDER, NEWER), (NEWER, OLDER)])
def test_either_generation_of_names_is_the_other(
    here: dict[str, tuple[int, ...]], there: dict[str, tuple[int, ...]], prefix: str
) -> None:
    delta = compare(memory(here, prefix), memory(there), depth="structure")
    assert {pair.a.removeprefix(prefix): pair.b for pair in delta.pairs} == dict(
        zip(here, there, strict=True)
    )
    assert all(pair.certain for pair in delta.pairs)
    assert not {d.code for d in delta.differences} & {"T201", "T202", "T210"}


@pytest.mark.parametrize("parted", [OLDER, NEWER])
@pytest.mark.parametrize("depth", ["header", "structure"])
def test_a_direction_is_not_the_weight(parted: dict[str, tuple[int, ...]], depth: str) -> None:
    for a, b, side in ((parted, WHOLE, "a"), (WHOLE, parted, "b")):
        delta = compare(memory(a), memory(b), depth=depth)
        assert {pair.b for pair in delta.pairs} == {"a.bias", "b.bias"}
        assert all(
            d.edit is None and d.evidence["parts_in"] == side
            for d in delta.differences
            if "keeper" in d.evidence
        )
        assert {(d.code, d.name) for d in delta.differences if "keeper" in d.evidence} == {
            *(("T202", name) for name in a if "bias" not in name),
            *(("T201", name) for name in b if "bias" not in name),
        }
        assert not any("rename" in str(edit) for edit in delta.plan)
        assert delta.plan.unsettled


def test_what_only_looks_like_a_part_is_a_tensor_as_any() -> None:
    assert not kept_in_parts(
        ["a.weight_v", "b.weight_g", "c.weight_orig", "parametrizations.weight.original0", "_g", "_v"]
    )
    assert not kept_in_parts(["x.original", "y.0._u", "y.0._v"])
    delta = compare(memory({"m.w.weight_v": (4, 3)}), memory({"m.w.weight": (4, 3)}), depth="structure")
    assert [pair.b for pair in delta.pairs] == ["m.w.weight"]  # without its magnitude it may be anything


def test_spectral_norm_has_a_weight_v_of_its_own() -> None:
    found = kept_in_parts([*SPECTRAL, *OLDER])
    assert {name: part.keeper.name for name, part in found.items()} == {
        **dict.fromkeys(SPECTRAL, "spectral norm"),
        **dict.fromkeys([name for name in OLDER if "bias" not in name], "weight norm"),
    }


def test_moved_layers_are_found_as_before() -> None:
    moved = {"net." + name: shape for name, shape in OLDER.items()}
    delta = compare(memory(OLDER), memory(moved), depth="structure")
    assert {d.code for d in delta.differences} <= {"T205", "T216"} and len(delta.pairs) == len(OLDER)
