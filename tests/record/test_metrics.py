"""A metric keeps what it is; what Keras logs is classified by what Keras does."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from holdfast import UsageError
from holdfast._record.metrics import (
    KINDS,
    Metric,
    as_metrics,
    from_keras_logs,
    meanings,
    metric_of,
    values_of,
)

FULL = Metric(
    "val_loss", 0.25, kind="evaluation", step=1200, data="val", samples=500, averaging="per-sample", precision="float32",
    weights="ema", higher_is_better=False,
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_only_an_evaluation_can_be_proved(kind: Any) -> None:
    why = Metric("a", 1, kind=kind).unprovable
    assert (why is None) == (kind == "evaluation")


def test_it_comes_back_from_a_record() -> None:
    given = as_metrics({"val_loss": FULL, "loss": 0.5, "diverged": math.nan})
    stored = json.loads(json.dumps({"m": values_of(given), "k": meanings(given)}, allow_nan=False))
    back = [metric_of(n, v, stored["k"].get(n)) for n, v in stored["m"].items()]
    assert back[0] == FULL
    assert back[1] == Metric("loss", 0.5)
    assert math.isnan(back[2].value)
    assert set(stored["k"]) == {"val_loss"}


def test_what_a_newer_version_wrote_is_left_out() -> None:
    found = metric_of("a", 1.0, {"kind": "of tomorrow", "step": 3, "colour": "red"})
    assert found == Metric("a", 1.0, step=3)


@pytest.mark.parametrize(
    "value", [1, 1.5, np.float32(2), np.array(3.0), True], ids=["int", "float", "numpy", "array", "bool"]
)
def test_plain_numbers(value: Any) -> None:
    (metric,) = as_metrics({"a": value})
    assert metric == Metric("a", float(value))
    assert metric.unprovable


@pytest.mark.parametrize("value", ["0.3", None, [1, 2], object(), np.zeros(2)])
def test_what_is_no_number_is_named(value: Any) -> None:
    with pytest.raises(UsageError, match="val_loss"):
        as_metrics({"val_loss": value})


def test_several_and_one() -> None:
    assert as_metrics(FULL) == (FULL,)
    assert as_metrics([FULL, Metric("b", 1)]) == (FULL, Metric("b", 1))
    assert as_metrics({"other": FULL})[0].name == "other"
    with pytest.raises(UsageError, match="has a name"):
        as_metrics([0.5])  # type: ignore[list-item]
    with pytest.raises(UsageError, match="kind"):
        Metric("a", 1, kind="guess")  # type: ignore[arg-type]


def test_objects_of_torchmetrics() -> None:
    torchmetrics = pytest.importorskip("torchmetrics")
    import torch

    metric = torchmetrics.MeanMetric()
    metric.update(torch.tensor([1.0, 3.0]))
    assert as_metrics({"mean": metric}) == (Metric("mean", 2.0, kind="running-average"),)


def test_objects_and_logs_of_keras() -> None:
    keras = pytest.importorskip("keras")
    mean = keras.metrics.Mean()
    mean.update_state([1.0, 3.0])
    assert as_metrics({"mean": mean}) == (Metric("mean", 2.0, kind="running-average"),)

    seen: dict[str, Any] = {}

    class Keep(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seen.update(logs)

    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dropout(0.5), keras.layers.Dense(1)])
    model.compile("adam", "mse", metrics=["mae"])
    x = np.random.default_rng(0).normal(size=(64, 4)).astype("f4")
    model.fit(x, x[:, :1], validation_data=(x, x[:, :1]), epochs=1, verbose=0, callbacks=[Keep()])
    found = {
        m.name: m
        for m in from_keras_logs({**seen, "learning_rate": 0.1, "note": "text"}, step=2, epoch_end=True)
    }
    assert {n: m.kind for n, m in found.items()} == {
        "loss": "running-average", "mae": "running-average", "val_loss": "evaluation", "val_mae": "evaluation",
        "learning_rate": "external",
    }  # fmt: skip
    again = model.evaluate(x, x[:, :1], verbose=0, return_dict=True)
    assert found["val_loss"].value == pytest.approx(again["loss"], rel=1e-6), (
        "an evaluation can be measured again"
    )
    assert abs(found["loss"].value / again["loss"] - 1) > 0.01, "a running average cannot"
    assert from_keras_logs({"val_loss": 0.5}, epoch_end=False)[0].kind == "unspecified"
