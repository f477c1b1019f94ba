"""Every row on Keras' loaders and on ``tf.train.Checkpoint.restore``, done with the installed ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from holdfast._facts.loaders import ROWS, LoaderFact
from loading import Deed, outcome_of

tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="Keras runs on another backend"
)

L = keras.layers


def net(*layers: Any, wide: int = 3) -> Any:
    return keras.Sequential([keras.Input((wide,)), *layers])


def dense(name: str, units: int = 3, **more: Any) -> Any:
    return L.Dense(units, name=name, bias_initializer="glorot_uniform" if units > 100 else "ones", **more)


def kernel(model: Any, name: str) -> np.ndarray:
    return np.asarray(model.get_layer(name).kernel).astype("float64")


def same(a: Any, b: Any, /, **names: str) -> bool:
    return all(np.array_equal(kernel(a, there), kernel(b, here)) for here, there in names.items())


def alike(some: Any, others: Any) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(some, others, strict=True))


def split(one: Any, other: Any) -> Any:
    """A model of two branches, which may be one layer used twice."""
    x = keras.Input((3,))
    return keras.Model(x, L.add([one(x), other(x)]))


def shared(name: str = "a") -> Any:
    layer = dense(name)
    return split(layer, layer)


def filled(value: float, dtype: str) -> Any:
    model = net(dense("a", dtype=dtype))
    model.get_layer("a").kernel.assign(np.full((3, 3), value, dtype))
    return model


def frozen() -> Any:
    model = net(dense("a"))
    model.get_layer("a").trainable = False
    return model


def inner() -> Any:
    return net(keras.Sequential([keras.Input((3,)), dense("a"), dense("b")], name="wrap"))


class Pair(NamedTuple):
    saved: Any
    live: Any
    right: Callable[[Any, Any], bool]


PAIRS: dict[tuple[str, str], Callable[[], Pair]] = {
    ("T201", ""): lambda: Pair(net(dense("a")), net(dense("a"), dense("head")), lambda a, b: False),
    ("T202", ""): lambda: Pair(net(dense("a"), dense("b")), net(dense("a")), lambda a, b: same(a, b, a="a")),
    ("T203", ""): lambda: Pair(net(dense("a")), net(dense("a", 5)), lambda a, b: True),
    ("T204", "narrows"): lambda: Pair(
        filled(0.1, "float32"), filled(0, "float16"), lambda a, b: same(a, b, a="a")
    ),
    ("T204", ""): lambda: Pair(filled(0.1, "float32"), filled(0, "float64"), lambda a, b: same(a, b, a="a")),
    ("T205", ""): lambda: Pair(net(dense("old")), net(dense("new")), lambda a, b: same(a, b, new="old")),
    ("T206", "other-shape"): lambda: Pair(net(dense("a", 2)), net(dense("a", 3), wide=2), lambda a, b: True),
    ("T206", ""): lambda: Pair(
        net(dense("a")), net(dense("a")), lambda a, b: np.array_equal(kernel(a, "a").T, kernel(b, "a"))
    ),
    ("T207", ""): lambda: Pair(
        split(dense("a"), dense("b")),
        shared(),
        lambda a, b: same(a, b, a="a") and np.array_equal(kernel(a, "b"), kernel(b, "a")),
    ),
    ("T208", ""): lambda: Pair(
        shared(), split(dense("a"), dense("b")), lambda a, b: same(a, b, a="a", b="a")
    ),
    ("T209", ""): lambda: Pair(
        net(dense("x"), dense("y")), net(dense("y"), dense("x")), lambda a, b: same(a, b, x="x", y="y")
    ),
    ("T211", ""): lambda: Pair(net(dense("a")), net(dense("a")), lambda a, b: same(a, b, a="a")),
    ("T213", ""): lambda: Pair(
        net(dense("a")), frozen(), lambda a, b: same(a, b, a="a") and not b.get_layer("a").trainable
    ),
    ("T214", ""): lambda: Pair(split(dense("q"), dense("k")), net(dense("qk", 6)), lambda a, b: True),
    ("T215", ""): lambda: Pair(net(dense("qk", 6)), split(dense("q"), dense("k")), lambda a, b: True),
    ("T216", ""): lambda: Pair(inner(), net(dense("a"), dense("b")), lambda a, b: True),
}


def weights(pair: Pair, folder: Path) -> Callable[[], object]:
    pair.saved.save_weights(folder / "m.weights.h5")
    return lambda: pair.live.load_weights(folder / "m.weights.h5")


def archive(pair: Pair, folder: Path) -> Callable[[], object]:
    pair.saved.save(folder / "m.keras")
    return lambda: pair.live.load_weights(folder / "m.keras")


def legacy(pair: Pair, folder: Path) -> Callable[[], object]:
    pair.saved.save(folder / "m.h5")
    return lambda: pair.live.load_weights(folder / "m.h5")


LOADERS = {"keras-weights": weights, "keras-archive": archive, "keras-legacy": legacy}


def rows(*loaders: str, family: str, skip: str = "") -> list[Any]:
    return [
        pytest.param(row, id=" ".join((row.loader, row.code, *sorted(row.when))))
        for row in ROWS
        if row.loader in loaders and row.code.startswith(family) and row.code not in skip.split()
    ]


@pytest.mark.parametrize("row", rows(*LOADERS, family="T"))
def test_tensors(row: LoaderFact, tmp_path: Path) -> None:
    keras.utils.clear_session()
    pair = PAIRS[row.code, " ".join(row.when)]()
    deed = Deed(LOADERS[row.loader](pair, tmp_path), lambda: pair.right(pair.saved, pair.live))
    assert outcome_of(deed, "Skipping") == row.outcome


def test_an_overflowing_cast_is_warned_of(tmp_path: Path) -> None:
    pair = Pair(filled(70000.0, "float32"), filled(0, "float16"), lambda a, b: same(a, b, a="a"))
    assert outcome_of(Deed(weights(pair, tmp_path), lambda: True), "overflow") == "warns"
    assert np.isinf(kernel(pair.live, "a")).all()


@pytest.mark.parametrize("row", rows("keras-model", family="T"))
def test_load_model_builds_the_files_model(row: LoaderFact, tmp_path: Path) -> None:
    keras.utils.clear_session()
    key = (row.code, "") if (row.code, "") in PAIRS else (row.code, "other-shape")
    pair = PAIRS[key]()
    before = [np.asarray(w).copy() for w in pair.live.weights]
    pair.saved.save(tmp_path / "m.keras")
    made = keras.models.load_model(tmp_path / "m.keras")
    assert alike(made.weights, pair.saved.weights)
    assert alike(before, pair.live.weights)


# -- optimizers in Keras files -----------------------------------------------------------------------------------


def adam(rate: float = 0.1, **more: Any) -> Any:
    return keras.optimizers.Adam(rate, **more)


def compiled(optimizer: Any, *layers: Any, steps: int = 0, build: bool = True) -> Any:
    model = net(*(layers or (dense("a"), dense("b"))))
    if optimizer is None:
        return model
    model.compile(optimizer=optimizer, loss=keras.losses.MeanSquaredError())
    if build:
        optimizer.build(model.trainable_variables)
    for count in range(steps):
        variables = model.trainable_variables
        optimizer.apply_gradients([(tf.fill(v.shape, 1.0 + i + count), v) for i, v in enumerate(variables)])
    return model


def slots(model: Any) -> list[np.ndarray]:
    return [np.asarray(v) for v in model.optimizer.variables[2:]]


def fresh(model: Any) -> bool:
    return int(model.optimizer.iterations) == 0 and not any(s.any() for s in slots(model))


def carried(a: Any, b: Any) -> bool:
    return len(slots(a)) == len(slots(b)) and alike(slots(a), slots(b))


def reordered() -> Any:
    model = compiled(None)
    optimizer = adam()
    model.compile(optimizer=optimizer, loss=keras.losses.MeanSquaredError())
    variables = model.trainable_variables
    optimizer.build([*variables[2:], *variables[:2]])
    return model


def scheduled() -> Any:
    return adam(keras.optimizers.schedules.ExponentialDecay(0.5, 10, 0.9))


def thawed(build: bool = True) -> Any:
    first = dense("a")
    first.trainable = False
    return compiled(adam(), first, dense("b"), build=build)


def rate(model: Any) -> float:
    return round(float(model.optimizer.learning_rate), 6)


def unbuilt(build_with: Any = None) -> Any:
    return compiled(build_with or adam(), build=False)


OPTIMIZERS: dict[tuple[str, str], Callable[[], Pair]] = {
    ("O201", ""): lambda: Pair(compiled(None), compiled(adam()), lambda a, b: not fresh(b)),
    ("O202", ""): lambda: Pair(compiled(adam(), steps=2), compiled(None), lambda a, b: same(a, b, a="a")),
    **{
        (code, "not-built"): (lambda: Pair(compiled(adam(), steps=2), unbuilt(), lambda a, b: carried(a, b)))
        for code in ("O203", "O204", "O205", "O207", "O208", "O209")
    },
    ("O203", "slots_fit"): lambda: Pair(
        compiled(adam(), steps=2), compiled(keras.optimizers.AdamW(0.5)), lambda a, b: rate(b) == 0.5
    ),
    ("O203", ""): lambda: Pair(
        compiled(adam(), steps=2), compiled(keras.optimizers.SGD(0.5)), lambda a, b: True
    ),
    ("O204", ""): lambda: Pair(compiled(adam(), steps=2), compiled(adam(amsgrad=True)), lambda a, b: True),
    ("O205", ""): lambda: Pair(compiled(adam(), steps=2), thawed(), lambda a, b: True),
    ("O207", "not-stored"): lambda: Pair(
        compiled(adam(), steps=2), compiled(adam(beta_1=0.5)), lambda a, b: b.optimizer.beta_1 == 0.5
    ),
    ("O207", "scheduled"): lambda: Pair(compiled(adam(), steps=2), compiled(scheduled()), lambda a, b: True),
    ("O207", ""): lambda: Pair(compiled(adam(), steps=2), compiled(adam(0.5)), lambda a, b: rate(b) == 0.5),
    ("O208", ""): lambda: Pair(
        compiled(adam(), steps=2), compiled(adam(), steps=5), lambda a, b: int(b.optimizer.iterations) == 2
    ),
    ("O209", ""): lambda: Pair(
        compiled(adam(), steps=2), reordered(), lambda a, b: np.array_equal(slots(a)[0], slots(b)[4])
    ),
}


@pytest.mark.parametrize("row", rows("keras-weights", "keras-archive", family="O"))
def test_optimizers(row: LoaderFact, tmp_path: Path) -> None:
    pair = OPTIMIZERS[row.code, " ".join(row.when)]()
    deed = Deed(LOADERS[row.loader](pair, tmp_path), lambda: pair.right(pair.saved, pair.live))
    assert outcome_of(deed, "Skipping variable loading") == row.outcome


@pytest.mark.parametrize("row", rows("keras-legacy", family="O"))
def test_legacy_files_give_no_optimizer_state(row: LoaderFact, tmp_path: Path) -> None:
    pair = OPTIMIZERS[row.code, ""]()
    before = None if row.code == "O202" else [np.asarray(v) for v in pair.live.optimizer.variables]
    assert outcome_of(Deed(legacy(pair, tmp_path), lambda: True), "Skipping") == "silent-right"
    if before is not None:
        assert alike(before, pair.live.optimizer.variables)
    assert row.outcome == ("silent-right" if row.code == "O207" else "silent-wrong")


def test_load_model_brings_the_files_optimizer(tmp_path: Path) -> None:
    compiled(adam(beta_1=0.7), steps=2).save(tmp_path / "m.keras")
    made = keras.models.load_model(tmp_path / "m.keras")
    assert (rate(made), made.optimizer.beta_1, int(made.optimizer.iterations)) == (0.1, 0.7, 2)


# -- tf.train.Checkpoint -----------------------------------------------------------------------------------------


class Module(tf.Module):
    """Layers of a bare ``tf.Module`` under the attribute names given."""

    def __init__(self, **layers: Any) -> None:
        super().__init__()
        for name, value in layers.items():
            setattr(self, name, value)


def variable(shape: tuple[int, ...] = (3, 3)) -> Any:
    return tf.Variable(np.random.default_rng().normal(size=shape).astype("float32"))


def equal(a: Any, b: Any) -> bool:
    return bool(np.array_equal(np.asarray(a), np.asarray(b)))


def one() -> Any:
    v = variable()
    return Module(a=v, b=v)


def bare(
    a: dict[str, Any] | Any, b: dict[str, Any] | Any, right: Callable[[Any, Any], bool]
) -> Callable[[], Pair]:
    def made() -> Pair:
        x, y = ({k: f() for k, f in s.items()} if isinstance(s, dict) else s() for s in (a, b))
        return Pair(*(Module(**s) if isinstance(s, dict) else s for s in (x, y)), right)

    return made


V = variable
RESTORE: dict[tuple[str, str], Callable[[], Pair]] = {
    ("T201", ""): bare({"a": V}, {"a": V, "head": V}, lambda a, b: False),
    ("T202", ""): bare({"a": V, "b": V}, {"a": V}, lambda a, b: equal(a.a, b.a)),
    ("T203", ""): bare({"a": V}, {"a": lambda: V((3, 5))}, lambda a, b: True),
    ("T204", ""): bare({"a": V}, {"a": lambda: tf.Variable(np.zeros((3, 3), "float64"))}, lambda a, b: True),
    ("T205", ""): bare({"old": V}, {"new": V}, lambda a, b: equal(a.old, b.new)),
    ("T205", "keras"): PAIRS["T205", ""],
    ("T206", "other-shape"): bare({"a": lambda: V((2, 3))}, {"a": lambda: V((3, 2))}, lambda a, b: True),
    ("T206", ""): bare({"a": V}, {"a": V}, lambda a, b: equal(np.asarray(a.a).T, b.a)),
    ("T207", ""): bare({"a": V, "b": V}, one, lambda a, b: equal(a.a, b.a) and equal(a.b, b.a)),
    ("T208", ""): bare(one, {"a": V, "b": V}, lambda a, b: equal(a.a, b.a) and equal(a.b, b.b)),
    ("T209", ""): PAIRS["T209", ""],
    ("T211", ""): bare({"a": V}, {"a": V}, lambda a, b: equal(a.a, b.a)),
    ("T213", ""): PAIRS["T213", ""],
    ("T214", ""): bare(
        {"q": V, "k": V}, {"qk": lambda: V((3, 6))}, lambda a, b: equal(np.concatenate([a.q, a.k], 1), b.qk)
    ),
    ("T215", ""): bare(
        {"qk": lambda: V((3, 6))}, {"q": V, "k": V}, lambda a, b: equal(np.concatenate([b.q, b.k], 1), a.qk)
    ),
    ("T216", ""): bare({"net": lambda: Module(a=variable())}, {"a": V}, lambda a, b: equal(a.net.a, b.a)),
}


def restore(pair: Pair, folder: Path) -> Callable[[], object]:
    parts = [
        {"model": m, **({"optimizer": o} if (o := getattr(m, "optimizer", None)) is not None else {})}
        for m in (pair.saved, pair.live)
    ]
    prefix = tf.train.Checkpoint(**parts[0]).write(str(folder / "ckpt"))

    def load() -> None:
        live = tf.train.Checkpoint(**parts[1])
        live.restore(prefix).expect_partial()

    return load


@pytest.mark.parametrize(
    "row", [r for r in rows("tf-restore", family="T") if not r.values[0].when & {"slot", "optimizer_holds"}]
)
def test_restore_of_tensors(row: LoaderFact, tmp_path: Path) -> None:
    pair = RESTORE[row.code, " ".join(row.when)]()
    deed = Deed(restore(pair, tmp_path), lambda: pair.right(pair.saved, pair.live))
    assert outcome_of(deed) == row.outcome


def _momentum() -> Any:
    return keras.optimizers.SGD(0.1, momentum=0.9)


def _rms() -> Any:
    return keras.optimizers.RMSprop(0.1)


OPTIMIZERS_TF: dict[tuple[str, str], Callable[[], Pair]] = {
    **{key: value for key, value in OPTIMIZERS.items() if key[1] in ("", "not-stored", "scheduled")},
    ("T201", "slot"): lambda: Pair(
        compiled(adam(), steps=2), compiled(adam(amsgrad=True)), lambda a, b: bool(slots(b)[-1].any())
    ),
    ("T213", "optimizer_holds"): lambda: Pair(
        compiled(adam(), steps=2), thawed(), lambda a, b: same(a, b, a="a", b="b")
    ),
    ("O203", ""): lambda: Pair(
        compiled(_momentum(), steps=2), compiled(_rms()), lambda a, b: not carried(a, b)
    ),
    ("O204", ""): lambda: Pair(
        compiled(adam(), steps=2), compiled(adam(amsgrad=True)), lambda a, b: bool(slots(b)[-1].any())
    ),
    ("O205", ""): lambda: Pair(compiled(adam(), steps=2), thawed(), lambda a, b: same(a, b, a="a", b="b")),
    ("O209", ""): lambda: Pair(compiled(adam(), steps=2), reordered(), lambda a, b: same(a, b, a="a", b="b")),
}


@pytest.mark.parametrize(
    "row",
    [
        *rows("tf-restore", family="O"),
        *(r for r in rows("tf-restore", family="T") if r.values[0].when & {"slot", "optimizer_holds"}),
    ],
)
def test_restore_of_optimizers(row: LoaderFact, tmp_path: Path) -> None:
    pair = OPTIMIZERS_TF[row.code, " ".join(row.when)]()
    deed = Deed(restore(pair, tmp_path), lambda: pair.right(pair.saved, pair.live))
    assert outcome_of(deed) == row.outcome
