"""The audit on a PyTorch run: what is no planted fault of the table."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import holdfast  # noqa: E402
from audit.digits import RAW, VALID, XV, YV, X, Y, evaluated  # noqa: E402
from audit.kinds import LAST, Run  # noqa: E402
from holdfast._core.errors import UsageError  # noqa: E402
from holdfast._record.metrics import Metric  # noqa: E402
from holdfast._record.probe import make_probe  # noqa: E402


@pytest.fixture
def run(runs: Any) -> Run:
    return runs("torch")


def audited(run: Run, **given: Any) -> holdfast.AuditReport:
    return run.kind.audited(run, **given)


@pytest.mark.parametrize("seed", range(5))
def test_no_false_alarm_over_rows_in_any_order(run: Run, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(XV))
    report = audited(run, evaluate=lambda m: run.kind.evaluate(m, XV[order], YV[order], batch=50 + seed))
    assert report.verdict == "reproduced", report.summary
    assert [f for f in report.findings if f.severity != "note"] == []


def test_a_running_average_alone_is_no_fault(run: Run) -> None:
    report = audited(run, evaluate=lambda m: {})
    assert {r.metric.name: r.verdict for r in report.rows}["loss"] == "cannot-compare"
    assert {f.severity for f in report.findings} <= {"note"}


def test_the_model_is_as_restored_afterwards(run: Run) -> None:
    """Also where the evaluation casts, trains, draws and initialises."""
    model = run.kind.make(3).train()

    def rough(its: torch.nn.Module) -> dict[str, float]:
        found = run.kind.evaluate(its)
        its.train()
        its(torch.from_numpy(X[:50]))
        its.head.reset_parameters()
        its.half()
        return found

    draws = torch.get_rng_state()
    report = audited(run, model=model, evaluate=rough)
    assert report.verdict == "reproduced"
    assert torch.equal(draws, torch.get_rng_state())
    assert model.training
    for name, value in run.loaded().state_dict().items():
        assert value.dtype == model.state_dict()[name].dtype
        assert torch.equal(value, model.state_dict()[name]), name


def test_a_damaged_state_is_never_judged_by_a_metric(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run.folder, folder)
    step = folder / run.step().name
    with holdfast.open(step) as opened:
        stored = opened["model/inner.weight"].stored[0]
    file = Path(stored.file)
    file.chmod(0o644)
    data = bytearray(file.read_bytes())
    data[stored.offset + 9] ^= 1
    file.write_bytes(data)
    called = []
    report = holdfast.audit(step, evaluate=lambda m: called.append(1) or {}, model=run.kind.make())
    assert report.verdict == "state"
    assert {row.verdict for row in report.rows} == {"cannot-compare"}
    assert [f.code[0] for f in report.findings if f.severity == "error"] == ["F"]
    assert called == []


def test_an_unexplained_difference_says_what_was_ruled_out(run: Run, tmp_path: Path) -> None:
    logged = {"val_loss": 0.123, "val_accuracy": run.at[LAST]["val_accuracy"]}
    report = run.kind.audited(run, tmp_path / "copy", logged=logged)
    assert [row.verdict for row in report.rows if row.metric.kind == "evaluation"] == [
        "differs",
        "reproduced",
    ]
    assert report.causes == ()
    (finding,) = [f for f in report.findings if f.severity == "error"]
    assert finding.slug == "metric-differs"
    assert any("step-" in text for text in report.ruled_out)
    assert any("recorded samples" in text for text in report.ruled_out)


def test_an_accuracy_that_another_step_has_by_chance_explains_nothing(run: Run, tmp_path: Path) -> None:
    """A count of right samples takes few values; the loss of the same evaluation does not agree."""
    logged = {"val_loss": 0.123, "val_accuracy": run.at[LAST + 10]["val_accuracy"]}
    report = run.kind.audited(run, tmp_path / "copy", logged=logged)
    assert {row.verdict for row in report.rows if row.metric.kind == "evaluation"} == {"differs"}
    assert "metric-other-step" not in [cause.slug for cause in report.causes]


def test_best_for_last_is_told_by_the_records(run: Run, tmp_path: Path) -> None:
    """Two steps of one state, and the second was filed with a number that nothing gives again."""
    model, folder = run.loaded(), tmp_path / "run"
    right = run.kind.evaluate(model)
    with holdfast.Vault(folder) as vault:
        vault.save(1, model=model, metrics=right, blocking=True)
        vault.save(
            2, model=model, metrics={name: value * 0.7 for name, value in right.items()}, blocking=True
        )
    report = holdfast.audit(folder, evaluate=run.kind.evaluate, model=run.kind.make())
    assert report.causes[0].slug == "metric-best-for-last"
    assert "step-00000001" in report.causes[0].message


def test_an_evaluation_that_raises_says_so(run: Run) -> None:
    with pytest.raises(UsageError, match="raised ZeroDivisionError"):
        audited(run, evaluate=lambda m: {"val_loss": 1 / 0})
    with pytest.raises(UsageError, match="returned no metrics"):
        audited(run, evaluate=lambda m: 0.3)


def test_names_without_a_counterpart_are_told(run: Run) -> None:
    report = audited(run, metrics=[Metric("val_f1", 0.5, kind="evaluation")])
    assert {r.metric.name: r.verdict for r in report.rows}["val_f1"] == "not-measured"
    assert report.verdict == "reproduced"
    short = audited(
        run, evaluate=lambda m: {k.removeprefix("val_"): v for k, v in run.kind.evaluate(m).items()}
    )
    assert [row.verdict for row in short.rows if row.metric.kind == "evaluation"] == ["reproduced"] * 2


def test_one_finding_for_one_root_cause(run: Run) -> None:
    """The metric's cause has under it what probe and restore say of the same setting."""
    report = audited(run, model=run.kind.make(epsilon=1e-2))
    (finding,) = [f for f in report.findings if f.severity != "note"]
    assert finding.slug == "metric-function-changed"
    assert "`norm`" in finding.message and "eps 1e-05 became 0.01; tensors identical" in finding.message
    assert {f.code for f in finding.related} == {"D502", "T218"}


def test_without_metrics_the_probe_judges_alone(run: Run) -> None:
    report = audited(run, model=run.kind.make(epsilon=1e-2), evaluate=None)
    assert report.verdict == "probe"
    (finding,) = [f for f in report.findings if f.severity != "note"]
    assert finding.code == "D502" and [f.code for f in finding.related] == ["T218"]
    assert audited(run, evaluate=None).verdict == "reproduced"


def test_data_is_held_against_the_recorded_contract(run: Run) -> None:
    """The contract of the record, not one that is passed."""
    fine = audited(run, data=XV)
    assert [f for f in fine.findings if f.code[0] == "D"] == []
    shifted = audited(run, data=RAW[VALID])
    found = [f for f in shifted.findings if f.code.startswith("D4")]
    assert found and found[0].severity in ("error", "warning")


def test_the_contract_tells_other_preprocessing_where_samples_are_unknown(run: Run) -> None:
    """Without the probe's samples and without an identity: a shift is likely the cause, not proved."""
    metrics = [Metric(name, value, kind="evaluation") for name, value in run.at[LAST].items()]
    foreign = make_probe(run.loaded(), np.zeros((4, 64), np.float32))
    report = holdfast.audit(
        run.step(), evaluate=lambda m: run.kind.evaluate(m, RAW[VALID]), model=run.kind.make(), metrics=metrics,
        probe=foreign,
    )  # fmt: skip
    assert report.causes[0].slug == "metric-other-inputs"
    assert report.causes[0].status in ("likely", "proved")


def test_a_compiled_model_is_the_module_it_was_made_of(run: Run) -> None:
    report = audited(run, model=torch.compile(run.kind.make(4), backend="eager"))
    assert report.verdict == "reproduced" and report.probe.startswith("the probe gives the same")


def test_checkpoints_of_other_tools(run: Run, tmp_path: Path) -> None:
    """Numbers from a log; averaged weights and neighbours are found in plain files too."""
    average = {name: torch.from_numpy(value) for name, value in run.averages[LAST].items()}
    for step in (30, LAST):
        state = {"model": run.loaded(step).state_dict(), "ema": average, "step": step}
        torch.save(state, tmp_path / f"ckpt-{step}.pt")
    path = tmp_path / f"ckpt-{LAST}.pt"

    def first(**given: Any) -> str:
        report = holdfast.audit(path, evaluate=run.kind.evaluate, model=run.kind.make(4), **given)
        return report.causes[0].slug if report.causes else report.verdict

    assert first(metrics=evaluated(run.at[LAST])) == "reproduced"
    assert first(metrics=run.at[LAST]) == "reproduced"
    assert first() == "nothing-to-compare"
    assert first(metrics=evaluated(run.measured_with(run.averages[LAST]))) == "metric-other-weights"
    assert first(metrics=evaluated(run.at[30])) == "metric-other-step"


def test_a_model_that_does_not_fit_is_told_and_not_measured(run: Run) -> None:
    report = audited(run, model=torch.nn.Sequential(torch.nn.Linear(64, 3)))
    assert report.verdict == "state" and "nothing was restored" in report.state
    assert any(f.severity == "error" for f in report.findings)


def test_documents_are_json(run: Run) -> None:
    json.dumps(audited(run, evaluate=lambda m: run.kind.evaluate(m, X[:50], Y[:50])).as_document())
