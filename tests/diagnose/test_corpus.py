"""The shared corpus of real failures: how many causes are found from the text alone."""

from __future__ import annotations

import pytest

from diagnose.score import scored
from shared import SHARED

needs_corpus = pytest.mark.skipif(
    not (SHARED / "corpus" / "diagnose.jsonl").exists(), reason="shared/corpus is not there"
)


@needs_corpus
@pytest.mark.parametrize(("half", "first", "three"), [("odd", 0.95, 0.99), ("even", 0.84, 0.95)])
def test_the_cause_is_found(half: str, first: float, three: float) -> None:
    right, among, total, _ = scored(half)
    assert right / total >= first
    assert among / total >= three
