"""The cells of the restore matrix as tests: which of them run always, and what each must come to.

Imported before a framework's cells, as it makes their modules importable by the names that they bear in ``matrix_table.py``.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import pytest

_HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(_HERE), str(_HERE.parent / "matrix")]

from watched_matrix import Cell, judge_watched  # noqa: E402 - needs the folders above

__all__ = ["Cell", "assert_named_apart", "assert_told_rightly", "named", "one_of_each_mutation"]


def named(cells: Sequence[Cell], quick: Collection[str]) -> list[object]:
    """All cells as parameters; those that are not named in ``quick`` run with the long tests."""
    assert {cell.id for cell in cells} >= set(quick)
    return [_parameter(cell, cell.id in quick) for cell in cells]


def one_of_each_mutation(cells: Sequence[Cell]) -> list[object]:
    """All cells as parameters: of each mutation one always, of another format and way each time; the rest are long."""
    by_mutation: dict[str, list[int]] = {}
    for number, cell in enumerate(cells):
        by_mutation.setdefault(cell.row.mutation, []).append(number)
    kept = {numbers[k % len(numbers)] for k, numbers in enumerate(by_mutation.values())}
    return [_parameter(cell, number in kept) for number, cell in enumerate(cells)]


def _parameter(cell: Cell, always: bool) -> object:
    return pytest.param(cell, id=cell.id, marks=() if always else (pytest.mark.long,))


def assert_told_rightly(cell: Cell) -> None:
    """A load that is silent and wrong is told, a right one is not, and watching changes neither."""
    got = judge_watched(cell)
    assert not got.fault, f"{got.fault}: {got.happened}, told {got.told}\n{got.detail}"


def assert_named_apart(cells: Iterable[Cell]) -> None:
    """Each cell has a name of its own."""
    names = [cell.id for cell in cells]
    assert len(names) == len(set(names))
