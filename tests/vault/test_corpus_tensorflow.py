"""Silent failures of TensorFlow that people reported, by their id in the corpus: where the data stood."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

tf = pytest.importorskip("tensorflow")

import holdfast  # noqa: E402


def data(seed: int) -> Any:
    return iter(tf.data.Dataset.range(60).shuffle(20, seed=seed).repeat(2).batch(4))


def following(iterator: Any, count: int = 20) -> list[list[int]]:
    return [next(iterator).numpy().tolist() for _ in range(count)]


@pytest.mark.parametrize("stood", [3, 17], ids=["first epoch", "second epoch"])
def test_tf_152_shuffled_elements_go_on_where_they_stood(tmp_path: Path, stood: int) -> None:
    iterator, weights = data(1), {"w": tf.Variable(1.0)}
    following(iterator, stood)
    with holdfast.Vault(tmp_path) as vault:
        vault.save(stood, model=tf.train.Checkpoint(**weights), data={"train": iterator}, blocking=True)
    expected = following(iterator, 10)
    tf.random.set_seed(5)  # another process draws otherwise
    fresh = data(1)
    with holdfast.Vault(tmp_path) as vault:
        outcome = vault.restore(model=tf.train.Checkpoint(w=tf.Variable(0.0)), data={"train": fresh})
    assert outcome is not None and outcome.step == stood
    assert following(fresh, 10) == expected
    assert not [f.code for f in outcome.findings if f.severity != "note"]


def test_tf_152_an_iterator_that_was_not_saved_is_told(tmp_path: Path) -> None:
    with holdfast.Vault(tmp_path) as vault:
        vault.save(3, model=tf.train.Checkpoint(w=tf.Variable(1.0)), blocking=True)
    fresh = data(1)
    with holdfast.Vault(tmp_path) as vault:
        outcome = vault.restore(model=tf.train.Checkpoint(w=tf.Variable(0.0)), data={"train": fresh})
    assert outcome is not None
    assert "R211" in [f.code for f in outcome.findings]
