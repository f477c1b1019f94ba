"""O1: hyperparameters and counts that no optimizer can go on from."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from .._compare.hyperparameters import HYPER_WORDS
from .._core.finding import Finding, Severity
from .._core.spec import OptimizerSpec, ParamGroup, TensorSpec
from .magnitudes import where_of
from .registry import Rule, Subject, rule
from .slots import STEP_WORDS, slot_word

__all__: list[str] = []

_RATES = frozenset({"lr", "learning_rate"})
_BETAS = frozenset({"beta_1", "beta_2", "beta1", "beta2", "b1", "b2"})
_FINITE = _RATES | _BETAS | {"eps", "epsilon", "weight_decay", "momentum", "rho", "alpha", "dampening"}
_COUNTS = STEP_WORDS | {"iteration", "iterations", "_iterations"}


@rule("O108", "impossible-setting", severity="error", cause="optimizer-hyperparameters", depth="full")
def impossible_setting(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A hyperparameter, or a count of steps, that no optimizer can work with.

    A learning rate that is not a number makes every weight it moves not a number, in one step; a decay rate of the
    moments beyond 1 makes them grow without end; a negative count of steps turns bias correction round. The optimizers
    look at such values when they are constructed, and not when they are loaded. A negative learning rate, which climbs
    where it should descend, is a warning: it may be meant.

    Evidence: the value, and how many groups have it.

    What to do: give the value anew when it is restored, and look at the schedule or the code that set it.

    Example: a schedule that divides by its own length of 0, saved after its last step.
    """
    catalog = subject.catalog
    if catalog is None:
        return
    for optimizer in catalog.optimizers:
        stored = {
            (s.slot or s.name.rpartition("/")[2]).lstrip("_"): s
            for s in catalog.values()
            if s.role == "hyperparameter" and s.optimizer in (None, optimizer.name)
        }
        told: dict[tuple[str, str, Severity], list[float]] = {}
        groups = optimizer.groups or (ParamGroup(),)
        for group in groups:
            seen = set()
            for word, value in _numbers(group):
                wrong = _wrong(word, value)
                if wrong is None or (not math.isfinite(value) and word in stored):  # a tensor: N101 tells
                    continue
                if (word, wrong) not in seen:
                    seen.add((word, wrong))
                    told.setdefault((word, *wrong), []).append(value)
        for (word, why, severity), values in told.items():
            yield _finding(
                rule, subject, optimizer, word, why, severity, values, len(groups), stored.get(word)
            )
    negative = [
        (name, stats.minimum)
        for name, stats in subject.stats.items()
        if stats.minimum is not None and stats.minimum < 0 and _counts_steps(catalog[name])
    ]
    if negative:
        name, lowest = negative[0]
        more = f" (and {len(negative) - 1} more)" if len(negative) > 1 else ""
        yield rule.finding(
            f"{name} counts {lowest:g} steps{more}: no optimizer makes fewer than none",
            tensor=name,
            tensors=tuple(n for n, _ in negative),
            seen=lowest,
            expected=">= 0",
            remedy="Use another checkpoint, or let the optimizer begin anew (`reset-slots:*`).",
            **where_of(catalog[name]),
        )


def _finding(
    rule: Rule,
    subject: Subject,
    optimizer: OptimizerSpec,
    word: str,
    why: str,
    severity: Severity,
    values: list[float],
    groups: int,
    spec: TensorSpec | None,
) -> Finding:
    name = optimizer.name or "the optimizer"
    among = "" if groups == 1 else f" in {len(values)} of {groups} groups"
    place: dict[str, Any] = (
        {"file": subject.target.path}
        if spec is None
        else {"tensor": spec.name, "tensors": (spec.name,), **where_of(spec)}
    )
    return rule.finding(
        f"{word} of {name} is {values[0]:g}{among}: {why}",
        severity=severity,
        **place,
        seen=values[0] if math.isfinite(values[0]) else str(values[0]),
        remedy=f"Give it anew when it is restored (`hyper:{HYPER_WORDS.get(word, word)}=live`), and look at the schedule or "
        "the code that set it.",
    )


def _numbers(group: ParamGroup) -> Iterator[tuple[str, float]]:
    for values in (group.current, group.configured):
        for word, value in values.items():
            pair = word == "betas" and isinstance(value, (list, tuple))
            named = [(f"beta_{n}", one) for n, one in enumerate(value, 1)] if pair else [(word, value)]
            for name, one in named:
                if name in _FINITE and isinstance(one, (int, float)) and not isinstance(one, bool):
                    yield name, float(one)


def _wrong(word: str, value: float) -> tuple[str, Severity] | None:
    """Why a value cannot be, and how grave that is; ``None`` where it can."""
    if not math.isfinite(value):
        return "the next step makes every weight it moves not a number", "error"
    if word in _RATES and value < 0:
        return "the next step climbs where it should descend", "warning"
    if word in _BETAS and not 0 <= value <= 1:
        return "a moving average weighs by a number from 0 to 1", "error"
    return None


def _counts_steps(spec: TensorSpec) -> bool:
    if spec.role not in ("slot", "counter") or (spec.optimizer is None and spec.owner is None):
        return False
    return slot_word(spec.slot or spec.name) in _COUNTS or spec.name.rpartition("/")[2] in _COUNTS
