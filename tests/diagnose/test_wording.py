"""The sentences of a cause, where a text does not tell all that they speak of."""

from __future__ import annotations

import re

import pytest

from holdfast._diagnose.diagnose import diagnose
from holdfast._diagnose.knowledge import entries
from holdfast._diagnose.wording import said


@pytest.mark.parametrize(
    ("text", "facts", "out"),
    [
        ("`{tensor}` has shape {a} there", {"tensor": "w", "a": "(3,)"}, "`w` has shape (3,) there"),
        ("`{tensor}` has shape {a} there", {}, "a tensor has shape … there"),
        ("it is gone ({path}): look", {}, "it is gone: look"),
        ("it is gone ({path}): look", {"path": "a.pt"}, "it is gone (a.pt): look"),
        ("the store refused: {code}", {}, "the store refused"),
        ("what is there ({one}{other}) counts", {"other": 3}, "what is there (3) counts"),
        ("the file has no `{key}` here", {}, "the file has no such key here"),
        ("the folder {path} is there", {}, "the folder is there"),
        ("call `f(ignore=['{name}'])` and pass `{name}`", {}, "call `f(ignore=['…'])` and pass something"),
        ("`{{'a': 1}}` stays", {}, "`{'a': 1}` stays"),
    ],
)
def test_what_is_not_known_leaves_a_sentence_whole(text: str, facts: dict[str, object], out: str) -> None:
    assert said(text, facts) == out


def test_no_sentence_of_an_entry_is_torn_where_nothing_is_known() -> None:
    torn = re.compile(
        r"\0|\{\w*\}|(?<![.…])  |\( *\)|``|[ (][,;:.](?: |$)|\b(?:is|has|of|in|the|no|and) (?:[,;:]|and are\b)"
    )
    for entry in entries():
        for sentence in (entry.why, entry.remedy, entry.confirm):
            if re.search(r"(?<!\{)\{\w+\}(?!\})", sentence):
                assert not torn.search(said(sentence, {})), (entry.slug, said(sentence, {}))


def test_which_shape_is_whose_in_words_that_name_them_the_other_way_round() -> None:
    text = (
        "ValueError: Received incompatible tensor with shape (8, 6) when attempting to restore variable with shape (6, 6) and "
        "name dense/kernel:0."
    )
    (first, *_) = diagnose(text).causes
    assert (
        first.label == "shape-mismatch" and "[6, 6] in the graph, and [8, 6] in the checkpoint" in first.why
    )
