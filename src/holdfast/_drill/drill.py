"""``holdfast drill``: run a script uninterrupted, kill and resume it, compare."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from .._core.errors import UsageError
from .._layouts.target import Target
from .._rules.facts import findings_of
from .exercise import Exercise, Tell
from .process import LARGEST, Course, copied_bytes
from .report import DrillReport

__all__ = ["drill"]


class _NoStore:
    """What is looked at is a script, not a checkpoint."""

    files: tuple[str, ...] = ()


_NOTHING = Target(path="drill", store=_NoStore(), main=None, format=None)  # type: ignore[arg-type]


def drill(
    target: str,
    arguments: Sequence[str] = (),
    *,
    workdir: str | Path = ".",
    kills: int = 2,
    seed: int = 0,
    kill_at: Sequence[int] = (),
    steps: int | None = None,
    resume_arguments: Sequence[str] = (),
    exclude: Sequence[str] = (),
    links: Sequence[str] = (),
    timeout: float | None = None,
    keep: str | Path | None = None,
    tell: Tell = lambda text: None,
) -> DrillReport:
    """Rehearse the resuming of a script (a path within ``workdir``), or of ``module:function``.

    It runs in a copy of ``workdir``: once uninterrupted; and once killed (``kills`` times, at points drawn with ``seed``: after
    an optimizer step, and each second time in the middle of a save; or after the steps ``kill_at``) and started again by
    the same command with ``resume_arguments`` added. ``steps`` ends all of them after so many optimizer steps.
    ``exclude`` and ``links``: names that are not copied, and those that are linked to instead. ``keep``: a folder for copies and
    traces, which else are removed. ``tell`` is called with what is being done.

    Raises :class:`UsageError` where there is nothing to run, or it fails by itself.
    """
    begin = perf_counter()
    source = Path(workdir).resolve()
    _demand(target, source, exclude, links)
    if kills < 1:
        raise UsageError("a drill kills at least once", found=kills)
    folder = Path(keep) if keep is not None else Path(tempfile.mkdtemp(prefix="holdfast-drill-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        exercise = Exercise(
            lambda name: _course(source, folder / name, target, arguments, exclude, links, timeout, steps),
            target, tuple(resume_arguments), random.Random(seed), kills, tuple(kill_at), tell,
        )  # fmt: skip
        verdict, summary = exercise.carry_out()
    finally:
        if keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    found = findings_of(exercise.faults, _NOTHING)
    return DrillReport(
        target, verdict, summary, exercise.reference.last, seed, tuple(exercise.resumptions),
        tuple(exercise.rows), found, exercise.tolerance, perf_counter() - begin,
        str(folder) if keep is not None else None,
    )  # fmt: skip


def _course(
    source: Path, folder: Path, target: str, arguments: Sequence[str], exclude: Sequence[str],
    links: Sequence[str], timeout: float | None, steps: int | None,
) -> Course:  # fmt: skip
    if folder.exists():
        raise UsageError(
            "the folder for copies is not empty", file=str(folder), remedy="Remove it, or name another."
        )
    folder.mkdir()
    course = Course(source, folder, target, arguments, exclude, links, timeout, steps)
    course.lay_out()
    return course


def _demand(target: str, source: Path, exclude: Sequence[str], links: Sequence[str]) -> None:
    module, colon, name = target.rpartition(":")
    named = (
        bool(colon)
        and not target.endswith(".py")
        and all(w.isidentifier() for w in f"{module}.{name}".split("."))
    )
    if not source.is_dir():
        raise UsageError("no such folder", file=str(source))
    if not named and not (source / target).is_file():
        raise UsageError(
            f"no such script: {target}", expected=f"a file in {source}, or module:function",
            remedy="--workdir names the folder that the script is started in.",
        )  # fmt: skip
    if copied_bytes(source, [*exclude, *links]) > LARGEST:
        raise UsageError(
            f"the working folder is too large to be copied: more than {LARGEST >> 30} GB", file=str(source),
            remedy="--link NAME for data that is only read, --exclude NAME for what it does not need, or --workdir DIR.",
        )  # fmt: skip
