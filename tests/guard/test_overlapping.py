"""Which calls are under way at the same time, told by threads that wait for each other."""

from __future__ import annotations

import threading

from holdfast._frameworks.overlapping import Overlapping


def meet(*shared):
    """Calls in a thread each, all under way at once; their rows."""
    calls, gate, rows = Overlapping(), threading.Barrier(len(shared)), {}

    def one(number, what):
        with calls.call(what, None) as mine:
            gate.wait(60)
            rows[number] = mine
            gate.wait(60)

    threads = [threading.Thread(target=one, args=row) for row in enumerate(shared)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return [rows[number] for number in range(len(shared))]


def test_both_learn_of_each_other():
    first, second = meet("run", "run")
    assert first.met == [second]
    assert second.met == [first]


def test_calls_on_different_things_do_not_meet():
    first, second = meet("run", "other")
    assert first.met == second.met == []


def test_one_after_the_other_is_no_meeting():
    calls = Overlapping()
    with calls.call("run", None) as first:
        pass
    with calls.call("run", None) as second:
        assert second.met == first.met == []


def test_one_thread_does_not_meet_itself():
    calls = Overlapping()
    with calls.call("run", None) as outer, calls.call("run", None) as inner:
        assert outer.met == inner.met == []


def test_a_call_that_raises_is_over():
    calls = Overlapping()
    try:
        with calls.call("run", None):
            raise ValueError
    except ValueError:
        pass
    with calls.call("run", None) as next_one:
        assert next_one.met == []
