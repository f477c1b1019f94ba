"""A save as ``tf.train.Checkpoint(**parts).write("checkpoint")`` writes it: ``checkpoint.index`` and its data files.

TensorFlow writes the values of live variables only. So they are written within ``save()``, into TensorFlow's file system
in memory (``ram://``, tensorflow/core/platform/ram_file_system.h), and carried to the disk later.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from ..._core.errors import UsageError
from ..live import LiveCatalog
from ..native import Prepared, Reader, Stream, Writer
from .graph import is_trackable

__all__ = ["PREFIX", "prepare"]

PREFIX = "checkpoint"
_PIECE = 4 << 20


def prepare(
    parts: Mapping[str, Any], live: LiveCatalog, step: int, extra: Mapping[str, Any] | None
) -> Prepared:
    """Write the objects now, into memory: as much as the state has bytes. A ``tf.train.Checkpoint`` given alone as
    ``model=`` is written itself. Raises :class:`UsageError` for a part that TensorFlow does not track."""
    for name, thing in parts.items():
        if not (is_trackable(thing) or isinstance(thing, (Mapping, list, tuple))):
            raise UsageError('payload="tf" cannot hold this', found=f"{name}: {type(thing).__qualname__}")
    alone = next(iter(parts.values())) if len(parts) == 1 else None
    checkpoint = alone if isinstance(alone, tf.train.Checkpoint) else tf.train.Checkpoint(**dict(parts))
    folder = f"ram:///holdfast-{secrets.token_hex(8)}"

    def release() -> None:
        if tf.io.gfile.exists(folder):
            tf.io.gfile.rmtree(folder)

    tf.io.gfile.makedirs(folder)
    try:
        checkpoint.write(f"{folder}/{PREFIX}")
        sizes = {
            name: tf.io.gfile.stat(f"{folder}/{name}").length
            for name in sorted(tf.io.gfile.listdir(folder))
            if name.startswith(f"{PREFIX}.")
        }
    except BaseException:
        release()
        raise
    files = {name: _carry(f"{folder}/{name}") for name in sizes}
    return Prepared("tf", files, sum(sizes.values()), live=True, release=release)


def _carry(place: str) -> Writer:
    def write(stream: Stream, read: Reader) -> None:
        with tf.io.gfile.GFile(place, "rb") as file:
            while piece := file.read(_PIECE):
                stream.write(piece)

    return write
