"""How a test finds out what a loader really does: run it and look at values, warnings and exceptions."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import NamedTuple


class Deed(NamedTuple):
    """One loading: ``load`` does it, ``right`` says afterwards whether the live objects hold what their author
    needs, ``step`` makes the first update."""

    load: Callable[[], object]
    right: Callable[[], bool]
    step: Callable[[], object] | None = None


def outcome_of(deed: Deed, ours: str = "") -> str:
    """The outcome, in the words of ``holdfast._facts.loaders``. Of warnings only those count that speak of
    loading: ``ours`` is a part of their text."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            deed.load()
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # noqa: BLE001 - any is the answer; torch's CheckpointException is no Exception
            return "raises-at-load"
    if ours and any(ours in str(w.message) for w in caught):
        return "warns"
    if deed.step is not None:
        try:
            deed.step()
        except Exception:  # noqa: BLE001
            return "raises-later"
    return "silent-right" if deed.right() else "silent-wrong"
