"""TensorBoard through a writer of ``tf.summary``.

Thread-safe: the default writer is a thread's own (``_summary_state`` in tensorflow/python/ops/summary_ops_v2.py is a
``threading.local``), and the file behind it is written under a lock (``SummaryFileWriter`` in
tensorflow/core/summary/summary_file_writer.cc).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from .base import Tracker, is_of

__all__ = ["TFSummaryTracker", "recognised"]


class TFSummaryTracker(Tracker):
    """Scalars and texts as ``tf.summary.scalar`` and ``tf.summary.text`` make them (tensorboard/plugins/scalar/summary_v2.py,
    tensorboard/plugins/text/summary_v2.py), which need TensorBoard installed; this does not."""

    name = "tf.summary"

    def __init__(self, writer: Any) -> None:
        self._writer = writer
        self._tf = sys.modules["tensorflow"]

    def put(self, step: int, numbers: Mapping[str, float], texts: Mapping[str, str]) -> None:
        """Each number a scalar (float32), each text a text, by its name."""
        tf: Any = self._tf
        with self._writer.as_default():
            for tag, value in numbers.items():
                tensor = tf.constant(value, tf.float32)
                tf.summary.write(tag, tensor, step=step, metadata=self._metadata("scalars"))
            for tag, text in texts.items():
                tensor = tf.constant(text, tf.string)
                tf.summary.write(tag, tensor, step=step, metadata=self._metadata("text"))

    def _metadata(self, plugin: str) -> Any:
        kinds = self._tf.compat.v1.SummaryMetadata
        return kinds(plugin_data=kinds.PluginData(plugin_name=plugin))


def recognised(given: Any) -> Tracker | None:
    """A tracker for what ``tf.summary.create_file_writer`` gives, else ``None``."""
    if isinstance(given, type) or not is_of(given, "tensorflow"):
        return None
    return TFSummaryTracker(given) if callable(getattr(given, "as_default", None)) else None
