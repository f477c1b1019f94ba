"""Every known cause is found in its own example, and the rules that hold for all of them."""

from __future__ import annotations

import pytest

from holdfast._diagnose.diagnose import diagnose
from holdfast._diagnose.knowledge import Entry, entries
from holdfast._diagnose.reading import read_text
from holdfast._facts.causes import CAUSES

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
