"""What holds for all tests of the vault."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from vault.places import folder_in_memory


@pytest.fixture(autouse=True)
def no_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether this checkout has uncommitted changes must not change how many files a save writes."""
    monkeypatch.setattr("holdfast._record.environment._code_at_first", lambda: None)


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """In memory for a module that says ``IN_MEMORY = True``: what it asks is not how a disk is written to."""
    if not getattr(request.module, "IN_MEMORY", False):
        yield tmp_path
        return
    with folder_in_memory() as folder:
        yield Path(folder)
