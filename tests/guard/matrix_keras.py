"""The rows of Keras and TensorFlow, loaded as people write it: ``tf.train.Checkpoint.restore``, ``load_weights``,
``load_model``."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "matrix"))

import keras
import keras_sharded_rows  # noqa: F401 - puts its rows to the others
import tensorflow as tf
from harness import Case, Row
from keras_nets import by_place, held
from keras_rows import ROWS as KERAS_ROWS
from tensorflow_rows import ROWS as TENSORFLOW_ROWS
from watched_matrix import Cell

__all__ = ["CELLS"]

tf.get_logger().setLevel("ERROR")  # its own words on what was not restored, for every other cell


def build(case: Case) -> None:
    """The optimizer's variables, as its first step makes them."""
    model, optimizer = case.parts.get("model"), case.parts.get("optimizer")
    if optimizer is not None and not optimizer.built and model.built:
        optimizer.build(model.trainable_variables)


def checkpoint(case: Case) -> Any:
    """The object that a script restores."""
    model = case.parts.get("model")
    return model if isinstance(model, tf.train.Checkpoint) else tf.train.Checkpoint(**case.parts)


def restore(case: Case) -> None:
    """Restored, and what the optimizer makes later takes its values then."""
    path = case.path
    if Path(path).is_dir():
        path = tf.train.latest_checkpoint(path)
    checkpoint(case).restore(path)
    if isinstance(case.parts.get("model"), keras.Model):
        build(case)


def restore_built(case: Case) -> None:
    """With an optimizer that has made its variables."""
    build(case)
    checkpoint(case).read(case.path).expect_partial()


def consumed(case: Case) -> None:
    """With the framework's own assertion."""
    build(case)
    checkpoint(case).restore(case.path).assert_consumed()


def managed(case: Case) -> None:
    """Through a manager."""
    tf.train.CheckpointManager(checkpoint(case), case.path, max_to_keep=3).restore_or_initialize()


def load_weights(case: Case) -> None:
    """Into a compiled model whose optimizer is built, as ``BackupAndRestore`` does it."""
    build(case)
    load_weights_unbuilt(case)


def load_weights_unbuilt(case: Case) -> None:
    """As in the example of ``ModelCheckpoint``; a state that was skipped is told at the optimizer's first step."""
    _compiled(case)
    case.parts["model"].load_weights(case.path)
    if case.parts.get("optimizer") is not None:
        step_without_gradients(case.parts["optimizer"])


def step_without_gradients(optimizer: Any) -> None:
    """It moves no weight; a loss scale counts it all the same, which is taken back."""
    counter = getattr(optimizer, "step_counter", None)
    before = None if counter is None else int(counter)
    optimizer.apply([])
    if before is not None:
        counter.assign(before)


def load_model(case: Case) -> None:
    """Everything from the file: what it gives is held against what was saved."""
    model = keras.models.load_model(case.path)
    saved = held({"model": case.origin})
    case.parts = {"model": model}
    case.truth = by_place(saved, case.parts)


def _compiled(case: Case) -> None:
    if case.parts.get("optimizer") is not None:
        case.parts["model"].compile(case.parts["optimizer"], "mse")


def _afresh(row: Row) -> Row:
    """With names counted from the beginning, so that two makings are called the same."""

    def make(folder: Path) -> Case:
        keras.backend.clear_session()
        return row.make(folder)

    return replace(row, make=make)


_OF_THE_CODE = frozenset(
    {
        "betas changed",
        "epsilon of the optimizer changed",
        "weight decay added",
        "clipnorm added",
        "another schedule",
    }
)
"""Hyperparameters that are no variables: ``load_weights`` leaves them as the code has them, whatever the file says."""


def _of_weights(row: Row) -> Row:
    """What is right for a call that promises weights, and no optimizer's state or configuration."""
    if row.mutation in _OF_THE_CODE:
        return replace(row, expect="exact", codes=())
    return replace(row, codes=tuple(code for code in row.codes if code != "O201"))


def _passed_over(row: Row) -> Row:
    """That the optimizer's state was passed over is told of rows, too, of which nothing else can be told."""
    return replace(row, expect="warn") if row.expect == "indistinguishable" else row


def _cells(row: Row, sealed: bool) -> list[Cell]:
    if row.system == "tfck-module":
        if "state file" in row.mutation:
            return [Cell(row, "restore", restore, sealed), Cell(row, "manager", managed, sealed)]
        return [Cell(row, "restore", restore, sealed), Cell(row, "assert_consumed", consumed, sealed)]
    if row.system == "tfck":
        return [
            Cell(row, "restore", restore, sealed),
            Cell(row, "optimizer built", restore_built, sealed),
            Cell(row, "assert_consumed", consumed, sealed),
        ]
    plain = _of_weights(row)
    found = [
        Cell(_passed_over(plain) if row.system == ".h5" else plain, "load_weights", load_weights, sealed),
        Cell(_passed_over(plain), "load_weights, optimizer not built", load_weights_unbuilt, sealed),
    ]
    if row.system in (".keras", ".h5") and (
        row.expect == "exact" or not row.codes or row.codes[0][0] in "CTFN"
    ):
        whole = replace(row, expect="exact" if row.codes[:1] not in (("N101",),) else row.expect, codes=())
        found.append(Cell(whole, "load_model", load_model, sealed))
    return found


CELLS: list[Cell] = [
    cell
    for row in (*TENSORFLOW_ROWS, *KERAS_ROWS)
    if isinstance(row, Row) and row.elsewhere is None
    for sealed in ((False, True) if row.sealed is not None else (False,))
    for cell in _cells(_afresh(row), sealed)
]
