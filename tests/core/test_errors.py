"""How errors read."""

from __future__ import annotations

from holdfast import UsageError


def test_what_was_not_given_is_not_told() -> None:
    assert str(UsageError("no", found="x")) == "no (found x)"
    assert str(UsageError("no", expected="y")) == "no (expected y)"
    assert str(UsageError("no", expected="y", found="x")) == "no (expected y, found x)"
