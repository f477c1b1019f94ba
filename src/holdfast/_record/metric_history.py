"""The metrics of a run up to one of its steps, and how they go back to the training program: Keras's ``History``, a CSV file,
a TensorBoard writer, arrays.

Facts of others: ``History.history`` is name -> one value for each epoch that logged it, ``History.epoch`` the epochs' numbers
from 0 (keras/src/callbacks/history.py). ``CSVLogger(append=True)`` writes no header where the file's first line has any
text, and its own columns are ``epoch`` and the sorted names (keras/src/callbacks/csv_logger.py). ``SummaryWriter(purge_step=k)``
hides events from step k on (torch/utils/tensorboard/writer.py).
"""

from __future__ import annotations

import csv
import io
import math
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from .._core.errors import HoldfastError, UsageError

__all__ = ["Best", "MetricHistory", "MetricRow", "better"]


@dataclass(frozen=True, slots=True)
class MetricRow:
    """What one checkpoint measured: its step, when it was saved (UTC), name -> number, and name -> what the number is."""

    step: int
    created: datetime | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    measured: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Best:
    """The best value of a metric, the step that had it, and which direction was taken for better."""

    value: float
    step: int
    mode: Literal["min", "max"]


class MetricHistory(Sequence[MetricRow]):
    """Metrics along the line of checkpoints that led to a step, the oldest first: a sequence of :class:`MetricRow`.

    Steps that retention dropped are in it. A step that was saved twice in a row is one row. What another lineage measured
    (steps after the one from which training went on) is not.

    Attributes
    ----------
    step: the last step, which was restored; ``None`` for an empty history. gaps: parents in the line of which nothing is
        known (dropped by a version that noted nothing, or deleted by hand).
    """

    def __init__(
        self,
        rows: Iterable[MetricRow] = (),
        *,
        step: int | None = None,
        gaps: tuple[str, ...] = (),
        fit: Any = None,
    ) -> None:
        self._rows: list[MetricRow] = []
        for row in rows:
            if self._rows and self._rows[-1].step == row.step:
                before = self._rows.pop()
                row = MetricRow(
                    row.step,
                    row.created,
                    {**before.metrics, **row.metrics},
                    {k: v for k, v in before.measured.items() if k not in row.metrics} | dict(row.measured),
                )
            self._rows.append(row)
        self.step = step if step is not None or not self._rows else self._rows[-1].step
        self.gaps = gaps
        self._fit = _fit_of(fit)

    # -- as a sequence -----------------------------------------------------------------------------------------------
    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        return self._rows[index]

    def __iter__(self) -> Iterator[MetricRow]:
        return iter(self._rows)

    def __repr__(self) -> str:
        return f"MetricHistory({len(self)} checkpoints up to step {self.step}: {', '.join(self.names)})"

    # -- as numbers --------------------------------------------------------------------------------------------------
    @property
    def steps(self) -> list[int]:
        """The step of each checkpoint."""
        return [row.step for row in self._rows]

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics' names, in the order in which they first came."""
        return tuple(dict.fromkeys(name for row in self._rows for name in row.metrics))

    def as_dict(self) -> dict[str, list[float | None]]:
        """Name -> a value for each of :attr:`steps`; ``None`` where a checkpoint did not measure it."""
        return {name: [row.metrics.get(name) for row in self._rows] for name in self.names}

    def array(self, name: str) -> np.ndarray:
        """One metric, float64, a value for each of :attr:`steps`; NaN where a checkpoint did not measure it. Raises
        :class:`UsageError` for a name that none has."""
        if name not in self.names:
            raise UsageError(
                "no checkpoint has that metric", found=name, expected=", ".join(self.names) or "none is there"
            )
        return np.array([row.metrics.get(name, math.nan) for row in self._rows], np.float64)

    def arrays(self) -> dict[str, np.ndarray]:
        """All of them by name."""
        return {name: self.array(name) for name in self.names}

    def best(self, name: str, mode: Literal["min", "max"] | None = None) -> Best | None:
        """The best value of a metric, the earliest of equal ones; ``None`` where none is a finite number, or where nothing says
        whether less or more is better (:func:`better`) and ``mode`` does not either."""
        meaning = next((row.measured[name] for row in reversed(self._rows) if name in row.measured), None)
        mode = mode or better(name, meaning)
        rated = [
            (row.metrics[name], row.step)
            for row in self._rows
            if math.isfinite(row.metrics.get(name, math.nan))
        ]
        if mode is None or not rated:
            return None
        value, step = (min if mode == "min" else max)(rated, key=lambda pair: pair[0])
        return Best(value, step, mode)

    # -- back to the training program --------------------------------------------------------------------------------
    @property
    def purge_step(self) -> int | None:
        """The first step that training will do again, for ``SummaryWriter(log_dir, purge_step=outcome.history.purge_step)``:
        what a broken run wrote from there on disappears. ``None`` for an empty history."""
        return None if self.step is None else self.step + 1

    def keras(self, history: Any = None) -> Any:
        """A ``keras.callbacks.History`` with these values: the one that is given, filled in place, or a new one.

        Where Holdfast's :class:`VaultCallback` saved the step, its whole epochs come back as ``fit`` logged them; else each
        checkpoint counts as an epoch, from 0. Values in ``history`` are replaced. ``history`` may be anything with the
        attributes ``history`` and ``epoch``; without one Keras is imported.
        """
        if history is None:
            import keras

            history = keras.callbacks.History()
        epochs, values = self._epochs()
        history.epoch = list(epochs)
        history.history = {name: list(column) for name, column in values.items()}
        return history

    def _epochs(self) -> tuple[list[int], dict[str, list[float]]]:
        """As ``History`` holds it: a name has no value where an epoch did not log it."""
        if self._fit is not None:
            return self._fit
        columns = {name: [v for v in column if v is not None] for name, column in self.as_dict().items()}
        return list(range(len(self))), columns

    def write_csv(
        self, path: str | os.PathLike[str], *, by: Literal["auto", "epoch", "step"] = "auto"
    ) -> None:
        """Write a CSV file, whole or not at all, with a header and a row for each checkpoint; what is there is replaced.

        ``by="epoch"``: the file is one that ``keras.callbacks.CSVLogger(path, append=True)`` goes on with: ``epoch``, then the
        names sorted, ``NA`` where there is no value; the epochs are those of :meth:`keras`. ``by="step"``: the first column
        is the step. ``"auto"``: by epoch where a :class:`VaultCallback` saved, else by step. Raises :class:`HoldfastError`
        where it cannot be written.
        """
        if by not in ("auto", "epoch", "step"):
            raise UsageError("no such by", found=by, expected="auto, epoch or step")
        by = ("step" if self._fit is None else "epoch") if by == "auto" else by
        text = io.StringIO()
        writer = csv.writer(text)
        if by == "step" or self._fit is None:
            names = sorted(self.names)
            firsts: Iterable[int] = self.steps if by == "step" else range(len(self))
            rows = [
                [n, *(row.metrics.get(name, "NA") for name in names)]
                for n, row in zip(firsts, self, strict=True)
            ]
        else:
            epochs, values = self._fit
            names = sorted(values)
            whole = {name: ["NA"] * (len(epochs) - len(v)) + list(v) for name, v in values.items()}
            rows = [[epoch, *(whole[name][n] for name in names)] for n, epoch in enumerate(epochs)]
        writer.writerow([by, *names])
        writer.writerows(rows)
        _write_whole(Path(path), text.getvalue().encode("utf-8", "backslashreplace"))


def _write_whole(path: Path, data: bytes) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with beside.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise HoldfastError(
            f"the metrics cannot be written: {error.strerror}",
            file=os.fspath(path),
            remedy="Name another place.",
        ) from error
    finally:
        beside.unlink(missing_ok=True)


def _fit_of(held: Any) -> tuple[list[int], dict[str, list[float]]] | None:
    """What the Keras callback kept of ``fit``'s history, where it makes sense."""
    if not isinstance(held, Mapping):
        return None
    epochs, values = held.get("epoch"), held.get("values")
    if not isinstance(epochs, (list, tuple)) or not isinstance(values, Mapping) or not epochs:
        return None
    columns = {
        str(name): list(column)
        for name, column in values.items()
        if isinstance(column, (list, tuple)) and len(column) <= len(epochs)
    }
    return [int(epoch) for epoch in epochs if isinstance(epoch, int)], columns


# -- less or more ----------------------------------------------------------------------------------------------------
_UP = (
    "acc", "accuracy", "auc", "precision", "recall", "f1", "f1_score", "fbeta_score", "iou", "miou", "mean_iou", "r2",
    "r2_score", "bleu", "rouge", "map", "dice", "reward",
)  # fmt: skip
_DOWN = (
    "loss", "error", "err", "mse", "mae", "mape", "msle", "rmse", "nll", "perplexity", "ppl", "divergence", "crossentropy",
    "cross_entropy", "hinge", "wer", "cer", "fid",
)  # fmt: skip


def better(name: str, meaning: Mapping[str, Any] | None = None) -> Literal["min", "max"] | None:
    """Whether less or more of a metric is better: as its record says (``higher_is_better``), else by its name's last word
    (``val_loss``, ``top5/acc``); ``None`` where neither tells."""
    said = (meaning or {}).get("higher_is_better")
    if isinstance(said, bool):
        return "max" if said else "min"
    word = name.lower().replace("-", "_").replace("/", "_").replace(".", "_").replace(" ", "_")
    for words, mode in ((_DOWN, "min"), (_UP, "max")):
        if any(word == w or word.endswith(f"_{w}") for w in words):
            return mode  # type: ignore[return-value]
    return None
