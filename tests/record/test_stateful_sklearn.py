"""Fitted estimators of scikit-learn come back bit for bit, without a pickle."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from holdfast import UsageError
from holdfast._record.stateful import Captured, capture, obstacles, put_back

pytest.importorskip("sklearn")
from sklearn import cluster, compose, decomposition, impute, linear_model, pipeline, preprocessing
from sklearn.base import clone
from sklearn.feature_extraction import text
from sklearn.feature_selection import SelectKBest

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5))
HOLED = np.where(RNG.random(X.shape) < 0.1, np.nan, X)
Y = (X[:, 0] > 0).astype(int)
WORDS = np.array([["a", "x"], ["b", "y"], ["a", None], ["c", "x"]] * 15, dtype=object)
TEXTS = ["aa bb cc", "bb cc dd dd", "ee"] * 20
COLUMNS = [
    ("a", pipeline.make_pipeline(impute.SimpleImputer(), preprocessing.StandardScaler()), [0, 1]),
    ("b", "passthrough", slice(2, 3)),
    ("c", preprocessing.MinMaxScaler(), [4]),
]

CASES: list[tuple[Any, tuple[Any, ...]]] = [
    *((made, (X, Y)) for made in (
        preprocessing.StandardScaler(), preprocessing.MinMaxScaler(), preprocessing.RobustScaler(),
        preprocessing.PowerTransformer(), preprocessing.QuantileTransformer(n_quantiles=20),
        preprocessing.PolynomialFeatures(), preprocessing.KBinsDiscretizer(3), preprocessing.Normalizer(),
        preprocessing.FunctionTransformer(np.abs), decomposition.PCA(2), decomposition.TruncatedSVD(2),
        decomposition.KernelPCA(2), SelectKBest(k=2), cluster.KMeans(3, n_init=1), linear_model.LogisticRegression(),
        pipeline.FeatureUnion([("a", preprocessing.StandardScaler()), ("b", decomposition.PCA(2))]),
    )),
    *((made, (HOLED,)) for made in (
        impute.SimpleImputer(add_indicator=True), impute.KNNImputer(), compose.ColumnTransformer(COLUMNS),
        pipeline.make_pipeline(impute.SimpleImputer(), preprocessing.StandardScaler(), decomposition.PCA(2)),
    )),
    (preprocessing.OneHotEncoder(handle_unknown="ignore"), (WORDS,)), (preprocessing.OrdinalEncoder(), (WORDS,)),
    (preprocessing.LabelEncoder(), (list("abca"),)), (preprocessing.LabelBinarizer(), (list("abca"),)),
    (text.CountVectorizer(), (TEXTS,)), (text.TfidfVectorizer(), (TEXTS,)), (text.HashingVectorizer(n_features=32), (TEXTS,)),
]  # fmt: skip


def outputs(of: Any, data: Any) -> bytes:
    made = of.transform(data) if hasattr(of, "transform") else of.predict_proba(data)
    made = made.toarray() if hasattr(made, "toarray") else np.asarray(made)
    return made.tobytes() if not made.dtype.hasobject else repr(made.tolist()).encode()


@pytest.mark.parametrize(("estimator", "data"), CASES, ids=lambda v: type(v).__name__)
def test_fitted_estimators_come_back(estimator: Any, data: tuple[Any, ...]) -> None:
    fitted = clone(estimator).fit(*data)
    taken = capture(fitted)
    stored = Captured(
        taken.kind, taken.of, json.loads(json.dumps(taken.about, allow_nan=False)), taken.arrays
    )
    other = clone(estimator)
    assert put_back(other, stored) is other
    assert outputs(other, data[0]) == outputs(fitted, data[0])


def test_what_a_later_fit_left_goes() -> None:
    other = preprocessing.StandardScaler().fit(X)
    put_back(other, capture(preprocessing.StandardScaler()))
    assert not hasattr(other, "mean_")


@pytest.mark.parametrize(
    ("then", "now", "told"),
    [
        (
            preprocessing.StandardScaler(),
            preprocessing.StandardScaler(with_std=False),
            "with_std was True, and is False",
        ),
        (preprocessing.StandardScaler(), preprocessing.MinMaxScaler(), "it was a sklearn"),
        (
            pipeline.make_pipeline(preprocessing.StandardScaler()),
            pipeline.make_pipeline(preprocessing.StandardScaler(with_mean=False)),
            "steps[0][1].with_mean was True, and is False",
        ),
        (
            pipeline.make_pipeline(preprocessing.StandardScaler()),
            pipeline.make_pipeline(preprocessing.StandardScaler(), preprocessing.Normalizer()),
            "steps had 1 items, and has 2",
        ),
    ],
)
def test_other_parameters_stand_against_it(then: Any, now: Any, told: str) -> None:
    assert any(told in text for text in obstacles(now, capture(then.fit(X))))
    assert obstacles(clone(then), capture(then)) == []


def test_parameters_that_change_nothing_stand_against_nothing() -> None:
    state = capture(impute.KNNImputer(copy=True).fit(HOLED))
    assert obstacles(impute.KNNImputer(copy=False), state) == []


def test_what_cannot_be_saved_is_named() -> None:
    with pytest.raises(UsageError, match="bsplines_"):
        capture(preprocessing.SplineTransformer().fit(X))
