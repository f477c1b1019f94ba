"""Optimizer state side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from holdfast import OptimizerSpec, ParamGroup
from holdfast._compare.apply import apply_names
from holdfast._compare.compare import compare
from holdfast._core.plan import Edit, Plan
from holdfast.testing import NumpyCatalog as Memory

WEIGHTS = {"a.weight": (4, 3), "a.bias": (4,), "b.weight": (2, 4), "b.bias": (2,)}


def training(
    *,
    names: dict[str, str] | None = None,
    slots: tuple[str, ...] = ("exp_avg", "exp_avg_sq"),
    owners: tuple[str, ...] | None = None,
    order: list[str] | None = None,
    class_name: str | None = "Adam",
    step: int | None = 3,
    groups: int = 1,
    seed: int = 0,
    prefix: str = "state",
    without: tuple[str, ...] = (),
    **current: Any,
) -> Memory:
    """A model of four tensors with an optimizer; ``names`` renames weights, ``owners`` says which have
    state."""
    rng = np.random.default_rng(seed)
    names = names or {}
    arrays: dict[str, np.ndarray] = {}
    specs: dict[str, dict[str, Any]] = {}
    values = {name: rng.normal(size=shape).astype("f4") for name, shape in WEIGHTS.items()}
    for name, value in values.items():
        if name not in without:
            arrays[names.get(name, name)] = value
    for name in owners or WEIGHTS:
        for k, slot in enumerate(slots):
            if name in without:
                continue
            key = f"{prefix}/{names.get(name, name)}/{slot}"
            arrays[key] = values[name] * (k + 2)
            specs[key] = {
                "role": "slot",
                "owner": names.get(name, name),
                "slot": slot,
                "optimizer": "optimizer",
            }
    listed = tuple(names.get(n, n) for n in order or WEIGHTS if n not in without)
    cut = len(listed) // groups
    made = tuple(
        ParamGroup(
            owners=listed[i * cut : (i + 1) * cut if i < groups - 1 else None],
            current={"lr": 1e-3, **current},
        )
        for i in range(groups)
    )
    optimizer = OptimizerSpec("optimizer", class_name=class_name, groups=made, slots=slots, step=step)
    return Memory(arrays, specs=specs, optimizers=[optimizer] if class_name or slots else [])


def codes(delta) -> dict[str, int]:  # type: ignore[no-untyped-def]
    counts: dict[str, int] = {}
    for difference in delta.differences:
        counts[difference.code] = counts.get(difference.code, 0) + 1
    return counts


@pytest.mark.parametrize("depth", ["header", "structure", "full"])
def test_the_same_training_state_is_the_same(depth: str) -> None:
    assert compare(training(), training(), depth=depth).same


@pytest.mark.parametrize("depth", ["header", "structure", "full"])
def test_two_frameworks_words_for_one_slot(depth: str) -> None:
    torch, keras = training(), training(slots=("momentum", "velocity"), prefix="optimizer/adam")
    assert compare(torch, keras, depth=depth).same
    assert compare(keras, torch, depth=depth).same


def test_words_that_mean_another_thing_elsewhere_are_not_confused() -> None:
    """``momentum`` is Adam's first moment in Keras, and RMSprop's and SGD's momentum."""
    a = training(slots=("momentum",), class_name="SGD")
    b = training(slots=("momentum_buffer",), class_name="SGD")
    assert compare(a, b).same
    assert codes(compare(a, training(slots=("exp_avg",), class_name="Adam")))["O203"] == 1


def test_slots_follow_a_renamed_weight_without_differences_of_their_own() -> None:
    a = training(names={n: "module." + n for n in WEIGHTS})
    b = training()
    delta = compare(a, b)
    assert codes(delta) == {"T216": 4}
    owners = {s.owner for s in apply_names(delta.plan, a.values(), b) if s.role == "slot"}
    assert owners == set(WEIGHTS)


def test_no_optimizer_state_on_one_side_is_one_difference() -> None:
    bare = Memory({n: training().read(n) for n in WEIGHTS})
    left = compare(training(), bare)
    assert codes(left) == {"O202": 1}
    after = {s.name for s in apply_names(left.plan, training().values(), bare)}
    assert after == set(bare)
    missing = compare(bare, training())
    assert codes(missing) == {"O201": 1}
    assert [str(e) for e in missing.plan] == ["reset-slots:*"]
    after = {s.name for s in apply_names(missing.plan, bare.values(), training())}
    assert after == set(training())


def test_the_state_of_a_missing_weight_goes_with_it() -> None:
    delta = compare(training(without=("b.weight", "b.bias")), training())
    assert codes(delta) == {"T201": 2, "O206": 1}
    missing = [d for d in delta.differences if d.code == "T201"]
    assert missing[0].related == ("state/b.weight/exp_avg", "state/b.weight/exp_avg_sq")


def test_another_slot() -> None:
    delta = compare(training(slots=("exp_avg", "exp_avg_sq", "max_exp_avg_sq")), training())
    assert codes(delta) == {"O204": 4}
    assert all(d.evidence["slot"] == "max_exp_avg_sq" for d in delta.differences)


def test_state_on_other_weights() -> None:
    delta = compare(training(owners=("a.weight", "a.bias")), training())
    assert codes(delta) == {"O205": 4}
    assert [str(e) for e in delta.plan] == ["reset-slots:b.*"]
    back = compare(training(), training(owners=("a.weight", "a.bias")))
    assert codes(back) == {"O205": 4}


def test_another_class_step_and_learning_rate() -> None:
    delta = compare(training(lr=0.1, step=10), training(lr=0.2, step=11, class_name="AdamW"))
    assert codes(delta) == {"O203": 1, "O207": 1, "O208": 1}
    assert "hyper:learning_rate=0.2" in [str(e) for e in delta.plan]


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ({"lr": 0.1}, {"lr": float(np.float32(0.1))}),
        ({"betas": (0.9, 0.999)}, {"beta_1": 0.9, "beta_2": 0.999}),
        ({"eps": 1e-7}, {"epsilon": 1e-7}),
        ({"weight_decay": 0}, {"weight_decay": None}),
        ({"amsgrad": False}, {"amsgrad": None}),
        ({"foreach": None}, {"foreach": True}),
        ({"lr": 0.1}, {"learning_rate": np.float32(0.1)}),
        ({"nesterov": True}, {}),
    ],
)
def test_settings_that_say_the_same(a: dict[str, Any], b: dict[str, Any]) -> None:
    def of(values: dict[str, Any]) -> Memory:
        return Memory({}, optimizers=[OptimizerSpec("o", "Adam", groups=(ParamGroup(current=values),))])

    assert compare(of(a), of(b)).same
    assert compare(of(b), of(a)).same


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ({"betas": (0.9, 0.999)}, {"beta_1": 0.5}),
        ({"lr": 0.1}, {"lr": 0.2}),
        ({"amsgrad": True}, {"amsgrad": False}),
    ],
)
def test_settings_that_differ(a: dict[str, Any], b: dict[str, Any]) -> None:
    def of(values: dict[str, Any]) -> Memory:
        return Memory({}, optimizers=[OptimizerSpec("o", "Adam", groups=(ParamGroup(current=values),))])

    assert codes(compare(of(a), of(b))) == {"O207": 1}


def test_a_learning_rate_kept_as_a_tensor() -> None:
    def of(rate: float, steps: int) -> Memory:
        specs = {
            "optimizer/learning_rate": {"role": "hyperparameter", "optimizer": "adam"},
            "optimizer/iterations": {"role": "counter", "optimizer": "adam"},
        }
        arrays = {"optimizer/learning_rate": np.float32(rate), "optimizer/iterations": np.int64(steps)}
        return Memory(arrays, specs=specs, optimizers=[OptimizerSpec("adam", "Adam")])

    assert compare(of(0.1, 3), of(0.1, 3)).same
    delta = compare(of(0.1, 3), of(0.2, 4))
    assert codes(delta) == {"O207": 1, "O208": 1}


def test_groups() -> None:
    assert codes(compare(training(groups=1), training(groups=2))) == {"O206": 1}
    turned = ["b.weight", "b.bias", "a.weight", "a.bias"]
    assert codes(compare(training(order=turned), training())) == {"O209": 1}
    assert codes(compare(training(order=turned, groups=2), training(groups=2))) == {"O206": 1}


def test_swapped_layers_take_their_slots_along() -> None:
    same = {"a.weight": (3, 3), "b.weight": (3, 3)}
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(3, 3)), rng.normal(size=(3, 3))

    def of(first: np.ndarray, second: np.ndarray) -> Memory:
        specs = {f"s/{n}": {"role": "slot", "owner": n, "slot": "m", "optimizer": "o"} for n in same}
        arrays = {"a.weight": first, "b.weight": second, "s/a.weight": first * 2, "s/b.weight": second * 2}
        return Memory(arrays, specs=specs, optimizers=[OptimizerSpec("o", "SGD")])

    assert codes(compare(of(x, y), of(y, x))) == {"T209": 2}


def test_slots_without_owner_are_compared_by_name() -> None:
    def of(scale: float) -> Memory:
        specs = {f"optimizer/vars/{i}": {"role": "slot", "optimizer": "o"} for i in range(3)}
        arrays = {f"optimizer/vars/{i}": np.arange(4.0) * scale for i in range(3)}
        return Memory(arrays, specs=specs, optimizers=[OptimizerSpec("o")])

    assert compare(of(1), of(1)).same
    assert codes(compare(of(1), of(2))) == {"T211": 3}


def test_edits_of_slots_on_specs() -> None:
    a = training()
    moved = apply_names(Plan((Edit.parse("map-slots:a.*->c.*"),)), a.values())
    assert {s.owner for s in moved if s.role == "slot"} == {"c.weight", "c.bias", "b.weight", "b.bias"}
    turned = {
        s.name: s.shape for s in apply_names(Plan((Edit.parse("transpose:a.weight:(1,0)"),)), a.values())
    }
    assert turned["a.weight"] == turned["state/a.weight/exp_avg"] == (3, 4)
    kept = apply_names(Plan((Edit.parse("drop:a.weight"),)), a.values())
    assert not any("a.weight" in s.name for s in kept)
