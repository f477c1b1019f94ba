"""``holdfast.guard()``: a guard for this process, for notebooks and for programs that start it themselves."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any

from .guard import Guard, Options
from .report import GuardReport
from .seen import Seen

__all__ = ["GuardHandle", "guard", "load_ipython_extension", "unload_ipython_extension"]


class GuardHandle:
    """A guard that is on. ``report`` is what it has seen; :meth:`close`, or the end of a ``with`` block, takes it off.

    In a notebook the handle shows the report.
    """

    def __init__(self, inner: Guard) -> None:
        self._guard = inner

    @property
    def report(self) -> GuardReport:
        """Everything that was watched so far."""
        return GuardReport(self._guard.seen)

    def close(self) -> GuardReport:
        """Stop watching; what was put off and is still open is told."""
        self._guard.close()
        return self.report

    def __enter__(self) -> GuardHandle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._guard.close(1 if kind is not None else None)

    def __repr__(self) -> str:
        return str(self.report)

    def _repr_html_(self) -> str:
        return self.report._repr_html_()


def guard(
    *,
    protect: bool = False,
    seal: bool = False,
    strict: bool = False,
    framework_log: bool = False,
    verify: bool = True,
    quiet: bool = False,
    tell: Callable[[Seen], None] | None = None,
) -> GuardHandle:
    """Watch this process's own saves, loads and first steps, of every framework, until the handle is closed.

    What is wrong is told on standard error at once, and kept in ``handle.report``. Import the frameworks' functions by their
    modules (``torch.load``, not a name taken from it before the guard was on). ``protect``, ``seal``, ``strict``,
    ``framework_log`` and ``verify`` are those of ``holdfast run``; ``quiet`` tells nothing; ``tell`` is called with each watched
    call instead.
    Raises nothing itself; under ``strict`` a watched call that does something wrong raises ``Found`` (a
    :class:`HoldfastError`).
    """
    from .telling import teller

    telling = tell or (teller(sys.stderr) if not quiet else (lambda _: None))
    return GuardHandle(
        Guard(
            Options(protect=protect, seal=seal, strict=strict, framework_log=framework_log, verify=verify),
            telling,
        )
    )


_NOTEBOOK: list[GuardHandle] = []


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext holdfast``: a guard for the notebook, and the diagnosis of errors below their tracebacks."""
    if not _NOTEBOOK:
        _NOTEBOOK.append(guard())

        def explained_error(self: Any, kind: Any, error: Any, trace: Any, tb_offset: Any = None) -> Any:
            from .._diagnose.explaining import explained

            explained(error)
            return self.showtraceback((kind, error, trace), tb_offset=tb_offset)

        shell.set_custom_exc((Exception,), explained_error)
        shell.push({"holdfast_guard": _NOTEBOOK[0]}, interactive=False)


def unload_ipython_extension(shell: Any) -> None:
    """``%unload_ext holdfast``: take both off."""
    while _NOTEBOOK:
        _NOTEBOOK.pop().close()
        shell.set_custom_exc((), None)
