"""The data contract: honest batches pass, the usual mistakes are named."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from holdfast import UsageError
from holdfast._record.data.batches import batches_of, fields_of
from holdfast._record.data.contract import Contract, learn
from holdfast._record.data.features import form_of
from holdfast._record.data.shifts import shifts

datasets = pytest.importorskip("sklearn.datasets")
Batch = tuple[np.ndarray, ...]


def images() -> Batch:
    """Handwritten digits in three colours that differ, with noise: 1,797 x 8 x 8 x 3 in 0..1, and the labels."""
    digits = datasets.load_digits()
    grey = digits.images / 16
    noise = np.random.default_rng(0).normal(0, 0.05, (*grey.shape, 3))
    colours = np.stack([grey * 0.9 + 0.05, grey * 0.6, grey * 0.3 + 0.2], -1) + noise
    return np.clip(colours, 0, 1).astype("f4"), digits.target


def table() -> Batch:
    """30 standardised columns with heavy tails (569 rows), and labels."""
    data = datasets.load_breast_cancer()
    return ((data.data - data.data.mean(0)) / data.data.std(0)).astype("f4"), data.target


def tokens() -> Batch:
    """Token ids by Zipf's law: 3,000 x 40."""
    return (np.random.default_rng(0).zipf(1.3, (3000, 40)).clip(0, 4999).astype("i4"),)


def pixels() -> Batch:
    """64 columns of which some are all but constant, and labels."""
    digits = datasets.load_digits()
    return digits.data.astype("f4"), digits.target


DATA = {"images": images, "table": table, "tokens": tokens, "pixels": pixels}


def draws(pool: Batch, size: int, times: int, seed: int = 1) -> list[Batch]:
    draw = np.random.default_rng(seed)
    return [
        tuple(values[rows] for values in pool)
        for rows in (draw.integers(0, len(pool[0]), size) for _ in range(times))
    ]


def _false_alarms(name: str, size: int, times: int) -> Counter[str]:
    pool = DATA[name]()
    half = len(pool[0]) // 2
    contract = learn([tuple(values[:half] for values in pool)] if name == "pixels" else [pool])
    found = [shifts(contract, batch) for batch in draws(pool, size, times)]
    return Counter(f"{s.kind} of {s.name}" for each in found for s in each[:1])


@pytest.mark.parametrize("size", [16, 64, 256])
@pytest.mark.parametrize("name", DATA)
def test_honest_batches_pass(name: str, size: int) -> None:
    alarms = _false_alarms(name, size, 40)
    assert sum(alarms.values()) <= 1, alarms


@pytest.mark.long
@pytest.mark.parametrize("size", [16, 64, 256])
@pytest.mark.parametrize("name", DATA)
def test_honest_batches_pass_1000_times(name: str, size: int) -> None:
    alarms = _false_alarms(name, size, 1000)
    assert sum(alarms.values()) < 10, alarms


def _own(batch: Batch) -> Batch:
    axis = 0 if batch[0].ndim == 2 else None
    return (batch[0] - batch[0].mean(axis)) / batch[0].std(axis), *batch[1:]


def _raw(batch: Batch) -> Batch:
    data = datasets.load_breast_cancer().data
    return (batch[0] * data.std(0) + data.mean(0)).astype("f4"), batch[1]


def _labels(batch: Batch) -> Batch:
    labels = batch[1].copy()
    labels[: len(labels) // 3] = labels[0]
    return batch[0], labels


MISTAKES: dict[str, tuple[str, str, Callable[[Batch], Batch]]] = {
    "BGR": ("images", "channels-reversed", lambda b: (b[0][..., ::-1], b[1])),
    "0 to 255": ("images", "scale", lambda b: (b[0] * 255, b[1])),
    "bytes": ("images", "scale", lambda b: ((b[0] * 255).astype("u1"), b[1])),
    "-1 to 1": ("images", "scale", lambda b: (b[0] * 2 - 1, b[1])),
    "NCHW": ("images", "layout", lambda b: (b[0].transpose(0, 3, 1, 2), b[1])),
    "own statistics": ("images", "own-statistics", _own),
    "own statistics by column": ("table", "own-statistics", _own),
    "not normalised": ("table", "not-normalised", _raw),
    "label shift": ("images", "label-shift", _labels),
    "other vocabulary": (
        "tokens", "unknown-values", lambda b: (np.random.default_rng(5).permutation(5000)[b[0]].astype("i4"),)
    ),
    "ids beyond": ("tokens", "unknown-values", lambda b: (b[0] + 5000,)),
    "brighter": ("images", "drift", lambda b: (np.clip(b[0] * 1.5 + 0.1, 0, 1), b[1])),
    "NaN": ("table", "missing-values", lambda b: (np.where(np.arange(30) == 3, np.nan, b[0]), b[1])),
    "float labels": ("images", "dtype", lambda b: (b[0], b[1].astype("f4"))),
    "one-hot labels": ("images", "shape", lambda b: (b[0], np.eye(10)[b[1]])),
    "half the columns": ("table", "shape", lambda b: (b[0][:, :15], b[1])),
    "a field less": ("images", "field-missing", lambda b: (b[0],)),
    "a field more": ("tokens", "field-new", lambda b: (b[0], b[0])),
}  # fmt: skip


def test_the_training_data_itself_is_no_shift() -> None:
    x, y = table()
    assert shifts(learn([(x, y)]), (x, y)) == []


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_found_and_named(name: str) -> None:
    data, kind, spoil = MISTAKES[name]
    pool = DATA[data]()
    contract = learn([pool])
    found = [shifts(contract, spoil(batch)) for batch in draws(pool, 64, 20)]
    assert sum(any(s.kind == kind for s in each) for each in found) >= 19, [
        s.kind for each in found for s in each
    ]


def test_it_comes_back_from_a_record() -> None:
    contract = learn([images()])
    document = contract.as_document()
    texts = json.dumps(document, default=lambda array: array.tolist())
    back = Contract.from_document(json.loads(texts))
    assert {n: f.vocabulary for n, f in back.fields.items()} == {
        n: f.vocabulary for n, f in contract.fields.items()
    }
    (batch,) = draws(images(), 64, 1)
    assert shifts(back, batch) == []
    assert [s.kind for s in shifts(back, (batch[0] * 255, batch[1]))] == ["scale"]
    with pytest.raises(UsageError, match="no data contract"):
        Contract.from_document({"fields": {"0": {}}})


def test_learning_draws_no_random_number_of_the_program() -> None:
    np.random.seed(0)
    expected = np.random.rand()
    np.random.seed(0)
    contract = learn([table()] * 4)
    shifts(contract, table())
    assert np.random.rand() == expected


@pytest.mark.parametrize("kind", ["tf", "torch", "keras", "list", "generator"])
def test_batches_of_every_framework(kind: str) -> None:
    x, y = images()
    x, y = x[:256], y[:256]
    if kind == "tf":
        tf = pytest.importorskip("tensorflow")
        source: Any = tf.data.Dataset.from_tensor_slices((x, y)).batch(64)
    elif kind == "torch":
        torch = pytest.importorskip("torch")
        source = torch.utils.data.DataLoader(
            torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y)), batch_size=64
        )
    elif kind == "keras":
        keras = pytest.importorskip("keras")

        class Batches(keras.utils.PyDataset):
            def __len__(self) -> int:
                return 4

            def __getitem__(self, n: int) -> Batch:
                return x[n * 64 : (n + 1) * 64], y[n * 64 : (n + 1) * 64]

        source = Batches()
    else:
        source = [(x[n : n + 64], y[n : n + 64]) for n in range(0, 256, 64)]
        source = iter(source) if kind == "generator" else source
    contract = learn(source)
    assert contract.batches == 4
    assert {n: (f.samples, f.shape) for n, f in contract.fields.items()} == {
        "0": (256, (8, 8, 3)),
        "1": (256, ()),
    }
    assert shifts(contract, (x, y)) == []


def test_nests_and_texts() -> None:
    batch = {"text": np.array(["a", "b"] * 20, object), "more": (np.zeros((40, 2)), [1, 2] * 20)}
    assert {n: v.shape for n, v in fields_of(batch).items()} == {
        "text": (40,),
        "more/0": (40, 2),
        "more/1": (40,),
    }
    contract = learn(batch)
    assert contract.fields["text"].form.kind == "text"
    assert [s.kind for s in shifts(contract, {**batch, "text": np.array(["c"] * 40, object)})] == [
        "unknown-values"
    ]
    assert shifts(contract, batch) == []


def test_bad_input_is_named() -> None:
    with pytest.raises(UsageError, match="different numbers of samples"):
        fields_of((np.zeros(3), np.zeros(4)))
    with pytest.raises(UsageError, match="no samples"):
        fields_of({"x": np.float32(1)})
    with pytest.raises(UsageError, match="too few"):
        learn(np.zeros((3, 2)))
    with pytest.raises(UsageError, match="same fields"):
        learn([{"a": np.zeros(20)}, {"b": np.zeros(20)}])
    with pytest.raises(UsageError, match="no batches"):
        list(batches_of(3))


def test_forms() -> None:
    assert form_of(np.zeros((2, 8, 8, 3))).channels == 2
    assert form_of(np.zeros((2, 3, 8, 8))).channels == 0
    assert form_of(np.zeros((2, 3, 8, 3))).channels == 2
    assert form_of(np.zeros((2, 100, 8))).kind == "dense"
    assert form_of(np.zeros((2, 30))).kind == "columns"
    assert form_of(np.zeros((2, 30), "i8")).kind == "tokens"
    assert form_of(np.zeros((2, 1), "i8")).kind == "labels"
