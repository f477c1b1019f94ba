"""Metrics go back to the training program as they were."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from holdfast import MetricHistory
from holdfast._core.errors import HoldfastError, UsageError
from holdfast._record.metric_history import MetricRow, better

ROWS = [
    MetricRow(10, metrics={"loss": 1.0, "val_loss": 1.5}),
    MetricRow(
        20, metrics={"loss": math.nan, "val_loss": 0.75}, measured={"val_loss": {"kind": "evaluation"}}
    ),
    MetricRow(30, metrics={"loss": 0.5, "val_loss": 0.75, "bleu": 3}),
]
HISTORY = MetricHistory(ROWS)


def test_as_a_sequence_and_as_numbers() -> None:
    assert len(HISTORY) == 3 and HISTORY[-1].step == 30 and [row.step for row in HISTORY] == HISTORY.steps
    assert HISTORY.names == ("loss", "val_loss", "bleu")
    found = HISTORY.as_dict()
    assert found["bleu"] == [None, None, 3] and found["val_loss"] == [1.5, 0.75, 0.75]
    assert math.isnan(found["loss"][1] or 0)
    assert HISTORY.array("bleu").dtype == np.float64
    np.testing.assert_array_equal(HISTORY.array("bleu"), [math.nan, math.nan, 3])
    assert set(HISTORY.arrays()) == set(HISTORY.names)
    assert "3 checkpoints up to step 30" in repr(HISTORY)
    with pytest.raises(UsageError, match="accuracy"):
        HISTORY.array("accuracy")


def test_one_step_saved_twice_is_one_row() -> None:
    again = MetricHistory([*ROWS, MetricRow(30, metrics={"loss": 0.4}, measured={"loss": {"kind": "batch"}})])
    assert again.steps == [10, 20, 30]
    assert again[-1].metrics == {"loss": 0.4, "val_loss": 0.75, "bleu": 3}


def test_the_first_step_that_is_done_again() -> None:
    assert HISTORY.purge_step == 31
    assert MetricHistory([], step=7).purge_step == 8
    assert MetricHistory().purge_step is None


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("loss", "min"), ("val_loss", "min"), ("train/loss", "min"), ("top5_acc", "max"), ("val_accuracy", "max"),
        ("mean_absolute_error", "min"), ("ROC-AUC", "max"), ("ppl", "min"), ("BLEU", "max"), ("miou", "max"),
        ("learning_rate", None), ("lossy", None), ("grad_norm", None), ("macc", None), ("epoch", None), ("", None),
    ],
)  # fmt: skip
def test_less_or_more(name: str, mode: str | None) -> None:
    assert better(name) == mode
    assert better(name, {"higher_is_better": True}) == "max"
    assert better(name, {"higher_is_better": False}) == "min"
    assert better(name, {"higher_is_better": "yes"}) == mode


def test_the_best() -> None:
    best = HISTORY.best("val_loss")
    assert best is not None and (best.value, best.step, best.mode) == (
        0.75,
        20,
        "min",
    )  # the earliest of equal ones
    assert HISTORY.best("bleu", "min") is not None
    assert HISTORY.best("loss") is not None and HISTORY.best("loss").step == 30  # type: ignore[union-attr]
    assert HISTORY.best("grad_norm") is None
    assert MetricHistory([MetricRow(1, metrics={"loss": math.nan})]).best("loss") is None


def test_a_keras_history_is_filled() -> None:
    """Without what the callback keeps each checkpoint counts as an epoch; Keras itself: tests/vault/test_history_keras.py."""
    given = SimpleNamespace(history={"old": [1]}, epoch=[99])
    assert HISTORY.keras(given) is given
    assert given.epoch == [0, 1, 2]
    assert (
        given.history["val_loss"] == [1.5, 0.75, 0.75]
        and given.history["bleu"] == [3]
        and "old" not in given.history
    )
    kept = MetricHistory(ROWS, fit={"epoch": [4, 5], "values": {"loss": [0.3, 0.2], "late": [1.0]}})
    kept.keras(given)
    assert given.epoch == [4, 5] and given.history == {"loss": [0.3, 0.2], "late": [1.0]}
    given.history["loss"].append(9)
    assert kept.keras(given).history["loss"] == [0.3, 0.2], "what was handed out is a copy"


@pytest.mark.parametrize(
    "fit", [5, {}, {"epoch": 3}, {"epoch": [0], "values": []}, {"epoch": [], "values": {}}]
)
def test_what_no_callback_keeps_is_not_taken(fit: Any) -> None:
    assert MetricHistory(ROWS, fit=fit).keras(SimpleNamespace()).epoch == [0, 1, 2]


def read(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_csv(tmp_path: Path) -> None:
    place = tmp_path / "log.csv"
    place.write_text("something else")
    HISTORY.write_csv(place)
    assert read(place) == [
        ["step", "bleu", "loss", "val_loss"], ["10", "NA", "1.0", "1.5"], ["20", "NA", "nan", "0.75"], ["30", "3", "0.5", "0.75"],
    ]  # fmt: skip
    HISTORY.write_csv(place, by="epoch")
    assert [row[0] for row in read(place)] == ["epoch", "0", "1", "2"]
    MetricHistory(ROWS, fit={"epoch": [4, 5], "values": {"loss": [0.3, 0.2], "late": [1.0]}}).write_csv(place)
    assert read(place) == [["epoch", "late", "loss"], ["4", "NA", "0.3"], ["5", "1.0", "0.2"]]
    MetricHistory().write_csv(place)
    assert read(place) == [["step"]]
    assert [child.name for child in tmp_path.iterdir()] == ["log.csv"]


def test_csv_with_names_that_mean_harm(tmp_path: Path) -> None:
    names = ['a,"b', "new\nline", "\ud800", ""]
    MetricHistory([MetricRow(1, metrics=dict.fromkeys(names, 1.0))]).write_csv(tmp_path / "log.csv")
    assert read(tmp_path / "log.csv")[0] == ["step", "", 'a,"b', "new\nline", "\\ud800"]


def test_csv_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(HoldfastError, match="cannot be written"):
        HISTORY.write_csv(tmp_path / "folder")
    with pytest.raises(HoldfastError, match="cannot be written"):
        HISTORY.write_csv(tmp_path / "nowhere" / "log.csv")
    with pytest.raises(UsageError):
        HISTORY.write_csv(tmp_path / "x.csv", by="batch")  # type: ignore[arg-type]
    assert [child.name for child in tmp_path.iterdir()] == ["folder"]


def test_a_tensorboard_writer_forgets_what_is_done_again(tmp_path: Path) -> None:
    """The real one: its events after the restored step are hidden, and only those."""
    pytest.importorskip("tensorboard")
    board = pytest.importorskip("torch.utils.tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    history = MetricHistory([MetricRow(step) for step in (2, 4)])
    with board.SummaryWriter(str(tmp_path)) as writer:
        for step in range(1, 8):
            writer.add_scalar("loss", 100 + step, step)
    with board.SummaryWriter(
        str(tmp_path), purge_step=history.purge_step, filename_suffix=".again"
    ) as writer:
        for step in range(5, 7):
            writer.add_scalar("loss", step, step)
    found = EventAccumulator(str(tmp_path)).Reload().Scalars("loss")
    assert [(event.step, event.value) for event in found] == [
        (1, 101), (2, 102), (3, 103), (4, 104), (5, 5), (6, 6),
    ]  # fmt: skip
