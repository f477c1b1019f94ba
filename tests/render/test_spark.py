"""A row of numbers as one line of characters, exactly."""

from __future__ import annotations

import math

import pytest

from holdfast._render.spark import BLOCKS, BLOCKS_ASCII, spark

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("values", "blocks"),
    [
        ([], ""),
        ([1], "▄"),
        ([2, 2, 2], "▄▄▄"),
        ([0, 1], "▁█"),
        ([0, 1, 2, 3, 4, 5, 6, 7], BLOCKS),
        ([7, 6, 5, 4, 3, 2, 1, 0], BLOCKS[::-1]),
        ([1, None, 3], "▁ █"),
        ([1, NAN, 3, INF, -INF], "▁×█××"),
        ([NAN], "×"),
        ([None, None], "  "),
        ([-1e308, 0, 1e308], "▁▅█"),
        ([1e-320, 2e-320], "▁█"),
        ([5, 5 + 1e-15], "▁█"),
    ],
)
def test_blocks(values: list[float | None], blocks: str) -> None:
    assert spark(values) == blocks
    table = str.maketrans(BLOCKS + "×", BLOCKS_ASCII + "!")
    assert spark(values, unicode=False) == blocks.translate(table)
    assert spark(values, unicode=False).isascii()


def test_more_values_than_columns_are_put_together() -> None:
    assert spark([0, 0, 1, 1, 2, 2, 7, 7], 4) == "▁▂▃█"
    assert spark([0, 2, NAN, NAN, None, None, 8, NAN], 4) == "▁× █"
    assert len(spark(list(range(1000)), 60)) == 60
    assert spark([1e308] * 100, 10) == "▄" * 10  # their sum is beyond a float
