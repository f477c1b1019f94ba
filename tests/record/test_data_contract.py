"""The data contract: honest batches pass, the usual mistakes are named."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast import CheckpointNotFound, DataContract, UsageError
from holdfast._record.data.batches import batches_of, fields_of
from holdfast._record.data.features import form_of
from holdfast._record.data.shifts import shifts

pytest.importorskip("sklearn.datasets")

from record.contract_data import DATA, data, digits_nhwc, people
from record.contract_table import SIZES, detected, false_alarms, false_alarms_unseen

Batch = tuple[np.ndarray, ...]


def images() -> Batch:
    """Handwritten digits in three colours that differ, with noise: 1,797 x 8 x 8 x 3 in 0..1, and the labels."""
    pool = digits_nhwc().learn
    return pool["x"], pool["y"]


def table() -> Batch:
    """30 standardised columns with heavy tails (569 rows), and labels."""
    pool = data("breast_cancer, standardised").learn
    return pool["x"], pool["y"]


def draws(pool: Batch, size: int, times: int, seed: int = 1) -> list[Batch]:
    draw = np.random.default_rng(seed)
    return [
        tuple(values[rows] for values in pool)
        for rows in (draw.integers(0, len(pool[0]), size) for _ in range(times))
    ]


@pytest.mark.parametrize("name", DATA)
def test_honest_batches_pass(name: str) -> None:
    for size in (16, 64):
        alarms = false_alarms(name, size, 15)
        assert sum(alarms.values()) <= 1, alarms


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", DATA)
def test_honest_batches_pass_1000_times(name: str) -> None:
    for size in SIZES:
        alarms = false_alarms(name, size, 1000)
        assert sum(alarms.values()) < 10, (size, alarms)
        unseen = false_alarms_unseen(name, size, 100)
        assert unseen is None or sum(unseen[1].values()) <= 2, (size, unseen)


@pytest.mark.parametrize("name", DATA)
def test_mistakes_are_found_and_named(name: str) -> None:
    for mistake in data(name).mistakes:
        _, right, called = detected(name, mistake, times=5)
        assert right >= 4, (mistake, called)


@pytest.mark.long
@pytest.mark.parametrize("name", DATA)
def test_mistakes_are_found_at_64_of_a_hundred(name: str) -> None:
    for mistake in data(name).mistakes:
        found, right, called = detected(name, mistake, times=100)
        assert found >= 95 and right >= 95, (mistake, called)


def test_the_training_data_itself_is_no_shift() -> None:
    x, y = table()
    assert shifts(DataContract.from_batches([(x, y)]), (x, y)) == []


def test_it_comes_back_from_a_record() -> None:
    contract = DataContract.from_batches([images()])
    document = contract.as_document()
    texts = json.dumps(document, default=lambda array: array.tolist())
    back = DataContract.from_document(json.loads(texts))
    assert {n: f.vocabulary for n, f in back.fields.items()} == {
        n: f.vocabulary for n, f in contract.fields.items()
    }
    (batch,) = draws(images(), 64, 1)
    assert shifts(back, batch) == []
    assert [s.kind for s in shifts(back, (batch[0] * 255, batch[1]))] == ["scale"]
    with pytest.raises(UsageError, match="no data contract"):
        DataContract.from_document({"fields": {"0": {}}})


@pytest.mark.parametrize("own", [False, True])
def test_a_run_goes_on_as_if_its_data_had_not_been_looked_at(own: bool) -> None:
    torch = pytest.importorskip("torch")

    def orders(look: bool) -> list[Any]:
        torch.manual_seed(0)
        np.random.seed(0)
        generator = torch.Generator().manual_seed(1) if own else None
        rows = torch.utils.data.TensorDataset(torch.arange(200.0))
        loader = torch.utils.data.DataLoader(rows, batch_size=20, shuffle=True, generator=generator)
        if look:
            assert DataContract.from_batches(loader).check(loader) == ()
        return [[batch[0].tolist() for batch in loader], torch.rand(2).tolist(), np.random.rand()]

    assert orders(True) == orders(False)


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
    contract = DataContract.from_batches(source)
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
    contract = DataContract.from_batches(batch)
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
    with pytest.raises(UsageError, match="no samples to check"):
        DataContract.from_batches(np.arange(20.0)).check([])
    with pytest.raises(UsageError, match="too few"):
        DataContract.from_batches(np.zeros((3, 2)))
    with pytest.raises(UsageError, match="same fields"):
        DataContract.from_batches([{"a": np.zeros(20)}, {"b": np.zeros(20)}])
    with pytest.raises(UsageError, match="no batches"):
        list(batches_of(3))


def test_forms() -> None:
    assert form_of(np.zeros((2, 8, 8, 3))).channels == 2
    assert form_of(np.zeros((2, 3, 8, 8))).channels == 0
    assert form_of(np.zeros((2, 3, 8, 3))).channels == 2
    assert form_of(np.zeros((2, 100, 8))).kind == "dense"
    assert form_of(np.zeros((2, 30))).kind == "columns"
    assert form_of(np.zeros((2, 64), "i8")).kind == "tokens"
    assert form_of(np.zeros((2, 30), "i8")).kind == "columns"
    assert form_of(np.zeros((2, 1), "i8")).kind == "labels"
    assert form_of(np.zeros((2, 224, 224, 3))).every == (5, 5, 1)
    assert form_of(np.zeros((2, 3, 64, 64))).every == ()
    assert form_of(np.zeros((2, 160_000))).every == (20,)


def told(contract: DataContract, source: Any, **more: Any) -> list[str]:
    return [f.slug.removeprefix("data-") for f in contract.check(source, **more)]


# -- what it takes ---------------------------------------------------------------------------------------------------
def test_a_loader_without_end_is_left_where_it_is() -> None:
    draw = np.random.default_rng(0)
    asked = itertools.count()

    def endless() -> Iterator[Batch]:
        while True:
            next(asked)
            yield (draw.normal(size=(32, 3)),)

    contract = DataContract.from_batches(endless())
    assert (contract.batches, contract.complete, next(asked)) == (1000, False, 1000)
    assert "and there were more" in contract.summary()
    assert contract.check(endless()) == () and next(asked) == 1001 + 64
    few = DataContract.from_batches(endless(), most=3)
    assert (few.batches, next(asked)) == (3, 1066 + 3)
    assert contract.check(endless(), most=2) == () and next(asked) == 1070 + 2


def test_memory_is_bounded_whatever_the_batch() -> None:
    import tracemalloc

    images = np.zeros((5_000, 64, 64, 3), "u1")  # 61 MB; eightfold as float64
    images[:] = np.random.default_rng(0).integers(0, 255, (5_000, 1, 1, 3), dtype="u1")
    tracemalloc.start()
    contract = DataContract.from_batches(images)
    assert contract.check(images) == ()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 350e6
    assert contract.fields["data"].samples == 5_000 and len(contract.fields["data"].rows) == 1024


def test_named_columns_in_another_order_are_told() -> None:
    kinds = np.dtype([("age", "i4"), ("income", "f4"), ("name", "U8")])
    draw = np.random.default_rng(0)

    def rows(n: int) -> np.ndarray:
        found = np.zeros(n, kinds)
        found["age"], found["income"] = draw.integers(18, 90, n), draw.lognormal(10, 1, n)
        found["name"] = draw.choice(["ann", "bob"], n)
        return found

    contract = DataContract.from_batches(rows(1000))
    assert list(contract.fields) == ["age", "income", "name"] and contract.container == "table"
    assert told(contract, rows(64)) == []
    assert told(contract, rows(64)[["income", "age", "name"]]) == ["field-order"]
    assert told(contract, {n: rows(64)[n] for n in ("name", "age", "income")}) == ["field-order"]
    (order,) = contract.check(rows(64)[["age", "name", "income"]])
    assert order.message == "the fields stand in another order: at place 2 is name, and was income"
    assert order.evidence["expected"] == ["age", "income", "name"]


def test_frames_and_the_arrays_made_of_them() -> None:
    pd = pytest.importorskip("pandas")
    draw = np.random.default_rng(0)

    def frame(n: int) -> Any:
        income = pd.array([None if k % 9 == 0 else k for k in range(n)], dtype="Int64")
        return pd.DataFrame(
            {"age": draw.integers(18, 90, n), "wage": draw.lognormal(10, 1, n), "left": income}
        )

    contract = DataContract.from_batches(frame(1000))
    assert contract.fields["left"].dtype == "float64" and 0.1 < contract.fields["left"].missing < 0.12
    assert told(contract, frame(1000)) == []
    numbers = DataContract.from_batches(frame(1000)[["age", "wage"]])
    assert told(numbers, frame(64)[["age", "wage"]].to_numpy()) == []
    assert "drift" in told(numbers, frame(64)[["wage", "age"]].to_numpy())
    arrays = DataContract.from_batches(frame(1000)[["age", "wage"]].to_numpy())
    assert told(arrays, frame(64)[["age", "wage"]]) == []
    assert told(arrays, frame(64)[["wage", "age"]]) == ["field-order"]
    with pytest.raises(UsageError, match="same name"):
        contract.check(pd.concat([frame(20), frame(20)], axis=1))


def test_fields_that_are_none_and_single_numbers() -> None:
    draw = np.random.default_rng(0)

    def batch(mask: bool) -> dict[str, Any]:
        return {"x": draw.normal(size=(20, 2)), "mask": np.ones((20, 2)) if mask else None, "step": 3}

    contract = DataContract.from_batches([batch(True), batch(False), batch(True)])
    assert list(contract.fields) == ["x", "mask"]
    assert contract.fields["mask"].optional and not contract.fields["x"].optional
    assert told(contract, batch(False)) == told(contract, batch(True)) == []
    with pytest.raises(UsageError, match="same fields"):
        DataContract.from_batches([batch(True), {"x": np.zeros((20, 2))}])


def test_lists_with_holes_are_numbers() -> None:
    found = fields_of({"n": [1, None, 3], "t": ["a", None, "c"], "f": [1.5, float("nan"), 2]})
    assert found["n"].dtype == np.float64 and np.isnan(found["n"][1])
    assert found["t"].tolist() == ["a", None, "c"]


def test_ragged_batches_whatever_their_padding() -> None:
    draw = np.random.default_rng(0)

    def batch(n: int) -> Batch:
        lengths = draw.integers(5, 80, n)
        ids = draw.zipf(1.5, (n, int(lengths.max()))).clip(1, 900)
        return (np.where(np.arange(ids.shape[1]) < lengths[:, None], ids, 0),)

    contract = DataContract.from_batches([batch(16) for _ in range(60)])
    assert contract.fields["0"].shape == (None,) and contract.fields["0"].form.kind == "tokens"
    assert [told(contract, batch(n)) for n in (16, 64, 300)] == [[], [], []]
    assert told(contract, [batch(16) for _ in range(8)]) == []
    assert told(contract, (batch(64)[0] + 5000,)) == ["unknown-values"]


def test_single_samples_are_told_to_need_a_loader() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(UsageError, match="DataLoader"):
        DataContract.from_batches(torch.utils.data.TensorDataset(torch.zeros(30, 2)))


# -- data that comes in order ----------------------------------------------------------------------------------------
def test_batches_of_one_class_are_told_and_a_loader_that_does_not_shuffle_is_allowed_for() -> None:
    x, y = images()
    order = np.argsort(y, kind="stable")
    shuffled = DataContract.from_batches([(x[n : n + 64], y[n : n + 64]) for n in range(0, 1792, 64)])
    one_class = (x[y == 1][:64], y[y == 1][:64])
    assert "label-shift" in told(shuffled, one_class)
    in_order = [(x[order[n : n + 64]], y[order[n : n + 64]]) for n in range(0, 1792, 64)]
    contract = DataContract.from_batches(in_order)
    assert contract.fields["1"].together > 0.9
    assert "samples of a batch are alike" in contract.summary()
    assert [told(contract, batch) for batch in in_order[::5]] == [[]] * 6
    assert told(contract, (x[::28], y[::28])) == []
    assert told(contract, (in_order[3][0] * 255, in_order[3][1])) == ["scale"], (
        "what is gross is seen all the same"
    )


def test_shuffled_batches_are_not_taken_for_clusters() -> None:
    draw = np.random.default_rng(3)
    x = draw.lognormal(0, 2, (3200, 40))
    contract = DataContract.from_batches([x[n : n + 32] for n in range(0, 3200, 32)])
    assert contract.fields["data"].together == 0


# -- label maps and preprocessing ------------------------------------------------------------------------------------
def test_a_permuted_label_map_is_told() -> None:
    contract = DataContract.from_batches(np.arange(40.0), labels={"cat": 0, "dog": 1, "eel": 2})
    batch = np.arange(40.0)
    same: tuple[Any, ...] = (
        ["cat", "dog", "eel"],
        {"eel": 2, "cat": 0, "dog": 1},
        {0: "cat", 1: "dog", 2: "eel"},
    )
    assert [told(contract, batch, labels=labels) for labels in same] == [[]] * 3
    (finding,) = contract.check(batch, labels={"cat": 1, "dog": 0, "eel": 2, "fox": 3})
    assert finding.code == "D417" and finding.severity == "error"
    assert finding.message == (
        "the label map is another for 3 of 4 classes: cat is 1, and was 0; dog is 0, and was 1; fox is new"
    )
    with pytest.raises(UsageError, match="label map"):
        DataContract.from_batches(batch).check(batch, labels=["cat"])
    with pytest.raises(UsageError, match="no label map"):
        contract.check(batch, labels={"cat": "first", "dog": 1})


class Normalize:
    """Settings as torchvision's transform has them."""

    def __init__(self, mean: list[float], std: list[float]) -> None:
        self.mean, self.std = mean, std

    def __call__(self, values: np.ndarray) -> np.ndarray:
        return (values - np.array(self.mean)) / np.array(self.std)


def test_changed_constants_of_the_preprocessing_are_named() -> None:
    x = images()[0]
    trained = Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    contract = DataContract.from_batches(trained(x), transform=trained)
    assert (
        told(contract, trained(x)[:64], transform=Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
        == []
    )
    (finding,) = contract.check(
        trained(x)[:64], transform=Normalize([0.5, 0.456, 0.406], [0.229, 0.224, 0.225])
    )
    assert finding.code == "D416"
    assert finding.message == (
        "the preprocessing is another: mean [0.485, 0.456, 0.406] became [0.5, 0.456, 0.406]"
    )
    # the constants that the pipeline tells undo what was done before it
    assert told(contract, trained(x[..., ::-1])[:64]) == ["channels-reversed"]
    assert "fingerprint" in contract.summary() and contract.fingerprint
    with pytest.raises(UsageError, match="no preprocessing"):
        DataContract.from_batches(x).check(x, transform=trained)


# -- findings and files ----------------------------------------------------------------------------------------------
def test_one_mistake_of_many_columns_is_one_finding() -> None:
    draw = np.random.default_rng(0)
    pool = {f"f{n}": draw.normal(size=2000) for n in range(30)}
    contract = DataContract.from_batches(pool)
    batch = {name: values[:64] * 30 + 9 for name, values in pool.items()}
    (finding,) = contract.check(batch)
    assert finding.code == "D410" and "and so are 29 more" in finding.message
    assert finding.evidence["fields"] == list(pool)
    json.dumps(dict(finding.evidence))
    assert finding.evidence["effect"] > 1 and finding.evidence["likely"] is True


def test_every_kind_of_finding_is_plain() -> None:
    contract = DataContract.from_batches(people().learn)
    draw = np.random.default_rng(0)
    for _, spoil in people().mistakes.values():
        for finding in contract.check(spoil(people().sample(64, draw), draw)):
            json.dumps(dict(finding.evidence))


def test_it_is_kept_in_a_file(tmp_path: Path) -> None:
    contract = DataContract.from_batches(images(), labels=[f"{n}" for n in range(10)], transform=np.sqrt)
    file = tmp_path / "contract.json"
    contract.save(file)
    contract.save(file)
    back = DataContract.load(file)
    assert back.summary() == contract.summary()
    assert (back.labels, back.transform, back.container) == (contract.labels, contract.transform, "sequence")
    (batch,) = draws(images(), 64, 1)
    assert back.check(batch) == ()
    assert repr(back) == "<DataContract of 1 batch: 0, 1>" and back != contract
    assert told(back, (batch[0][..., ::-1], batch[1])) == ["channels-reversed"]
    with pytest.raises(CheckpointNotFound):
        DataContract.load(tmp_path / "none.json")


@pytest.mark.parametrize("spoil", ["", "[]", "{}", '{"format": "holdfast data contract", "version": 1}', "shape", "long", "cut",
                                   "dtype", "form", "version", "labels", "bytes", "deep"])  # fmt: skip
def test_a_damaged_file_is_refused(tmp_path: Path, spoil: str) -> None:
    file = tmp_path / "contract.json"
    DataContract.from_batches(np.arange(60.0).reshape(20, 3)).save(file)
    document = json.loads(file.read_text())
    rows = document["arrays"]["rows.0"]
    if spoil == "shape":
        rows["shape"] = [20, 4]
    elif spoil == "long":
        rows["shape"] = [1 << 40, 3]
    elif spoil == "cut":
        rows["zlib"] = rows["zlib"][:20]
    elif spoil == "dtype":
        rows["dtype"] = "object"
    elif spoil == "form":
        document["contract"]["fields"]["data"]["form"]["names"] = ["one"]
    elif spoil == "version":
        document["version"] = 2
    elif spoil == "labels":
        document["contract"]["labels"] = 5
    if spoil == "bytes":
        file.write_bytes(b"\xff\xfe" * 50)
    elif spoil == "deep":
        file.write_text("[" * 100_000)
    else:
        file.write_text(json.dumps(document) if spoil.isalpha() else spoil)
    with pytest.raises(UsageError, match="data contract"):
        DataContract.load(file)


def test_large_images_are_looked_at_in_steps() -> None:
    draw = np.random.default_rng(0)

    def batch(n: int) -> np.ndarray:
        small = draw.integers(0, 200, (n, 16, 16, 3), dtype="u1") // np.array([1, 2, 4], "u1")
        return small.repeat(14, axis=1).repeat(14, axis=2)

    contract = DataContract.from_batches([batch(16) for _ in range(8)])
    assert told(contract, batch(32)) == []
    assert told(contract, batch(32)[..., ::-1]) == ["channels-reversed"]
    assert sorted(told(contract, (batch(32) / 255).astype("f4"))) == ["dtype", "scale"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "make",
    [
        lambda r, n: np.where(r.random((n, 3)) < 0.01, np.inf, r.random((n, 3))),
        lambda r, n: np.where(r.random((n, 8, 8, 3)) < 0.001, -np.inf, r.random((n, 8, 8, 3))),
        lambda r, n: np.full((n, 2), np.nan),
        lambda r, n: np.full((n, 4, 4), np.nan),
        lambda r, n: np.zeros((n, 0)),
        lambda r, n: np.zeros((n, 0, 4, 3)),
        lambda r, n: np.full((n, 3), 0.1),
        lambda r, n: np.zeros((n, 9, 9, 3), "u1"),
        lambda r, n: r.normal(0, 1, (n, 40)).astype("f2"),
        lambda r, n: r.integers(0, 2**64 - 1, n, dtype="u8"),
        lambda r, n: r.normal(0, 1e300, (n, 3)),
        lambda r, n: r.normal(0, 1e-300, (n, 3)),
        lambda r, n: 1e9 + r.normal(0, 1, (n, 2)),
        lambda r, n: r.integers(-100, 50, (n, 128)),
        lambda r, n: r.random((n, 20, 20)) < 0.3,
        lambda r, n: np.array([b"a", b"bc", b""])[r.integers(0, 3, n)],
        lambda r, n: np.array([f"{x:032x}" for x in r.integers(0, 2**62, n)]),
        lambda r, n: np.array([None if k < 0.3 else "x" for k in r.random(n)], object),
        lambda r, n: np.datetime64("2024-01-01") + r.integers(0, 300, n).astype("m8[D]"),
        lambda r, n: r.normal(size=(n, 3)) + 1j,
        lambda r, n: r.random((n, 4, 8, 8, 3)),
    ],
    ids=["inf", "inf-image", "nan", "nan-image", "no-columns", "no-pixels", "constant", "black", "half", "ids", "huge", "tiny",
         "late-digits", "negative-tokens", "mask", "bytes", "unique", "none", "times", "complex", "video"],
)  # fmt: skip
def test_odd_numbers_are_learned_kept_and_passed(make: Any) -> None:
    draw = np.random.default_rng(0)
    contract = DataContract.from_record(*DataContract.from_batches(make(draw, 500)).as_record())
    assert contract.summary()
    assert [told(contract, make(draw, n)) for n in (1, 2, 3, 16, 64)] == [[]] * 5
