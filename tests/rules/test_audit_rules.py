"""D and M: data, preprocessing, metrics. Each rule where it speaks, and where it is silent."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest

from holdfast import DataContract
from holdfast._core.fault import Fault
from holdfast._record.data import mistakes as mistakes_module
from holdfast._record.data import shifts as shifts_module
from holdfast._record.data.shifts import shifts
from holdfast._restore import data_contract as contract_module
from holdfast._rules.facts import findings_of
from holdfast._rules.registry import rule_named, rules
from memory_catalog import found, subject

SLUGS = [rule.slug for rule in rules() if rule.family in "DM"]
TARGET = subject(None).target


@pytest.mark.parametrize("slug", SLUGS)
def test_a_rule_speaks_of_its_fault_alone(slug: str) -> None:
    fault = Fault(slug, "so it is", seen=1, expected=2, attributes={"effect": 3.0})
    (finding,) = findings_of([fault], TARGET)
    assert (finding.slug, finding.message) == (slug, "so it is")
    assert finding.evidence == {"seen": 1, "expected": 2, "effect": 3.0}
    others = subject(None, *(Fault(other, "x") for other in SLUGS if other != slug))
    assert found(slug, others) == []


def test_a_fault_may_say_how_grave_it_is() -> None:
    (finding,) = findings_of([Fault("metric-differs", "x", attributes={"severity": "warning"})], TARGET)
    assert finding.severity == "warning" and "severity" not in finding.evidence


def test_a_fault_without_a_rule_is_an_error_of_ours() -> None:
    with pytest.raises(LookupError, match="no-such-thing"):
        findings_of([Fault("no-such-thing", "x")], TARGET)


def test_every_kind_of_shift_has_its_rule() -> None:
    source = "".join(
        inspect.getsource(module) for module in (shifts_module, mistakes_module, contract_module)
    )
    kinds = set(re.findall(r'(?:Shift|Mistake)\(\s*"([a-z-]+)"', source))
    assert len(kinds) >= 17
    assert [kind for kind in kinds if rule_named(f"data-{kind}") is None] == []


def test_honest_batches_give_no_finding_and_shifted_ones_the_right_one() -> None:
    draw = np.random.default_rng(0)
    images = draw.uniform(0, 1, (600, 8, 8, 3)).astype(np.float32) * np.array([0.3, 0.6, 1.0], np.float32)
    contract = DataContract.from_batches(images[:500])
    assert shifts(contract, images[500:564]) == []
    for change, slug in (
        (lambda v: v[..., ::-1], "data-channels-reversed"),
        (lambda v: v * 255, "data-scale"),
        (lambda v: np.moveaxis(v, -1, 1), "data-layout"),
    ):
        (shift,) = shifts(contract, change(images[500:564]))
        assert f"data-{shift.kind}" == slug
        (finding,) = findings_of(
            [Fault(slug, shift.message, seen=shift.seen, expected=shift.expected)], TARGET
        )
        assert finding.code.startswith("D4") and finding.severity == "error"
