"""What ``doctor`` and ``verify`` have in common: many paths, one report, one exit code."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

import click

from .._core.errors import CheckpointNotFound, HoldfastError, UsageError
from .._core.fault import Progress
from .._core.finding import CheckpointReport, Report
from .._render.document import error_document, report_document
from .errors import complain, debugging
from .group import COMMANDS
from .options import Settings
from .progress import ByteProgress

__all__ = ["known_codes", "run"]

Look = Callable[[str, Progress], Report]


def run(name: str, paths: Sequence[str], settings: Settings, look: Look) -> None:
    """Look at every path, print one report, and leave with its exit code.

    A path that cannot be looked at does not keep the others from being looked at; the code is then 2.
    """
    known_codes(settings)
    checkpoints: list[CheckpointReport] = []
    failures: list[tuple[str, Exception]] = []
    with ByteProgress(sys.stderr, quiet=settings.quiet) as progress:
        for path in paths:
            progress.path(path)
            try:
                found = look(path, progress).checkpoints
                if not found:
                    raise CheckpointNotFound("no checkpoint there", file=path)
                checkpoints.extend(found)
            except (HoldfastError, OSError, MemoryError) as error:
                if debugging():
                    raise
                failures.append((path, error))
    if failures and failures[0][0] == paths[0]:
        _did_you_mean(failures[0][1], paths[0])
    checkpoints = [_kept(c, settings) for c in _once(checkpoints)]
    report = Report(tuple(checkpoints), command=name)
    _print(report, failures, settings)
    for _, failure in failures:
        complain(failure)
    code = 2 if failures else int(settings.fails(report.findings))
    click.get_current_context().exit(code)


def _print(report: Report, failures: list[tuple[str, Exception]], settings: Settings) -> None:
    if not report.checkpoints and settings.format == "text":
        return
    settings.show(report_document(report, errors=[error_document(error, path) for path, error in failures]))


def _once(checkpoints: Sequence[CheckpointReport]) -> list[CheckpointReport]:
    """Each checkpoint once, however many of the typed paths lead to it (``holdfast run/*`` names its parts
    too).
    """
    seen: dict[tuple[str, str | None], CheckpointReport] = {}
    for checkpoint in checkpoints:
        seen.setdefault((checkpoint.path, checkpoint.format), checkpoint)
    return list(seen.values())


def _did_you_mean(error: Exception, typed: str) -> None:
    """A mistyped command looks like a first path that is not there."""
    near = difflib.get_close_matches(typed, [*COMMANDS], n=1) if typed.isalpha() else []
    if near and isinstance(error, CheckpointNotFound):
        error.remedy = f"Did you mean the command `holdfast {near[0]}`? {error.remedy or ''}".strip()


def _kept(checkpoint: CheckpointReport, settings: Settings) -> CheckpointReport:
    if not settings.select and not settings.ignore:
        return checkpoint
    return replace(checkpoint, findings=tuple(f for f in checkpoint.findings if settings.wanted(f)))


def known_codes(settings: Settings) -> None:
    """A code that names no rule is a slip of the pen that would let findings through unseen."""
    if not settings.select and not settings.ignore:
        return
    from .rule import known

    rules = known()
    for word in (*settings.select, *settings.ignore):
        if not any(rule.code.startswith(word.upper()) or rule.slug == word.lower() for rule in rules):
            raise UsageError(
                "no rule has that code or slug", found=repr(word), remedy="`holdfast rule` lists them all."
            )
