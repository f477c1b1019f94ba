"""A cage for hostile files: each is examined in a forked child, with its time, memory and way of ending observed.

The parent is a fresh process that has imported Holdfast and the libraries it reads with; a child resets its peak memory
(``/proc/self/clear_refs``), opens, inspects, verifies and examines the file as the command line does, and reports. What
counts as good: a report or a :class:`HoldfastError`, within the time, below twice the file's size plus 64 MB, and no
sentinel file written by code from inside the checkpoint.

Run as a script it reads JSON jobs from standard input, one a line, and answers one line each.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SECONDS = 30
SLACK = 64 << 20


@dataclass
class Caged:
    """How one examination ended: ``report``, ``refused`` (a HoldfastError), ``escaped`` (any other), ``killed``."""

    path: str
    ending: str
    detail: str
    memory: int
    size: int
    slugs: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        return self.ending in ("report", "refused") and self.memory <= 2 * self.size + SLACK

    def __str__(self) -> str:
        return f"{self.path}: {self.ending} ({self.detail}); {self.memory >> 20} MiB for a file of {self.size} bytes"


def cage(paths: Iterable[str | os.PathLike[str]]) -> list[Caged]:
    """Examine each path in a child of its own, and tell how it ended."""
    jobs = "".join(json.dumps({"path": os.fspath(p)}) + "\n" for p in paths)
    done = subprocess.run(
        [sys.executable, __file__], input=jobs, capture_output=True, text=True, check=False, timeout=900
    )
    if done.returncode:
        raise RuntimeError(f"the cage itself broke: {done.stderr[-2000:]}")
    return [
        Caged(**{**json.loads(line), "slugs": tuple(json.loads(line)["slugs"])})
        for line in done.stdout.splitlines()
    ]


def peak_memory() -> int:
    """Peak resident bytes of this process since the last reset, and never shared file pages alone."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def size_of(path: str) -> int:
    """Bytes of a file, or of all files below a folder."""
    if os.path.isdir(path):
        return sum(p.stat().st_size for p in Path(path).rglob("*") if p.is_file())
    return os.path.getsize(path) if os.path.exists(path) else 0


def examine_once(path: str) -> tuple[str, str, tuple[str, ...]]:
    """What the commands do with a path: open and list, then examine with everything on, and render it."""
    import holdfast

    try:
        try:
            with holdfast.open(path) as catalog:
                for name in catalog:
                    assert catalog[name] is not None
        except holdfast.HoldfastError:
            pass
        report = holdfast.examine(path, jobs=2)
        from holdfast._render import render

        for output in ("text", "json"):
            render(report, output)
    except holdfast.HoldfastError as error:
        return "refused", f"{type(error).__name__}: {error}"[:300], ()
    except BaseException as error:  # noqa: BLE001 - the cage tells of everything that escapes
        last = traceback.extract_tb(error.__traceback__)[-1]
        return "escaped", f"{type(error).__name__}: {error} at {last.filename}:{last.lineno}"[:400], ()
    internal = [f.message for f in report.findings if f.code.startswith("H")]
    if internal:
        return "escaped", f"internal finding: {internal[0]}"[:400], ()
    return (
        "report",
        ",".join(c.verdict for c in report.checkpoints),
        tuple(sorted({f.slug for f in report.findings})),
    )


def _child(path: str, out: int) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 1))
    signal.alarm(3 * SECONDS)
    reset_peak()
    before = peak_memory()
    ending, detail, slugs = examine_once(path)
    answer = {"ending": ending, "detail": detail, "memory": max(0, peak_memory() - before), "slugs": slugs}
    os.write(out, json.dumps(answer).encode())
    os._exit(0)


def main() -> None:
    warm_up()
    for line in sys.stdin:
        path = json.loads(line)["path"]
        readable, writable = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(readable)
            _child(path, writable)
        os.close(writable)
        with os.fdopen(readable, "rb") as pipe:
            text = pipe.read()
        _, status = os.waitpid(child, 0)
        answer = (
            json.loads(text)
            if text
            else {
                "ending": "killed",
                "detail": f"wait status {status} (signal {status & 127})",
                "memory": 0,
                "slugs": (),
            }
        )
        print(json.dumps({"path": path, "size": size_of(path), **answer}), flush=True)


def warm_up() -> None:
    """Import what examining imports, and touch every reader once, so that a child's growth is the file's own."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    zoo = Path(__file__).resolve().parent.parent / "zoo"
    for line in (zoo / "INDEX.jsonl").read_text().splitlines():
        case = json.loads(line)
        examine_once(str(zoo / case["folder"] / case["files"][0]))


if __name__ == "__main__":
    main()
