"""Threads end when the work does, when it fails, and when the user interrupts."""

from __future__ import annotations

import _thread
import threading
import time

import pytest

from holdfast._integrity.workers import Shared, run_all, unit_bytes


def alive() -> int:
    return sum(thread.name.startswith("holdfast-") for thread in threading.enumerate())


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_every_task_runs_once(jobs: int) -> None:
    done: list[int] = []
    run_all([lambda _, n=n: done.append(n) for n in range(100)], jobs, Shared())
    assert sorted(done) == list(range(100))
    assert alive() == 0


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_failure_stops_the_rest_and_is_raised(jobs: int) -> None:
    done: list[int] = []

    def fail(_: memoryview) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_all(
            [fail, *(lambda _, n=n: (time.sleep(0.01), done.append(n)) for n in range(500))], jobs, Shared()
        )
    assert len(done) < 100
    assert alive() == 0


def test_an_interrupt_ends_running_tasks_within_a_chunk() -> None:
    shared = Shared(lambda count: None)
    begun: list[int] = []
    never_told: list[int] = []

    def endless(_: memoryview) -> None:
        begun.append(1)
        end = time.monotonic() + 120
        while time.monotonic() < end:
            shared.tell(1)
            time.sleep(0.001)
        never_told.append(1)

    threading.Timer(0.2, _thread.interrupt_main).start()
    with pytest.raises(KeyboardInterrupt):
        run_all([endless, endless, endless], 2, shared)
    assert len(begun) <= 2, "no task begins after the interrupt"
    assert not never_told
    assert alive() == 0


def test_progress_is_never_called_from_two_threads_at_once() -> None:
    inside, most, total = 0, 0, 0

    def progress(count: int) -> None:
        nonlocal inside, most, total
        inside += 1
        most = max(most, inside)
        time.sleep(0.001)
        total += count
        inside -= 1

    shared = Shared(progress)
    run_all([lambda _: shared.tell(2)] * 40, 4, shared)
    assert (most, total) == (1, 80)


def test_units_stay_within_bounds() -> None:
    for total in (0, 1 << 20, 1 << 30, 1 << 40):
        for jobs in (1, 2, 64):
            assert 4 << 20 <= unit_bytes(total, jobs, 4 << 20) <= 16 << 20
