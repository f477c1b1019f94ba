"""O: slots against their weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from holdfast._core.spec import OptimizerSpec, ParamGroup
from memory_catalog import Memory, found, normal, subject


def adam(weights: dict[str, np.ndarray], slots: dict[str, dict[str, np.ndarray]], **more: Any) -> Memory:
    arrays = dict(weights)
    specs: dict[str, dict[str, Any]] = {}
    for owner, values in slots.items():
        for slot, value in values.items():
            name = f"opt/{owner}/{slot}"
            arrays[name] = value
            specs[name] = {"role": "slot", "owner": owner, "slot": slot, "optimizer": "opt"}
    return Memory(arrays, specs, **more)


W = normal(4, 6)
PAIR = {"exp_avg": normal(4, 6), "exp_avg_sq": np.abs(normal(4, 6))}


def test_a_slot_of_another_shape() -> None:
    of = adam({"fc.weight": W}, {"fc.weight": {"exp_avg": normal(4, 7), "exp_avg_sq": normal(4, 7)}})
    (finding,) = found("slot-shape", subject(of))
    assert finding.severity == "error"
    assert finding.evidence["seen"] == [4, 7] and finding.evidence["expected"] == [4, 6]
    assert finding.edit == "reset-slots:fc.weight"


@pytest.mark.parametrize(
    "slots",
    [
        {"exp_avg": (4, 6), "exp_avg_sq": (4, 6)},
        {"exp_avg_sq_row": (4,), "exp_avg_sq_col": (6,)},
        {"r": (4,), "c": (6,), "v": (4, 6)},
        {"v_row": (4,), "v_col": (6,), "v": (1,)},
        {"step": ()},
        {"vhat": (1,)},
        {"state1": (24,), "absmax1": (1,), "qmap1": (256,)},
        {"preconditioner_0": (4, 4), "preconditioner_1": (6, 6)},
        {"accumulator_0": (4, 1), "accumulator_1": (1, 6)},
        {"mu_product": ()},
    ],
)
def test_shapes_that_some_optimizer_keeps(slots: dict[str, tuple[int, ...]]) -> None:
    of = adam({"w": W}, {"w": {k: np.ones(s, np.float32) for k, s in slots.items()}})
    assert found("slot-shape", subject(of)) == []


def test_one_element_is_no_moment_where_nothing_factors_it() -> None:
    of = adam({"w": W}, {"w": {"m": normal(4, 6), "v": normal(1)}})
    (finding,) = found("slot-shape", subject(of))
    assert finding.severity == "error"


def test_slot_types() -> None:
    assert found("slot-dtype", subject(adam({"w": W}, {"w": PAIR}))) == []
    ints = adam({"w": W}, {"w": {"exp_avg": np.ones((4, 6), np.int64)}})
    assert [f.severity for f in found("slot-dtype", subject(ints))] == ["warning"]
    half = adam({"w": W}, {"w": {"exp_avg": normal(4, 6, dtype=np.float16)}})
    assert [f.severity for f in found("slot-dtype", subject(half))] == ["note"]
    master = adam({"w": W.astype(np.float16)}, {"w": PAIR})
    assert found("slot-dtype", subject(master)) == []
    step = adam({"w": W}, {"w": {"step": np.array(3, np.int64), **PAIR}})
    assert found("slot-dtype", subject(step)) == []
    codes = adam({"w": W}, {"w": {"state1": np.ones((4, 6), np.uint8)}})
    assert found("slot-dtype", subject(codes)) == []


def test_a_weight_that_lacks_a_slot() -> None:
    weights = dict.fromkeys("abc", W)
    of = adam(weights, {"a": PAIR, "b": PAIR, "c": {"exp_avg": W}})
    (finding,) = found("slots-missing", subject(of))
    assert finding.tensors == ("c",) and finding.severity == "warning"
    assert finding.evidence["expected"] == ["exp_avg", "exp_avg_sq"]
    assert found("slots-missing", subject(adam(weights, dict.fromkeys("abc", PAIR)))) == []


def test_a_weight_without_any_slot_is_a_note_unless_it_is_trainable() -> None:
    weights = dict.fromkeys("abc", W)
    of = adam(weights, {"a": PAIR, "b": PAIR})
    assert [f.severity for f in found("slots-missing", subject(of))] == ["note"]
    of = adam(weights, {"a": PAIR, "b": PAIR})
    of._specs["c"] = of["c"].with_(trainable=True)
    assert [f.severity for f in found("slots-missing", subject(of))] == ["warning"]
    of._specs["c"] = of["c"].with_(trainable=False)
    assert found("slots-missing", subject(of)) == []


def test_factored_slots_may_differ_by_rank() -> None:
    of = adam(
        {"a": W, "b": W, "c": normal(6)},
        {"a": {"r": W[:, 0], "c": W[0]}, "b": {"r": W[:, 0], "c": W[0], "v": W}, "c": {"v": normal(6)}},
    )
    assert found("slots-missing", subject(of)) == []


def step(value: int) -> dict[str, np.ndarray]:
    return {"step": np.array(value, np.float32), **PAIR}


def test_steps_one_apart_are_a_torn_save_and_far_apart_a_note() -> None:
    weights = dict.fromkeys("abc", W)
    torn = adam(weights, {"a": step(7), "b": step(8), "c": step(8)})
    (finding,) = found("steps-disagree", subject(torn))
    assert finding.severity == "warning" and finding.cause == "async-save"
    late = adam(weights, {"a": step(700), "b": step(700), "c": step(90)})
    assert [f.severity for f in found("steps-disagree", subject(late))] == ["note"]
    assert found("steps-disagree", subject(adam(weights, {n: step(7) for n in "abc"}))) == []


def test_groups_may_have_steps_of_their_own() -> None:
    groups = (ParamGroup(owners=("a",)), ParamGroup(owners=("b",)))
    of = adam(
        {"a": W, "b": W}, {"a": step(7), "b": step(8)}, optimizers=(OptimizerSpec("opt", groups=groups),)
    )
    assert found("steps-disagree", subject(of)) == []


@pytest.mark.parametrize(
    "own, recorded, severity",
    [
        (0, 5000, "warning"),
        (900, 100, "note"),
        (250, 1000, None),
        (1000, 1000, None),
        (0, 0, None),
        (None, 5, None),
    ],
)
def test_step_against_the_recorded_one(own, recorded, severity) -> None:
    of = adam(
        {"a": W},
        {"a": PAIR},
        optimizers=(OptimizerSpec("opt", step=own),),
        attributes={"global_step": recorded},
    )
    assert [f.severity for f in found("step-against-global", subject(of))] == ([severity] if severity else [])


def test_a_group_without_state() -> None:
    groups = (ParamGroup(owners=("a",)), ParamGroup(owners=("b",)))
    of = adam({"a": W, "b": W}, {"a": PAIR}, optimizers=(OptimizerSpec("opt", groups=groups),))
    assert [f.severity for f in found("group-without-state", subject(of))] == ["note"]
    of = adam({"a": W, "b": W}, {"a": PAIR, "b": PAIR}, optimizers=(OptimizerSpec("opt", groups=groups),))
    assert found("group-without-state", subject(of)) == []


def test_slots_of_a_weight_that_is_gone() -> None:
    (finding,) = found("slot-without-weight", subject(adam({"a": W}, {"a": PAIR, "gone": PAIR})))
    assert finding.evidence["seen"] == ["gone"]
    assert found("slot-without-weight", subject(adam({"a": W}, {"a": PAIR}))) == []
