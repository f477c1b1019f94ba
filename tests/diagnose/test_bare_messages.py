"""A message by itself: what it would be if it came from a checkpoint is told, and no more is claimed."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

import holdfast
from holdfast._cli.group import main
from holdfast._diagnose.diagnose import BARE, ELSE
from holdfast._diagnose.explaining import explained

BARE_ONES = [
    ("AttributeError: module '__main__' has no attribute 'Model'", "custom-object"),
    (
        "UnicodeDecodeError: 'ascii' codec can't decode byte 0x8a in position 2: ordinal not in range(128)",
        "version-mismatch",
    ),
]


@pytest.mark.parametrize(("text", "label"), BARE_ONES)
def test_a_message_by_itself_is_told_with_a_condition(text: str, label: str) -> None:
    found = holdfast.diagnose(text)
    assert not found.is_checkpoint_failure
    assert found.note == BARE and found.summary.startswith("this cannot be told")
    assert found.causes[0].label == label and len(found.causes) <= 3
    assert all(cause.status == "possible" for cause in found.causes)
    shown = CliRunner().invoke(main, ["diagnose", "-"], input=text).output
    assert "cannot be told" in shown and label in shown and "no checkpoint failure" not in shown


@pytest.mark.parametrize(
    "text",
    [
        "ZeroDivisionError: division by zero",
        "SyntaxError: invalid syntax",
        "IndexError: list index out of range",
        "Traceback (most recent call last):\n"
        '  File "train.py", line 7, in <module>\n    show(net)\n'
        '  File "train.py", line 3, in show\n    print(tools.Model)\n'
        "AttributeError: module '__main__' has no attribute 'Model'",
    ],
)
def test_what_else_it_is_or_a_whole_traceback_gets_no_condition(text: str) -> None:
    found = holdfast.diagnose(text)
    assert not found.is_checkpoint_failure and found.causes == () and found.note == ELSE


def test_nothing_is_noted_on_an_exception_for_a_condition() -> None:
    error = AttributeError("module '__main__' has no attribute 'Model'")  # never raised: it has no frames
    assert explained(error) is None and not getattr(error, "__notes__", [])
