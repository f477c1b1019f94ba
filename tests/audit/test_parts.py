"""The parts of the audit by themselves: what is told apart, and where nothing is said."""

from __future__ import annotations

import math

import numpy as np
import pytest

from holdfast._audit.comparing import by_chance, compared, counterpart
from holdfast._audit.inputs import stretched
from holdfast._audit.report import AuditReport, Row
from holdfast._audit.trials import decomposed
from holdfast._facts.tolerances import metric_tolerance, precision_of
from holdfast._record.data.identity import Identity, data_identity, is_identity
from holdfast._record.environment import environment
from holdfast._record.environment_changes import environment_changes
from holdfast._record.metrics import Metric

DRAW = np.random.default_rng(0)


# -- tolerances ------------------------------------------------------------------------------------------------------
def test_tolerances_are_those_that_were_measured() -> None:
    same = metric_tolerance("float32", same_setup=True)
    assert same.holds(1.0, 1.0 + 8e-7) and not same.holds(1.0, 1.0 + 5e-6)
    assert metric_tolerance("float32", same_setup=False).holds(1.0, 1.0 + 8e-6)
    assert metric_tolerance("bfloat16", same_setup=False).holds(1.0, 1.0057)
    assert metric_tolerance("bfloat16", same_setup=True).holds(1.0, 1.00055)
    assert not metric_tolerance("bfloat16", same_setup=True).holds(1.0, 1.0057)
    assert not metric_tolerance("float16", same_setup=True).holds(1.0, 1.001)
    assert same.holds(math.nan, math.nan) and not same.holds(math.nan, 1.0) and same.holds(math.inf, math.inf)


@pytest.mark.parametrize(
    "words, expected",
    [
        (["float32"], "float32"), (["mixed_bfloat16"], "bfloat16"), (["float32", "float16"], "float16"),
        (["float64"], "float64"), ([None], "float32"), (["float8_e4m3fn"], "bfloat16"),
    ],
)  # fmt: skip
def test_the_coarsest_precision_counts(words: list[str], expected: str) -> None:
    assert precision_of(words) == expected


# -- names -----------------------------------------------------------------------------------------------------------
def test_a_lone_loss_of_the_evaluation_is_the_validations() -> None:
    recorded = [Metric("loss", 1.0, kind="running-average"), Metric("val_loss", 2.0, kind="evaluation")]
    assert counterpart(recorded[0], recorded, {"loss": 2.0}) is None
    assert counterpart(recorded[1], recorded, {"loss": 2.0}) == "loss"
    assert counterpart(recorded[0], recorded, {"loss": 1.1, "val_loss": 2.0}) == "loss"
    rows = compared(recorded, {"loss": 2.0}, "float32", same_setup=True)
    assert [r.verdict for r in rows] == ["cannot-compare", "reproduced"]


def test_a_diverged_metric_is_reproduced_by_nan() -> None:
    (row,) = compared([Metric("val_loss", math.nan)], {"val_loss": math.nan}, "float32", same_setup=True)
    assert row.verdict == "reproduced"


def test_a_narrow_precision_of_the_metric_widens_the_tolerance() -> None:
    values = {"val_loss": 1.0015}
    for precision, verdict in (("bfloat16", "reproduced"), ("float32", "differs")):
        metric = Metric("val_loss", 1.0, kind="evaluation", precision=precision)
        assert compared([metric], values, "float32", same_setup=True)[0].verdict == verdict


def test_in_a_narrow_type_one_sample_may_change_sides() -> None:
    """An accuracy of 64 samples moves by 1/64 where one output lies on the edge; in float32 that is a difference."""
    for precision, verdict in (("bfloat16", "reproduced"), ("float32", "differs")):
        metric = Metric("val_acc", 60 / 64, kind="evaluation", samples=64, precision=precision)
        assert compared([metric], {"val_acc": 61 / 64}, "float32", same_setup=True)[0].verdict == verdict
        assert compared([metric], {"val_acc": 58 / 64}, "float32", same_setup=True)[0].verdict == "differs"


def test_a_share_that_agrees_alone_may_do_so_by_chance() -> None:
    loss, right = Metric("loss", 0.5, kind="evaluation"), Metric("acc", 0.75, kind="evaluation", samples=64)
    rows = [Row(loss, "differs", 0.6), Row(right, "differs", 0.5)]
    assert by_chance(rows, ["acc"]) and not by_chance(rows, ["loss"]) and not by_chance(rows, ["loss", "acc"])
    assert not by_chance(rows[1:], ["acc"])


def test_parts_add_up_and_say_where_the_mode_cannot_be_forced() -> None:
    row = Row(Metric("loss", 1.2, kind="running-average"), "cannot-compare", 1.0)
    assert decomposed(row, 1.0, [1.03])[1][0] == pytest.approx(0.03)
    assert sum(a for a, _ in decomposed(row, 1.0, [1.03, 1.05])) == pytest.approx(0.2)
    assert len(decomposed(row, 1.0, [])) == 1


# -- environment -----------------------------------------------------------------------------------------------------
def test_the_same_environment_has_no_changes() -> None:
    here = environment()
    assert environment_changes(here, environment()) == ()
    assert environment_changes(None, here) == ()


def test_what_changes_numbers_is_told_from_what_does_not() -> None:
    then = {
        "libraries": {"torch": "2.2", "h5py": "3.0", "gone": "1"}, "cpu": {"name": "A", "count": 4}, "host": "a",
        "torch": {"float32_matmul_precision": "highest", "threads": 4}, "variables": {"OMP_NUM_THREADS": "4"},
    }  # fmt: skip
    now = {
        "libraries": {"torch": "2.3", "h5py": "3.1", "new": "1"}, "cpu": {"name": "A", "count": 8}, "host": "b",
        "torch": {"float32_matmul_precision": "high", "threads": 8},
        "variables": {"OMP_NUM_THREADS": "8", "NVIDIA_TF32_OVERRIDE": "1"},
    }  # fmt: skip
    found = {c.name: c.matters for c in environment_changes(then, now)}
    assert {name for name, matters in found.items() if matters} == {
        "libraries.torch", "torch.float32_matmul_precision", "variables.NVIDIA_TF32_OVERRIDE",
    }  # fmt: skip
    assert {name for name, matters in found.items() if not matters} == {
        "libraries.h5py", "torch.threads", "variables.OMP_NUM_THREADS",
    }  # fmt: skip


# -- data ------------------------------------------------------------------------------------------------------------
def test_identity_is_that_of_the_set() -> None:
    values = DRAW.normal(size=(50, 4)).astype(np.float32)
    whole = data_identity(values)
    assert is_identity(whole) and not is_identity("validation_data") and not is_identity(None)
    assert data_identity([values[30:], values[:30]]) == whole == data_identity(values[::-1])
    assert data_identity(values.astype(np.float64)) == whole
    assert data_identity(values[:49]) != whole != data_identity(values * 2)
    assert data_identity((values, np.arange(50))) == whole


def test_identity_is_seen_among_other_data() -> None:
    """Evaluated after the training data, or twice."""
    training, validation = DRAW.normal(size=(40, 3)), DRAW.normal(size=(20, 3))
    wanted = data_identity(validation)
    seen = Identity()
    for batch in (
        training[:30],
        training[30:],
        validation[:7],
        validation[7:],
        validation[:7],
        validation[7:],
    ):
        seen.add(batch)
    assert (
        seen.holds(wanted)
        and seen.holds(data_identity(training))
        and not seen.holds(data_identity(training[:7]))
    )
    assert seen.overlaps(wanted) and not seen.overlaps(data_identity(DRAW.normal(size=(20, 3))))


@pytest.mark.parametrize("factor, constant", [(255.0, 0.0), (1 / 255, 0.0), (2.0, -1.0), (0.5, 3.0)])
def test_samples_that_were_stretched_are_known_in_any_order(factor: float, constant: float) -> None:
    was = DRAW.normal(size=(16, 8, 8)).astype(np.float32)
    now = (was * factor + constant).astype(np.float32)[DRAW.permutation(16)]
    more = DRAW.normal(size=(30, 8, 8)).astype(np.float32)
    assert "every number is" in (stretched(was, np.concatenate([more, now])) or "")


def test_columns_with_constants_of_their_own_are_known_in_the_same_order() -> None:
    was = DRAW.normal(size=(32, 5))
    now = was * DRAW.uniform(0.5, 2, 5) + DRAW.normal(size=5)
    assert "each number has a factor" in (stretched(was, now) or "")


def test_other_samples_are_no_stretched_ones() -> None:
    was, now = DRAW.normal(size=(32, 5)), DRAW.normal(size=(64, 5))
    assert stretched(was, now) is None
    assert stretched(was, now[:, :4]) is None
    assert stretched(np.ones((20, 5)), np.ones((20, 5))) is None


# -- report ----------------------------------------------------------------------------------------------------------
def test_summaries_say_what_there_is() -> None:
    empty = AuditReport("x", None, "nothing-to-compare", (), "3 tensors restored")
    assert "no number" in str(empty)
    row = Row(Metric("val_loss", 1.0), "differs", 2.0)
    assert "no cause" in AuditReport("x", 1, "differs", (row,), "").summary
    assert row.distance == 0.5
    assert row.as_document()["distance"] == 0.5
