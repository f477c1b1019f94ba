"""Every known cause is found in its own example, and the rules that hold for all of them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from typing import Any

import pytest

from holdfast._diagnose.diagnose import diagnose
from holdfast._diagnose.knowledge import Entry, entries
from holdfast._diagnose.reading import read_text
from holdfast._facts.causes import CAUSES

if sys.version_info >= (3, 11):
    import re._parser as sre
else:
    import sre_parse as sre

KNOWN = tuple(entries())


def test_names_are_one_each_and_labels_are_known() -> None:
    assert len({entry.slug for entry in KNOWN}) == len(KNOWN) > 80
    for entry in KNOWN:
        assert {entry.label, *entry.also} <= set(CAUSES), entry.slug
        assert all(word == word.lower() for word in entry.has), entry.slug


@pytest.mark.parametrize("entry", KNOWN, ids=lambda entry: entry.slug)
def test_an_entry_finds_its_example(entry: Entry) -> None:
    guesses = entry.look(read_text(entry.example))
    assert guesses, "it does not match its own example"
    assert all(guess.why and guess.remedy and 0 < guess.confidence < 1 for guess in guesses)
    assert diagnose(entry.example).is_checkpoint_failure


def samples(pattern: str, most: int = 2000) -> list[str]:
    """Texts that a pattern matches, one for each way through its alternatives; what is optional is left out and put in."""
    return _of(sre.parse(pattern, re.IGNORECASE), most)


def _of(parsed: Iterable[Any], most: int) -> list[str]:
    found = [""]
    for kind, value in parsed:
        name = str(kind)
        if name == "LITERAL":
            ways = [chr(value)]
        elif name == "SUBPATTERN":
            ways = _of(value[3], most)
        elif name == "BRANCH":
            ways = [way for branch in value[1] for way in _of(branch, most)]
        elif name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            low, high, inner = value
            if not low and high == 1:
                ways = ["", *_of(inner, most)]
            else:  # what may come between two words keeps them apart
                ways = ["\x01"] if not low else [way * low + "\x01" for way in _of(inner, most)]
        elif name in ("AT", "ASSERT", "ASSERT_NOT", "GROUPREF"):
            ways = [""]
        else:
            ways = ["\x01"]  # any character, a class
        found = [before + way for before in found for way in ways][:most]
    return found


@pytest.mark.parametrize("entry", KNOWN, ids=lambda entry: entry.slug)
def test_the_literal_words_of_an_entry_let_all_that_its_pattern_matches_through(entry: Entry) -> None:
    lost = [text for text in samples(entry.pattern) if not any(word in text.lower() for word in entry.has)]
    assert lost == []


@pytest.mark.parametrize("entry", entries("jax"), ids=lambda entry: entry.slug)
def test_no_remedy_opens_what_has_no_reader(entry: Entry) -> None:
    """Folders of Orbax and files of flax are recognised only: their tensors cannot be listed or verified here."""
    assert not re.search(r"`holdfast (?:inspect|verify|diff)", entry.remedy)
