"""What a text is like, word by word, where no known cause fills the first three places."""

from __future__ import annotations

import math

import pytest

import holdfast
from holdfast._diagnose.by_reports import (
    Likeness,
    in_order,
    like_a_checkpoint_failure,
    like_something_else,
    likeness,
    ranked,
    terms,
)
from holdfast._diagnose.knowledge import LITERALS, Guess, entries, entries_for, literals
from holdfast._diagnose.reading import read_text
from holdfast._facts.causes import CAUSES
from holdfast._facts.report_words import ELSEWHERE, report_words


def test_the_table_is_whole() -> None:
    table = report_words()
    assert set(table.labels) == {*CAUSES, ELSEWHERE}
    assert len(table.bias) == len(table.labels)
    assert len(table.rows) > 5000
    assert table.rows == sorted(table.rows)
    for word in (row.partition("\t")[0] for row in table.rows):
        found = table.of(word)
        assert found is not None
        rarity, weights = found
        assert rarity > 0
        assert weights
        assert all(0 <= label < len(table.labels) and math.isfinite(weight) for label, weight in weights)
        assert len(word.split()) <= 2, "words and pairs, no sentences"


def test_terms_are_words_pairs_parts_and_endings() -> None:
    found = terms("KeyError: load_state_dict of 0xdeadbeef in 27 model.PTH")
    assert {"keyerror", "load_state_dict", "0", "of hexaddr", "~state", "~error", ".pth", "hexaddr"} <= found
    assert {"^keye", "^keyer", "^keyerr", "^load", "^dict"} <= found
    assert "27" not in found


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("disk quota of this bucket is used up, no space left while the checkpoint is uploaded", "storage"),
        ("the central directory of the saved archive is truncated", "corrupt"),
        ("size of kernel in the checkpoint is [4, 7], in the model it is [4, 9]", "shape-mismatch"),
    ],
)  # fmt: skip
def test_words_of_reports_speak_for_their_cause(text: str, label: str) -> None:
    like = likeness(terms(text))
    assert abs(sum(like.chances.values()) - 1) < 1e-9
    assert label in sorted(like.chances, key=lambda one: -like.chances[one])[:3]
    assert like.elsewhere < 0.3
    assert like.words[label], "the words that speak for it are told"


def like(**chances: float) -> Likeness:
    """What a text is like, by hand; what is not told is not heard."""
    whole = dict.fromkeys((*CAUSES, ELSEWHERE), 0.0) | {
        name.replace("_", "-"): p for name, p in chances.items()
    }
    return Likeness(whole, dict.fromkeys(whole, ("word",)))


def known(**sure: float) -> list[Guess]:
    return [Guess(name.replace("_", "-"), confidence, "why", "do") for name, confidence in sure.items()]


def test_free_places_are_filled_and_nothing_is_surer_than_what_stands_before_it() -> None:
    reading = read_text("the zip archive is truncated")
    found = ranked(reading, [Guess("storage", 0.7, "why", "do")])
    assert found[0].label == "storage"
    assert len(found) == 3
    assert len({guess.label for guess in found}) == 3
    assert all(guess.remedy and "in public reports" in guess.why for guess in found[1:])
    sure = [guess.confidence for guess in found]
    assert sure == sorted(sure, reverse=True)


def test_a_known_cause_that_is_sure_stays_first_whatever_the_words_are_like() -> None:
    words = like(corrupt=0.95, memory=0.05)
    assert [g.label for g in in_order(known(storage=0.7), words)] == ["storage", "corrupt", "memory"]
    faint = like(corrupt=0.1, memory=0.1, storage=0.8)
    behind = in_order(known(storage=0.7, topology=0.45, memory=0.4), faint)
    assert [g.label for g in behind] == ["storage", "memory", "topology"], "both count for what is less sure"
    sure = in_order(known(storage=0.7, topology=0.55), words)
    assert [g.label for g in sure] == ["storage", "topology", "corrupt"], (
        "in the order of who knew the message"
    )


def test_a_known_cause_that_is_unsure_gives_way_to_another_that_the_words_are_like() -> None:
    words = like(corrupt=0.9, storage=0.01, topology=0.01, memory=0.01)
    assert in_order(known(storage=0.5, corrupt=0.48), words)[0].label == "corrupt"
    assert in_order(known(storage=0.5, corrupt=0.48), like(storage=0.9, corrupt=0.1))[0].label == "storage"
    unclear = like(corrupt=0.5, storage=0.2)
    assert in_order(known(storage=0.5), unclear)[0].label == "storage"
    assert in_order(known(storage=0.5), words)[0].label == "corrupt"
    assert in_order(known(storage=0.5), words)[0].confidence <= 0.6, "words alone are never called likely"


def test_all_known_causes_are_named_and_words_alone_only_among_the_first_three() -> None:
    many = known(storage=0.5, topology=0.4, memory=0.3, corrupt=0.25)
    found = [g.label for g in in_order(many, like(renamed=0.01, metrics=0.99))]
    assert {guess.label for guess in many} <= set(found)
    assert "metrics" in found[:3]
    assert "renamed" not in found


def test_a_likeness_is_never_called_likely() -> None:
    found = holdfast.diagnose(
        "restored weights blob disagrees with the saved variables of the checkpoint", files=False
    )
    assert found.is_checkpoint_failure
    assert all(cause.status == "possible" for cause in found.causes if "public reports" in cause.why)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "xyzzy plugh",
        "KeyError: 'userid'",
        "AttributeError: property 'name' of 'Reader' object has no setter",
        'Traceback (most recent call last):\n  File "t.py", line 4, in forward\n    x = self.load(x)\n'
        "KeyError: 'model.weight'",
    ],
)
def test_other_failures_are_not_claimed_by_their_words(text: str) -> None:
    assert not like_a_checkpoint_failure(read_text(text))


def test_a_person_who_tells_of_reloading_is_not_sent_away() -> None:
    told = "After reloading, my model gives other results than when the run ended, and the file looks as it should"
    assert like_a_checkpoint_failure(read_text(told))
    assert not like_a_checkpoint_failure(
        read_text("My network overfits and the accuracy on the test set is low")
    )


@pytest.mark.parametrize(
    "text",
    [
        "Training gets slower and slower. The first epoch takes ten minutes, the tenth takes half an hour.",
        "My classifier always says cat. Precision for dogs is zero although both classes have the same number of pictures.",
        "Loss turns into NaN after forty batches with mixed precision, with float32 it does not.",
        "Which learning rate goes with a batch of 4096? With the default the loss stays where it is.",
        "The GPU is used at 3 percent only, the CPU is at 100. How do I make the input pipeline faster?",
        "ImportError after I upgraded numpy, the example from the first page of the tutorial does not start any more.",
        "Two GPUs are not faster than one, the second one waits most of the time.",
        "Please add a callback that plots the gradients of each layer to the dashboard.",
        "I trained the same network twice with the same seed and the final accuracy is not the same.",
        "My custom loss returns one number per sample, and fit says that the output must be a scalar.",
    ],
)
def test_people_who_tell_of_their_training_are_told_that_it_is_no_checkpoint(text: str) -> None:
    assert not holdfast.diagnose(text, files=False).is_checkpoint_failure


def test_beginnings_of_words_alone_are_no_evidence() -> None:
    assert likeness(terms("restoring checkpoints")).heard >= 2
    assert likeness({"^rest", "^resto", "^restor", "^chec", "^check"}).heard == 0


FORWARD = "RuntimeError: mat1 and mat2 shapes cannot be multiplied (32x512 and 784x10)"


def test_a_weak_cause_is_overruled_by_words_of_something_else_and_a_sure_one_is_not() -> None:
    reading = read_text(FORWARD)
    assert like_something_else(reading, [Guess("shape-mismatch", 0.6, "", "")])
    assert not like_something_else(
        read_text("load_state_dict: " + FORWARD), [Guess("shape-mismatch", 0.6, "", "")]
    )
    unclear = read_text("the central directory of the saved archive is truncated")
    assert not like_something_else(unclear, [Guess("corrupt", 0.6, "", "")])


def test_the_literal_words_of_all_modules_are_written_down() -> None:
    assert LITERALS.read_text("utf-8") == literals(), "run `python docs/generate_commands.py`"


@pytest.mark.parametrize("number", range(0, 1000, 50))
def test_no_entry_is_missed_by_importing_only_what_can_speak(number: int) -> None:
    known = tuple(entries())
    for entry in known[number : number + 50 : 7]:
        assert entry in tuple(entries_for(read_text(entry.example)))
