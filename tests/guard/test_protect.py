"""``--protect``: a save is whole or not there, whatever kills it, and the program does not notice."""

from __future__ import annotations

import gc
import os
import random
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import holdfast
from holdfast._frameworks.events import Call, watched
from holdfast._guard.guard import Guard, Options

torch = pytest.importorskip("torch")

GRAVE = ("error", "warning")


@pytest.fixture
def guard() -> Iterator[Guard]:
    with Guard(Options(protect=True)) as made:
        yield made


def codes(guard: Guard, *severities: str) -> list[str]:
    return [f.code for s in guard.seen for f in s.findings if f.severity in (severities or GRAVE)]


def state(value: float = 1.0, n: int = 100) -> dict[str, torch.Tensor]:
    return {"a": torch.full((n, n), value), "b": torch.arange(n)}


def value_of(place: Path) -> float:
    """Which state a file holds; raises where it is not whole."""
    assert holdfast.examine(place).verdict == "sound"
    with holdfast.open(place) as found:
        values = found.read("a")
    assert bool((values == values[0, 0]).all())
    return float(values[0, 0])


@contextmanager
def mounted(what: list[str], place: Path) -> Iterator[None]:
    """Something mounted at ``place`` for the block; the test is skipped where that cannot be."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("mounting takes root on Linux")
    if subprocess.run(["mount", *what, str(place)], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        yield
    finally:
        gc.collect()
        subprocess.run(["umount", str(place)], check=True)


def test_the_file_is_the_same_to_the_byte(guard: Guard, tmp_path: Path) -> None:
    assert torch.save(state(), tmp_path / "model.pt") is None
    guard.close()
    (tmp_path / "without").mkdir()
    torch.save(state(), tmp_path / "without" / "model.pt")
    assert (tmp_path / "model.pt").read_bytes() == (tmp_path / "without" / "model.pt").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.pt", "without"]
    assert "renamed" in guard.seen[0].sentence and not guard.seen[0].findings


def test_nothing_is_at_risk(guard: Guard, tmp_path: Path) -> None:
    for value in (1, 2):
        torch.save(state(value), tmp_path / "last.pt")
    assert value_of(tmp_path / "last.pt") == 2
    assert not codes(guard, "error", "warning", "note")


def test_a_save_that_raises_leaves_the_one_before(guard: Guard, tmp_path: Path) -> None:
    place = tmp_path / "last.pt"
    torch.save(state(1), place)
    with pytest.raises(Exception, match="pickle"):
        torch.save({**state(2), "f": lambda: 1}, place)
    assert value_of(place) == 1 and os.listdir(tmp_path) == ["last.pt"]
    assert "untouched" in guard.seen[-1].sentence
    assert not codes(guard)


def test_errors_name_the_path_that_the_program_gave(guard: Guard, tmp_path: Path) -> None:
    def full(path: str | None) -> None:
        raise OSError(28, "No space left on device", path)

    place = str(tmp_path / "a.pt")
    with pytest.raises(OSError) as caught:
        watched(guard, Call("torch", "torch.save", "save", place, movable=True), full)
    assert (caught.value.errno, caught.value.filename) == (28, place)
    assert os.listdir(tmp_path) == []

    def told(path: str | None) -> None:
        raise RuntimeError(f"File {path} cannot be opened.")

    with pytest.raises(RuntimeError, match=f"^File {place} cannot be opened"):
        watched(guard, Call("torch", "torch.save", "save", place, movable=True), told)


def test_a_folder_that_is_not_there_is_the_frameworks_own_error(guard: Guard, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"Parent directory .*nowhere does not exist"):
        torch.save(state(), tmp_path / "nowhere" / "a.pt")


def test_what_is_damaged_does_not_replace_what_is_whole(guard: Guard, tmp_path: Path) -> None:
    place = tmp_path / "last.pt"
    torch.save(state(1), place)

    def half(path: str | None) -> None:
        torch.save(state(2), path)
        os.truncate(str(path), 5000)

    watched(guard, Call("torch", "torch.save", "save", str(place), movable=True), half)
    assert codes(guard) == ["S143"] and value_of(place) == 1
    assert os.listdir(tmp_path) == ["last.pt"]
    other = tmp_path / "new.pt"  # where there is none before, what there is is better than nothing
    watched(guard, Call("torch", "torch.save", "save", str(other), movable=True), half)
    assert other.stat().st_size == 5000


def test_mode_and_links_stay(guard: Guard, tmp_path: Path) -> None:
    place, link = tmp_path / "real.pt", tmp_path / "link.pt"
    before = os.umask(0o027)
    try:
        torch.save(state(1), place)
    finally:
        os.umask(before)
    assert stat.S_IMODE(place.stat().st_mode) == 0o640
    place.chmod(0o604)
    link.symlink_to(place)
    torch.save(state(2), link)
    assert link.is_symlink() and value_of(place) == 2
    assert stat.S_IMODE(place.stat().st_mode) == 0o604


def test_what_cannot_be_moved_goes_where_it_was_sent(guard: Guard, tmp_path: Path) -> None:
    with open(tmp_path / "a.pt", "wb") as file:
        torch.save(state(), file)
    torch.save(state(), os.devnull)
    assert codes(guard, "note") == ["S151"] and not codes(guard)
    assert value_of(tmp_path / "a.pt") == 1


def test_a_call_that_writes_nothing_is_no_trouble(guard: Guard, tmp_path: Path) -> None:
    torch.save(state(1), tmp_path / "a.pt")  # as a rank does that is not the first
    watched(guard, Call("torch", "x.save", "save", str(tmp_path / "a.pt"), movable=True), lambda path: None)
    assert value_of(tmp_path / "a.pt") == 1 and not codes(guard)


def test_folders_and_shards_are_put_in_place_too(guard: Guard, tmp_path: Path) -> None:
    place = tmp_path / "model"

    def folder(value: float) -> None:
        def run(path: str | None) -> None:
            os.mkdir(str(path))
            torch.save(state(value), Path(str(path), "weights.pt"))
            Path(f"{path}_00000.bin").write_bytes(b"shard")

        watched(guard, Call("torch", "x.save", "save", str(place), movable=True), run)

    folder(1)
    folder(2)
    assert value_of(place / "weights.pt") == 2
    assert sorted(os.listdir(tmp_path)) == ["model", "model_00000.bin"]


def test_two_threads_at_one_path_leave_one_whole_file(guard: Guard, tmp_path: Path) -> None:
    place = tmp_path / "last.pt"
    threads = [
        threading.Thread(target=lambda v=value: [torch.save(state(v, 400), place) for _ in range(4)])
        for value in (1, 2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert value_of(place) in (1, 2) and os.listdir(tmp_path) == ["last.pt"]
    assert set(codes(guard)) <= {"S144"}


def test_seals_follow_their_files(tmp_path: Path) -> None:
    place = tmp_path / "last.pt"
    with Guard(Options(protect=True, seal=True)):
        for value in (1, 2):
            torch.save(state(value), place)
            assert holdfast.verify(place).proof == "sealed"
    assert sorted(os.listdir(tmp_path)) == ["last.pt", "last.pt.holdfast.json"]


def test_seals_without_protection(tmp_path: Path) -> None:
    place = tmp_path / "last.pt"
    with Guard(Options(seal=True)) as guard:
        for value in (1, 2):
            torch.save(state(value), place)
            assert holdfast.verify(place).proof == "sealed"
    assert not codes(guard)


def test_a_seal_that_the_save_has_left_behind(tmp_path: Path) -> None:
    place = tmp_path / "last.pt"
    torch.save(state(1), place)
    holdfast.seal(place)
    with Guard() as guard:
        torch.save(state(1), place)
        assert not codes(guard)  # the same content
        torch.save(state(2), place)
    (finding,) = [f for s in guard.seen for f in s.findings if f.severity != "note"]
    assert (finding.code, finding.severity) == ("F119", "warning")


@pytest.mark.parametrize("protect", [True, False])
def test_seals_follow_a_rename_and_go_with_their_files(tmp_path: Path, protect: bool) -> None:
    with Guard(Options(seal=True, protect=protect)):
        for value in (1, 2):
            torch.save(state(value), tmp_path / "last.pt.tmp")
            os.replace(tmp_path / "last.pt.tmp", tmp_path / "last.pt")
        for step in range(4):
            torch.save(state(step), tmp_path / f"step{step}.pt")
            if step:
                (tmp_path / f"step{step - 1}.pt").unlink()
    files = ["last.pt", "step3.pt"]
    assert sorted(os.listdir(tmp_path)) == sorted([*files, *(f"{name}.holdfast.json" for name in files)])
    assert [holdfast.verify(tmp_path / name).proof for name in files] == ["sealed", "sealed"]


def test_what_a_killed_save_left_is_swept_by_the_next(guard: Guard, tmp_path: Path) -> None:
    from holdfast._guard.protecting import _host

    gone = subprocess.Popen(["true"])
    gone.wait()
    left = tmp_path / f".last.pt.holdfast-{_host()}-{gone.pid}-0123abcd"
    other = tmp_path / f".last.pt.holdfast-ffffff-{gone.pid}-0123abcd"  # of another machine
    mine = tmp_path / f".last.pt.holdfast-{_host()}-{os.getpid()}-0123abcd"
    for folder in (left, other, mine):
        folder.mkdir()
        (folder / "last.pt").write_bytes(b"x")
    torch.save(state(), tmp_path / "last.pt")
    assert not left.exists() and other.exists() and mine.exists()
    assert [f.slug for f in holdfast.examine(tmp_path / "last.pt").findings].count("leftover") in (0, 1)


def test_a_fault_of_ours_loses_nothing(guard: Guard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: str, **more: bool) -> None:
        raise RuntimeError("a bug")

    torch.save(state(1), tmp_path / "last.pt")
    monkeypatch.setattr(guard.files, "examined", broken)
    torch.save(state(2), tmp_path / "last.pt")
    assert value_of(tmp_path / "last.pt") == 2 and os.listdir(tmp_path) == ["last.pt"]
    assert codes(guard) == ["H000"]


@pytest.mark.parametrize("read_only", [False, True])
def test_a_file_that_no_rename_can_replace(guard: Guard, tmp_path: Path, read_only: bool) -> None:
    place, source = tmp_path / "last.pt", tmp_path / "source.pt"
    torch.save(state(1), source)
    place.touch()
    with mounted(["--bind", str(source)], place):
        if read_only:
            subprocess.run(["mount", "-o", "remount,ro,bind", str(place)], check=True)
            with pytest.raises(OSError, match=r"last\.pt") as caught:
                torch.save(state(2), place)
            assert ".holdfast-" not in str(caught.value)
            assert value_of(place) == 1 and guard.seen[-1].error
        else:
            torch.save(state(2), place)
            assert value_of(place) == 2 and codes(guard, "note") == ["S151"]
    assert sorted(os.listdir(tmp_path)) == ["last.pt", "source.pt"]
    guard.close(1)


# -- a full disk ---------------------------------------------------------------------------------------------------------
def test_a_disk_that_is_full(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    with mounted(["-t", "tmpfs", "-o", "size=8m", "tmpfs"], disk):
        for protect in (True, False):
            place = disk / "last.pt"
            torch.save(state(1, 800), place)  # 2.5 MB
            said = ""
            with Guard(Options(protect=protect)) as guard:
                try:
                    torch.save(state(2, 1500), place)  # 9 MB
                except RuntimeError as error:  # not kept: its frames hold the file open
                    said = str(error)
            assert "S101" in codes(guard, "error")
            if protect:
                assert value_of(place) == 1 and os.listdir(disk) == ["last.pt"]
                assert said and ".holdfast-" not in said
            else:
                assert "S141" in codes(guard, "error")
                assert holdfast.examine(place).verdict != "sound"


# -- kill -9 -------------------------------------------------------------------------------------------------------------
SAVES = """
import sys, torch
state = {f"w{n}": torch.full((250, 1000), 1.0) for n in range(30)}  # 30 MB
value = 0.0
print("ready", flush=True)
while True:
    value += 1
    for tensor in state.values():
        tensor.fill_(value)
    torch.save(state, sys.argv[1])
    print(value, flush=True)
"""


def killed(folder: Path, protect: bool, trials: int, seed: int) -> tuple[int, int]:
    """Kill a program that saves over one name, at random moments; how many files are whole, and how many are lost."""
    script, place = folder / "saves.py", folder / "last.pt"
    script.write_text(SAVES)
    draw, whole, lost = random.Random(seed), 0, 0
    for _ in range(trials):
        place.unlink(missing_ok=True)
        options = ["--protect"] if protect else []
        process = subprocess.Popen(
            [sys.executable, "-m", "holdfast", "run", "-q", *options, str(script), str(place)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        before = float(process.stdout.readline())  # the first save is done
        begun = time.monotonic()
        process.stdout.readline()
        one = time.monotonic() - begun
        time.sleep(draw.uniform(0, one))
        process.send_signal(signal.SIGKILL)
        process.wait()
        try:
            found = torch.load(place)
            values = {float(v) for tensor in found.values() for v in (tensor[0, 0], tensor[-1, -1])}
            assert len(values) == 1 and len(found) == 30 and values.pop() >= before
            whole += 1
        except Exception:  # noqa: BLE001 - whatever PyTorch says of half a file
            lost += 1
    return whole, lost


def test_killed_in_the_middle_of_a_save(tmp_path: Path) -> None:
    assert killed(tmp_path, protect=True, trials=2, seed=1) == (2, 0)


@pytest.mark.long
@pytest.mark.timeout(3000)
def test_killed_thirty_times_and_thirty_times_without(tmp_path: Path) -> None:
    assert killed(tmp_path, protect=True, trials=30, seed=2) == (30, 0)
    _, lost = killed(tmp_path, protect=False, trials=30, seed=2)
    assert lost > 0  # the same moments, unprotected
