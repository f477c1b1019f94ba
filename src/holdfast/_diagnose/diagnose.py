"""A text or an exception -> its causes."""

from __future__ import annotations

import traceback

from .diagnosis import DiagnosedCause, Diagnosis
from .reading import Reading, read_text
from .weighing import SURE, concerns_checkpoints, weighed

__all__ = ["diagnose", "text_of"]

_MOST = 6


def text_of(error: BaseException) -> str:
    """An exception as Python prints it, with those that it was raised from and its notes."""
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))


def diagnose(given: str | BaseException) -> Diagnosis:
    """See :func:`holdfast.diagnose`."""
    reading = read_text(text_of(given) if isinstance(given, BaseException) else given)
    guesses = weighed(reading)
    failed = (
        f"{reading.last.type}: {reading.last.message.splitlines()[0] if reading.last.message else ''}"
        if reading.last
        else ""
    )
    likely = [guess for guess in guesses if guess.confidence >= 0.2][:_MOST]
    if likely and likely[0].confidence >= SURE:
        return Diagnosis(True, tuple(DiagnosedCause.of(guess) for guess in likely), failed)
    if concerns_checkpoints(reading):
        return _unknown(reading, failed, [guess.label for guess in guesses])
    return Diagnosis(False, (), failed, note="nothing in it comes from saving or loading")


def _unknown(reading: Reading, failed: str, labels: list[str]) -> Diagnosis:
    return Diagnosis(
        True, (), failed,
        note="it happened while saving or loading, and its cause is not known. Collect: the whole traceback of every "
        "rank, `holdfast doctor` of the checkpoint, and the versions that wrote and read it.",
        similar=tuple(labels[:3]),
    )  # fmt: skip
