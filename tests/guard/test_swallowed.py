"""Saves that fail where nobody looks: errors that are caught, die in a thread or are left in a future, and the background."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from guard.saving import codes, state, unpicklable
from holdfast._frameworks.events import Call, watched
from holdfast._guard.background import Background
from holdfast._guard.guard import Guard, Options
from holdfast._guard.judging import Save
from holdfast._guard.seen import Seen

torch = pytest.importorskip("torch")


@pytest.fixture
def guard() -> Iterator[Guard]:
    with Guard() as made:
        yield made


def test_an_error_that_is_caught_and_forgotten(guard: Guard, tmp_path: Path) -> None:
    with contextlib.suppress(Exception):  # as programs do
        torch.save(unpicklable(), tmp_path / "a.pt")
    assert "S146" not in codes(guard)
    torch.save(state(), tmp_path / "b.pt")
    assert "S146" in codes(guard)
    guard.close()
    assert codes(guard).count("S146") == 1
    finding = next(f for s in guard.seen for f in s.findings if f.code == "S146")
    assert "pickle" in finding.message


def test_an_error_that_is_forgotten_until_the_end(guard: Guard, tmp_path: Path) -> None:
    with contextlib.suppress(Exception):  # as programs do
        torch.save(unpicklable(), tmp_path / "a.pt")
    guard.close(0)
    assert "S146" in codes(guard)


def test_an_exit_code_tells_enough(guard: Guard, tmp_path: Path) -> None:
    with contextlib.suppress(Exception):  # as programs do
        torch.save(unpicklable(), tmp_path / "a.pt")
    guard.close(3)
    assert "S146" not in codes(guard)


def test_another_try_that_succeeds_settles_it(guard: Guard, tmp_path: Path) -> None:
    tries = [unpicklable(), state()]
    for what in tries:
        try:
            torch.save(what, tmp_path / "a.pt")
            break
        except Exception:  # noqa: BLE001
            continue
    try:
        torch.save(unpicklable(), tmp_path / "b.pt")
    except Exception:  # noqa: BLE001 - saved elsewhere while the error is handled
        torch.save(state(), tmp_path / "c.pt")
    guard.close(0)
    assert "S146" not in codes(guard)


def test_an_error_in_a_thread(guard: Guard, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = threading.excepthook
    threading.excepthook = lambda about: None
    try:
        with Guard() as inner:
            thread = threading.Thread(
                target=lambda: torch.save(unpicklable(), tmp_path / "a.pt"), name="saver"
            )
            thread.start()
            thread.join()
            told = [f for s in inner.seen for f in s.findings if f.code == "S146"]
            assert len(told) == 1 and "saver" in told[0].message
    finally:
        threading.excepthook = before
    guard.close(1)


def test_a_future_that_is_never_asked(guard: Guard, tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(torch.save, unpicklable(), tmp_path / "a.pt")
    guard.close(0)
    assert "S146" in codes(guard)


def test_a_future_that_is_never_asked_though_the_pool_saves_on(guard: Guard, tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(torch.save, unpicklable(), tmp_path / "a.pt")
        pool.submit(torch.save, state(), tmp_path / "b.pt")
    guard.close(0)
    told = [f.message for s in guard.seen for f in s.findings if f.code == "S146"]
    assert len(told) == 1 and "left where nobody asked" in told[0]


def test_a_pool_that_tries_the_same_path_again(guard: Guard, tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(torch.save, unpicklable(), tmp_path / "a.pt")
        pool.submit(torch.save, state(), tmp_path / "a.pt")
    guard.close(0)
    assert "S146" not in codes(guard)


def test_an_error_that_a_notebook_has_shown(
    guard: Guard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        torch.save(unpicklable(), tmp_path / "a.pt")
    except Exception as error:  # noqa: BLE001 - as a shell does
        monkeypatch.setattr(sys, "last_value", error, raising=False)
    torch.save(state(), tmp_path / "b.pt")
    assert "S146" not in codes(guard)


# -- saves in the background -----------------------------------------------------------------------------------------------
def begin(
    guard: Guard,
    place: Path,
    go_on: threading.Event | None = None,
    *,
    fails: bool = False,
    daemon: bool = False,
) -> threading.Thread:
    """A call that returns at once, and goes on in a thread when it may."""
    trouble: list[Exception] = []

    def write() -> None:
        if go_on is not None:
            go_on.wait()
        if fails:
            trouble.append(OSError(28, "No space left on device"))
        else:
            with guard.looking(Seen("", "", "")):
                torch.save(state(), place)

    thread = threading.Thread(target=write, daemon=daemon)
    call = Call("torch", "dcp.async_save", "save", str(place))

    def finished() -> None:
        thread.join()
        if trouble:
            raise trouble[0]

    def run(path: str | None) -> None:
        thread.start()
        call.finished = finished

    watched(guard, call, run)
    return thread


def test_a_background_save_is_looked_at_when_it_is_done(guard: Guard, tmp_path: Path) -> None:
    go_on = threading.Event()
    thread = begin(guard, tmp_path / "a.pt", go_on)
    go_on.set()
    thread.join()
    time.sleep(0.2)
    guard.close(0)
    assert not codes(guard, "error", "warning", "note")
    assert "in the background: wrote 2 tensors" in guard.seen[-1].sentence


def test_a_background_save_that_is_protected(tmp_path: Path) -> None:
    torch.save(state(9), tmp_path / "a.pt")
    with Guard(Options(protect=True)) as guard:
        call = Call("torch", "some.async_save", "save", str(tmp_path / "a.pt"), movable=True)

        go_on = threading.Event()

        def run(path: str | None) -> None:
            def write() -> None:
                go_on.wait()
                with guard.looking(Seen("", "", "")):
                    torch.save(state(), path)

            thread = threading.Thread(target=write)
            thread.start()
            call.finished = thread.join

        watched(guard, call, run)
        assert len(torch.load(tmp_path / "a.pt")["a"]) == 9
        go_on.set()
        guard.close(0)
    assert len(torch.load(tmp_path / "a.pt")["a"]) == 3 and os.listdir(tmp_path) == ["a.pt"]
    assert "written aside" in [s for s in guard.seen if s.kind != "read"][1].sentence


def test_a_background_save_that_fails_unseen(guard: Guard, tmp_path: Path) -> None:
    go_on = threading.Event()
    thread = begin(guard, tmp_path / "a.pt", go_on, fails=True)
    go_on.set()
    thread.join()
    time.sleep(0.2)
    guard.close(0)
    assert codes(guard) == ["S146"] and "No space left" in guard.seen[-1].findings[0].message


def test_a_background_save_that_fails_while_its_call_returns(guard: Guard, tmp_path: Path) -> None:
    """The call that began it is no new try that went well."""
    call = Call("torch", "dcp.async_save", "save", str(tmp_path / "a.pt"))

    def failed() -> None:
        raise OSError(28, "No space left on device")

    def run(path: str | None) -> None:
        call.finished = failed

    goes_on = guard.saves._goes_on

    def told_first(save: Save) -> None:
        goes_on(save)
        for task in guard.saves._background:
            task._thread.join()

    guard.saves._goes_on = told_first  # type: ignore[method-assign]  # the thread that trains is slow here
    watched(guard, call, run)
    guard.close(0)
    assert codes(guard) == ["S146"]


def test_an_earlier_save_that_ends_later_is_no_new_try(guard: Guard, tmp_path: Path) -> None:
    """Of one line, and of one path."""
    go_on = threading.Event()
    for gate, fails in ((go_on, False), (None, True)):
        begin(guard, tmp_path / "a.pt", gate, fails=fails)
    guard.saves._background[-1]._thread.join()
    go_on.set()
    guard.close(0)
    assert codes(guard).count("S146") == 1


def test_another_try_in_the_background_settles_it_once_it_went_well(guard: Guard, tmp_path: Path) -> None:
    go_on = threading.Event()
    for gate, fails in ((None, True), (go_on, False)):
        begin(guard, tmp_path / "a.pt", gate, fails=fails)
        if fails:
            guard.saves._background[-1]._thread.join()
    go_on.set()
    guard.close(0)
    assert "S146" not in codes(guard)


def test_a_save_is_over_when_it_was_looked_at() -> None:
    go_on = threading.Event()
    task = Background(lambda: None, lambda error: go_on.wait() and None, None)
    until = time.monotonic() + 30
    while not task.done and time.monotonic() < until:
        time.sleep(0.01)
    assert task.done and not task.over
    go_on.set()
    task.at_end(lambda *_: None)
    assert task.over


def test_a_background_save_that_the_interpreter_waits_for(guard: Guard, tmp_path: Path) -> None:
    go_on = threading.Event()
    begin(guard, tmp_path / "a.pt", go_on)
    threading.Timer(3.0, go_on.set).start()
    guard.close(0)
    assert codes(guard, "note") == ["S147"] and not codes(guard)


def test_a_background_save_that_dies_with_the_program(guard: Guard, tmp_path: Path) -> None:
    go_on = threading.Event()
    thread = begin(guard, tmp_path / "a.pt", go_on, daemon=True)
    guard.close(0)
    assert codes(guard) == ["S147"]
    go_on.set()
    thread.join()


@pytest.mark.parametrize("daemon", [True, False])
def test_a_save_in_a_thread_of_the_programs_own_that_the_program_does_not_wait_for(
    guard: Guard, tmp_path: Path, daemon: bool
) -> None:
    """A daemon is told; for any other thread the interpreter waits, and nothing is lost."""
    begun, go_on = threading.Event(), threading.Event()

    def run(path: str | None) -> None:
        begun.set()
        go_on.wait()
        with guard.looking(Seen("", "", "")):
            torch.save(state(), path)

    call = Call("torch", "torch.save", "save", str(tmp_path / "a.pt"))
    thread = threading.Thread(target=lambda: watched(guard, call, run), daemon=daemon)
    thread.start()
    begun.wait()
    if not daemon:
        threading.Timer(0.2, go_on.set).start()
    guard.close(0)
    assert codes(guard) == (["S147"] if daemon else [])
    assert not codes(guard, "note")
    go_on.set()
    thread.join()
