"""How much work a piece of code does, counted: a bound on seconds fails on a slow machine, and passes on a quick one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

__all__ = ["calls_of", "page_faults_of"]


def calls_of(work: Callable[[], Any]) -> int:
    """How many functions are called within ``work()``, of Python's and of C's, in this thread."""
    count = 0

    def seen(_frame: object, event: str, _: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(seen)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def page_faults_of(work: Callable[[], Any]) -> int:
    """How many pages of memory the process touches for the first time within ``work()``: of mapped files each that is read."""
    import resource  # not on Windows

    before = resource.getrusage(resource.RUSAGE_SELF)
    work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_minflt + after.ru_majflt - before.ru_minflt - before.ru_majflt
