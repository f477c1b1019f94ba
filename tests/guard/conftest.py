"""What the tests of the guard share."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest

from guard.watching import Watched


@pytest.fixture
def watched() -> Iterator[Watched]:
    """A guard that is on; nothing in it may have failed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = Watched()
        try:
            yield made
        finally:
            made.guard.close()
    assert [f.message for s in made.seen for f in s.findings if f.code == "H000"] == []
