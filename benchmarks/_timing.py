"""How the benchmarks measure: whole processes in turns, seconds and peak memory, ratios of medians."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

__all__ = [
    "Run",
    "environment",
    "fastest",
    "folder",
    "installed",
    "interleaved",
    "measure",
    "medians",
    "script",
    "verdict",
]


class Run(NamedTuple):
    """One run of a command: wall-clock seconds, the peak of its resident memory in MB, seconds of processor time."""

    seconds: float
    megabytes: float
    busy: float = 0.0


def environment(cache: Path | None = None) -> dict[str, str]:
    """The environment of the child processes: as given, but Python may keep its byte code, as it does wherever a
    package is installed; in ``cache``, so that the source tree stays clean."""
    made = {
        k: v for k, v in os.environ.items() if k not in ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")
    }
    if cache is not None:
        made["PYTHONPYCACHEPREFIX"] = os.fspath(cache)
    return made


@contextmanager
def folder(given: str | None = None) -> Iterator[Path]:
    """A new folder (inside ``given``), gone afterwards."""
    path = Path(tempfile.mkdtemp(dir=given, prefix="holdfast-bench-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def measure(command: Sequence[str], env: Mapping[str, str] | None = None) -> Run:
    """One run. On platforms without ``wait4`` the memory is 0. Ends the benchmark where the command fails."""
    start = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env)
    assert child.stderr is not None
    complaint = child.stderr.read()
    peak, busy = 0, 0.0
    if hasattr(os, "wait4"):
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        busy = usage.ru_utime + usage.ru_stime
        peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    else:
        child.wait()
    seconds = time.perf_counter() - start
    child.stderr.close()
    if child.returncode:
        raise SystemExit(
            f"{' '.join(command)} ended with {child.returncode}\n{complaint.decode(errors='replace')}"
        )
    return Run(seconds, peak / 1e6, busy)


def interleaved(
    commands: Mapping[str, Sequence[str]], rounds: int, env: Mapping[str, str] | None = None
) -> dict[str, list[Run]]:
    """Every command ``rounds`` times, taken in turns so that a neighbour's load meets all alike; a first round that
    warms caches does not count."""
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            run = measure(command, env)
            if number:
                runs[name].append(run)
    return runs


def medians(runs: Mapping[str, Sequence[Run]]) -> dict[str, Run]:
    """The median times and the highest peak of each."""
    return {
        name: Run(
            statistics.median(r.seconds for r in all_),
            max(r.megabytes for r in all_),
            statistics.median(r.busy for r in all_),
        )
        for name, all_ in runs.items()
    }


def fastest(runs: Mapping[str, Sequence[Run]]) -> dict[str, Run]:
    """The shortest times and the highest peak of each: what is left of a long process when a neighbour's load is
    taken off, which only ever adds."""
    return {
        name: Run(min(r.seconds for r in all_), max(r.megabytes for r in all_), min(r.busy for r in all_))
        for name, all_ in runs.items()
    }


def installed(*modules: str) -> bool:
    """Whether all these can be imported, told without importing them."""
    return all(find_spec(name) is not None for name in modules)


def script() -> list[str]:
    """The ``holdfast`` command of this interpreter's environment; ``python -m holdfast`` where it is not there."""
    for name in ("holdfast", "holdfast.exe"):
        path = Path(sys.executable).parent / name
        if path.exists():
            return [os.fspath(path)]
    return [sys.executable, "-m", "holdfast"]


def verdict(targets: Sequence[tuple[str, float, Callable[[float], bool], str]]) -> int:
    """Print each target ``(what, figure, holds, limit)`` and give the exit code: 1 where one is missed."""
    missed = 0
    for what, figure, holds, limit in targets:
        good = holds(figure)
        missed += not good
        print(f"{'ok    ' if good else 'MISSED'} {what}: {figure:.2f} (target {limit})")
    return int(missed > 0)
