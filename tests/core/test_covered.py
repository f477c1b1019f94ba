"""Patterns asked of sorted names: the same answer as asking each name, without looking at all."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast._core.pattern import covered, escape, matches

NAMES = st.text(alphabet="ab/.*?\\", max_size=6)


@given(st.lists(NAMES, unique=True, max_size=30), NAMES)
def test_the_same_as_asking_each_name(names: list[str], pattern: str) -> None:
    ordered = sorted(names)
    assert covered(pattern, ordered) == [name for name in ordered if matches(pattern, name)]


@given(st.lists(NAMES, unique=True, min_size=1, max_size=30))
def test_an_escaped_name_covers_itself_alone(names: list[str]) -> None:
    assert covered(escape(names[0]), sorted(names)) == [names[0]]
