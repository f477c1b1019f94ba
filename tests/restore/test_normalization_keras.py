"""A restored layer computes with what was restored (``Normalization``: mean and variance, ``output_mode="tf_idf"``: the weights
of the terms), not with what it had made its constants of before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast

pytest.importorskip("tensorflow")
pytest.importorskip("keras")
import keras
import tensorflow as tf
from keras import layers

X = np.linspace(-2.0, 3.0, 12, dtype="float32").reshape(4, 3)
FORMATS = ("m.keras", "m.weights.h5", "ckpt")


def net(around: float | None, **options: Any) -> Any:
    """Adapted to data ``around`` a number, or not adapted."""
    keras.backend.clear_session()
    layer = layers.Normalization(name="norm", **options)
    if around is not None:
        layer.adapt(np.random.default_rng(0).normal(around, 1.0 + around, (50, 3)).astype("float32"))
    return keras.Sequential([keras.Input((3,)), keras.Sequential([keras.Input((3,)), layer], name="front")])


def saved(model: Any, folder: Path, name: str) -> Path | str:
    if name == "ckpt":
        return str(tf.train.Checkpoint(model=model).write(str(folder / name)))
    (model.save if name == "m.keras" else model.save_weights)(folder / name)
    return folder / name


@pytest.mark.parametrize("name", FORMATS)
def test_constants_follow_the_variables(name: str, tmp_path: Path) -> None:
    model = net(0.0)
    expected = model.predict(X, verbose=0)
    path = saved(model, tmp_path, name)
    for other in (net(5.0), net(None)):
        holdfast.restore(path, model=other)
        assert np.array_equal(np.asarray(other(X)), expected)
        assert np.array_equal(other.predict(X, verbose=0), expected)
    used = net(5.0)
    used.compile(loss="mse")
    used.predict(X, verbose=0)
    used.evaluate(X, X, verbose=0)
    holdfast.restore(path, model=used)
    assert np.array_equal(used.predict(X, verbose=0), expected)
    assert np.allclose(used.evaluate(X, X, verbose=0), np.mean((expected - X) ** 2))


def test_what_is_compiled_stays_where_nothing_changed(tmp_path: Path) -> None:
    model = net(0.0)
    path = saved(model, tmp_path, "m.keras")
    model.predict(X, verbose=0)
    compiled = model.predict_function
    holdfast.restore(path, model=model)
    assert model.predict_function is compiled


def test_constants_that_the_constructor_was_given_stay(tmp_path: Path) -> None:
    model = net(None, mean=[1.0, 2.0, 3.0], variance=[1.0, 4.0, 9.0])
    path = saved(model, tmp_path, "m.keras")
    other = net(None, mean=[1.0, 2.0, 3.0], variance=[1.0, 4.0, 9.0])
    holdfast.restore(path, model=other)
    assert np.array_equal(np.asarray(other(X)), np.asarray(model(X)))


TERMS = ["a", "b", "c"]


def looking_up(
    weights: list[float] | None, terms: list[str] = TERMS, kind: Any = layers.TextVectorization
) -> Any:
    keras.backend.clear_session()
    given = keras.Input((1,), dtype="string")
    layer = kind(output_mode="tf_idf", name="look")
    if weights is not None:
        layer.set_vocabulary(terms, idf_weights=weights)
    return keras.Model(given, layers.Dense(1, kernel_initializer="ones", name="d")(layer(given)))


@pytest.mark.parametrize("kind", [layers.TextVectorization, layers.StringLookup])
def test_weights_of_terms(kind: Any, tmp_path: Path) -> None:
    words = tf.constant([["a"], ["c"], ["other"]])
    model = looking_up([1.0, 2.0, 4.0], kind=kind)
    expected = model.predict(words, verbose=0)
    for name in FORMATS:
        path = saved(model, tmp_path, name)
        other = looking_up([3.0, 5.0, 7.0], kind=kind)
        other.predict(words, verbose=0)
        assert not [f for f in holdfast.check(path, model=other).findings if f.severity == "error"]
        holdfast.restore(path, model=other)
        assert np.array_equal(np.asarray(other(words)), expected)
        assert np.array_equal(other.predict(words, verbose=0), expected)
    with holdfast.Vault(tmp_path / "run") as vault:
        vault.save(1, model=model)
        other = looking_up([3.0, 5.0, 7.0], kind=kind)
        vault.restore(model=other)
        assert np.array_equal(other.predict(words, verbose=0), expected)


def test_weights_that_only_the_framework_has_set(tmp_path: Path) -> None:
    words = tf.constant([["a"], ["c"]])
    model, other = looking_up([1.0, 2.0, 4.0]), looking_up([3.0, 5.0, 7.0])
    assert not holdfast.examine(model=other).findings
    tf.train.Checkpoint(model=other).restore(saved(model, tmp_path, "ckpt"))
    assert not np.array_equal(other(words), model(words))
    (finding,) = holdfast.examine(model=other).findings
    assert finding.code == "O314" and "'look'" in finding.message
    other.get_layer("look").finalize_state()  # as the remedy says
    assert 'model.get_layer("look").finalize_state()' in str(finding.remedy)
    assert np.array_equal(other(words), model(words)) and not holdfast.examine(model=other).findings


def test_other_terms_come_with_their_weights(tmp_path: Path) -> None:
    words = tf.constant([["a"], ["c"]])
    model, other = looking_up([1.0, 2.0, 4.0]), looking_up([3.0, 5.0, 7.0], TERMS[::-1])
    path = saved(model, tmp_path, "m.keras")
    (finding,) = [f for f in holdfast.check(path, model=other).findings if f.severity == "error"]
    assert finding.code == "T225"
    eval(str(finding.remedy).split("`")[1], {"model": other, "holdfast": holdfast})
    holdfast.restore(path, model=other)
    assert np.array_equal(other.predict(words, verbose=0), model.predict(words, verbose=0))
