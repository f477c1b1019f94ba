"""Properties over random models and random changes of them."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast._compare.apply import apply_names
from holdfast._compare.compare import compare
from holdfast._core.plan import Plan
from holdfast.testing import NumpyCatalog as Memory

SEGMENT = st.sampled_from(
    ["a", "b", "module", "layer", "0", "1", "2", "weight", "bias", "kernel", "w x", "*", "ü:"]
)
NAME = (
    st.just("")
    | st.lists(SEGMENT, min_size=1, max_size=4).map(".".join)
    | st.lists(SEGMENT, min_size=1, max_size=3).map("/".join)
)
SHAPE = st.sampled_from([(), (1,), (3,), (4,), (3, 3), (3, 4), (4, 3), (2, 2, 3), (2, 2, 3, 4), (0, 2)])
DTYPE = st.sampled_from(["f4", "f8", "f2", "i8", "?", "c8"])


@st.composite
def models(draw: st.DrawFn) -> dict[str, np.ndarray]:
    names = draw(st.lists(NAME, max_size=8, unique=True))
    rng = np.random.default_rng(draw(st.integers(0, 5)))
    return {n: (rng.normal(size=draw(SHAPE)) * 3).astype(draw(DTYPE)) for n in names}


@settings(max_examples=150, deadline=None)
@given(models(), st.sampled_from(["header", "structure", "full"]), st.sampled_from(["", "torch", "keras"]))
def test_a_model_is_the_same_as_itself(model: dict[str, np.ndarray], depth: str, dialect: str) -> None:
    delta = compare(Memory(model, dialect=dialect), Memory(model, dialect=dialect), depth=depth)
    assert delta.same
    assert [(p.a, p.b) for p in delta.pairs] == [(n, n) for n in model]


@settings(max_examples=300, deadline=None)
@given(models(), models(), st.sampled_from(["header", "structure", "full"]))
def test_two_models_have_a_plan_that_settles_them(
    one: dict[str, np.ndarray], two: dict[str, np.ndarray], depth: str
) -> None:
    a, b = Memory(one, dialect="torch"), Memory(two, dialect="keras")
    delta = compare(a, b, depth=depth)
    json.dumps(delta.to_document(), allow_nan=False)
    assert Plan.parse(str(delta.plan)).edits == delta.plan.edits
    # every tensor is accounted for exactly once
    groups = [d for d in delta.differences if d.code in ("T210", "T214", "T215")]
    for side, names in (("a", one), ("b", two)):
        told = [getattr(p, side) for p in delta.pairs]
        told += [getattr(d, side) for d in delta.differences if d.code == {"a": "T202", "b": "T201"}[side]]
        told += [n for d in groups for n in getattr(d, f"candidates_{side}")]
        assert sorted(told) == sorted(names)
    if not groups:
        after = {s.name: (s.shape, s.dtype) for s in apply_names(delta.plan, a.values(), b)}
        scalars = {s.name for s in b.values() if np.prod(s.shape) == 1}
        hopeless = [d for d in delta.differences if d.code == "T203" and d.edit is None]
        assert all(d.message in delta.plan.unsettled for d in hopeless)
        scalars |= {d.b for d in hopeless}
        want = {s.name: (s.shape, s.dtype) for s in b.values()}
        assert after.keys() == want.keys()
        assert {n for n in want if after[n] != want[n]} <= scalars


@settings(max_examples=100, deadline=None)
@given(models(), st.text("abc", min_size=1, max_size=3), st.sampled_from(["header", "structure", "full"]))
def test_any_prefix_before_all_names_is_found(model: dict[str, np.ndarray], prefix: str, depth: str) -> None:
    """Every tensor is paired with itself, or named among the candidates; the plan never moves one to a wrong
    name."""
    model = {n: v for n, v in model.items() if not n.startswith(prefix)}
    a, b = Memory({f"{prefix}zz.{n}": v for n, v in model.items()}), Memory(model)
    delta = compare(a, b, depth=depth)
    for pair in delta.pairs:
        if not np.array_equal(a.read(pair.a), b.read(pair.b), equal_nan=False):
            assert depth == "header"
            assert not pair.certain
