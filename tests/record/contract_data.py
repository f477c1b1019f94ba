"""Data sets of many kinds, each as something that draws honest batches, and the mistakes that are made of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

import numpy as np

Batch = dict[str, np.ndarray]
Draw = np.random.Generator


@dataclass(frozen=True)
class Data:
    """``learn``: what the contract is learned of. ``sample(n, draw)``: an honest batch of ``n``: fresh, where the data is made;
    of ``real`` data drawn from the rows of ``learn``. ``mistakes``: what is done to a batch, by name, with what it should be
    called."""

    learn: Batch
    sample: Callable[[int, Draw], Batch]
    mistakes: dict[str, tuple[str, Callable[[Batch, Draw], Batch]]] = field(default_factory=dict)
    real: bool = False


def _rows(pool: Batch, n: int, draw: Draw) -> Batch:
    at = draw.integers(0, len(next(iter(pool.values()))), n)
    return {name: values[at] for name, values in pool.items()}


def _of_pool(pool: Batch, **more: Any) -> Data:
    return Data(pool, lambda n, draw: _rows(pool, n, draw), real=True, **more)


def _made(make: Callable[[int, Draw], Batch], learned: int = 3000, **more: Any) -> Data:
    return Data(make(learned, np.random.default_rng(0)), make, **more)


def _on(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Batch, Draw], Batch]:
    return lambda batch, draw: {**batch, name: change(batch[name])}


# -- images ----------------------------------------------------------------------------------------------------------
def _digits() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    found = load_digits()
    return (found.images / 16).astype("f4"), found.target


def digits_flat() -> Data:
    x, y = _digits()
    flat = x.reshape(len(x), -1)
    return _of_pool(
        {"x": flat, "y": y},
        mistakes={
            "0 to 255": ("scale", _on("x", lambda v: v * 255)),
            "bytes": ("scale", _on("x", lambda v: (v * 255).astype("u1"))),
            "label shift": ("label-shift", label_shift),
        },
    )


def digits_whole() -> Data:
    from sklearn.datasets import load_digits

    found = load_digits()
    return _of_pool(
        {"x": found.data.astype("i8"), "y": found.target},
        mistakes={"other vocabulary": ("unknown-values", _on("y", lambda v: v + 10))},
    )


def digits_nhwc() -> Data:
    """Grey digits in three colours that differ, with noise."""
    x, y = _digits()
    noise = np.random.default_rng(0).normal(0, 0.05, (*x.shape, 3))
    colours = np.stack([x * 0.9 + 0.05, x * 0.6, x * 0.3 + 0.2], -1) + noise
    pool = {"x": np.clip(colours, 0, 1).astype("f4"), "y": y}
    return _of_pool(pool, mistakes={**image_mistakes(), "own": ("own-statistics", _on("x", own_statistics)),
                                    "label shift": ("label-shift", label_shift)})  # fmt: skip


def digits_nchw() -> Data:
    pool = digits_nhwc().learn
    return _of_pool(
        {"x": pool["x"].transpose(0, 3, 1, 2), "y": pool["y"]},
        mistakes={
            "BGR": ("channels-reversed", _on("x", lambda v: v[:, ::-1])),
            "NHWC": ("layout", _on("x", lambda v: v.transpose(0, 2, 3, 1))),
            "NHWC, reshaped": (
                "layout", _on("x", lambda v: np.ascontiguousarray(v.transpose(0, 2, 3, 1)).reshape(v.shape))
            ),
            "0 to 255": ("scale", _on("x", lambda v: v * 255)),
        },
    )  # fmt: skip


def digits_bytes() -> Data:
    x, y = _digits()
    return _of_pool(
        {"x": (x * 255).astype("u1")[..., None], "y": y},
        mistakes={
            "0 to 1": ("scale", _on("x", lambda v: (v / 255).astype("f4"))),
            "-1 to 1": ("scale", _on("x", lambda v: (v / 127.5 - 1).astype("f4"))),
            "NCHW": ("layout", _on("x", lambda v: v.transpose(0, 3, 1, 2))),
            "normalised": ("normalised", _on("x", lambda v: ((v / 255 - 0.306) / 0.366).astype("f4"))),
        },
    )


MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def photographs(n: int, draw: Draw) -> np.ndarray:
    """Images of which the channels go together as those of photographs do (per image: brightness with deviation 0.17, colour
    cast 0.07 and 0.03, means 0.485, 0.456, 0.406; within: blobs over some pixels, channels correlated by 0.95), 0 to 1,
    NHWC."""
    side = 24
    bright, cast, tint = draw.normal(0, 0.17, n), draw.normal(0, 0.07, n), draw.normal(0, 0.03, n)
    level = MEAN + bright[:, None] + np.stack([cast, tint, -cast], 1)
    at = np.arange(side) / side
    blobs = np.zeros((n, side, side))
    for _ in range(4):
        cx, cy, r, a = draw.random(n), draw.random(n), draw.uniform(0.1, 0.5, n), draw.normal(0, 0.25, n)
        d = (at[None, :, None] - cy[:, None, None]) ** 2 + (at[None, None, :] - cx[:, None, None]) ** 2
        blobs += a[:, None, None] * np.exp(-d / (2 * r[:, None, None] ** 2))
    noise = draw.normal(0, 0.04, (n, side, side, 3))
    sky = np.linspace(0.1, -0.1, side)[None, :, None, None] * np.array([0.6, 1.0, 1.5])
    return np.clip(level[:, None, None] + blobs[..., None] + sky + noise, 0, 1)


@lru_cache(maxsize=1)
def _album() -> np.ndarray:
    """6,000 photographs: contracts learn of the first 1,500, batches are drawn from the rest."""
    return photographs(6000, np.random.default_rng(3)).astype("f4")


def _photos(change: Callable[[np.ndarray], np.ndarray], **more: Any) -> Data:
    changed = change(_album())

    def make(n: int, draw: Draw) -> Batch:
        return {"x": changed[draw.integers(1500, len(changed), n)], "y": draw.integers(0, 5, n)}

    return Data({"x": changed[:1500], "y": np.arange(1500) % 5}, make, **more)


def image_mistakes() -> dict[str, tuple[str, Callable[[Batch, Draw], Batch]]]:
    """Of images NHWC in 0..1."""
    return {
        "BGR": ("channels-reversed", _on("x", lambda v: v[..., ::-1])),
        "0 to 255": ("scale", _on("x", lambda v: v * 255)),
        "bytes": ("scale", _on("x", lambda v: (v * 255).astype("u1"))),
        "-1 to 1": ("scale", _on("x", lambda v: v * 2 - 1)),
        "divided twice": ("scale", _on("x", lambda v: v / 255)),
        "NCHW": ("layout", _on("x", lambda v: v.transpose(0, 3, 1, 2))),
        "NCHW, reshaped": (
            "layout", _on("x", lambda v: np.ascontiguousarray(v.transpose(0, 3, 1, 2)).reshape(v.shape))
        ),
        "normalised": ("normalised", _on("x", lambda v: ((v - MEAN) / STD).astype("f4"))),
    }  # fmt: skip


def photos_unit() -> Data:
    return _photos(
        lambda v: v,
        mistakes={**image_mistakes(), "own": ("own-statistics", _on("x", own_statistics))},
    )  # fmt: skip


def photos_normalised() -> Data:
    """As pretrained models are fed."""
    return _photos(
        lambda v: ((v - MEAN) / STD).astype("f4"),
        mistakes={
            "not normalised": ("not-normalised", _on("x", lambda v: (v * STD + MEAN).astype("f4"))),
            "not normalised, bytes": ("not-normalised", _on("x", lambda v: ((v * STD + MEAN) * 255).astype("u1"))),
            "BGR, then normalised": (
                "channels-reversed", _on("x", lambda v: (((v * STD + MEAN)[..., ::-1] - MEAN) / STD).astype("f4"))
            ),
            "NCHW": ("layout", _on("x", lambda v: v.transpose(0, 3, 1, 2))),
            "own": ("own-statistics", _on("x", own_statistics)),
            "own of each channel": ("own-statistics", _on("x", lambda v: (v - v.mean((0, 1, 2))) / v.std((0, 1, 2)))),
        },
    )  # fmt: skip


def photos_bytes() -> Data:
    return _photos(
        lambda v: (v * 255).astype("u1"),
        mistakes={
            "BGR": ("channels-reversed", _on("x", lambda v: v[..., ::-1])),
            "0 to 1": ("scale", _on("x", lambda v: (v / 255).astype("f4"))),
            "normalised": ("normalised", _on("x", lambda v: ((v / 255 - MEAN) / STD).astype("f4"))),
        },
    )  # fmt: skip


# -- tables ----------------------------------------------------------------------------------------------------------
def _sklearn(name: str) -> tuple[np.ndarray, np.ndarray]:
    import sklearn.datasets

    found = getattr(sklearn.datasets, f"load_{name}")()
    return found.data, found.target


def _raw_table(name: str) -> Data:
    x, y = _sklearn(name)
    named = {f"f{n}": x[:, n].astype("f4") for n in range(x.shape[1])}
    return _of_pool({**named, "y": y.astype("f4") if name == "diabetes" else y})


def _standard(name: str) -> Data:
    x, y = _sklearn(name)
    mean, std = x.mean(0), x.std(0)
    raw = _on("x", lambda v: (v * std + mean).astype("f4"))
    pool = {"x": ((x - mean) / std).astype("f4"), "y": y.astype("f4") if name == "diabetes" else y}
    mistakes = {
        "not normalised": ("not-normalised", raw),
        "own": ("own-statistics", _on("x", lambda v: ((v - v.mean(0)) / np.maximum(v.std(0), 1e-6)).astype("f4"))),
        "own, unbiased": (
            "own-statistics", _on("x", lambda v: ((v - v.mean(0)) / np.maximum(v.std(0, ddof=1), 1e-6)).astype("f4"))
        ),
    }  # fmt: skip
    if name == "diabetes":  # comes normalised
        del mistakes["not normalised"]
    if name != "diabetes":
        mistakes["label shift"] = ("label-shift", label_shift_to_the_rarest)
    return _of_pool(pool, mistakes=mistakes)


def _least_greatest(name: str) -> Data:
    x, _ = _sklearn(name)
    low, high = x.min(0), x.max(0)
    own = _on("x", lambda v: ((v - v.min(0)) / np.maximum(v.max(0) - v.min(0), 1e-9)).astype("f4"))
    return _of_pool(
        {"x": ((x - low) / (high - low)).astype("f4")},
        mistakes={
            "not normalised": ("not-normalised", _on("x", lambda v: (v * (high - low) + low).astype("f4"))),
            "own least and greatest": ("own-statistics", own),
        },
    )


def people() -> Data:
    """A table as a company has it: numbers with heavy tails and holes, whole numbers, texts, rare categories."""
    cities = np.array([f"city {n}" for n in range(60)])
    shares = 1 / np.arange(1, 61)
    colours = np.array(["red", "green", "blue", "none"])

    def make(n: int, draw: Draw) -> Batch:
        income = draw.lognormal(10, 1.0, n)
        income[draw.random(n) < 0.08] = np.nan
        return {
            "income": income,
            "age": draw.integers(18, 90, n),
            "visits": draw.poisson(0.3, n),
            "rare": (draw.random(n) < 0.001).astype("f4"),
            "city": cities[draw.choice(60, n, p=shares / shares.sum())],
            "colour": colours[draw.choice(4, n, p=[0.9, 0.07, 0.02, 0.01])],
            "member": draw.random(n) < 0.3,
            "clicked": (draw.random(n) < 0.03).astype("i4"),
        }

    swapped = ["age", "income", "visits", "rare", "city", "colour", "member", "clicked"]
    return _made(
        make,
        mistakes={
            "other vocabulary": ("unknown-values", _on("city", lambda v: np.char.upper(v))),
            "holes": (
                "missing-values",
                _on("income", lambda v: np.where(np.arange(len(v)) % 3 == 0, np.nan, v)),
            ),
            "logarithm": ("drift", _on("income", np.log)),
            "thousands": ("drift", _on("income", lambda v: v / 1000)),
            "label shift": (
                "label-shift",
                _on("colour", lambda v: np.where(np.arange(len(v)) % 3 == 0, "blue", v)),
            ),
            "other order": ("field-order", lambda batch, draw: {name: batch[name] for name in swapped}),
        },
    )


def heavy() -> Data:
    """Log-normal columns, as they are; constants; Cauchy's distribution; columns that are 1 once in 300 rows."""

    def make(n: int, draw: Draw) -> Batch:
        parts = [draw.lognormal(0, s, n) for s in (0.5, 1, 2)] + [
            draw.standard_cauchy(n),
            draw.pareto(1.5, n),
        ]
        parts += [np.full(n, 3.0), np.zeros(n)] + [
            (draw.random(n) < 1 / 300).astype(float) for _ in range(20)
        ]
        return {"x": np.stack(parts, 1).astype("f4")}

    return _made(
        make,
        mistakes={
            "logarithm": ("drift", _on("x", lambda v: np.log1p(np.abs(v)))),
            "columns exchanged": ("field-order", _on("x", lambda v: v[:, [5, 1, 2, 3, 4, 0, *range(6, 27)]])),
        },
    )


def wide() -> Data:
    """200 columns of all kinds of tails, half of them 0 most of the time."""

    def make(n: int, draw: Draw) -> Batch:
        x = draw.standard_t(3, (n, 200))
        x[:, 100:] *= draw.random((n, 100)) < 0.05
        return {"x": x.astype("f4")}

    return _made(make, mistakes={"not normalised": ("not-normalised", _on("x", lambda v: v * 40 + 7))})


def whole_table() -> Data:
    """Whole numbers of different ranges in one array."""

    def make(n: int, draw: Draw) -> Batch:
        parts = [
            draw.integers(18, 90, n),
            draw.poisson(3, n),
            draw.integers(0, 2, n),
            draw.geometric(0.001, n),
        ]
        return {"x": np.stack(parts, 1)}

    return _made(
        make, mistakes={"columns exchanged": ("field-order", _on("x", lambda v: v[:, [1, 0, 2, 3]]))}
    )


# -- labels, tokens, series ------------------------------------------------------------------------------------------
def imbalanced() -> Data:
    shares = np.array([0.9, 0.05, 0.02, 0.01, 0.01, 0.005, 0.003, 0.001, 0.0009, 0.0001])

    def make(n: int, draw: Draw) -> Batch:
        return {"y": draw.choice(10, n, p=shares)}

    turned = np.array([1, 0, *range(2, 10)])
    return _made(
        make,
        mistakes={
            "label map permuted": ("label-shift", _on("y", lambda v: turned[v])),
            "label shift": ("label-shift", label_shift_evenly),
            "other vocabulary": ("unknown-values", _on("y", lambda v: v + 10)),
        },
    )


def many_classes() -> Data:
    def make(n: int, draw: Draw) -> Batch:
        return {"y": draw.integers(0, 500, n)}

    return _made(
        make,
        mistakes={
            "half of the classes": ("label-shift", _on("y", lambda v: v % 20 + 40)),
            "other vocabulary": ("unknown-values", _on("y", lambda v: v + 250)),
        },
    )


def tokens(length: int = 40) -> Data:
    """Ids by Zipf's law; words of a subject come together, and texts are padded to a length."""
    turned = np.random.default_rng(5).permutation(4999) + 1

    def make(n: int, draw: Draw) -> Batch:
        ids = draw.zipf(1.3, (n, length)).clip(1, 4999)
        theme = draw.integers(200, 4999, (n, 1))
        ids = np.where(draw.random((n, length)) < 0.1, theme, ids)
        ids[np.arange(length)[None] >= draw.integers(length // 4, length + 1, (n, 1))] = 0
        return {"ids": ids.astype("i4")}

    other = _on("ids", lambda v: np.where(v > 0, turned[np.maximum(v, 1) - 1], 0).astype("i4"))
    return _made(
        make,
        mistakes={
            "other vocabulary": ("unknown-values", other),
            "ids beyond": ("unknown-values", _on("ids", lambda v: v + 5000)),
        },
    )


def short_tokens() -> Data:
    return tokens(16)


def series() -> Data:
    """Walks of 6 channels, 100 steps, each of its own level."""

    def make(n: int, draw: Draw) -> Batch:
        return {"x": (draw.normal(0, 1, (n, 100, 6)).cumsum(1) + draw.normal(0, 5, (n, 1, 1))).astype("f4")}

    return _made(make, mistakes={"100 times": ("drift", _on("x", lambda v: v * 100))})


# -- mistakes of several ---------------------------------------------------------------------------------------------
def own_statistics(values: np.ndarray) -> np.ndarray:
    return ((values - values.mean()) / values.std()).astype("f4")


def label_shift(batch: Batch, draw: Draw) -> Batch:
    """A third of the labels become those of one class."""
    y = batch["y"].copy()
    y[: len(y) // 3] = y.max()
    return {**batch, "y": y}


def label_shift_to_the_rarest(batch: Batch, draw: Draw) -> Batch:
    """Two thirds of the labels become those of the rarest class (of two or three classes)."""
    y = batch["y"].copy()
    y[: 2 * len(y) // 3] = np.argmin(np.bincount(y))
    return {**batch, "y": y}


def label_shift_evenly(batch: Batch, draw: Draw) -> Batch:
    """Eight of the classes as often as each other."""
    return {**batch, "y": np.resize(np.arange(8), len(batch["y"]))}


DATA: dict[str, Callable[[], Data]] = {
    "digits, flat": digits_flat,
    "digits, whole numbers": digits_whole,
    "digits, NHWC": digits_nhwc,
    "digits, NCHW": digits_nchw,
    "digits, bytes": digits_bytes,
    "photographs, 0 to 1": photos_unit,
    "photographs, normalised": photos_normalised,
    "photographs, bytes": photos_bytes,
    **{f"{name}, by column": (lambda name=name: _raw_table(name)) for name in ("iris", "wine", "diabetes", "breast_cancer")},
    **{f"{name}, standardised": (lambda name=name: _standard(name)) for name in ("wine", "diabetes", "breast_cancer")},
    "wine, 0 to 1": lambda: _least_greatest("wine"),
    "people": people,
    "heavy tails": heavy,
    "200 columns": wide,
    "whole numbers": whole_table,
    "imbalanced labels": imbalanced,
    "500 classes": many_classes,
    "tokens": tokens,
    "short tokens": short_tokens,
    "series": series,
}  # fmt: skip


@cache
def data(name: str) -> Data:
    """A data set by name, made once."""
    return DATA[name]()
