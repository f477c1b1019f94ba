"""``iter(tf.data.Dataset)``: position, shuffle buffers and their random state, by TensorFlow's own checkpoint of an iterator
(tensorflow/python/data/ops/iterator_ops.py, ``_serialize_to_tensors``). Elements that wait in buffers are part of it."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from ..._core.errors import UsageError
from .nest import Captured, Draft

__all__ = ["KIND", "put", "recognises", "take"]

KIND = "tf-iterator"
_NAMES = frozenset({"OwnedIterator", "NumpyIterator", "IteratorBase"})


def recognises(thing: Any) -> bool:
    """Whether it is one, eager ``as_numpy_iterator()`` included."""
    return any(
        cls.__name__ in _NAMES and cls.__module__.startswith("tensorflow.python.data")
        for cls in type(thing).__mro__
    )


def take(thing: Any, draft: Draft, path: str) -> Any:
    """The bytes of its checkpoint. Raises :class:`UsageError` where TensorFlow cannot save it."""
    tf = sys.modules["tensorflow"]
    with tempfile.TemporaryDirectory(prefix="holdfast-") as folder:
        try:
            tf.train.Checkpoint(iterator=thing).write(f"{folder}/it")
        except tf.errors.OpError as error:
            raise UsageError(
                "TensorFlow cannot save this iterator", found=str(error.message).splitlines()[0][-160:],
                remedy="Python functions in the pipeline (from_generator, py_function) have no state; pass the number of "
                "samples seen instead.",
            ) from error  # fmt: skip
        found = {file.name: file.read_bytes() for file in sorted(Path(folder).iterdir())}
    return {name: draft.add(data, f"{path}/{name}") for name, data in found.items()}


def put(thing: Any, captured: Captured) -> Any:
    """The state back, in place; the pipeline must be made as it was."""
    tf = sys.modules["tensorflow"]
    with tempfile.TemporaryDirectory(prefix="holdfast-") as folder:
        for name, data in captured.state.items():
            Path(folder, Path(name).name).write_bytes(data)
        tf.train.Checkpoint(iterator=thing).read(f"{folder}/it").assert_consumed()
    return thing
