"""tf.data iterators, Keras metrics, preprocessing layers and seed generators, in saves and restores of a vault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast import UsageError, Vault

tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")
if keras.backend.backend() != "tensorflow":
    pytest.skip("Keras runs on another backend", allow_module_level=True)

X = np.random.default_rng(0).normal(3, 2, size=(40, 3)).astype("f4")


def model() -> dict[str, np.ndarray]:
    return {"w": np.arange(6, dtype="f4")}


def told(outcome: Any) -> list[tuple[str, str]]:
    return [(f.code, f.message) for f in outcome.findings if f.code.startswith(("D", "R2"))]


# -- data ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("seed", "epochs", "numpy"), [(3, 2, False), (None, 1, False), (3, 2, True)])
def test_tf_data_goes_on(tmp_path: Path, seed: int | None, epochs: int, numpy: bool) -> None:
    """Shuffled, repeated and prefetched: the same elements in the same order; without a seed within the epoch (what draws the
    next epoch's order is no part of an iterator)."""

    def made() -> Any:
        dataset = tf.data.Dataset.range(100).shuffle(30, seed=seed).repeat(epochs).batch(8).prefetch(2)
        return dataset.as_numpy_iterator() if numpy else iter(dataset)

    whole, again = made(), made()
    for _ in range(5):
        next(whole)
    with Vault(tmp_path / "run") as vault:
        vault.save(5, model=model(), data={"train": whole}, blocking=True)
        expected = [np.asarray(batch).tolist() for batch in whole]
        outcome = vault.restore(model=model(), data={"train": again})
    assert outcome is not None and outcome.data["train"] is again
    assert [np.asarray(batch).tolist() for batch in again] == expected


def test_what_tensorflow_cannot_save_says_what_to_pass(tmp_path: Path) -> None:
    dataset = tf.data.Dataset.from_generator(
        lambda: iter(range(9)), output_signature=tf.TensorSpec((), tf.int64)
    )
    with Vault(tmp_path / "run") as vault:
        with pytest.raises(UsageError, match="the number of samples seen"):
            vault.save(1, model=model(), data={"train": iter(dataset)}, blocking=True)
        with pytest.raises(UsageError, match="the iterator that training draws from"):
            vault.save(1, model=model(), data={"train": dataset}, blocking=True)


# -- metrics ---------------------------------------------------------------------------------------------------------
def test_keras_metrics_go_on(tmp_path: Path) -> None:
    def made() -> dict[str, Any]:
        return {
            "auc": keras.metrics.AUC(),
            "acc": keras.metrics.BinaryAccuracy(),
            "loss": keras.metrics.Mean(),
        }

    def feed(metrics: dict[str, Any], seed: int) -> None:
        rng = np.random.default_rng(seed)
        labels, scores = rng.integers(0, 2, 20), rng.random(20)
        metrics["auc"].update_state(labels, scores)
        metrics["acc"].update_state(labels, scores)
        metrics["loss"].update_state(scores)

    whole, again = made(), made()
    feed(whole, 1)
    with Vault(tmp_path / "run") as vault:
        vault.save(1, model=model(), metrics=whole, blocking=True)
        feed(whole, 2)
        vault.restore(model=model(), metrics=again)
        feed(again, 2)
        assert {n: float(m.result()) for n, m in again.items()} == {
            n: float(m.result()) for n, m in whole.items()
        }
        with pytest.raises(UsageError, match="shapes"):
            vault.restore(model=model(), metrics={"auc": keras.metrics.AUC(num_thresholds=50)})


# -- preprocessing ---------------------------------------------------------------------------------------------------
def test_preprocessing_layers_come_back(tmp_path: Path) -> None:
    texts = ["a b c", "b c", "c\u2028d", "d d"]

    def made() -> dict[str, Any]:
        layers = keras.layers
        return {
            "norm": layers.Normalization(),
            "words": layers.StringLookup(),
            "ids": layers.IntegerLookup(output_mode="one_hot"),
            "text": layers.TextVectorization(output_mode="tf_idf"),
            "bins": layers.Discretization(num_bins=4),
            "codes": layers.CategoryEncoding(5),
            "stack": keras.Sequential([layers.Input((3,)), layers.Rescaling(0.5), layers.Dense(2)]),
        }

    inputs = {
        "norm": X, "words": np.array(["x\ny", "z", "?"]), "ids": np.array([3, 7, 9]), "text": np.array(["a d", "b"]),
        "bins": X[:, :1], "codes": np.array([[1, 2]]), "stack": X,
    }  # fmt: skip
    fitted = made()
    fitted["norm"].adapt(X)
    fitted["words"].adapt(np.array(["x\ny", "z", "z"]))
    fitted["ids"].adapt(np.array([3, 3, 7]))
    fitted["text"].adapt(texts)
    fitted["bins"].adapt(X[:, 0])
    expected = {name: np.asarray(layer(inputs[name])) for name, layer in fitted.items()}
    fresh = made()
    with Vault(tmp_path / "run") as vault:
        vault.save(1, model=model(), preprocess=fitted, blocking=True)
        outcome = vault.restore(model=model(), preprocess=fresh)
        assert outcome is not None
        assert [text for _, text in told(outcome) if "stack" not in text] == []
        for name, layer in fresh.items():
            assert np.array_equal(np.asarray(layer(inputs[name])), expected[name]), name
        fresh["norm"].adapt(X + 1)
        fresh["words"].set_vocabulary(["z", "x\ny", "new"])
        again = vault.restore(model=model(), preprocess=fresh)
        assert again is not None
        found = dict(told(again))
        assert found["D503"].startswith("norm: mean[")
        assert found["D504"].startswith("words: has 'new' more")
        assert np.array_equal(np.asarray(fresh["norm"](X)), expected["norm"])
        with pytest.raises(UsageError, match="invert was False, and is True"):
            vault.restore(model=model(), preprocess={"norm": keras.layers.Normalization(invert=True)})


# -- random layers ---------------------------------------------------------------------------------------------------
def augmented() -> Any:
    keras.utils.set_random_seed(0)
    layers = [
        keras.layers.Input((8, 8, 1)), keras.layers.RandomFlip(), keras.layers.GaussianNoise(0.3),
        keras.layers.Flatten(), keras.layers.Dropout(0.5), keras.layers.Dense(1),
    ]  # fmt: skip
    made = keras.Sequential(layers)
    made.compile(keras.optimizers.Adam(0.01), "mse")
    return made


def weights(of: Any) -> list[bytes]:
    return [np.asarray(v).tobytes() for v in (*of.variables, *of.optimizer.variables)]


def test_seeds_of_layers_go_on_bit_for_bit(tmp_path: Path) -> None:
    """Dropout, RandomFlip and GaussianNoise draw what the uninterrupted run draws (Keras's own saving loses their seeds)."""
    x = np.random.default_rng(1).random((16, 8, 8, 1), dtype="f4")
    y = x.mean((1, 2))
    whole, again = augmented(), augmented()
    for _ in range(3):
        whole.train_on_batch(x, y)
    again.train_on_batch(x, y)
    with Vault(tmp_path / "run") as vault:
        vault.save(3, model=whole, optimizer=whole.optimizer, data={"seen": 48}, blocking=True)
        for _ in range(3):
            whole.train_on_batch(x, y)
        outcome = vault.restore(model=again, optimizer=again.optimizer)
        assert outcome is not None and told(outcome) == []
    for _ in range(3):
        again.train_on_batch(x, y)
    assert weights(again) == weights(whole)


def test_seeds_of_layers_go_on_under_the_callback(tmp_path: Path) -> None:
    from holdfast.keras import VaultCallback

    x = np.random.default_rng(1).random((32, 8, 8, 1), dtype="f4")
    y = x.mean((1, 2))

    class Broken(Exception):
        pass

    class BreakAt(keras.callbacks.Callback):
        left = 6

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.left -= 1
            if not self.left:
                raise Broken

    def fit(made: Any, *callbacks: Any) -> Any:
        made.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0, callbacks=list(callbacks))
        return made

    whole = fit(augmented())
    with pytest.raises(Broken):
        fit(augmented(), VaultCallback(tmp_path / "run", every=5, monitor=None), BreakAt())
    callback = VaultCallback(tmp_path / "run", every=5, monitor=None)
    again = fit(augmented(), callback)
    assert callback.outcome is not None
    assert [f for f in callback.outcome.findings if f.code.startswith("R2")] == [], (
        "the callback keeps its position itself"
    )
    assert weights(again) == weights(whole)


def test_generators_of_tensorflow_and_keras(tmp_path: Path) -> None:
    def made() -> dict[str, Any]:
        return {"tf": tf.random.Generator.from_seed(3), "keras": keras.random.SeedGenerator(3)}

    def draw(of: dict[str, Any]) -> Any:
        return of["tf"].normal([2]).numpy().tolist(), np.asarray(
            keras.random.normal((2,), seed=of["keras"])
        ).tolist()

    mine, theirs = made(), made()
    draw(mine)
    with Vault(tmp_path / "run") as vault:
        vault.save(1, model=model(), data=mine, blocking=True)
        expected = draw(mine)
        vault.restore(model=model(), data=theirs)
    assert draw(theirs) == expected
