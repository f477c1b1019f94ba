"""Right programs, as people write them: under ``holdfast run`` each does what it does under ``python``, bit for bit, leaves the
same files, and is told of nothing wrong. ``python tests/guard/test_right_programs.py [NAME]...`` prints a table with times."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = Path(__file__).parent / "right"
NEEDS = {
    "torch": ("torch",),
    "torch_lightning": ("lightning",),
    "torch_safetensors": ("torch", "safetensors"),
    "torch_accelerate_like": ("torch", "safetensors"),
    "keras": ("tensorflow", "keras"),
    "tensorflow": ("tensorflow", "keras"),
    "jax": ("jax", "flax", "optax", "orbax"),
}
"""Libraries that a program needs, by its name or the first word of it."""

TOLD: dict[str, set[str]] = {
    "torch_head_on_purpose": {
        "T201"
    },  # lenient and silent: only the author knows that the head is meant to be new
}
"""What is told of a program at warning or above, and is right to be told."""

EXITS = {"torch_main": 3}
"""Exit codes of programs that end with another one than 0."""

QUICK = ("torch_finetune", "torch_safetensors", "torch_atomic")
"""Those of ``make test``; all are long."""


@dataclass
class Compared:
    """One program, run both ways."""

    name: str
    plain: subprocess.CompletedProcess[str]
    watched: subprocess.CompletedProcess[str]
    document: dict[str, Any]
    seconds: tuple[float, float]
    """Plain, watched."""
    processor: tuple[float, float]
    """Seconds of processor time, of the program and all that it starts; steadier on a machine that is busy."""
    changed: list[str] = field(default_factory=list)
    """Files that only one of the two left, or whose bytes differ."""

    @property
    def grave(self) -> list[dict[str, Any]]:
        wanted = TOLD.get(self.name, set())
        return [
            {**finding, "site": call["site"], "api": call["api"]}
            for call in self.document["calls"]
            for finding in call["findings"]
            if finding["severity"] in ("error", "warning") and finding["code"] not in wanted
        ]

    @property
    def told_lines(self) -> int:
        """Lines on standard error that are ours."""
        return len(self.watched.stderr.splitlines()) - len(self.plain.stderr.splitlines())

    @property
    def calls(self) -> int:
        return len(self.document["calls"])


def programs() -> list[str]:
    return sorted(p.stem for p in PROGRAMS.glob("*_*.py"))


def compared(name: str, folder: Path, *options: str) -> Compared:
    """Run it both ways, each in a fresh process and a fresh folder."""
    script, document = PROGRAMS / f"{name}.py", folder / "run.json"
    plain, watched = folder / "plain" / "here", folder / "watched" / "here"
    first, *seconds = _timed(plain, script)
    second, *longer = _timed(
        watched, "-m", "holdfast", "run", "--json", document, "--no-color", *options, script
    )
    calls = json.loads(document.read_text()) if document.exists() else {"calls": [], "summary": {}}
    changed = sorted(_differing(plain, watched))
    wall, processor = zip(seconds, longer, strict=True)
    return Compared(name, first, second, calls, wall, processor, changed)


def _timed(folder: Path, *words: object) -> tuple[subprocess.CompletedProcess[str], float, float]:
    folder.mkdir(parents=True)
    environment = {**os.environ, "PYTHONHASHSEED": "0", "CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
    begun, used = time.monotonic(), _processor()
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
    )
    return done, time.monotonic() - begun, _processor() - used


def _processor() -> float:
    """Seconds that finished children have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


_EXACT = {".pt", ".pth", ".bin", ".safetensors", ".npz", ".npy", ".msgpack"}
"""Formats that hold no time stamp: the same bytes for the same values."""


def _differing(one: Path, other: Path) -> set[str]:
    files = [{str(p.relative_to(f)): p for p in f.rglob("*") if p.is_file()} for f in (one, other)]
    names = [{_without_process(name): path for name, path in found.items()} for found in files]
    return set(names[0]).symmetric_difference(names[1]) | {
        name
        for name in set(names[0]) & set(names[1])
        if Path(name).suffix in _EXACT and names[0][name].read_bytes() != names[1][name].read_bytes()
    }


def _without_process(name: str) -> str:
    """A log's name holds the time, the machine and the process; an Orbax data file a random part."""
    path = Path(name)
    if (
        path.name.startswith("events.out")
        or "ocdbt.process" in name
        or (path.parent.name == "d" and len(path.name) == 32)
    ):
        return str(path.parent)
    return name


def judged(run: Compared) -> list[str]:
    """What is not as it has to be."""
    wrong = []
    if run.plain.returncode != EXITS.get(run.name, 0):
        wrong.append(f"the program itself fails: {run.plain.stderr[-2000:]}")
    if run.watched.returncode != run.plain.returncode:
        wrong.append(f"exit code {run.watched.returncode}: {run.watched.stderr[-2000:]}")
    if run.watched.stdout != run.plain.stdout:
        wrong.append(f"another output:\n{run.plain.stdout}\n{run.watched.stdout}")
    wrong += [f"{f['code']} {f['severity']} at {f['site']} ({f['api']}): {f['message']}" for f in run.grave]
    if run.changed:
        wrong.append(f"other files: {run.changed}")
    if not run.calls:
        wrong.append("nothing was watched")
    return wrong


def _needed(name: str) -> tuple[str, ...]:
    return NEEDS.get(name) or NEEDS[name.split("_")[0]]


def _checked(name: str, folder: Path, *options: str) -> None:
    for library in _needed(name):
        if find_spec(library) is None:
            pytest.skip(f"{library} is not installed")
    run = compared(name, folder, *options)
    assert not judged(run), "\n".join(judged(run))
    missing = TOLD.get(name, set()) - {f["code"] for c in run.document["calls"] for f in c["findings"]}
    assert not missing


@pytest.mark.parametrize("name", QUICK)
def test_a_right_program_is_left_alone(name: str, tmp_path: Path) -> None:
    _checked(name, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in programs() if name not in QUICK])
def test_right_programs_are_left_alone(name: str, tmp_path: Path) -> None:
    _checked(name, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("name", programs())
def test_and_so_with_protect(name: str, tmp_path: Path) -> None:
    _checked(name, tmp_path, "--protect")


def main(names: list[str]) -> int:
    """The table: program, calls, lines told, seconds plain and watched, what is wrong."""
    import tempfile

    options = [word for word in names if word.startswith("-")]
    failed = 0
    print(f"{'program':28} {'calls':>5} {'lines':>5} {'plain':>6} {'run':>6} {'cpu':>6} {'run':>6}  wrong")
    for name in [word for word in names if not word.startswith("-")] or programs():
        with tempfile.TemporaryDirectory() as folder:
            run = compared(name, Path(folder), *options)
        wrong = judged(run)
        failed += bool(wrong)
        times = " ".join(f"{value:6.1f}" for value in (*run.seconds, *run.processor))
        print(f"{name:28} {run.calls:5} {run.told_lines:5} {times}  {len(wrong) or ''}", flush=True)
        for line in wrong:
            print("    " + line.replace("\n", "\n    "))
        if os.environ.get("SHOW"):
            print(run.watched.stderr)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
