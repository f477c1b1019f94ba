"""Saves under a guard, made by PyTorch itself: what is told of them, and what is not."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from guard.saving import codes, state
from holdfast._frameworks.events import Call, watched
from holdfast._guard.guard import Found, Guard, Options

torch = pytest.importorskip("torch")


@pytest.fixture
def guard() -> Iterator[Guard]:
    with Guard() as made:
        yield made


# -- what was written ------------------------------------------------------------------------------------------------
def test_a_save_that_went_well_is_told_in_a_line(guard: Guard, tmp_path: Path) -> None:
    torch.save({"model": state(), "epoch": 3}, tmp_path / "a.pt")
    (seen,) = guard.seen
    assert (seen.api, seen.kind, seen.findings) == ("torch.save", "save", [])
    assert seen.sentence.startswith("wrote 2 tensors, 48 bytes; sound")
    assert "test_saves.py" in seen.site


@pytest.mark.parametrize(
    "what", [3, "text", {"epoch": 1}, [], None, {"lr": 0.1, "names": ["a"]}, torch.ones(3)]
)
def test_what_holds_no_state_dict_is_no_damage(guard: Guard, tmp_path: Path, what: object) -> None:
    torch.save(what, tmp_path / "a.pt")
    assert not codes(guard)


def test_a_whole_module_and_an_optimizer_are_no_damage(guard: Guard, tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    torch.save({"model": model, "optimizer": torch.optim.Adam(model.parameters())}, tmp_path / "a.pt")
    assert not codes(guard)


def test_values_that_are_no_numbers_were_so_in_memory(guard: Guard, tmp_path: Path) -> None:
    torch.save({"w": torch.full((100,), float("nan"))}, tmp_path / "a.pt")
    torch.save({"w": torch.full((100,), float("nan"))}, tmp_path / "a.pt")
    assert codes(guard) == ["N101"]  # a warning, once, and no word of damage
    assert guard.seen[0].findings[0].severity == "warning"


def test_nothing_there(guard: Guard, tmp_path: Path) -> None:
    place = str(tmp_path / "a.pt")
    watched(guard, Call("torch", "some.save", "save", place), lambda path: None)
    assert codes(guard) == ["S142"]


def test_half_a_file_is_told_at_the_call(guard: Guard, tmp_path: Path) -> None:
    place = tmp_path / "a.pt"

    def half(path: str | None) -> None:
        torch.save(state(1000), path)
        os.truncate(place, place.stat().st_size // 2)

    watched(guard, Call("torch", "torch.save", "save", str(place)), half)
    assert codes(guard) == ["S143"]


def test_no_verify_looks_at_structure_only(tmp_path: Path) -> None:
    place = tmp_path / "a.pt"

    def flipped(path: str | None) -> None:
        torch.save({"w": torch.arange(100000.0)}, path)
        data = bytearray(place.read_bytes())
        data[200_000] ^= 0x40
        place.write_bytes(data)

    for verify, expected in ((True, ["S143"]), (False, [])):
        with Guard(Options(verify=verify)) as guard:
            watched(guard, Call("torch", "torch.save", "save", str(place)), flipped)
        assert codes(guard) == expected


def test_strict_raises_after_the_save(tmp_path: Path) -> None:
    with Guard(Options(strict=True)) as guard, pytest.raises(Found, match="nothing at"):
        watched(guard, Call("torch", "some.save", "save", str(tmp_path / "a")), lambda path: None)


def test_devices_addresses_and_buffers_are_left_alone(guard: Guard, tmp_path: Path) -> None:
    import io

    torch.save(state(), io.BytesIO())
    torch.save(state(), os.devnull)
    watched(guard, Call("torch", "some.save", "save", "s3://bucket/a.pt"), lambda path: None)
    assert not codes(guard, "error", "warning", "note")


def test_an_open_file_is_judged_when_it_is_closed(guard: Guard, tmp_path: Path) -> None:
    with open(tmp_path / "a.pt", "wb") as file:
        torch.save(state(), file)
    torch.save(state(), tmp_path / "b.pt")
    assert not codes(guard)


def test_a_temporary_file_that_is_gone_again(guard: Guard, tmp_path: Path) -> None:
    with tempfile.NamedTemporaryFile(dir=tmp_path) as file:
        torch.save(state(), file)
    torch.save(state(), tmp_path / "b.pt")
    assert not codes(guard)


def test_a_file_that_nobody_closes_is_closed_as_ever(guard: Guard, tmp_path: Path) -> None:
    torch.save(state(), open(tmp_path / "a.pt", "wb"))  # noqa: SIM115 - what programs do
    assert (tmp_path / "a.pt").stat().st_size > 0
    with open(tmp_path / "two.pt", "wb") as file:
        torch.save(state(), file)
        torch.save(state(), file)
        file.write(b"and more")
    guard.close()
    assert not codes(guard)


def test_a_file_that_goes_on_after_the_save_is_no_damage(guard: Guard, tmp_path: Path) -> None:
    with gzip.open(tmp_path / "a.pt.gz", "wb") as file:
        torch.save(state(), file)
    torch.save(state(), tmp_path / "b.pt")
    assert not codes(guard)


# -- the one before ----------------------------------------------------------------------------------------------------
def test_the_only_copy_is_noted_once(guard: Guard, tmp_path: Path) -> None:
    for _ in range(3):
        torch.save(state(), tmp_path / "last.pt")
    assert codes(guard, "note") == ["S141"] and not codes(guard)


def test_a_second_copy_beside_it_is_enough(guard: Guard, tmp_path: Path) -> None:
    torch.save(state(), tmp_path / "best.pt")
    torch.save(state(), tmp_path / "last.pt")
    torch.save(state(), tmp_path / "last.pt")
    assert not codes(guard, "note")


def test_a_writer_that_renames_puts_nothing_at_risk(guard: Guard, tmp_path: Path) -> None:
    call = Call("tensorflow", "tf.train.Checkpoint.write", "save", str(tmp_path / "a.pt"))
    torch.save(state(), tmp_path / "a.pt")
    watched(guard, call, lambda path: torch.save(state(), path))
    assert not codes(guard, "note")


def test_a_failed_save_that_took_the_old_one_along(guard: Guard, tmp_path: Path) -> None:
    place = tmp_path / "last.pt"
    torch.save(state(), place)
    with pytest.raises(Exception, match="pickle"):
        torch.save({"f": lambda: 1, **state()}, place)
    assert "S141" in codes(guard, "error")


def test_a_save_that_fails_before_it_writes_has_lost_nothing(guard: Guard, tmp_path: Path) -> None:
    place = tmp_path / "last.pt"
    place.write_bytes(b"no checkpoint at all")

    def refuse(path: str | None) -> None:
        raise ValueError("not this one")

    with pytest.raises(ValueError, match="not this one"):
        watched(guard, Call("torch", "torch.save", "save", str(place)), refuse)
    assert "S141" not in codes(guard)


def test_errors_of_ranks_are_no_exceptions_and_failures_all_the_same(guard: Guard, tmp_path: Path) -> None:
    dcp = pytest.importorskip("torch.distributed.checkpoint")
    (tmp_path / "a").write_bytes(b"x")
    with pytest.raises(dcp.api.CheckpointException):
        dcp.save(state(), checkpoint_id=tmp_path / "a")
    guard.close(0)
    seen = next(s for s in guard.seen if s.error)
    assert "rank 0: FileExistsError" in seen.error
    assert codes(guard).count("S146") == 1


# -- two writers ---------------------------------------------------------------------------------------------------------
def slow(guard: Guard, place: str, begun: threading.Event, seconds: float = 0.3) -> None:
    """A save that takes its time."""

    def run(path: str | None) -> None:
        begun.set()
        time.sleep(seconds)
        torch.save(state(), path)

    watched(guard, Call("torch", "torch.save", "save", place), run)


def test_two_threads_and_one_path(guard: Guard, tmp_path: Path) -> None:
    begun, place = threading.Event(), str(tmp_path / "a.pt")
    thread = threading.Thread(target=slow, args=(guard, place, begun))
    thread.start()
    begun.wait()
    torch.save(state(), tmp_path / "." / "a.pt")  # by another spelling
    thread.join()
    assert "S144" in codes(guard)


def test_two_threads_and_two_paths(guard: Guard, tmp_path: Path) -> None:
    begun = threading.Event()
    thread = threading.Thread(target=slow, args=(guard, str(tmp_path / "a.pt"), begun))
    thread.start()
    begun.wait()
    torch.save(state(), tmp_path / "b.pt")
    thread.join()
    assert not codes(guard)


OTHER = """
import sys, time, torch
from holdfast._frameworks.events import Call, watched
from holdfast._guard.guard import Guard
with Guard() as guard:
    def run(path):
        print("begun", flush=True)
        time.sleep({seconds})
        torch.save({{"a": torch.ones(3)}}, path)
    watched(guard, Call("torch", "torch.save", "save", sys.argv[1]), run)
    if {wait}:
        print("saved", flush=True)
        sys.stdin.readline()
print([f.code for s in guard.seen for f in s.findings if f.severity != "note"], flush=True)
"""


def other(place: Path, seconds: float, wait: bool = False, **env: str) -> subprocess.Popen[str]:
    """Another process that saves to ``place``; it has begun when this returns."""
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER.format(seconds=seconds, wait=wait), str(place)], text=True,
        stdout=subprocess.PIPE, stdin=subprocess.PIPE, env={**os.environ, **env},
    )  # fmt: skip
    assert process.stdout is not None and process.stdout.readline() == "begun\n"
    return process


def test_two_processes_are_told_in_each(guard: Guard, tmp_path: Path) -> None:
    process = other(tmp_path / "a.pt", 0.5)
    torch.save(state(), tmp_path / "a.pt")
    assert process.communicate(timeout=60)[0] == "['S144']\n"
    assert codes(guard) == ["S144"]
    assert "process" in guard.seen[0].findings[0].message


def test_two_processes_one_after_the_other(guard: Guard, tmp_path: Path) -> None:
    process = other(tmp_path / "a.pt", 0)
    assert process.communicate(timeout=60)[0] == "[]\n"
    torch.save(state(), tmp_path / "a.pt")
    assert not codes(guard)


def test_ranks_of_one_job_are_told_even_where_they_miss_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(os.getpid())}
    for name, value in {**job, "RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    process = other(tmp_path / "a.pt", 0, wait=True, **job, RANK="1")
    assert process.stdout is not None and process.stdout.readline() == "saved\n"
    with Guard() as guard:
        torch.save(state(), tmp_path / "a.pt")
        assert codes(guard, "warning") == ["S144"]
        assert "rank 1" in guard.seen[0].findings[0].message
    assert process.communicate("\n", timeout=60)[0] == "['S144']\n"  # at its end


def test_a_file_that_is_written_again_right_after(guard: Guard, tmp_path: Path) -> None:
    place = tmp_path / "a.pt"
    torch.save(state(), place)
    call = Call("torch", "torch.save", "save", str(place))
    examined = guard.files.examined

    def meanwhile(path: str, **more: bool) -> object:
        found = examined(path, **more)
        place.write_bytes(place.read_bytes() + b"x")
        return found

    guard.files.examined = meanwhile  # type: ignore[method-assign,assignment]
    watched(guard, call, lambda path: torch.save(state(), path))
    assert codes(guard) == ["S144"]


# -- values that move ------------------------------------------------------------------------------------------------------
def stepping(*tensors: torch.Tensor) -> tuple[threading.Event, threading.Thread, threading.Event]:
    """A thread that writes to ``tensors`` until it is stopped; whether it has begun, the thread, and what stops it."""
    begun, stop = threading.Event(), threading.Event()

    def run() -> None:
        while not stop.is_set():
            for tensor in tensors:
                tensor.data.add_(1)
            begun.set()

    thread = threading.Thread(target=run)
    thread.start()
    begun.wait()
    return begun, thread, stop


def test_a_state_that_is_trained_while_it_is_saved(guard: Guard, tmp_path: Path) -> None:
    moving = {f"w{n}": torch.zeros(400, 400) for n in range(20)}
    _, thread, stop = stepping(*moving.values())
    try:
        torch.save({"model": moving}, tmp_path / "a.pt")
    finally:
        stop.set()
        thread.join()
    (finding,) = [f for f in guard.seen[0].findings if f.code == "S145"]
    assert finding.severity == "error" and "model/w0" in finding.tensors


def test_another_model_may_be_trained_meanwhile(guard: Guard, tmp_path: Path) -> None:
    _, thread, stop = stepping(torch.zeros(400, 400))
    try:
        torch.save({"model": {f"w{n}": torch.zeros(400, 400) for n in range(20)}}, tmp_path / "a.pt")
    finally:
        stop.set()
        thread.join()
    assert not codes(guard, "error", "warning", "note")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool, torch.complex64])
def test_every_dtype_and_layout_is_looked_at(guard: Guard, tmp_path: Path, dtype: torch.dtype) -> None:
    values = torch.zeros(50, 70, dtype=dtype).t()
    held = values.detach()  # another counter's owner shares the memory

    def run(path: str | None) -> None:
        torch.save({"w": values}, path)
        held.fill_(1)

    watched(guard, Call("torch", "torch.save", "save", str(tmp_path / "a.pt"), state={"w": values}), run)
    (finding,) = [f for s in guard.seen for f in s.findings]
    assert (finding.code, finding.severity) == ("S145", "note")  # the file is of one moment
    assert "as they were before" in finding.message


def test_objects_of_the_program_are_not_touched(guard: Guard, tmp_path: Path) -> None:
    global Touchy

    class Touchy:  # made at module level for pickle's sake
        touched = 0

        def __getattr__(self, name: str) -> object:
            if not name.startswith("__"):
                type(self).touched += 1
            raise AttributeError(name)

    Touchy.__qualname__ = "Touchy"
    torch.save({"settings": Touchy(), **state()}, tmp_path / "a.pt")
    assert Touchy.touched == 0 and not codes(guard)


def test_writes_that_change_nothing_are_silent(guard: Guard, tmp_path: Path) -> None:
    values = torch.arange(5000.0)

    def run(path: str | None) -> None:
        torch.save({"w": values}, path)
        values.mul_(1)

    watched(guard, Call("torch", "torch.save", "save", str(tmp_path / "a.pt"), state={"w": values}), run)
    assert not codes(guard, "error", "warning", "note")
