"""Comparison over catalogs in memory: what must be found, and where it must be silent."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast import DamagedCheckpoint, UsageError
from holdfast._compare.apply import apply_names
from holdfast._compare.compare import compare
from holdfast._compare.delta import Delta
from holdfast._core.difference_kinds import DIFFERENCES
from holdfast.testing import NumpyCatalog as Memory

DEPTHS = ("header", "structure", "full")


def weights(seed: int = 0, layers: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    found: dict[str, np.ndarray] = {"emb.weight": rng.normal(size=(11, 8)).astype("f4")}
    for i in range(layers):
        found |= {
            f"layers.{i}.attn.q.weight": rng.normal(size=(8, 8)).astype("f4"),
            f"layers.{i}.attn.k.weight": rng.normal(size=(8, 8)).astype("f4"),
            f"layers.{i}.mlp.weight": rng.normal(size=(16, 8)).astype("f4"),
            f"layers.{i}.mlp.bias": np.zeros(16, "f4"),
            f"layers.{i}.norm.weight": np.ones(8, "f4"),
        }
    found["head.weight"] = rng.normal(size=(5, 8)).astype("f4")
    found["head.bias"] = np.zeros(5, "f4")
    return found


def codes(delta: Delta) -> dict[str, int]:
    counts: dict[str, int] = {}
    for difference in delta.differences:
        counts[difference.code] = counts.get(difference.code, 0) + 1
    return counts


def settles(delta: Delta, a: Memory, b: Memory) -> None:
    """The plan turns A's names, shapes and dtypes into B's."""
    after = {spec.name: (spec.shape, spec.dtype) for spec in apply_names(delta.plan, a.values(), b)}
    assert after == {spec.name: (spec.shape, spec.dtype) for spec in b.values()}


# -- silence ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("depth", DEPTHS)
def test_the_same_is_the_same(depth: str) -> None:
    delta = compare(Memory(weights()), Memory(weights()), depth=depth)
    assert delta.same
    assert not delta
    assert not delta.plan.edits
    assert len(delta.pairs) == len(weights())
    assert delta.unread == (len(weights()) if depth == "header" else 0)


def test_header_depth_reads_nothing() -> None:
    a, b = Memory({"module." + n: v for n, v in weights().items()}), Memory(weights())
    compare(a, b, depth="header")
    assert a.reads == b.reads == []


def test_signed_zero_and_equal_nans_are_no_difference_of_numbers_but_are_told() -> None:
    a, b = Memory({"w": np.array([0.0, np.nan, 1], "f4")}), Memory({"w": np.array([-0.0, np.nan, 1], "f4")})
    (pair,) = compare(a, b, depth="full").pairs
    assert pair.distance is not None
    assert not pair.distance.identical
    assert pair.distance.equal
    assert pair.distance.max_abs == 0


def test_identical_nans_are_identical() -> None:
    values = {"w": np.array([np.nan, np.inf, -np.inf], "f4")}
    assert compare(Memory(values), Memory(values), depth="full").identical == 1


def test_fresh_biases_that_are_all_zero_make_no_swap() -> None:
    assert compare(Memory(weights()), Memory(weights(1))).differences[0].code == "T211"
    assert "T209" not in codes(compare(Memory(weights()), Memory(weights(1))))


def test_a_copy_of_another_tensor_is_no_swap() -> None:
    one = weights()
    two = dict(one)
    two["layers.0.attn.q.weight"] = one["layers.0.attn.k.weight"].copy()
    assert codes(compare(Memory(two), Memory(one))) == {"T211": 1}


def test_formats_that_cannot_tell_ties_are_not_blamed() -> None:
    table = weights()["emb.weight"]
    tied = {"emb.weight": table, "out.weight": table, "b": np.ones(3, "f4")}
    once = {"emb.weight": table, "b": np.ones(3, "f4")}
    twice = {"emb.weight": table, "out.weight": table.copy(), "b": np.ones(3, "f4")}
    for other in (once, twice):
        for a, b in (
            (Memory(tied), Memory(other, format="safetensors")),
            (Memory(other, format="npz"), Memory(tied)),
        ):
            for depth in DEPTHS:
                assert compare(a, b, depth=depth).same, (depth, compare(a, b, depth=depth).summary)


def test_names_that_differ_by_a_dead_ending_only_are_the_same() -> None:
    a = {"dense/kernel:0": np.ones((2, 3)), "dense/bias/.ATTRIBUTES/VARIABLE_VALUE": np.ones(3)}
    b = {"dense/kernel": np.ones((2, 3)), "dense/bias": np.ones(3)}
    assert compare(Memory(a), Memory(b)).same


def test_tensorflow_bookkeeping_is_no_difference() -> None:
    a = {
        "w": np.ones(3),
        "save_counter": np.int64(3),
        "_CHECKPOINTABLE_OBJECT_GRAPH": np.array(b"x", dtype=object),
    }
    delta = compare(Memory(a), Memory({"w": np.ones(3)}))
    assert delta.same
    assert set(delta.covered) == {"save_counter", "_CHECKPOINTABLE_OBJECT_GRAPH"}


# -- missing, left over ----------------------------------------------------------------------------
@pytest.mark.parametrize("depth", DEPTHS)
def test_missing_and_left_over(depth: str) -> None:
    one = weights()
    two = {name: value for name, value in one.items() if not name.startswith("head")}
    a, b = Memory(one), Memory(two)
    delta = compare(a, b, depth=depth)
    assert codes(delta) == {"T202": 2}
    assert [str(e) for e in delta.plan] == ["drop:head.*"]
    settles(delta, a, b)
    back = compare(b, a, depth=depth)
    assert codes(back) == {"T201": 2}
    assert [str(e) for e in back.plan] == ["keep-live:head.*"]
    settles(back, b, a)


# -- names -----------------------------------------------------------------------------------------
WRAPPED = [
    (lambda n: "module." + n, "T216", "rename:module.*->*"),
    (lambda n: "_orig_mod." + n, "T216", "rename:_orig_mod.*->*"),
    (lambda n: "module._orig_mod." + n, "T216", "rename:module._orig_mod.*->*"),
    (lambda n: "model." + n, "T216", "rename:model.*->*"),
    (lambda n: "_forward_module.model." + n, "T216", "rename:_forward_module.model.*->*"),
    (lambda n: "base_model.model." + n, "T216", "rename:base_model.model.*->*"),
    (lambda n: "model_state_dict/" + n, "T216", "rename:model_state_dict/*->*"),
    (lambda n: "state_dict/module." + n, "T216", "rename:state_dict/module.*->*"),
    (lambda n: "anything.at.all." + n, "T205", "rename:anything.at.all.*->*"),
    (lambda n: n.replace("attn.", "attn.module."), "T216", "rename:*.module.*->*.*"),
    (
        lambda n: n.replace("attn.", "attn._fsdp_wrapped_module."),
        "T216",
        "rename:*._fsdp_wrapped_module.*->*.*",
    ),
    (lambda n: n.replace("layers.", "h."), "T205", "rename:h.*->layers.*"),
    (lambda n: n.replace("layers.", "encoder.block_"), "T205", "rename:encoder.block_*->layers.*"),
]


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize(("change", "code", "edit"), WRAPPED)
def test_renamed_by_one_rule(change, code: str, edit: str, depth: str) -> None:  # type: ignore[no-untyped-def]
    a, b = Memory({change(n): v for n, v in weights().items()}), Memory(weights())
    delta = compare(a, b, depth=depth)
    renamed = sum(change(n) != n for n in weights())
    assert codes(delta) == {code: renamed}
    assert all(d.a == change(d.b) for d in delta.differences)
    assert [str(e) for e in delta.plan] == [edit]
    settles(delta, a, b)
    back = compare(b, a, depth=depth)
    assert codes(back) == {code: renamed}
    settles(back, b, a)


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(len(weights()))), st.sampled_from(["structure", "full"]))
def test_scrambled_names_are_found_by_content(order: list[int], depth: str) -> None:
    """All names are meaningless; what content cannot tell apart is reported as ambiguous, nothing is paired
    wrong."""
    one = weights()
    listed = list(one.items())
    a = Memory({f"p{place}": listed[i][1] for place, i in enumerate(order)})
    b = Memory(one)
    delta = compare(a, b, depth=depth)
    truth = {f"p{place}": listed[i][0] for place, i in enumerate(order)}
    for pair in delta.pairs:
        assert np.array_equal(a.read(pair.a), b.read(pair.b))
        if one[pair.b].std() > 0:
            assert truth[pair.a] == pair.b
    listed_as_ambiguous = {n for d in delta.ambiguous for n in d.candidates_b}
    assert len(delta.pairs) + len(listed_as_ambiguous) == len(one)
    assert set(codes(delta)) <= {"T205", "T210"}
    assert {one[n].std() > 0 for n in listed_as_ambiguous} <= {False}


def test_several_ways_to_fit_are_listed_and_left_alone() -> None:
    a, b = (
        Memory({"x": np.ones((4, 4)), "y": np.ones((4, 4))}),
        Memory({"u": np.ones((4, 4)), "v": np.ones((4, 4))}),
    )
    for depth in DEPTHS:
        delta = compare(a, b, depth=depth)
        (difference,) = delta.differences
        assert difference.code == "T210"
        assert difference.candidates_a == ("x", "y")
        assert difference.candidates_b == ("u", "v")
        assert not delta.plan.edits
        assert delta.plan.unsettled == (difference.message,)


def test_a_new_layer_of_an_old_shape_is_no_rename_where_the_content_says_so() -> None:
    one, two = weights(), weights()
    del one["head.weight"], one["head.bias"]
    del two["head.weight"], two["head.bias"]
    one["old.weight"] = np.random.default_rng(5).normal(size=(7, 8)).astype("f4")
    two["new.weight"] = np.random.default_rng(6).normal(size=(7, 8)).astype("f4")
    assert codes(compare(Memory(one), Memory(two))) == {"T201": 1, "T202": 1}
    # names and shapes alone cannot tell; then it is only likely
    (likely,) = compare(Memory(one), Memory(two), depth="header").differences
    assert likely.code == "T205"
    assert likely.evidence["certain"] is False


def test_a_layer_renamed_at_another_step_is_likely_renamed() -> None:
    one, two = weights(1), weights(2)
    one["classifier.weight"], one["classifier.bias"] = one.pop("head.weight"), one.pop("head.bias")
    delta = compare(Memory(one), Memory(two))
    renamed = {d.a: d.b for d in delta.differences if d.code == "T205"}
    assert renamed == {"classifier.weight": "head.weight", "classifier.bias": "head.bias"}
    assert all(d.evidence["certain"] is False for d in delta.differences if d.code == "T205")


def test_modules_of_distinct_shapes_are_found_without_names() -> None:
    rng = np.random.default_rng(0)
    sizes = {"a": 3, "b": 4, "c": 5}
    one = {
        f"{n}.{p}": rng.normal(size=s)
        for n, k in sizes.items()
        for p, s in (("weight", (k, 8)), ("bias", (k,)))
    }
    two = {n.replace("a.", "x.").replace("b.", "y.").replace("c.", "z."): v for n, v in one.items()}
    a, b = Memory(one), Memory(two)
    delta = compare(a, b, depth="header")
    assert {(d.a, d.b) for d in delta.differences} == set(zip(one, two, strict=True))
    settles(delta, a, b)


# -- swaps -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("depth", ["structure", "full"])
def test_contents_that_changed_places(depth: str) -> None:
    one = weights()
    two = dict(one)
    ring = ["layers.0.attn.q.weight", "layers.1.attn.k.weight", "layers.2.attn.q.weight"]
    for here, there in zip(ring, ring[1:] + ring[:1], strict=True):
        two[here] = one[there]
    a, b = Memory(two), Memory(one)
    delta = compare(a, b, depth=depth)
    assert codes(delta) == {"T209": 3}
    assert {(d.a, d.b) for d in delta.differences} == set(zip(ring, ring[1:] + ring[:1], strict=True))
    settles(delta, a, b)
    assert compare(a, b, depth="header").same


def test_a_swap_is_seen_through_a_cast() -> None:
    one = weights()
    two = {n: v.astype("f2") for n, v in one.items()}
    q, k = "layers.0.attn.q.weight", "layers.0.attn.k.weight"
    two[q], two[k] = two[k], two[q]
    assert codes(compare(Memory(two), Memory(one)))["T209"] == 2


# -- shapes, dtypes, axes --------------------------------------------------------------------------
@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize(
    ("shape", "edit"),
    [
        ((9, 8), "slice:emb.weight:[0:9,:]"),
        ((12, 8), "pad:emb.weight:(12,8)"),
        ((12, 7), "resize:emb.weight:(12,7)"),
    ],
)
def test_other_shape(shape: tuple[int, ...], edit: str, depth: str) -> None:
    two = weights()
    two["emb.weight"] = np.ones(shape, "f4")
    a, b = Memory(weights()), Memory(two)
    delta = compare(a, b, depth=depth)
    assert codes(delta) == {"T203": 1}
    assert [str(e) for e in delta.plan] == [edit]
    settles(delta, a, b)


@pytest.mark.parametrize("depth", DEPTHS)
def test_other_dtype_is_a_cast_only(depth: str) -> None:
    import ml_dtypes

    two = {n: v.astype(ml_dtypes.bfloat16) for n, v in weights().items()}
    a, b = Memory(weights()), Memory(two)
    delta = compare(a, b, depth=depth)
    assert codes(delta) == {"T204": len(two)}
    assert [str(e) for e in delta.plan] == ["cast:*:f32->bf16"]
    settles(delta, a, b)
    if depth != "header":
        assert delta.cast == len(two)
        assert all(d.evidence["equal_after_cast"] for d in delta.differences)
    back = compare(b, a, depth=depth)
    assert codes(back) == {"T204": len(two)}


def test_a_dtype_that_differs_beyond_the_cast_says_so() -> None:
    delta = compare(Memory({"w": np.ones(9, "f4")}), Memory({"w": np.full(9, 2, "f2")}), depth="full")
    assert codes(delta) == {"T204": 1, "T211": 1}
    assert delta.differences[0].evidence["equal_after_cast"] is False


KERNELS = [
    ((6, 4), (1, 0)),
    ((5, 5), (1, 0)),
    ((3, 6, 4), (2, 1, 0)),
    ((4, 4, 4), (2, 1, 0)),
    ((3, 3, 2, 5), (3, 2, 0, 1)),
    ((4, 4, 4, 4), (3, 2, 0, 1)),
    ((2, 3, 3, 2, 5), (4, 3, 0, 1, 2)),
]


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize(("shape", "axes"), KERNELS)
def test_kernels_of_two_frameworks(shape: tuple[int, ...], axes: tuple[int, ...], depth: str) -> None:
    kernel = np.random.default_rng(0).normal(size=shape).astype("f4")
    a = Memory({"layer/kernel": kernel, "layer/bias": np.ones(5, "f4")}, dialect="keras")
    b = Memory(
        {"layer.weight": kernel.transpose(axes).copy(), "layer.bias": np.ones(5, "f4")}, dialect="torch"
    )
    delta = compare(a, b, depth=depth)
    assert codes(delta) == {"T205": 2, "T206": 1}
    (moved,) = [d for d in delta.differences if d.code == "T206"]
    assert moved.edit is not None
    assert moved.edit.value == axes
    settles(delta, a, b)
    if depth != "header":
        assert delta.identical == 2
    back = compare(b, a, depth=depth)
    assert codes(back) == {"T205": 2, "T206": 1}
    settles(back, b, a)


def test_a_depthwise_kernel() -> None:
    kernel = np.random.default_rng(0).normal(size=(3, 3, 6, 1)).astype("f4")
    a = Memory({"dw/depthwise_kernel": kernel}, dialect="keras")
    b = Memory({"dw.weight": kernel.transpose(2, 3, 0, 1).copy()}, dialect="torch")
    for depth in DEPTHS:
        (moved,) = [d for d in compare(a, b, depth=depth).differences if d.code == "T206"]
        assert moved.edit is not None
        assert moved.edit.value == (2, 3, 0, 1)


@pytest.mark.parametrize("depth", ["structure", "full"])
def test_a_square_weight_transposed_in_one_framework(depth: str) -> None:
    two = weights()
    two["layers.1.attn.q.weight"] = two["layers.1.attn.q.weight"].T.copy()
    a, b = Memory(two, dialect="torch"), Memory(weights(), dialect="torch")
    delta = compare(a, b, depth=depth)
    assert codes(delta) == {"T206": 1}
    assert [str(e) for e in delta.plan] == ["transpose:layers.1.attn.q.weight:(1,0)"]
    assert compare(a, b, depth="header").same


def test_crossed_sizes_in_one_framework_are_another_shape_unless_content_shows_otherwise() -> None:
    rng = np.random.default_rng(0)
    a = Memory({"w.weight": rng.normal(size=(6, 4))}, dialect="torch")
    b = Memory({"w.weight": rng.normal(size=(4, 6))}, dialect="torch")
    assert codes(compare(a, b)) == {"T203": 1}
    c = Memory({"w.weight": a.read("w.weight").T.copy()}, dialect="torch")
    assert codes(compare(a, c)) == {"T206": 1}


def test_an_embedding_is_never_turned() -> None:
    table = np.random.default_rng(0).normal(size=(6, 6))
    a, b = Memory({"e/embeddings": table}, dialect="keras"), Memory({"e.weight": table}, dialect="torch")
    for depth in DEPTHS:
        assert codes(compare(a, b, depth=depth)) == {"T205": 1}


# -- ties ------------------------------------------------------------------------------------------
def test_tied_here_apart_there() -> None:
    table = weights()["emb.weight"]
    tied = {"emb.weight": table, "out.weight": table}
    drifted = {"emb.weight": table, "out.weight": table + 1}
    a, b = Memory(tied), Memory(drifted)
    delta = compare(a, b)
    assert codes(delta) == {"T208": 1, "T211": 1}
    assert [str(e) for e in delta.plan] == ["untie:out.weight"]
    back = compare(b, a)
    assert codes(back) == {"T207": 1, "T211": 1}
    assert [str(e) for e in back.plan] == ["tie:out.weight->emb.weight"]
    assert back.differences[0].evidence["equal_in_a"] is False


def test_one_name_of_a_tie_is_not_there() -> None:
    table = weights()["emb.weight"]
    a, b = (
        Memory({"emb.weight": table}, format="torch-zip"),
        Memory({"emb.weight": table, "out.weight": table}),
    )
    delta = compare(a, b)
    assert codes(delta) == {"T207": 1}
    assert [str(e) for e in delta.plan] == ["tie:out.weight->emb.weight"]
    settles(delta, a, b)


# -- values ----------------------------------------------------------------------------------------
def test_distances() -> None:
    a = Memory({"w": np.array([3.0, 4.0, 0.0, np.nan], "f8")})
    b = Memory({"w": np.array([3.0, 4.0, 5.0, 1.0], "f8")})
    (pair,) = compare(a, b, depth="full").pairs
    gap = pair.distance
    assert gap is not None
    assert (gap.elements, gap.different, gap.first) == (4, 2, 2)
    assert gap.max_abs == 5
    assert gap.rms == pytest.approx((25 / 3) ** 0.5)
    assert gap.relative == pytest.approx(1.0)
    assert gap.cosine == pytest.approx(25 / (5 * 50**0.5))
    assert (gap.nan_a, gap.nan_b) == (1, 0)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 3000), st.integers(0, 10**9), st.sampled_from(["f2", "f4", "f8", "i4", "c8", "u1"]))
def test_distances_do_not_depend_on_the_pieces(size: int, seed: int, dtype: str) -> None:
    import holdfast._compare.distance as module

    rng = np.random.default_rng(seed)
    x = (
        (rng.normal(size=size) * 50).astype(dtype)
        if dtype != "u1"
        else rng.integers(0, 255, size).astype("u1")
    )
    y = x.copy()
    y[rng.integers(0, size)] += np.asarray(1, dtype)
    a, b = Memory({"w": x}), Memory({"w": y})
    before = module.PIECE
    found = []
    try:
        for limit in (64, 1 << 22):
            module.PIECE = limit
            found.append(module.distance(a, a["w"], b, b["w"]))
    finally:
        module.PIECE = before
    assert found[0].different == found[1].different
    assert found[0].first == found[1].first
    assert found[0].max_abs == found[1].max_abs
    assert found[0].rms == pytest.approx(found[1].rms)


def test_one_changed_value_in_a_large_tensor_needs_full_depth() -> None:
    one = np.random.default_rng(0).normal(size=(300, 300)).astype("f4")
    two = one.copy()
    two[17, 33] += 1
    a, b = Memory({"w": one}), Memory({"w": two})
    shallow = compare(a, b, depth="structure")
    assert shallow.same
    assert "sampled" in shallow.not_looked_at[0]
    deep = compare(a, b, depth="full")
    assert codes(deep) == {"T211": 1}
    assert deep.differences[0].evidence["first"] == 17 * 300 + 33


def test_strings_are_compared() -> None:
    a = Memory({"s": np.array([b"x", b"y"], dtype=object)})
    b = Memory({"s": np.array([b"x", b"z"], dtype=object)})
    for depth in ("structure", "full"):
        assert compare(a, a, depth=depth).same
        assert codes(compare(a, b, depth=depth)) == {"T211": 1}


def test_a_tensor_that_cannot_be_read_is_a_difference_and_no_error() -> None:
    a = Memory(weights(), fails={"emb.weight": DamagedCheckpoint("checksum wrong")})
    for depth in ("structure", "full"):
        delta = compare(a, Memory(weights()), depth=depth)
        assert codes(delta) == {"T217": 1}
        assert "checksum wrong" in delta.differences[0].message


def test_empty_and_scalar_tensors() -> None:
    values = {"e": np.zeros((0, 3), "f4"), "s": np.float32(3)}
    for depth in DEPTHS:
        assert compare(Memory(values), Memory(values), depth=depth).same
        assert compare(Memory({}), Memory({}), depth=depth).same
    assert codes(compare(Memory(values), Memory({}))) == {"T202": 2}


# -- the outcome -----------------------------------------------------------------------------------
def test_the_document_is_json() -> None:
    import json

    a = Memory({**weights(), "x": np.array([np.inf, np.nan])})
    b = Memory({**weights(1), "x": np.array([1.0, np.nan]), "y": np.ones(3)})
    for depth in DEPTHS:
        document = compare(a, b, depth=depth).to_document()
        text = json.dumps(document, allow_nan=False)
        assert json.loads(text)["schema_version"] == 1


def test_depth_is_checked() -> None:
    with pytest.raises(UsageError):
        compare(Memory({}), Memory({}), depth="deep")


def test_every_kind_of_difference_is_documented() -> None:
    slugs = [kind.slug for kind in DIFFERENCES.values()]
    assert len(slugs) == len(set(slugs))
    for code, kind in DIFFERENCES.items():
        assert code == kind.code
        assert code[0] in "TO"
        assert len(kind.doc) > 40


# -- fused ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("whole", ["attn.in_proj_weight", "attn.qkv.weight", "attn.c_attn.weight"])
def test_projections_in_one_piece(whole: str, depth: str) -> None:
    rng = np.random.default_rng(0)
    parts = {f"attn.{p}_proj.weight": rng.normal(size=(6, 6)) for p in "qkv"}
    rest = {"mlp.weight": rng.normal(size=(12, 6))}
    a = Memory({**parts, **rest})
    b = Memory({whole: np.concatenate(list(parts.values())), **rest})
    delta = compare(a, b, depth=depth)
    assert codes(delta) == {"T214": 1}
    settles(delta, a, b)
    back = compare(b, a, depth=depth)
    assert codes(back) == {"T215": 1}
    settles(back, b, a)
    if depth != "header":
        assert delta.differences[0].evidence["equal"] is True


def test_a_dropped_projection_is_not_fused() -> None:
    a = Memory({f"attn.{p}_proj.weight": np.ones((6, 6)) for p in "qk"})
    b = Memory({"attn.in_proj_weight": np.ones((18, 6))})
    assert codes(compare(a, b)) == {"T201": 1, "T202": 2}


def test_a_name_that_several_aliases_share_proves_nothing() -> None:
    aliases = {"x/kernel": {"aliases": ("dense/kernel",)}, "y/kernel": {"aliases": ("dense/kernel",)}}
    a = Memory({"dense/kernel": np.arange(6.0).reshape(2, 3)})
    b = Memory({"x/kernel": np.ones((2, 3)), "y/kernel": np.zeros((2, 3))}, specs=aliases)
    for depth in DEPTHS:
        assert codes(compare(a, b, depth=depth)) == {"T210": 1}


def test_a_file_of_one_bare_tensor_gives_it_no_name() -> None:
    a, b = Memory({"": np.ones((2, 3))}), Memory({"w": np.zeros(5)})
    delta = compare(a, b)
    assert [str(e) for e in delta.plan] == ['drop:""', "keep-live:w"]
    settles(delta, a, b)
