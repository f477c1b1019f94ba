"""scikit-learn's digits (no download), split and scaled as a run would."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

from holdfast._record.data.identity import data_identity
from holdfast._record.metrics import Metric
from holdfast._record.probe import Probe

RAW, LABELS = load_digits(return_X_y=True)
ORDER = np.random.default_rng(3).permutation(len(RAW))
RAW, LABELS = RAW[ORDER].astype(np.float32), LABELS[ORDER].astype(np.int64)
TRAIN, VALID = slice(0, 1200), slice(1200, 1797)


def scaled(values: Any, mean: float = 4.9, deviation: float = 6.0) -> np.ndarray:
    """The preprocessing of the run."""
    return ((np.asarray(values) - mean) / deviation).astype(np.float32)


X, Y = scaled(RAW[TRAIN]), LABELS[TRAIN]
XV, YV = scaled(RAW[VALID]), LABELS[VALID]


def extra_of(probe: Probe) -> dict[str, Any]:
    """A probe as part of a save's ``extra``."""
    document = probe.as_document()
    return {"probe": {"about": json.dumps(document["about"]), "arrays": document["arrays"]}}


def measured(values: dict[str, float], **more: Any) -> list[Metric]:
    """Evaluations of the validation set, with its identity."""
    given = {"kind": "evaluation", "data": data_identity(XV), "samples": len(XV), **more}
    return [Metric(name, value, **given) for name, value in values.items()]
