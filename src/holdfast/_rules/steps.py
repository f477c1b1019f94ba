"""O1: how many steps the optimizer, its weights and the run say they have made."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from math import prod

import numpy as np

from .._core.errors import HoldfastError
from .._core.finding import Finding
from .registry import Rule, Subject, rule
from .slots import STEP_WORDS, slot_word

__all__: list[str] = []


@rule("O104", "steps-disagree", severity="note", cause="optimizer-structure", depth="structure")
def steps_disagree(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The per-weight step counters of one optimizer differ.

    Most torch optimizers count steps per weight. Counters that differ by one within a parameter group are
    the mark of a checkpoint taken while the optimizer was stepping: half of the weights are of one step,
    half of the next. Larger differences usually mean weights that were unfrozen later, or get gradients
    seldom (a note).

    Evidence: the counters and how many weights have each.

    What to do: for a torn save use the previous checkpoint, and save between steps.

    Example: ``torch.save`` from another thread during ``optimizer.step()``.
    """
    catalog = subject.catalog
    if catalog is None:
        return
    values: dict[tuple[str, int], Counter[int]] = defaultdict(Counter)
    group_of = {o: i for opt in catalog.optimizers for i, g in enumerate(opt.groups) for o in g.owners}
    example: dict[tuple[str, int], str] = {}
    for spec in catalog.values():
        per_weight = spec.role == "slot" or (spec.role == "counter" and spec.owner is not None)
        if not per_weight or prod(spec.shape) != 1 or slot_word(spec.slot or spec.name) not in STEP_WORDS:
            continue
        try:
            value = float(np.asarray(catalog.read(spec.name)).reshape(-1)[0])
        except HoldfastError:  # reported by the scan or the checks
            continue
        if value.is_integer():
            key = (spec.optimizer or "", group_of.get(spec.owner or "", -1))
            values[key][int(value)] += 1
            example.setdefault(key, spec.name)
    for key, counts in values.items():
        if len(counts) < 2:
            continue
        low, high = min(counts), max(counts)
        torn = high - low == 1 and low > 0
        yield rule.finding(
            f"step counters of one optimizer differ by one ({low}: {counts[low]} weights, {high}: "
            f"{counts[high]}): "
            "saved in the middle of a step"
            if torn
            else f"step counters differ between weights: {low} to {high}",
            severity="warning" if torn else "note",
            tensor=example[key],
            seen={str(k): v for k, v in sorted(counts.items())[:20]},
            cause="async-save" if torn else None,
            remedy="Use the previous checkpoint, and save between steps (join the save before "
            "optimizer.step())."
            if torn
            else "Nothing to do if some weights were unfrozen later or get gradients seldom.",
        )


@rule("O105", "step-against-global", severity="note", cause="resume-state")
def step_against_global(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The optimizer's step and the recorded global step are far apart.

    A resumed run that forgot one of them, a checkpoint put together from two, or an optimizer restarted on
    the way. Gradient accumulation and several optimizers make the optimizer's count smaller by a constant
    factor: silent.

    Evidence: both numbers.

    What to do: know which is right before a schedule goes by it.

    Example: weights of step 10,000 beside a fresh optimizer.
    """
    catalog = subject.catalog
    if catalog is None:
        return
    recorded = next(
        (
            catalog.attributes[k]
            for k in ("global_step", "step")
            if isinstance(catalog.attributes.get(k), int)
        ),
        None,
    )
    if recorded is None:
        return
    for optimizer in catalog.optimizers:
        step = optimizer.step
        if step is None or step < 0 or len(catalog.optimizers) > 1:  # a count below zero is told as that
            continue
        behind = step == 0 and recorded > 10
        ahead = step > 2 * recorded + 10 and recorded > 0
        if behind or ahead or (step and recorded > 1000 * step):
            yield rule.finding(
                f"the optimizer counts {step} steps, the checkpoint says {recorded}",
                severity="warning" if behind and any(s.role == "slot" for s in catalog.values()) else "note",
                seen=step,
                expected=recorded,
                file=subject.target.path,
                remedy="Look which is right before a learning-rate schedule goes by it.",
            )
