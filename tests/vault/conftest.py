"""What holds for all tests of the vault."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def no_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether this checkout has uncommitted changes must not change how many files a save writes."""
    monkeypatch.setattr("holdfast._record.environment._code_at_first", lambda: None)
