"""O108: hyperparameters and counts that no optimizer can go on from, and all the odd ones that it can."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from holdfast._core.spec import OptimizerSpec, ParamGroup
from memory_catalog import Memory, found, normal, subject

NAN = float("nan")


def told(*groups: dict[str, Any], **configured: Any) -> list[tuple[str, str]]:
    made = tuple(ParamGroup(current=group, configured=configured) for group in groups)
    of = Memory({"w": normal(4, 6)}, {}, optimizers=(OptimizerSpec("adam", groups=made),))
    return [(f.severity, f.message) for f in found("impossible-setting", subject(of))]


@pytest.mark.parametrize(
    ("values", "severity", "words"),
    [
        ({"lr": NAN}, "error", "lr of adam is nan"),
        ({"learning_rate": float("inf")}, "error", "learning_rate of adam is inf"),
        ({"weight_decay": NAN}, "error", "weight_decay of adam is nan"),
        ({"betas": (0.9, 1.5)}, "error", "beta_2 of adam is 1.5"),
        ({"beta_1": -0.1}, "error", "beta_1 of adam is -0.1"),
        ({"lr": -1e-3}, "warning", "climbs where it should descend"),
    ],
)
def test_what_no_optimizer_can_work_with(values: dict[str, Any], severity: str, words: str) -> None:
    ((grave, message),) = told(values)
    assert grave == severity and words in message


@pytest.mark.parametrize(
    "values",
    [
        {"lr": 0.0},
        {"lr": 1.0, "history_size": 100, "tolerance_grad": 1e-7, "line_search_fn": None},
        {"lr": 30.0, "betas": (0.0, 0.99), "momentum": 0, "nesterov": False},
        {"lr": 1e-3, "betas": (0.98, 0.92, 0.99)},
        {"lr": 1e-3, "betas": (0.9, None), "eps": None, "beta2_decay": -0.8},
        {"learning_rate": {"class_name": "CosineDecay"}, "clipnorm": float("inf"), "weight_decay": None},
        {"lr": 1e-3, "max_norm": float("inf"), "lambd": -1.0, "weight_decay": -1e-4},
        {"lr": True},
    ],
)
def test_what_is_meant_so(values: dict[str, Any]) -> None:
    assert told(values) == []


def test_many_groups_are_one_finding() -> None:
    ((_, message),) = told({"lr": NAN}, {"lr": 1e-3}, {"lr": NAN}, lr=1e-3)
    assert "in 2 of 3 groups" in message


def test_a_tensor_of_a_rate_is_told_by_its_nan_alone() -> None:
    group = ParamGroup(current={"learning_rate": NAN})
    of = Memory(
        {"optimizer/learning_rate": np.array(NAN, np.float32)},
        {"optimizer/learning_rate": {"role": "hyperparameter", "optimizer": "adam"}},
        optimizers=(OptimizerSpec("adam", groups=(group,)),),
    )
    assert found("impossible-setting", subject(of)) == []
    assert len(found("nan", subject(of))) == 1


@pytest.mark.parametrize(("steps", "speaks"), [(-3, True), (0, False), (7, False)])
def test_a_count_of_steps_below_zero(steps: int, speaks: bool) -> None:
    of = Memory(
        {"w": normal(2), "opt/w/step": np.array(steps, np.float32), "opt/iteration": np.array(steps)},
        {
            "opt/w/step": {"role": "slot", "owner": "w", "slot": "step", "optimizer": "opt"},
            "opt/iteration": {"role": "counter", "optimizer": "opt"},
        },
        optimizers=(OptimizerSpec("opt", step=steps),),
        attributes={"global_step": steps},
    )
    findings = found("impossible-setting", subject(of))
    assert len(findings) == speaks and (not speaks or "and 1 more" in findings[0].message)
    assert found("step-against-global", subject(of)) == []


def test_other_counts_may_be_below_zero() -> None:
    of = Memory(
        {"best_epoch": np.array(-1), "last_step": np.array(-1)},
        {"best_epoch": {"role": "counter"}, "last_step": {"role": "counter"}},
    )
    assert found("impossible-setting", subject(of)) == []
