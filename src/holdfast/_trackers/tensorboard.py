"""TensorBoard through a ``SummaryWriter``: PyTorch's, or that of tensorboardX.

Thread-safe: both hand serialised summaries to a queue that a thread of theirs empties; the hand-over is under a lock
(``_AsyncWriter.write`` in tensorboard/summary/writer/event_file_writer.py, which PyTorch writes through;
``EventFileWriter`` in tensorboardX/event_file_writer.py). A writer that was closed opens another file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .base import Tracker

__all__ = ["SummaryWriterTracker", "recognised"]


class SummaryWriterTracker(Tracker):
    """``add_scalar(tag, value, step)``, and ``add_text`` where the writer has it."""

    name = "tensorboard"

    def __init__(self, writer: Any) -> None:
        self._scalar = writer.add_scalar
        self._text = getattr(writer, "add_text", None)

    def put(self, step: int, numbers: Mapping[str, float], texts: Mapping[str, str]) -> None:
        """Each number a scalar, each text a text, by its name."""
        for tag, value in numbers.items():
            self._scalar(tag, value, step)
        if self._text is not None:
            for tag, text in texts.items():
                self._text(tag, text, step)


def recognised(given: Any) -> Tracker | None:
    """A tracker for anything with ``add_scalar(tag, value, step)``, else ``None``."""
    if isinstance(given, type) or not callable(getattr(given, "add_scalar", None)):
        return None
    return SummaryWriterTracker(given)
