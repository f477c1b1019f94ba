"""A cage for hostile files: each is examined in a forked child, with its time, memory and way of ending observed.

The parent is a fresh process that has imported Holdfast and the libraries it reads with; a child resets its peak memory
(``/proc/self/clear_refs``), opens, inspects, verifies, seals, compares and examines the file as the command line does,
and reports. What counts as good: a report or a :class:`HoldfastError`, within the time, below twice the file's size plus
64 MB (and eight times the text of a listing or seal that was asked for), and no sentinel file written by code from inside
the checkpoint.

Run as a script it reads JSON jobs from standard input, one a line, and answers one line each.
"""

from __future__ import annotations

import atexit
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS = 30
SLACK = 64 << 20
SPOKEN = [0]  # bytes of listings and seals that were asked for; they take memory beside the reading


@dataclass
class Caged:
    """How one examination ended: ``report``, ``refused`` (a HoldfastError), ``escaped`` (any other), ``killed``."""

    path: str
    ending: str
    detail: str
    memory: int
    size: int
    slugs: tuple[str, ...] = ()
    seconds: float = 0.0
    spoken: int = 0

    @property
    def good(self) -> bool:
        return self.within(2)

    def within(self, times: int) -> bool:
        """Whether it ended well, and with so many times the file's size (and what is allowed to all)."""
        most = times * self.size + SLACK + 8 * self.spoken
        return self.ending in ("report", "refused") and self.memory <= most

    def __str__(self) -> str:
        return (
            f"{self.path}: {self.ending} ({self.detail}); {self.memory >> 20} MiB for a file of {self.size} bytes"
            f" in {self.seconds} s"
        )


def cage(paths: Iterable[str | os.PathLike[str]], *, apart: Iterable[str] = ()) -> list[Caged]:
    """Take each path through the public functions (:data:`WAYS`) in a child of its own, and tell how it ended.

    ``apart``: only these functions, and a child for each, so that none grows into the memory that another has left; the size
    is then that of the whole folder around the path, which must hold nothing else.
    """
    turns = [(os.path.abspath(path), way) for path in paths for way in (list(apart) or ["all"])]
    found = []
    for path, way in turns:
        job = json.dumps({"path": path, "way": way, "folder": os.getcwd()})
        with _door:
            keeper = _keeper()
            assert keeper.stdin is not None and keeper.stdout is not None
            keeper.stdin.write(job + "\n")
            keeper.stdin.flush()
            line = keeper.stdout.readline()
        if not line:
            raise RuntimeError(f"the cage itself broke at {path} ({way}): status {keeper.poll()}")
        answer = json.loads(line)
        found.append(Caged(**{**answer, "slugs": tuple(answer["slugs"])}))
    return found


_door = threading.Lock()
_kept: list[subprocess.Popen[str]] = []


def _keeper() -> subprocess.Popen[str]:
    """The process that forks the children: one for the whole test run, as its imports take seconds."""
    if not _kept or _kept[-1].poll() is not None:
        _kept.append(
            subprocess.Popen(
                [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        )
        atexit.register(_kept[-1].kill)
    return _kept[-1]


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


def way_open(path: str) -> None:
    import holdfast

    with holdfast.open(path) as catalog:
        for name in catalog:
            assert catalog[name] is not None
        json.dumps([str(fault) for fault in catalog.faults])


def way_inspect(path: str) -> None:
    import holdfast
    from holdfast._render import render

    document = holdfast.inspect(path)
    for output in ("text", "json"):
        SPOKEN[0] += len(render(document, output))


def way_verify(path: str) -> None:
    import holdfast
    from holdfast._render import render

    render(holdfast.verify(path, jobs=2), "text")


def way_seal(path: str) -> None:
    import holdfast

    with tempfile.TemporaryDirectory() as folder:
        seal = os.path.join(folder, "seal.json")
        holdfast.seal(path, seal_file=seal, force=True, jobs=2)
        SPOKEN[0] += os.path.getsize(seal)
        holdfast.verify(path, seal_file=seal, jobs=2)


def way_compare(path: str) -> None:
    import holdfast

    holdfast.compare(path, path)


def way_examine(path: str) -> Any:
    import holdfast
    from holdfast._render import render

    report = holdfast.examine(path, jobs=2)
    for output in ("text", "json", "sarif", "github"):
        render(report, output)
    return report


WAYS: dict[str, Callable[[str], Any]] = {
    "open": way_open,
    "inspect": way_inspect,
    "verify": way_verify,
    "seal": way_seal,
    "compare": way_compare,
    "examine": way_examine,
}


def examine_once(path: str, way: str = "all") -> tuple[str, str, tuple[str, ...]]:
    """What the commands do with a path: list, inspect, verify, seal, compare; then examine with everything on."""
    import holdfast

    doing, report = "", None
    try:
        for doing in [w for w in WAYS if w != "examine"] if way == "all" else []:
            with suppress(holdfast.HoldfastError):
                WAYS[doing](path)
        doing = "examine" if way == "all" else way
        report = WAYS[doing](path)
    except holdfast.HoldfastError as error:
        return "refused", f"{type(error).__name__}: {error}"[:300], ()
    except BaseException as error:  # noqa: BLE001 - the cage tells of everything that escapes
        frames = traceback.extract_tb(error.__traceback__)
        last = [f"{os.path.basename(frame.filename)}:{frame.lineno}" for frame in frames[-4:]]
        return (
            "escaped",
            f"{doing}: {type(error).__name__}: {str(error)[:150]} at {' < '.join(last[::-1])}",
            (),
        )
    if report is None:
        return "report", way, ()
    internal = [f.message for f in report.findings if f.code.startswith("H")]
    if internal:
        return "escaped", f"internal finding: {internal[0]}"[:400], ()
    return (
        "report",
        ",".join(c.verdict for c in report.checkpoints),
        tuple(sorted({f.slug for f in report.findings})),
    )


def _child(path: str, way: str, folder: str, out: int) -> None:
    os.chdir(folder)
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 1))
    signal.alarm(3 * SECONDS)
    reset_peak()
    before, began = peak_memory(), time.perf_counter()
    ending, detail, slugs = examine_once(path, way)
    answer = {
        "ending": ending,
        "detail": detail,
        "memory": max(0, peak_memory() - before),
        "slugs": slugs,
        "spoken": SPOKEN[0],
        "seconds": round(time.perf_counter() - began, 2),
    }
    os.write(out, json.dumps(answer).encode())
    os._exit(0)


def main() -> None:
    warm_up()
    for line in sys.stdin:
        job = json.loads(line)
        path = job["path"]
        readable, writable = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(readable)
            _child(path, job["way"], job["folder"], writable)
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
        size = size_of(path if job["way"] == "all" else os.path.dirname(path))
        if job["way"] == "compare":
            size = 2 * size + SLACK // 2  # two checkpoints are open
        print(json.dumps({"path": path, "size": size, **answer}), flush=True)


def warm_up() -> None:
    """Import what examining imports, and touch every reader once, so that a child's growth is the file's own."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    zoo = Path(__file__).resolve().parent.parent / "zoo"
    for line in (zoo / "INDEX.jsonl").read_text().splitlines():
        case = json.loads(line)
        examine_once(str(zoo / case["folder"] / case["files"][0]))


if __name__ == "__main__":
    main()
