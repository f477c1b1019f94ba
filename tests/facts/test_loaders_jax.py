"""Every row on flax's ``from_bytes`` and Orbax's ``StandardCheckpointer``, done with the installed ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from holdfast._facts.loaders import ROWS, LoaderFact
from loading import Deed, outcome_of

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")
jnp = jax.numpy

RNG = np.random.default_rng(0)


def w(*shape: int, dtype: str = "float32") -> Any:
    return jnp.asarray(RNG.normal(size=shape or (3, 3)).astype(dtype))


class Pair(NamedTuple):
    """What is saved, the target it is restored into, and whether the result is right."""

    saved: Any
    target: Any
    right: Callable[[Any, Any], bool]


def eq(a: Any, b: Any) -> bool:
    return bool(np.array_equal(np.asarray(a, "float64"), np.asarray(b, "float64")))


def state(make: Any, params: Any, steps: int = 0) -> Any:
    found = make.init(params)
    for _ in range(steps):
        _, found = make.update(jax.tree.map(jnp.ones_like, params), found, params)
    return {"params": params, "opt": found}


def bare(params: Any) -> Any:
    return {"params": params}


P = {"a": w()}
ADAM = optax.adam(0.1)

PAIRS: dict[tuple[str, str], Callable[[], Pair]] = {
    ("T201", ""): lambda: Pair({"a": w()}, {"a": w(), "head": w()}, lambda a, b: True),
    ("T202", ""): lambda: Pair({"a": w(), "b": w()}, {"a": w()}, lambda a, b: True),
    ("T203", ""): lambda: Pair({"a": w(3, 3)}, {"a": w(3, 5)}, lambda a, b: np.shape(b["a"]) == (3, 5)),
    ("T204", "narrows"): lambda: Pair(
        {"a": w() * 70000}, {"a": w(dtype="float16")}, lambda a, b: eq(a["a"], b["a"])
    ),
    ("T204", ""): lambda: Pair(
        {"a": w(dtype="float16")}, {"a": w()}, lambda a, b: eq(a["a"], b["a"]) and b["a"].dtype == "float32"
    ),
    ("T205", ""): lambda: Pair({"old": w()}, {"new": w()}, lambda a, b: True),
    ("T206", "other-shape"): lambda: Pair({"a": w(2, 3)}, {"a": w(3, 2)}, lambda a, b: True),
    ("T206", ""): lambda: Pair({"a": w()}, {"a": w()}, lambda a, b: eq(np.asarray(a["a"]).T, b["a"])),
    ("T209", ""): lambda: Pair({"x": w(), "y": w()}, {"x": w(), "y": w()}, lambda a, b: eq(a["x"], b["y"])),
    ("T211", ""): lambda: Pair({"a": w()}, {"a": w()}, lambda a, b: eq(a["a"], b["a"])),
    ("T214", ""): lambda: Pair({"q": w(), "k": w()}, {"qk": w(3, 6)}, lambda a, b: True),
    ("T215", ""): lambda: Pair({"qk": w(3, 6)}, {"q": w(), "k": w()}, lambda a, b: True),
    ("T216", ""): lambda: Pair({"params": {"a": w()}}, {"a": w()}, lambda a, b: True),
    ("O201", ""): lambda: Pair(bare(P), state(ADAM, P), lambda a, b: True),
    ("O202", ""): lambda: Pair(state(ADAM, P, 2), bare(P), lambda a, b: True),
    ("O203", "slots_fit"): lambda: Pair(
        state(ADAM, P, 2),
        state(optax.nadam(0.1), P),
        lambda a, b: not eq(a["opt"][0].mu["a"], b["opt"][0].mu["a"]),
    ),
    ("O203", ""): lambda: Pair(state(ADAM, P, 2), state(optax.sgd(0.1, momentum=0.9), P), lambda a, b: True),
    ("O204", ""): lambda: Pair(state(ADAM, P, 2), state(optax.amsgrad(0.1), P), lambda a, b: True),
    ("O205", ""): lambda: Pair(
        {"opt": ADAM.init({"a": w(), "b": w()})}, {"opt": ADAM.init({"b": w(), "c": w()})}, lambda a, b: True
    ),
    ("O207", ""): lambda: Pair(
        state(ADAM, P, 2),
        state(optax.adam(0.5), P),
        lambda a, b: eq(a["opt"][0].mu["a"], b["opt"][0].mu["a"]),
    ),
    ("O208", ""): lambda: Pair(
        state(ADAM, P, 2), state(ADAM, P, 5), lambda a, b: int(b["opt"][0].count) == 2
    ),
}


def by_bytes(pair: Pair, folder: Path) -> Callable[[], Any]:
    serialization = pytest.importorskip("flax.serialization")
    data = serialization.to_bytes(pair.saved)
    return lambda: serialization.from_bytes(pair.target, data)


def by_orbax(pair: Pair, folder: Path) -> Callable[[], Any]:
    ocp = pytest.importorskip("orbax.checkpoint")
    with ocp.StandardCheckpointer() as writer:
        writer.save(folder / "o", pair.saved)

    def load() -> Any:
        with ocp.StandardCheckpointer() as reader:
            return reader.restore(folder / "o", pair.target)

    return load


LOADERS = {"flax-bytes": by_bytes, "orbax": by_orbax}


@pytest.mark.parametrize(
    "row", [pytest.param(r, id=" ".join((r.loader, r.code, *r.when))) for r in ROWS if r.loader in LOADERS]
)
def test_rows(row: LoaderFact, tmp_path: Path) -> None:
    pair = PAIRS[row.code, " ".join(row.when)]()
    load = LOADERS[row.loader](pair, tmp_path)
    got: list[Any] = []
    assert outcome_of(Deed(lambda: got.append(load()), lambda: pair.right(pair.saved, got[0]))) == row.outcome
