"""The command as a process of its own: exit codes, streams, start-up, interruption."""

from __future__ import annotations

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest

import holdfast

SOURCE = str(Path(holdfast.__file__).resolve().parents[1])


def command(*args: str) -> list[str]:
    return [sys.executable, "-m", "holdfast", *args]


def environment(**more: str) -> dict[str, str]:
    kept = {
        k: v
        for k, v in os.environ.items()
        if k not in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "HOLDFAST_DEBUG")
    }
    path = os.pathsep.join(filter(None, (SOURCE, kept.get("PYTHONPATH"))))
    return {**kept, "PYTHONPATH": path, **more}


def run(*args: str, cwd: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*args),
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment(**more),
        timeout=120,
        encoding="utf-8",
    )


def safetensors(path: Path, names: dict[str, int]) -> Path:
    """A file of float32 vectors (huggingface/safetensors, "Format": length, JSON header, data)."""
    header: dict[str, object] = {}
    at = 0
    for name, size in names.items():
        header[name] = {"dtype": "F32", "shape": [size], "data_offsets": [at, at + 4 * size]}
        at += 4 * size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    values = struct.pack(f"<{at // 4}f", *(0.5 + i % 7 for i in range(at // 4)))
    path.write_bytes(struct.pack("<Q", len(text)) + text + values)
    return path


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    return safetensors(tmp_path / "model.safetensors", {"encoder.weight": 64, "encoder.bias": 8})


@pytest.fixture
def cut(tmp_path: Path) -> Path:
    whole = safetensors(tmp_path / "cut.safetensors", {"encoder.weight": 64, "encoder.bias": 8})
    whole.write_bytes(whole.read_bytes()[:-40])
    return whole


def test_the_version_is_told_without_importing_anything(tmp_path: Path) -> None:
    for option in ("--version", "-V"):
        done = run(option)
        assert done.returncode == 0
        assert done.stdout == f"holdfast {holdfast.__version__}\n"
    probe = (
        "import sys; sys.argv = ['holdfast', '--version']; from holdfast.__main__ import main; main(); "
        "print(*sys.modules)"
    )
    modules = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, env=environment(), check=True
    ).stdout.split()
    assert not {"click", "numpy", "rich", "h5py", "json", "argparse", "holdfast._cli"} & set(modules)


def test_inspect_imports_only_what_it_needs(sound: Path) -> None:
    probe = (
        "import sys\nfrom holdfast._cli.entry import run\n"
        f"code = run(['inspect', {str(sound)!r}])\nprint(code, *sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, env=environment(), check=True
    )
    code, *modules = done.stderr.split()
    assert code == "0"
    heavy = {
        "torch",
        "tensorflow",
        "keras",
        "jax",
        "rich",
        "rich.progress",
        "h5py",
        "safetensors",
        "blake3",
    }
    assert not heavy & set(modules)


def test_exit_codes(sound: Path, cut: Path, tmp_path: Path) -> None:
    assert run("inspect", str(sound)).returncode == 0
    assert run(str(sound)).returncode == 0
    assert run(str(cut)).returncode == 1
    assert run(str(cut), "--fail-on", "never").returncode == 0
    assert run("diff", str(sound), str(sound)).returncode == 0
    other = safetensors(tmp_path / "other.safetensors", {"encoder.weight": 64, "decoder.bias": 9})
    assert run("diff", str(sound), str(other)).returncode == 1
    assert run(str(tmp_path / "nothing")).returncode == 2
    assert run("inspect", str(tmp_path / "nothing")).returncode == 2
    assert run("check", "x").returncode == 2
    assert run("inspect").returncode == 2
    assert run().returncode == 2
    assert run("--help").returncode == 0


def test_data_on_stdout_errors_on_stderr_and_no_traceback(tmp_path: Path, sound: Path) -> None:
    done = run("inspect", str(tmp_path / "nothing.pt"))
    assert done.stdout == ""
    assert done.stderr.startswith("holdfast: error: ")
    assert "Traceback" not in done.stderr
    document = json.loads(run("inspect", str(sound), "--json").stdout)
    assert [t["name"] for t in document["tensors"]] == ["encoder.weight", "encoder.bias"]
    assert document["format"] == "safetensors"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 5000,
        b"<!DOCTYPE html><html>",
        b"PK\x03\x04" + b"x" * 60,
        b"\x89HDF\r\n\x1a\n" + b"\xff" * 90,
        b"\x80\x02}q\x00",
    ],
)
@pytest.mark.parametrize("name", ["doctor", "inspect", "verify", "seal"])
def test_junk_never_leads_to_a_traceback(tmp_path: Path, content: bytes, name: str) -> None:
    file = tmp_path / "model.pt"
    file.write_bytes(content)
    done = run(name, str(file))
    assert done.returncode in ((2,) if name in ("inspect", "seal") else (0, 1, 2))
    assert "Traceback" not in done.stderr
    assert "internal error" not in done.stderr


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    file = safetensors(tmp_path / "many.safetensors", {f"n{i:x}q.w{i}": 1 + i % 3 for i in range(20_000)})
    shell = " ".join(command("inspect", "--all", "--no-fold", str(file))) + " | head -1"
    done = subprocess.run(shell, shell=True, capture_output=True, text=True, env=environment(), timeout=120)
    assert done.stderr == ""
    assert "many.safetensors" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="closed by a shell")
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&- <&-"])
def test_streams_that_are_closed_are_no_error(sound: Path, cut: Path, closed: str) -> None:
    for arguments, code in (
        (["--version"], 0),
        ([str(sound)], 0),
        ([str(cut)], 1),
        (["inspect", "nowhere"], 2),
    ):
        shell = f"{' '.join(command(*arguments))} {closed}"
        done = subprocess.run(
            shell, shell=True, capture_output=True, text=True, env=environment(), timeout=120
        )
        assert done.returncode == code, (arguments, done.stderr)
        assert "Traceback" not in done.stderr and "internal" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_output_that_finds_no_room_is_named(sound: Path) -> None:
    for arguments in ([str(sound)], ["--help"], [str(sound), "--format", "json"]):
        shell = " ".join(command(*arguments)) + " > /dev/full"
        done = subprocess.run(
            shell, shell=True, capture_output=True, text=True, env=environment(), timeout=120
        )
        assert done.returncode == 2 and "No space left" in done.stderr
        assert "Traceback" not in done.stderr and "internal" not in done.stderr
        assert "standard output" in done.stderr or arguments == ["--help"]


@pytest.mark.skipif(sys.platform == "win32", reason="pipes that are files")
def test_a_pipe_or_a_link_as_output_is_written_to_and_stays_what_it_is(sound: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE, text=True)
    assert run("doctor", str(sound), "--format", "json", "-o", str(pipe)).returncode == 0
    said, _ = reader.communicate(timeout=60)
    assert json.loads(said)["command"] == "doctor" and pipe.is_fifo()
    (tmp_path / "real.json").write_text("")
    (tmp_path / "link.json").symlink_to("real.json")
    assert run("doctor", str(sound), "--format", "json", "-o", str(tmp_path / "link.json")).returncode == 0
    assert (tmp_path / "link.json").is_symlink() and json.loads((tmp_path / "real.json").read_text())
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "link.json",
        "model.safetensors",
        "pipe",
        "real.json",
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to a process there")
def test_interruption_is_clean(tmp_path: Path) -> None:
    slow = (
        "import sys, time\nimport holdfast._api as api\n"
        "def examine(path, **options):\n"
        "    print('looking', file=sys.stderr, flush=True)\n    time.sleep(600)\n"
        "api.examine = examine\nfrom holdfast._cli.entry import run\nsys.exit(run(['x.pt']))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", slow],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stderr is not None
    process.stderr.readline()
    process.send_signal(signal.SIGINT)
    try:
        out, err = process.communicate(timeout=120)  # it would look for five times as long
    finally:
        process.kill()
    assert process.returncode == 130
    assert out == ""
    assert err.strip() == "holdfast: interrupted"


def test_output_that_the_encoding_lacks_is_escaped(sound: Path) -> None:
    done = run(str(sound), PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert "sound" in done.stdout


def test_diff_writes_its_plan_and_takes_codes(sound: Path, tmp_path: Path) -> None:
    other = safetensors(tmp_path / "other.safetensors", {"encoder.weight": 64, "decoder.extra": 9})
    paths = (str(sound), str(other))
    plan = tmp_path / "plan.toml"
    assert run("diff", *paths, "--plan", str(plan)).returncode == 1
    assert "edits" in plan.read_text(encoding="utf-8")
    assert run("diff", *paths, "--plan", "-").stdout == plan.read_text(encoding="utf-8")
    assert run("diff", *paths, "--ignore", "T,O").returncode == 0
    assert run("diff", *paths, "--select", "T201").returncode == 1
    assert run("diff", *paths, "--select", "Q").returncode == 2
    assert run("diff", *paths, "--fail-on", "never").returncode == 0
    document = json.loads(run("diff", *paths, "--format", "json").stdout)
    assert document["command"] == "diff"
    assert document["differences"]


def test_seal_then_verify_proves_every_byte_and_finds_a_flip(sound: Path) -> None:
    sealed = run("seal", str(sound))
    assert sealed.returncode == 0
    assert "model.safetensors.holdfast.json" in sealed.stdout
    proved = run("verify", str(sound))
    assert proved.returncode == 0
    assert "every byte is proved by its seal" in proved.stdout
    data = bytearray(sound.read_bytes())
    data[-3] ^= 8
    sound.write_bytes(data)
    broken = run("verify", str(sound))
    assert broken.returncode == 1
    assert "encoder.bias" in broken.stdout


def test_inspect_filters_and_sorts(sound: Path) -> None:
    def names(*options: str) -> list[str]:
        return [
            t["name"] for t in json.loads(run("inspect", str(sound), "--json", *options).stdout)["tensors"]
        ]

    assert names("--filter", "*.bias") == ["encoder.bias"]
    assert names("--filter", "nothing*") == []
    assert names("--sort", "name") == ["encoder.bias", "encoder.weight"]
    assert names("--sort", "size") == ["encoder.weight", "encoder.bias"]
    assert names("--dtype", "f32") == ["encoder.weight", "encoder.bias"]
    assert names("--dtype", "bfloat16") == []
    assert names("--role", "slot") == []
    assert run("inspect", str(sound), "--role", "bogus").returncode == 2
    assert "0.5 to" in run("inspect", str(sound), "--depth", "full").stdout


def test_paths_that_people_mistype(tmp_path: Path, sound: Path) -> None:
    def said(*arguments: str) -> str:
        done = run(*arguments, cwd=tmp_path)
        assert done.returncode == 2, done.stdout
        assert "Traceback" not in done.stderr
        return " ".join(done.stderr.split())

    shutil.copy(sound, tmp_path / "-v.pt")
    shutil.copy(sound, tmp_path / "my model.pt")
    (tmp_path / "empty").mkdir()
    assert "holdfast doctor ./-v.pt" in said("-v.pt")
    assert "Did you mean 'my model.pt'?" in said("inspect", "my modle.pt")
    assert "its folder is not there" in said("a/b/c.pt")
    assert "the path is empty" in said("inspect", "")
    assert "an empty folder" in said("empty")
    assert "an empty folder" in said("verify", "empty")
    assert "a device" in said("/dev/null")
    assert "mkdir -p no" in said("my model.pt", "-o", "no/out.txt")
    assert "no such dtype" in said("inspect", "my model.pt", "--dtype", "flaot32")
    assert "--seal-file is for one" in said("verify", "my model.pt", "./-v.pt", "--seal-file", "s.json")


def test_verify_looks_below_a_folder_and_takes_a_seal_from_elsewhere(tmp_path: Path, sound: Path) -> None:
    for name in ("a", "b/c"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        shutil.copy(sound, tmp_path / "runs" / name / sound.name)
    done = run("verify", "runs", cwd=tmp_path)
    assert done.returncode == 0
    assert "2 checkpoints: 2 sound" in done.stdout
    one = f"runs/a/{sound.name}"
    assert run("seal", one, "--seal-file", "seal.json", cwd=tmp_path).returncode == 0
    done = run("verify", one, "--seal-file", "seal.json", cwd=tmp_path)
    assert "every byte is proved by its seal" in done.stdout
