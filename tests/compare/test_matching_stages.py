"""The stages of matching that were written for speed, against the plain way of saying the same."""

from __future__ import annotations

import gc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast._compare.draft import _shared
from holdfast._compare.layouts import layout_of
from holdfast._compare.names import canonical, leaf, spelled_alike, spelling, tail
from holdfast._compare.pool import Pool
from holdfast._compare.prefixes import _DEEPEST, _all_words, _longest_tails
from holdfast._core.collector import collector_paused
from holdfast._core.pattern import escape, matches, rewrite
from holdfast._core.plan import Edit
from holdfast._core.spec import TensorSpec

WORD = st.sampled_from(["a", "b", "h_3", "0", "1", "12", "w", "weight", "kernel", "module", "x4y", ""])
NAMES = st.lists(st.lists(WORD, min_size=1, max_size=5).map(".".join), max_size=8, unique=True)


@settings(max_examples=300, deadline=None)
@given(NAMES, NAMES)
def test_longest_tails(a: list[str], b: list[str]) -> None:
    words_a, words_b = _all_words(a), _all_words(b)
    expected = {}
    for name, parts in words_a.items():
        for length in range(min(len(parts), _DEEPEST), 0, -1):
            there = [n for n, p in words_b.items() if p[-length:] == parts[-length:]]
            here = [n for n, p in words_a.items() if p[-length:] == parts[-length:]]
            if there:
                if len(there) == 1 and len(here) == 1:
                    expected[name] = there[0], length
                break
    assert (_longest_tails(words_a, words_b) if a and b else {}) == expected


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("layer_3.kernel", ("layer_", "3", "weight")),
        ("h12/0/w", ("h", "12", "0", "w")),
        ("a2b.c", ("a2b", "c")),
        ("x4y7.bias", ("x", "4", "y", "7", "bias")),
        ("m²", ("m²",)),
        ("", ("",)),
    ],
)
def test_words(name: str, words: tuple[str, ...]) -> None:
    assert _all_words([name, "other.norm1.weight"])[name] == words


def test_tails_are_cut_at_twelve_words() -> None:
    deep = ".".join("abcdefghijklmnopq")
    found = _longest_tails(_all_words([f"x.{deep}"]), _all_words([f"y.{deep}"]))
    assert found == {f"x.{deep}": (f"y.{deep}", 12)}


@given(NAMES)
def test_names_that_are_spelled_alike(names: list[str]) -> None:
    if spelled_alike(names):
        assert all((*spelling(name)[:-1], leaf(name)) == canonical(name) for name in names)


def test_spellings_that_must_be_tried() -> None:
    assert spelled_alike(["a.weight", "a.bias"])
    assert not spelled_alike(["a.weight", "a.gamma"])
    assert not spelled_alike(["a.module"])


@given(
    st.lists(st.sampled_from("ab"), max_size=5).map(tuple),
    st.lists(st.sampled_from("ab"), max_size=5).map(tuple),
)
def test_tail(a: tuple[str, ...], b: tuple[str, ...]) -> None:
    shared = tail(a, b)
    assert a[len(a) - shared :] == b[len(b) - shared :]
    longer = shared + 1
    assert longer > min(len(a), len(b)) or a[-longer:] != b[-longer:]


@given(st.text("ab", max_size=9), st.text("ab", max_size=9))
def test_shared_beginning(a: str, b: str) -> None:
    count = _shared(a, b)
    assert a[:count] == b[:count]
    assert count == min(len(a), len(b)) or a[count] != b[count]


@given(st.text("ab.*?\\\n", max_size=5), st.text("ab.*?\\", max_size=4), st.text("ab.*\n", max_size=8))
def test_a_pattern_that_ends_in_a_star_rewrites_as_any_other(head: str, other: str, name: str) -> None:
    pattern, target = escape(head) + "*", escape(other) + "*"
    made = rewrite(pattern, target, name)
    assert (made is not None) == matches(pattern, name) == name.startswith(head)
    if made is not None:
        assert made == other + name[len(head) :]


@given(st.text(max_size=8), st.text(max_size=8))
def test_a_renaming_is_the_edit_of_both_names(a: str, b: str) -> None:
    edit = Edit.renaming(a, b)
    assert edit == Edit("rename", (escape(a),), (escape(b),))
    assert Edit.parse(str(edit)) == edit
    assert edit.note == ""


def spec(name: str, dialect: str = "torch") -> TensorSpec:
    return TensorSpec(name, (2, 3), "float32", dialect=dialect)


def test_looseness_follows_what_is_free() -> None:
    a, b = spec("a.weight"), spec("a.kernel", "torch")
    other = spec("b.weight")
    pool = Pool({s.name: s for s in (a, other)}, {s.name: s for s in (b, other)})
    assert layout_of(a) != layout_of(b)
    assert pool.loose()
    pool.take("a.weight", "a.kernel", "shape", certain=False)
    assert not pool.loose()
    pool.take("b.weight", "b.weight", "shape", certain=False)
    pool.free(pool.pairs[0])
    assert pool.loose()  # as many are free as when it was last asked, and others


def test_unique_keys() -> None:
    specs = [spec(f"{i}.w") for i in range(5)]
    pool = Pool({s.name: s for s in specs}, {s.name: s for s in specs})
    found = {
        key: (a.name, b.name)
        for key, a, b in pool.unique(lambda s: None if s.name == "4.w" else min(s.name, "2"))
    }
    assert found == {"0.w": ("0.w", "0.w"), "1.w": ("1.w", "1.w")}


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_comes_back(enabled: bool) -> None:
    was = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with pytest.raises(KeyError), collector_paused():
            with collector_paused():
                assert not gc.isenabled()
            assert not gc.isenabled()
            raise KeyError
        assert gc.isenabled() == enabled
    finally:
        (gc.enable if was else gc.disable)()
