"""What is printed when something else fails is not put down to a checkpoint (`elsewhere.txt`: `=== name`, then the text)."""

from __future__ import annotations

from pathlib import Path

import pytest

import holdfast

PARTS = Path(__file__).with_name("elsewhere.txt").read_text("utf-8").split("=== ")[1:]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.partition("\n")[0])
def test_a_text_of_something_else_is_told_so(part: str) -> None:
    found = holdfast.diagnose(part.partition("\n")[2], files=False)
    assert not found.is_checkpoint_failure, [(cause.label, cause.confidence) for cause in found.causes]
