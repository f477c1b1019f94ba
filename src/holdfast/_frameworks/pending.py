"""Copies of live values that a thread is still making: whoever sets live values waits for them first."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

__all__ = ["forget", "settle", "wait_for"]

_PENDING: list[Callable[[], object]] = []
_LOCK = Lock()


def wait_for(join: Callable[[], object]) -> None:
    """From now on :func:`settle` calls ``join``, which returns once its copy is complete."""
    with _LOCK:
        _PENDING.append(join)


def forget(join: Callable[[], object]) -> None:
    """Its copy is complete."""
    with _LOCK:
        if join in _PENDING:
            _PENDING.remove(join)


def settle() -> None:
    """Wait until no copy of live values is being made any more."""
    with _LOCK:
        joins = tuple(_PENDING)
    for join in joins:
        join()
