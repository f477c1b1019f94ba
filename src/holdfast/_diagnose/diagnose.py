"""A text or an exception -> its causes, tested on the files."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterable
from dataclasses import replace

from .by_reports import like_a_checkpoint_failure, like_something_else, may_be_a_checkpoint_failure, ranked
from .diagnosis import DiagnosedCause, Diagnosis
from .elsewhere import told_elsewhere
from .knowledge import told_once
from .reading import Reading, read_text
from .weighing import SURE, concerns_checkpoints, weighed

__all__ = ["BARE", "ELSE", "diagnose", "text_of"]

ELSE = "nothing in it comes from saving or loading"
"""The note on an error that is no checkpoint failure, and of which nothing else is known."""
BARE = (
    "nothing in it says what the program was doing. If it came while a checkpoint was saved or loaded, or after a restore, the "
    "causes below are the nearest; the whole traceback tells"
)
"""The note on a message by itself that checkpoints have a part in as often as anything else."""

_MOST = 6
_PLACES = 3


def text_of(error: BaseException) -> str:
    """An exception as Python prints it, with those that it was raised from and its notes."""
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))


def diagnose(
    given: str | BaseException,
    *,
    checkpoint: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | None = None,
    folder: str | os.PathLike[str] | None = None,
    files: bool = True,
) -> Diagnosis:
    """See :func:`holdfast.diagnose`."""
    reading = read_text(text_of(given) if isinstance(given, BaseException) else given)
    found = _diagnosed(reading, _named(checkpoint), folder, files)
    return replace(found, left_out=reading.left_out) if reading.left_out else found


def _diagnosed(
    reading: Reading, named: tuple[str, ...], folder: str | os.PathLike[str] | None, files: bool
) -> Diagnosis:
    guesses = [guess for guess in weighed(reading) if guess.confidence >= 0.2][:_MOST]
    failed = _failed(reading)
    likely = bool(guesses) and guesses[0].confidence >= SURE and not like_something_else(reading, guesses)
    softly = bool(guesses) and guesses[0].entry in ("by-words", "by-kind")
    elsewhere = told_elsewhere(reading) if softly or not likely else ""
    likely = likely and not elsewhere
    concerned = likely or (
        not elsewhere and (concerns_checkpoints(reading) or like_a_checkpoint_failure(reading))
    )
    if not concerned and not named:
        if not elsewhere and may_be_a_checkpoint_failure(reading):
            nearest = tuple(
                DiagnosedCause.of(guess) for guess in told_once(ranked(reading, guesses))[:_PLACES]
            )
            return Diagnosis(False, nearest, failed, note=BARE)
        return Diagnosis(False, (), failed, note=elsewhere or ELSE)
    guesses = told_once(ranked(reading, guesses))
    looked: tuple[str, ...] = ()
    if not files and not named:
        causes = [DiagnosedCause.of(guess) for guess in guesses]
    else:
        from .paths import paths_in

        paths = named or paths_in(reading, os.fspath(folder) if folder is not None else None)
        if paths:
            from .tried import tried  # with all readers of formats

            causes, looked = tried(guesses, paths, given=bool(named))
        else:
            causes = [DiagnosedCause.of(guess) for guess in guesses]
    proved = any(cause.status == "proved" for cause in causes)
    if likely or proved:
        return Diagnosis(True, tuple(causes[:_MOST]), failed, paths=looked)
    if concerned:
        return _unknown(failed, tuple(causes[:_MOST]), looked)
    return Diagnosis(
        False, (), failed, paths=looked,
        note="nothing in it comes from saving or loading, and the checkpoint that was named shows no fault",
    )  # fmt: skip


def _named(checkpoint: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | None) -> tuple[str, ...]:
    if checkpoint is None:
        return ()
    if isinstance(checkpoint, (str, os.PathLike)):
        return (os.fspath(checkpoint),)
    return tuple(os.fspath(path) for path in checkpoint)


def _failed(reading: Reading) -> str:
    last = reading.last
    if last is None:
        return ""
    return f"{last.type}: {last.message.splitlines()[0]}" if last.message else last.type


def _unknown(failed: str, causes: tuple[DiagnosedCause, ...], looked: tuple[str, ...]) -> Diagnosis:
    return Diagnosis(
        True, causes, failed, similar=tuple(cause.label for cause in causes[:3]), paths=looked,
        note="It happened while saving or loading, and the message is not known. Collect: the whole traceback of every "
        "rank, `holdfast doctor` of the checkpoint, and the versions that wrote and read it.",
    )  # fmt: skip
