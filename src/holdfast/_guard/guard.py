"""The guard: it stands around the frameworks' calls, looks before and after, and tells.

What it finds goes to ``tell`` at once. It never changes what a call does (``protect`` apart, which changes where a save writes
until it is verified), and its own failures are told and do not reach the program.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .._core.errors import HoldfastError
from .._core.finding import Finding, severity_rank
from .._frameworks.call_options import Told
from .._frameworks.events import Call
from .._frameworks.hooks import install_hooks
from .._frameworks.patches import Patches
from .background import InThreads
from .lines import Lines
from .seen import Seen

if TYPE_CHECKING:
    from .arrays import Arrays
    from .files import Files
    from .loads import Loads
    from .saves import Saves

__all__ = ["Found", "Guard", "Options"]


@dataclass(frozen=True, slots=True)
class Options:
    """``protect``: saves are written aside, verified and renamed. ``seal``: each save is sealed. ``strict``: an error becomes
    :class:`Found` at the call. ``framework_log``: the frameworks' own debug logging, around saves and loads. ``verify``: every
    byte of what is read and written that carries evidence is checked (else its structure only)."""

    protect: bool = False
    seal: bool = False
    strict: bool = False
    framework_log: bool = False
    verify: bool = True


class Found(HoldfastError, RuntimeError):
    """Under ``strict``: a call of a framework's did something that the guard calls an error. ``findings`` holds them."""

    def __init__(self, message: str, findings: tuple[Finding, ...] = (), **more: Any) -> None:
        super().__init__(message, **more)
        self.findings = findings


class Guard:
    """Watches the frameworks of this process until :meth:`close`.

    ``seen``: everything that was watched, in order. ``tell`` gets each as soon as it is known, in the thread of the call.
    """

    def __init__(self, options: Options | None = None, tell: Callable[[Seen], None] = lambda _: None) -> None:
        self.options = options or Options()
        self.tell = tell
        self.seen: list[Seen] = []
        self.lines = Lines()
        self.in_threads = InThreads()
        self._guarding = threading.local()
        self._making = (
            threading.RLock()
        )  # the first calls may come from several threads, and all must meet one policy
        self._loads: Loads | None = None
        self._saves: Saves | None = None
        self._patches: Patches | None = install_hooks(self)

    # -- the watcher -----------------------------------------------------------------------------------------------
    def around(self, call: Call, run: Callable[[str | None], Any]) -> Any:
        """Carry a call out, and look before and after; see :class:`Watcher`."""
        if getattr(
            self._guarding, "inside", False
        ):  # our own reading and comparing is no call of the program's
            return run(call.path)
        if call.told is not None:
            return self._told(call, call.told, run)
        if call.kind == "data":
            return self.arrays.around(call, run)
        if self._passes(call):
            return run(call.path)
        if call.kind == "save" and call.path is not None:
            # before the policy is made, which may take longer than the program has
            with self.in_threads.save(call):
                return self._by_policy(call, run)
        return self._by_policy(call, run)

    def _by_policy(self, call: Call, run: Callable[[str | None], Any]) -> Any:
        policy: Loads | Saves = self.saves if call.kind == "save" else self.loads
        if self.options.framework_log and call.kind != "step":
            from .framework_log import framework_log

            with framework_log():
                return policy.around(call, run)
        return policy.around(call, run)

    def _passes(self, call: Call) -> bool:
        """Whether it is one of the many small files of a line; where each save is to be made safe, each is looked at."""
        each = self.options.protect or self.options.seal or self.options.strict
        return not (call.kind == "save" and each) and self.lines.pass_over(call)

    @cached_property
    def arrays(self) -> Arrays:
        """The policy for data in NumPy's files; made with the first one."""
        from .arrays import Arrays

        return Arrays(self)

    @cached_property
    def files(self) -> Files:
        """Reports on checkpoints, of those that are loaded and those that are saved."""
        from .files import Files

        return Files(self.options)

    def _told(self, call: Call, told: Told, run: Callable[[str | None], Any]) -> Any:
        """A call of which its hook knows what is wrong."""
        from .._rules.registry import told_by

        result = run(call.path)
        seen = Seen.of(call)
        seen.findings.append(told_by(told.slug, told.message, severity=told.severity))
        self.note(seen)
        return result

    @property
    def loads(self) -> Loads:
        """The policy for loads; made with the first one, as it needs numpy, which the program may want to import itself."""
        from .loads import Loads

        with self._making:
            if self._loads is None:
                self._loads = Loads(self)
            return self._loads

    @property
    def saves(self) -> Saves:
        """The policy for saves; made with the first one."""
        from .saves import Saves

        with self._making:
            if self._saves is None:
                self._saves = Saves(self)
            return self._saves

    @contextmanager
    def looking(self, seen: Seen) -> Iterator[None]:
        """Around our own work: calls of frameworks in it are not watched, and what goes wrong in it is told, not raised."""
        before = getattr(self._guarding, "inside", False)
        self._guarding.inside = True
        try:
            yield
        except Exception as bug:  # noqa: BLE001 - the program's call must not fail by our fault; it is told
            seen.findings.append(_internal(bug, seen.api))
        finally:
            self._guarding.inside = before

    def note(self, seen: Seen, *, raising: bool = True) -> None:
        """Keep it, tell it, and raise :class:`Found` under ``strict`` where it holds an error; not after :meth:`close`, nor
        with ``raising=False``, where there is no call of the program's to raise it."""
        seen.findings.sort(key=lambda f: severity_rank(f.severity))
        self.seen.append(seen)  # without a lock: a fork while another thread held it would hang the child
        self.tell(seen)
        errors = tuple(f for f in seen.findings if f.severity == "error" and f.code != "H000")
        if self.options.strict and raising and self._patches is not None and errors and not seen.error:
            raise Found(f"{seen.api}: {errors[0].message}", errors, remedy=errors[0].remedy)

    # -- the end -----------------------------------------------------------------------------------------------
    def close(self, code: int | None = None) -> None:
        """Take the hooks away, and tell what is still open: restores that were put off, saves in the background, saves that
        failed and that nobody has seen. ``code``: the program's exit code, where it is known."""
        patches, self._patches = self._patches, None
        if patches is None:
            return
        patches.undo()
        if self._loads is not None:
            self._loads.close()
        if self._saves is not None or self.in_threads.any():
            self.saves.close(code)

    def __enter__(self) -> Guard:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def worst(self) -> str | None:
        """The gravest severity of all findings, or ``None``."""
        found = [f.severity for seen in self.seen for f in seen.findings]
        return min(found, key=severity_rank, default=None)


def _internal(bug: Exception, api: str) -> Finding:
    from .._rules.registry import told_by

    last = traceback.extract_tb(bug.__traceback__)[-1]
    return told_by(
        "H000",
        f"Holdfast could not watch {api}: {type(bug).__name__}: {bug} ({last.name}, line {last.lineno}); the program's call was "
        "not touched",
        severity="warning",
    )
