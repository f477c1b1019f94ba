"""Restores that fail at a chosen place: the n-th write of a variable or a value, the framework's own end, the proof, the
look at the next step; and an interrupt in the midst of reading."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import holdfast
from holdfast._frameworks.live import _no_memory
from holdfast._restore import engine


class Fails(Exception):
    """What the framework raises."""


class _Counter:
    def __init__(self, at: int, error: type[BaseException]) -> None:
        self.at, self.error, self.count = at, error, 0

    def wrap(self, call: Callable[..., Any], *, after: bool = False) -> Callable[..., Any]:
        def counted(*given: Any) -> Any:
            self.count += 1
            if self.count - 1 != self.at:
                return call(*given)
            if after:  # the worst moment: it has done its work, and then fails
                call(*given)
            raise self.error("injected")

        return counted


class _Written:
    """A variable that is set by its ``write`` alone (not by way of its memory), and counts that."""

    def __init__(self, variable: Any, counter: _Counter) -> None:
        self._variable, self._counter = variable, counter

    def __getattr__(self, name: str) -> Any:
        if name == "memory":
            return lambda: None
        if name == "fresh":
            return _no_memory
        value = getattr(self._variable, name)
        return self._counter.wrap(value, after=True) if name == "write" and value is not None else value


@contextmanager
def failing(stage: str, at: int, error: type[BaseException] = Fails) -> Iterator[_Counter]:
    """Restores inside fail at the ``at``-th call of what ``stage`` names; gives the counter of such calls."""
    counter = _Counter(at, error)
    real, seen = engine.live_catalog, []

    def broken(**parts: Any) -> Any:
        live = real(**parts)
        if seen:
            return live
        seen.append(live)
        if stage == "write":
            for name, variable in live.variables.items():
                live.variables[name] = _Written(variable, counter)
        if stage == "value":
            for setting in live.settings.values():
                setting.write = counter.wrap(setting.write, after=True)
        if stage == "finish":
            live._finish = counter.wrap(live._finish or (lambda: None), after=True)
        return live

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "live_catalog", broken)
        if stage == "proof":
            patch.setattr(engine, "_prove", counter.wrap(engine._prove, after=True))
        if stage == "readiness":
            patch.setattr(engine, "readiness_findings", counter.wrap(engine.readiness_findings, after=True))
        yield counter


def each_failure_is_undone(
    path: str,
    make: Callable[[], dict[str, Any]],
    fingerprint: Callable[[dict[str, Any]], Any],
    *,
    values: bool,
) -> None:
    """Fail at every stage, by an error and by an interrupt; afterwards the objects are as they were, and the restore
    that follows is as right as the first one would have been. ``values``: whether plain values are set too."""
    whole = make()
    with failing("write", -1) as writes:
        holdfast.restore(path, **whole)
    with failing("value", -1) as settings:
        holdfast.restore(path, **make())
    truth = fingerprint(whole)
    assert writes.count > 2, "the restore writes too little for this test to mean anything"
    assert bool(settings.count) == values
    places = [("write", at) for at in sorted({0, writes.count // 2, writes.count - 1})]
    places += [("value", at) for at in sorted({0, max(settings.count - 1, 0)}) if settings.count]
    places += [("finish", 0), ("proof", 0), ("readiness", 0)]
    for stage, at in places:
        for error in (Fails, KeyboardInterrupt):
            live = make()
            before = fingerprint(live)
            with failing(stage, at, error) as counter, pytest.raises(error, match="injected"):
                holdfast.restore(path, rollback=True, **live)
            assert counter.count > at, f"{stage} {at} was never reached"
            assert fingerprint(live) == before, f"not as before, after {error.__name__} at {stage} {at}"
            holdfast.restore(path, **live)
            assert fingerprint(live, same=False) == fingerprint(whole, same=False), f"after {stage} {at}"  # type: ignore[call-arg]
    assert fingerprint(whole) == truth


def interrupted_reading_is_undone(
    path: str, make: Callable[[], dict[str, Any]], fingerprint: Callable[[dict[str, Any]], Any]
) -> None:
    """An interrupt raised from within the reading, once bytes have been told of."""
    live = make()
    before = fingerprint(live)
    told: list[object] = []

    def progress(*given: object) -> None:
        told.append(given)
        if len(told) > 1:
            raise KeyboardInterrupt("injected")

    try:
        holdfast.restore(path, rollback=True, progress=progress, **live)
    except KeyboardInterrupt:
        assert fingerprint(live) == before
    else:
        pytest.fail(f"only {len(told)} calls of progress: nothing was interrupted")


def bits(values: Any) -> tuple[Any, ...]:
    """Shape, dtype and bytes of an array."""
    array = np.asarray(values)
    return array.shape, str(array.dtype), array.tobytes()
