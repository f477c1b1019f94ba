"""Counts in sentences."""

from __future__ import annotations

import pytest

from holdfast._core.words import plural


@pytest.mark.parametrize(
    "number, text", [(0, "0 tensors"), (1, "1 tensor"), (2, "2 tensors"), (12_345, "12,345 tensors")]
)
def test_plural(number: int, text: str) -> None:
    assert plural(number, "tensor") == text


def test_plural_that_is_no_s() -> None:
    assert [plural(n, "entry", "entries") for n in (1, 2)] == ["1 entry", "2 entries"]
