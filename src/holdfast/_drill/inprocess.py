"""The drill within one process, for tests: an exception in the place of SIGKILL."""

from __future__ import annotations

import gc
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .._core.fault import Fault
from .._core.words import plural
from .._record.random_state import put_random_state, random_state
from ..testing.faults import Killed
from .align import align
from .judge import beyond_the_end, is_grave, judge, loose_of
from .runs import Record, Run, run_of
from .trace import Kill, Trace
from .watching import watch

__all__ = ["faults_of_resuming"]

Train = Callable[[Path, int], Any]


def faults_of_resuming(
    train: Train, steps: int, kill_at: Sequence[int], folder: Path
) -> list[tuple[int, Fault]]:
    """What differs after each kill: ``(killed after step, fault)``, the first divergence first; none where it resumes exactly.

    Raises :class:`AssertionError` where nothing was seen, or the run does not take ``steps`` optimizer steps.
    """
    ended = _empty(folder, "uninterrupted")
    reference = _run(train, steps, ended, None, seed=1)
    if not reference.steps:
        raise AssertionError(
            "no optimizer step was seen: call holdfast.drill.step(step, loss=..., state=...) in each step of the loop"
        )
    beyond = [k for k in kill_at if not 0 < k < reference.last]
    if beyond:
        raise AssertionError(
            f"the run takes {reference.last} steps: it cannot be killed after step {beyond[0]}"
        )
    found: list[tuple[int, Fault]] = []
    for at in kill_at:
        place = _empty(folder, f"killed-after-{at}")
        killed = _run(train, steps, place, Kill(at), seed=1)
        if not killed.killed:
            raise AssertionError(f"the second run ended after {killed.last} steps, before it was killed")
        resumed = _run(train, steps, place, None, seed=2)
        where = align(reference, killed, resumed)
        if where.how == "anew":
            saves = f", though {plural(len(killed.whole), 'save')} had been made" if killed.whole else ""
            found.append(
                (
                    at,
                    Fault("drill-starts-anew", f"it begins at its first step when it is called again{saves}"),
                )
            )
            continue
        resumed.offset = where.step
        loose = loose_of(reference, killed, killed.last)
        found += [(at, fault) for fault in judge(reference, killed, resumed, loose)]
    if reference.saved and not any(is_grave(fault) for _, fault in found):
        again = _run(train, steps, ended, Kill(reference.last + 1), seed=2)
        found += [(reference.last, fault) for fault in beyond_the_end(reference, again)]
    return found


def _empty(folder: Path, name: str) -> Path:
    place = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=folder))
    shutil.rmtree(place)
    place.mkdir()
    return place


def _run(train: Train, steps: int, place: Path, kill: Kill | None, *, seed: int) -> Run:
    events: list[Record] = []

    def strike() -> None:
        raise Killed

    trace = Trace(events.append, kill=kill, strike=strike)
    with _fresh_generators(seed):
        patches = watch(trace)
        try:
            train(place, steps)
            trace.event("end")
        except Killed:
            pass
        finally:
            patches.undo()
            gc.collect()  # what the dead run held open
    for event in events:  # each run has a folder of its own, and by their names saves are compared
        if "path" in event:
            event["path"] = event["path"].removeprefix(f"{place}/")
    return run_of(events)


@contextmanager
def _fresh_generators(seed: int) -> Iterator[None]:
    """The global generators as a new process might find them; the test's own are put back."""
    held = random_state()
    random.seed(seed)
    np.random.seed(seed)
    import sys

    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(seed)
    try:
        yield
    finally:
        put_random_state(held)
