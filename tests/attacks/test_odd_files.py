"""Paths that are no ordinary files, and files that change under the reader: an answer soon, never a hang."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from cage import cage
from test_named_attacks import safetensors, torch_zip

import holdfast
from tf_writer import write_bundle

SECONDS = 20


def commands(path: Path | str, *words: str) -> list[subprocess.CompletedProcess[str]]:
    """Every command on a path, each within the time."""
    done = []
    for command in (["doctor"], ["inspect", "--format", "json"], ["verify"], ["seal"], ["diff", str(path)]):
        done.append(
            subprocess.run(
                [sys.executable, "-m", "holdfast", *command, str(path), *words],
                capture_output=True,
                text=True,
                timeout=SECONDS,
                stdin=subprocess.DEVNULL,
                check=False,
            )
        )
    return done


def told(done: list[subprocess.CompletedProcess[str]]) -> None:
    for one in done:
        assert one.returncode in (1, 2), (one.args, one.stdout, one.stderr)
        assert "Traceback" not in one.stderr, one.stderr
        assert len(one.stdout) + len(one.stderr) > 20


def small() -> bytes:
    return safetensors({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}, bytes(range(16)))


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no devices here")
@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/urandom", "/dev/stdin"])
def test_device(device: str) -> None:
    told(commands(device))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
def test_fifo(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.safetensors")
    told(commands(tmp_path / "model.safetensors"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
@pytest.mark.parametrize(
    "name",
    [
        "checkpoint",
        "m.index",
        "m.data-00000-of-00001",
        "model.safetensors.index.json",
        "a.holdfast.json",
        "a.safetensors.sha256",
        "SHA256SUMS",
        "config.json",
        "saved_model.pb",
    ],
)
def test_fifo_beside_a_checkpoint(tmp_path: Path, name: str) -> None:
    """The parts, seals and hashes that are looked for beside a file may be anything too."""
    if name == "a.holdfast.json":
        name = "a.safetensors.holdfast.json"
    (tmp_path / "a.safetensors").write_bytes(small())
    if name.startswith("m."):
        write_bundle(tmp_path / "m", {"w": np.ones(3, np.float32)})
        (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    ended = cage([tmp_path, tmp_path / "a.safetensors", tmp_path / name])
    assert [str(c) for c in ended if not c.good] == []


def test_folder_called_like_a_file(tmp_path: Path) -> None:
    for name in ("a.safetensors", "m.index", "checkpoint", "b.pt", "c.keras", "a.safetensors.holdfast.json"):
        (tmp_path / name).mkdir()
    ended = cage([tmp_path, *tmp_path.iterdir()])
    assert [str(c) for c in ended if not c.good] == []


def test_circles_of_symbolic_links(tmp_path: Path) -> None:
    (tmp_path / "run" / "deep").mkdir(parents=True)
    (tmp_path / "run" / "deep" / "up").symlink_to(tmp_path / "run")
    (tmp_path / "run" / "self").symlink_to(".")
    (tmp_path / "run" / "a.safetensors").symlink_to("b.safetensors")
    (tmp_path / "run" / "b.safetensors").symlink_to("a.safetensors")
    (tmp_path / "run" / "gone.pt").symlink_to("nowhere")
    (tmp_path / "run" / "m.safetensors").write_bytes(small())
    ended = cage([tmp_path, tmp_path / "run" / "a.safetensors", tmp_path / "run" / "gone.pt"])
    assert [str(c) for c in ended if not c.good] == []
    report = holdfast.examine(tmp_path / "run")
    assert len([c for c in report.checkpoints if c.path.endswith("m.safetensors")]) == 1


def test_link_to_a_device_in_an_index(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").symlink_to("/dev/zero")
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"w": "x.safetensors"}}')
    ended = cage([tmp_path, tmp_path / "model.safetensors.index.json"])
    assert [str(c) for c in ended if not c.good] == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
def test_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(small())
    path.chmod(0)
    told(commands(path))


def test_unreadable_as_the_system_tells_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an unreadable file answers, also where the tests run as root."""
    path = tmp_path / "m.safetensors"
    path.write_bytes(small())
    real = os.open

    def refusing(name: object, *rest: object, **more: object) -> int:
        if os.fspath(name) == str(path):  # type: ignore[call-overload]
            raise PermissionError(13, "Permission denied")
        return real(name, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", refusing)
    with pytest.raises(holdfast.HoldfastError, match="Permission denied"):
        holdfast.open(path)
    report = holdfast.examine(path)
    assert report.checkpoints[0].verdict != "sound"
    assert holdfast.verify(path).checkpoints[0].verdict != "sound"


def test_failing_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.pt"
    path.write_bytes(torch_zip(b"\x80\x02}.", {"0": bytes(1 << 20)}))
    real = os.pread

    def failing(fd: int, length: int, offset: int) -> bytes:
        if offset > 1 << 18:
            raise OSError(5, "Input/output error")
        return real(fd, length, offset)

    monkeypatch.setattr(os, "pread", failing)
    report = holdfast.examine(path)
    assert report.checkpoints[0].verdict != "sound"
    assert any("Input/output error" in f.message + str(f.evidence) for f in report.findings)


@pytest.mark.parametrize("kind", ["safetensors", "torch", "tf", "npz"])
def test_file_that_shrinks_while_it_is_read(tmp_path: Path, kind: str) -> None:
    """The process lives (a mapped page that is gone would kill it) and tells of the lost bytes."""
    size = 8 << 20
    if kind == "safetensors":
        path = tmp_path / "m.safetensors"
        header = {"w": {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}}
        path.write_bytes(safetensors(header, bytes(size)))
        cut = path
    elif kind == "torch":
        path = cut = tmp_path / "m.pt"
        path.write_bytes(torch_zip(b"\x80\x02}.", {"0": bytes(size)}))
    elif kind == "npz":
        path = cut = tmp_path / "m.npz"
        np.savez(path, w=np.zeros(size // 4, "f4"))
    else:
        write_bundle(tmp_path / "m", {"w": np.zeros(size // 4, np.float32)})
        path, cut = tmp_path / "m.index", tmp_path / "m.data-00000-of-00001"
    code = (
        "import sys, os, holdfast\n"
        "catalog = holdfast.open(sys.argv[1])\n"
        "list(catalog)\n"
        "os.truncate(sys.argv[2], 4096)\n"
        "for check in catalog.checks():\n"
        "    check.run(lambda n: None)\n"
        "from holdfast._examine.scan import scan_catalog\n"
        "print({k: type(v).__name__ for k, v in scan_catalog(catalog).items()})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), str(cut)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, (done.returncode, done.stderr[-800:])
    if kind != "torch":
        assert re.search(r"'w': '(Truncated|DamagedCheckpoint)'", done.stdout), done.stdout


_REWRITTEN = """
import os, sys, threading
from pathlib import Path
import holdfast

path, times = Path(sys.argv[1]), int(sys.argv[2])
whole = path.read_bytes()
ending = threading.Event()

def writer():
    turn = 0
    while not ending.is_set():
        turn += 1
        path.write_bytes(whole[: len(whole) - (turn * 37) % len(whole)])

thread = threading.Thread(target=writer)
thread.start()
answers = set()
try:
    for turn in range(times):
        answers.add(holdfast.examine(path, jobs=1 + turn % 2).checkpoints[0].verdict)
        answers.add(holdfast.verify(path, jobs=1).checkpoints[0].verdict)
finally:
    ending.set()
    thread.join()
print(sorted(answers))
"""


def test_file_that_is_rewritten_while_it_is_examined(tmp_path: Path) -> None:
    """Another program saves over the file again and again: each examination ends with an answer, and none with the
    death of the process (SIGBUS, where a page of a mapped file is touched that the file has lost)."""
    path = tmp_path / "m.safetensors"
    path.write_bytes(small() + bytes(1 << 16))
    done = subprocess.run(
        [sys.executable, "-c", _REWRITTEN, str(path), "1500"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (done.returncode, done.stderr[-800:])
    assert "lost" in done.stdout, done.stdout  # the half-written file was met
