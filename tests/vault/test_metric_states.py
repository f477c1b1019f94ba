"""Metric objects in the middle of an epoch: after a restore they give what the uninterrupted run's give."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast import UsageError, Vault

torch = pytest.importorskip("torch")
RNG = np.random.default_rng(0)
LOGITS, LABELS = RNG.normal(size=(6, 8, 3)).astype("f4"), RNG.integers(0, 3, size=(6, 8))


def net() -> tuple[Any, Any]:
    torch.manual_seed(0)
    made = torch.nn.Linear(2, 2)
    return made, torch.optim.SGD(made.parameters(), 0.1)


def torch_metrics() -> dict[str, Any]:
    metrics = pytest.importorskip("torchmetrics")
    of = metrics.classification
    return {
        "acc": of.MulticlassAccuracy(3),
        "auc": of.MulticlassAUROC(3),  # keeps lists of tensors
        "mean": metrics.MeanMetric(),
        "all": metrics.MetricCollection({"f1": of.MulticlassF1Score(3), "p": of.MulticlassPrecision(3)}),
    }


def feed(metrics: dict[str, Any], batches: range) -> None:
    for n in batches:
        logits, labels = torch.from_numpy(LOGITS[n]), torch.from_numpy(LABELS[n])
        for name, metric in metrics.items():
            metric.update(logits.mean()) if name == "mean" else metric.update(logits, labels)


def values(metrics: dict[str, Any]) -> dict[str, Any]:
    return {
        n: {k: v.item() for k, v in m.items()} if isinstance(m := of.compute(), dict) else m.item()
        for n, of in metrics.items()
    }


def test_torchmetrics_go_on_in_the_middle_of_an_epoch(tmp_path: Path) -> None:
    whole, again = torch_metrics(), torch_metrics()
    model, optimizer = net()
    feed(whole, range(3))
    single = {name: metric for name, metric in whole.items() if name != "all"}
    with Vault(tmp_path / "run") as vault, warnings.catch_warnings():
        warnings.simplefilter("error")
        handle = vault.save(
            3, model=model, optimizer=optimizer, metrics=single, data={"all": whole["all"]}, blocking=True
        )
        assert handle.path
        feed(whole, range(3, 6))
        outcome = vault.restore(
            model=model,
            optimizer=optimizer,
            metrics={n: again[n] for n in single},
            data={"all": again["all"]},
        )
        assert outcome is not None
        assert set(outcome.metric_states) == set(single)
        assert [f.code for f in outcome.findings if f.code.startswith("R2")] == []
        (step,) = vault.checkpoints()
        assert set(step.metrics or {}) == set(single), "the value so far stands in the record as before"
    feed(again, range(3, 6))
    assert values(again) == values(whole)


def test_other_classes_and_sizes_are_refused(tmp_path: Path) -> None:
    of = pytest.importorskip("torchmetrics").classification
    model, _ = net()
    metric = of.MulticlassAccuracy(3)
    metric.update(torch.from_numpy(LOGITS[0]), torch.from_numpy(LABELS[0]))
    with Vault(tmp_path / "run") as vault:
        vault.save(1, model=model, metrics={"acc": metric, "loss": 0.5}, blocking=True)
        for other, text in (
            (of.MulticlassAccuracy(5), "had shape"),
            (of.MulticlassPrecision(3), "MulticlassAccuracy"),
        ):
            with pytest.raises(UsageError, match=text):
                vault.restore(model=model, metrics={"acc": other})


def test_what_was_counted_and_is_not_asked_for_is_a_note(tmp_path: Path) -> None:
    mean = pytest.importorskip("torchmetrics").MeanMetric()
    model, optimizer = net()
    mean.update(3.0)
    with Vault(tmp_path / "run") as vault:
        vault.save(
            1,
            model=model,
            optimizer=optimizer,
            metrics={"mean": mean, "loss": 0.5},
            data={"seen": 1},
            blocking=True,
        )
        outcome = vault.restore(model=model, optimizer=optimizer)
        assert outcome is not None
        (told,) = [f for f in outcome.findings if f.code.startswith("R2")]
        assert (told.code, told.severity) == ("R212", "note") and "`mean`" in told.message
        evaluated = vault.restore(model=model)
        assert evaluated is not None and not [f for f in evaluated.findings if f.code.startswith("R2")]
        other = vault.restore(model=model, optimizer=optimizer, metrics={"mean": mean, "late": type(mean)()})
        assert other is not None
        (told,) = [f for f in other.findings if f.code.startswith("R2")]
        assert (told.code, told.severity) == ("R212", "warning") and "`late` was passed" in told.message
