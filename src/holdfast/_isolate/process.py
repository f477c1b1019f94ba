"""Saves that may hang or take the process with them are tried in a process of their own.

It writes down each step before it takes it. Where it dies or stands still, its last step is what did it: that is
remembered as how the step ends, and a new process goes on from there."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .._core.errors import UsageError
from .child import VARIABLE
from .failure import Failure
from .report import Isolation
from .trials import MOST

__all__ = ["isolate_elsewhere"]

_PACKAGE = Path(__file__).resolve().parents[2]
_CHILD = "holdfast._cli.isolate_child"
_STILL = 30.0
"""Seconds without any use of the processor and without a byte written, after which a save is taken for stuck."""
_MOST_PROCESSES = 60


@dataclass
class _State:
    """What is known over all processes. ``known``: how trials end, by key. ``deadly``: paths at which asking ends the
    process. ``longest``: seconds of the longest step that came to its end; ``hung``: whether one did not."""

    known: dict[str, Any] = field(default_factory=dict)
    deadly: dict[str, Any] = field(default_factory=dict)
    begun: dict[str, Any] | None = None
    longest: float = 0.0
    hung: bool = False
    report: dict[str, Any] | None = None
    refused: dict[str, Any] | None = None
    made: bool = False
    phase: str = "save"

    def take(self, event: dict[str, Any]) -> None:
        """Note one line of the child's."""
        word = event.pop("event")
        if word in ("trial", "visit", "making"):
            self.begun = {"word": word, **event}
        elif word == "ended":
            self.known[event["key"]] = event["failure"]
            self.begun = None
        elif word == "made":
            self.made, self.begun = True, None
        elif word == "report":
            self.report, self.begun = event["report"], None
        else:
            self.refused, self.begun = {"word": word, **event}, None

    def died(self, failure: Failure) -> bool:
        """Blame the step that was begun; whether there is one that can be blamed."""
        begun, self.begun = self.begun, None
        self.hung |= failure.kind == "hang"
        if begun is None or begun["word"] == "making":
            return False
        if begun["word"] == "visit":
            self.deadly[begun["path"]] = failure.as_document()
        else:
            self.known[begun["key"]] = {**failure.as_document(), "phase": begun["phase"]}
        return True


def isolate_elsewhere(
    target: str,
    save: str | None,
    *,
    arguments: Mapping[str, Any],
    timeout: float = 600.0,
    folder: str | None = None,
    most: int = MOST,
    tell: Callable[[str], None] = lambda text: None,
    said: Callable[[str], None] = lambda text: None,
) -> Isolation:
    """Find what of ``target`` (``module:factory``) cannot be saved by ``save``.

    ``arguments``: for the factory. ``timeout``: seconds for one save. ``folder``: where scratch files go (by default
    the temporary folder). ``tell``: told what is being done; ``said``: what the program printed, where it fails.

    Raises :class:`UsageError` where the factory fails, or the process does in a way that nothing of the save is to blame for.
    """
    scratch = Path(tempfile.mkdtemp(prefix="holdfast-isolate-", dir=folder))
    state = _State()
    begin = time.perf_counter()
    try:
        for number in range(_MOST_PROCESSES):
            place = scratch / str(number)
            place.mkdir()
            orders = {
                "target": target,
                "save": save,
                "arguments": dict(arguments),
                "limit": timeout,
                "most": most,
                "log": str(place / "log"),
                "stacks": str(place / "stacks"),
                "folder": str(place / "saves"),
                "known": state.known,
                "deadly": state.deadly,
            }
            (place / "saves").mkdir()
            failure, output = _one(place, orders, state, timeout, tell)
            if state.report is not None:
                state.report["seconds"] = time.perf_counter() - begin
                return Isolation.of_document(state.report)
            if state.refused is not None:
                said((output if not state.made else "") + state.refused.get("trace", ""))
                raise _refusal(target, state.refused)
            assert failure is not None
            if not state.died(failure):
                said(output)
                said(failure.trace)
                where = "while the factory ran" if not state.made else "between two saves"
                raise UsageError(
                    f"the process {'stood still' if failure.kind == 'hang' else 'ended'} "
                    f"{where} ({failure.type})",
                    file=target,
                    remedy="What it printed, and where it was, is above.",
                )
            shutil.rmtree(place, ignore_errors=True)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    raise UsageError(
        f"the process died in {_MOST_PROCESSES} different saves; it is not searched further", file=target
    )


def _one(
    place: Path, orders: dict[str, Any], state: _State, timeout: float, tell: Callable[[str], None]
) -> tuple[Failure | None, str]:
    environment = {
        **os.environ,
        VARIABLE: json.dumps(orders),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(_PACKAGE), os.environ.get("PYTHONPATH", "")])),
    }
    output, log = place / "output", place / "log"
    log.touch()
    tell("importing and calling the factory")
    with output.open("wb") as out, log.open("rb") as lines:
        child = subprocess.Popen(
            [sys.executable, "-m", _CHILD], env=environment, stdout=out, stderr=out, stdin=subprocess.DEVNULL
        )
        try:
            hung = _follow(child, lines, place, state, timeout, tell)
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
    code = child.returncode
    stack = (place / "stacks").read_text("utf-8", errors="replace") if (place / "stacks").exists() else ""
    words = output.read_text("utf-8", errors="replace")[-20_000:]
    if hung:
        return Failure("hang", "save", "no end", hung, _newest(stack)), words
    if state.report is None and state.refused is None:
        return Failure(
            "crash", "save", _ended(code), f"the process ended ({_ended(code)})", _newest(stack)
        ), words
    return None, words


def _follow(
    child: subprocess.Popen[bytes],
    lines: Any,
    place: Path,
    state: _State,
    timeout: float,
    tell: Callable[[str], None],
) -> str:
    """Read what the child tells until it ends, or is stuck (and killed): why it is taken for stuck."""
    rest = b""
    since = moved = time.monotonic()
    signs = _signs(child.pid, place)
    while True:
        ended = child.poll() is not None
        news = lines.read()
        *whole, rest = (rest + news).split(b"\n")
        for line in whole:
            event = json.loads(line)
            if event["event"] == "trial":
                tell(f"save {event['number']}")
            state.take(event)
        now = time.monotonic()
        if news:
            if state.made and "ended" in news.decode("utf-8", "replace"):
                state.longest = max(state.longest, now - since)
            since = moved = now
        if ended:
            return ""
        seen = _signs(child.pid, place)
        if seen != signs:
            signs, moved = seen, now
        if state.begun is not None and state.begun["word"] != "making":
            stuck = ""
            limit = min(timeout, max(10.0, 5 * state.longest)) if state.hung else timeout
            if now - since > limit:
                stuck = f"not done within {limit:.0f} seconds"
            elif signs is not None and now - moved > min(_STILL, timeout):
                stuck = (
                    f"it stands still: for {now - moved:.0f} seconds it computed nothing and wrote nothing"
                )
            if stuck:
                if hasattr(signal, "SIGUSR1"):
                    child.send_signal(signal.SIGUSR1)  # it writes down where each of its threads is
                    time.sleep(0.5)
                return stuck
        time.sleep(0.02 if now - since < 2 else 0.2)


def _signs(pid: int, place: Path) -> tuple[int, int] | None:
    """Hundredths of a second of processor time (in fifths of a second: a thread that only polls does not count), and bytes in
    scratch files; ``None`` where the system does not tell."""
    try:
        after = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
        written = sum(f.stat().st_size for f in (place / "saves").rglob("*") if f.is_file())
    except OSError:
        return None
    return (int(after[11]) + int(after[12])) // 20, written


def _ended(code: int) -> str:
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return f"{name}, out of memory, most likely" if name == "SIGKILL" else name
    return f"exit code {code}"


def _newest(stacks: str) -> str:
    """The last dump of stacks in the file, the thread that saves first, without the frames of this search."""
    found = stacks[max(stacks.rfind("Fatal Python error"), stacks.rfind("\n\nThread 0x"), 0) :] or stacks
    if "Current thread" in found:
        found = found[found.index("Current thread") :]
    ours = os.sep + "_isolate" + os.sep
    lines = [
        line
        for line in found.splitlines()
        if ours not in line and "isolate_child.py" not in line and "<frozen runpy>" not in line
    ]
    return "\n".join(line for line in lines if not line.startswith("Extension modules"))[:8000]


def _refusal(target: str, refused: dict[str, Any]) -> UsageError:
    if refused["word"] == "broken":
        return UsageError(
            f"the search failed: {refused['message']}",
            file=target,
            remedy="This is a mistake in holdfast: please report it, with what is above.",
        )
    error = refused["error"]
    return UsageError(
        error["message"], expected=error["expected"], found=error["found"], remedy=error["remedy"]
    )
