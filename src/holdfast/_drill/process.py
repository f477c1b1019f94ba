"""Copies of the working folder, and the children that run in them."""

from __future__ import annotations

import fnmatch
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._core.errors import UsageError
from .runs import Run, run_of
from .trace import VARIABLE, Kill

__all__ = ["Course", "LARGEST", "copied_bytes"]

LARGEST = 2 << 30
_LEFT_OUT = (
    ".git",
    "__pycache__",
    ".venv",
    "venv",
    "node_modules",
    ".tox",
    ".mypy_cache",
    ".pytest_cache",
    "*.pyc",
)
_PACKAGE = Path(__file__).resolve().parents[2]


def copied_bytes(folder: Path, exclude: Sequence[str]) -> int:
    """What a copy of the folder takes, counted until it is too much."""
    total = 0
    for root, folders, files in os.walk(folder):
        folders[:] = [f for f in folders if not _excluded(f, exclude)]
        for name in files:
            if not _excluded(name, exclude):
                total += os.lstat(os.path.join(root, name)).st_size  # noqa: PTH118 - many files
        if total > LARGEST:
            break
    return total


def _excluded(name: str, exclude: Sequence[str]) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in (*_LEFT_OUT, *exclude))


@dataclass
class Course:
    """One course of a script: a copy of the working folder, in which it is started, killed and started again."""

    source: Path
    folder: Path
    target: str
    arguments: Sequence[str]
    exclude: Sequence[str] = ()
    links: Sequence[str] = ()
    timeout: float | None = None
    stop: int | None = None
    started: int = 0

    def lay_out(self) -> None:
        """Copy the working folder; what ``links`` names is linked to instead (data that is only read)."""
        skip = [*self.exclude, *self.links]
        where = os.path.realpath(self.folder)

        def leave_out(folder: str, names: list[str]) -> list[str]:
            own = [n for n in names if where.startswith(os.path.realpath(os.path.join(folder, n)) + os.sep)]  # noqa: PTH118
            return [n for n in names if _excluded(n, skip)] + own

        shutil.copytree(self.source, self.work, symlinks=True, ignore=leave_out)
        for pattern in self.links:
            for found in self.source.glob(pattern):
                if not _excluded(found.name, self.exclude):
                    (self.work / found.relative_to(self.source)).symlink_to(found.resolve())

    @property
    def work(self) -> Path:
        """The copy."""
        return self.folder / "work"

    def run(self, *, kill: Kill | None = None, arguments: Sequence[str] = (), done: int = 0) -> Run:
        """Start the script, with orders; waits until it ends. ``done``: steps before it, of those after which to stop.

        Raises :class:`UsageError` where it takes longer than the timeout.
        """
        trace = self.folder / f"trace-{self.started}.jsonl"
        self.started += 1
        orders: dict[str, Any] = {"trace": str(trace)}
        if kill is not None:
            orders["kill"] = {"at": kill.at, "how": kill.how, "path": kill.path, "number": kill.number}
        if self.stop is not None:
            orders["stop"] = max(1, self.stop - done)
        environment = {
            **os.environ,
            VARIABLE: json.dumps(orders),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(_PACKAGE), os.environ.get("PYTHONPATH", "")])),
            "PYTHONUNBUFFERED": "1",
        }
        output = self.folder / f"output-{self.started - 1}.txt"
        command = [sys.executable, "-m", "holdfast._drill.child", self.target, *self.arguments, *arguments]
        with output.open("wb") as out:
            try:
                code = subprocess.run(command, cwd=self.work, env=environment, stdout=out, stderr=out,
                                      stdin=subprocess.DEVNULL, timeout=self.timeout, check=False).returncode  # fmt: skip
            except subprocess.TimeoutExpired as error:
                raise UsageError(
                    f"the script did not end within {self.timeout:g} seconds", file=self.target,
                    remedy="Give it arguments that make it small, or --steps N, or a larger --timeout.",
                ) from error  # fmt: skip
        return run_of(trace, code=code, errors=output.read_text("utf-8", errors="replace")[-20000:])
