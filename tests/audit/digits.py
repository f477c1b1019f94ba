"""scikit-learn's digits (no download), split and scaled as a run would."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

from holdfast._record.data.identity import data_identity
from holdfast._record.metrics import Metric

RAW, LABELS = load_digits(return_X_y=True)
ORDER = np.random.default_rng(3).permutation(len(RAW))
RAW, LABELS = RAW[ORDER].astype(np.float32), LABELS[ORDER].astype(np.int64)
TRAIN, VALID = slice(0, 1200), slice(1200, 1797)


def scaled(values: Any, mean: float = 4.9, deviation: float = 6.0) -> np.ndarray:
    """The preprocessing of the run."""
    return ((np.asarray(values) - mean) / deviation).astype(np.float32)


X, Y = scaled(RAW[TRAIN]), LABELS[TRAIN]
XV, YV = scaled(RAW[VALID]), LABELS[VALID]


def numbers(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Cross-entropy and accuracy over samples, in float64."""
    logits = logits.astype(np.float64)
    shifted = logits - logits.max(axis=1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    right = float((logits.argmax(axis=1) == labels).mean())
    return {"val_loss": float(-logs[np.arange(len(labels)), labels].mean()), "val_accuracy": right}


def evaluated(values: Mapping[str, float], **more: Any) -> list[Metric]:
    """Evaluations of the validation set, with its identity."""
    given = {"kind": "evaluation", "data": data_identity(XV), "samples": len(XV), **more}
    return [Metric(name, value, **given) for name, value in values.items()]
