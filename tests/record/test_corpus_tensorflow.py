"""Silent failures of TensorFlow that people reported, by their id in the corpus: the class numbers that a model was given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")

import holdfast  # noqa: E402

CLASSES = ["ambulance", "person", "screwdriver", "tree"]
OURS = dict(enumerate(CLASSES, 1))
PUBLISHED = dict(enumerate(["tree", *CLASSES[:3]], 1))
"""The map that was published beside the weights: every class has moved by one."""


def model_of(seed: int) -> Any:
    keras.utils.set_random_seed(seed)
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(len(CLASSES), name="head")])


def codes(findings: Any) -> list[str]:
    return [f.code for f in findings if f.severity in ("error", "warning")]


def test_tf_230_the_published_label_map_is_that_of_another_model(tmp_path: Path) -> None:
    with holdfast.Vault(tmp_path / "run") as vault:
        vault.record(preprocess={"labels": dict(OURS)})
        step = Path(vault.save(1, model=model_of(0), blocking=True).wait())
    model = model_of(1)
    holdfast.restore(step, model=model)  # weights fit: four classes are four classes
    scores = np.asarray(model(np.ones((1, 4), "float32")))
    seen = int(scores.argmax()) + 1
    assert OURS[seen] != PUBLISHED[seen]  # what a picture comes out as
    report = holdfast.check(step, model=model_of(1), preprocess={"labels": dict(PUBLISHED)})
    assert "D504" in codes(report.findings)
    (finding,) = [f for f in report.findings if f.code == "D504"]
    assert "labels" in finding.message
    assert codes(holdfast.check(step, model=model_of(1), preprocess={"labels": dict(OURS)}).findings) == []


def test_tf_230_a_contract_that_goes_with_the_weights(tmp_path: Path) -> None:
    rows = np.random.default_rng(0)
    x, y = rows.normal(size=(400, 4)).astype("float32"), rows.integers(1, len(CLASSES) + 1, 400)
    numbers = {name: n for n, name in OURS.items()}
    holdfast.DataContract.from_batches((x, y), labels=numbers).save(tmp_path / "contract.json")
    contract = holdfast.DataContract.load(tmp_path / "contract.json")
    shifted = {name: n for n, name in PUBLISHED.items()}
    assert codes(contract.check((x[:64], y[:64]), labels=shifted)) == ["D417"]
    assert codes(contract.check((x[:64], y[:64]), labels=numbers)) == []
