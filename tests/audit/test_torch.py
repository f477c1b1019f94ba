"""A PyTorch run audited: clean re-runs are reproduced, each planted fault has the right first cause."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn")
torch = pytest.importorskip("torch")

import holdfast  # noqa: E402
from audit.digits import XV, X, Y, measured  # noqa: E402
from audit.torch_run import CASES, LAST, Run, audited, evaluate, make, train  # noqa: E402
from holdfast._core.errors import UsageError  # noqa: E402
from holdfast._record.metrics import Metric  # noqa: E402

TESTS = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(tmp_path_factory.mktemp("torch") / "run")


@pytest.mark.parametrize("title, slug, given", CASES, ids=[case[0] for case in CASES])
def test_a_planted_fault_has_the_right_first_cause(run: Run, title: str, slug: str, given) -> None:
    report = audited(run, **given(run))
    assert report.causes, report.summary
    assert report.causes[0].slug == slug
    assert report.verdict in ("differs", "state")
    assert slug in [f.slug for f in report.findings if f.severity == "error"]
    assert report.causes[0].message in report.summary or report.verdict == "state"


@pytest.mark.parametrize("batch", [1, 7, 64, 597])
@pytest.mark.parametrize("threads", [1, 2])
def test_clean_runs_are_reproduced_with_any_batch_size_and_thread_count(
    run: Run, batch: int, threads: int
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        report = audited(run, evaluate=lambda model: evaluate(model, batch=batch))
    finally:
        torch.set_num_threads(before)
    assert report.verdict == "reproduced", report.summary
    assert report.step == LAST
    assert [f for f in report.findings if f.severity != "note"] == []
    assert report.probe.startswith("the probe gives the same")


@pytest.mark.parametrize("seed", range(20))
def test_no_false_alarm_over_rows_in_any_order(run: Run, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(XV))
    from audit.digits import YV

    report = audited(run, evaluate=lambda m: evaluate(m, XV[order], YV[order], batch=50 + seed))
    assert report.verdict == "reproduced", report.summary


def test_reproduced_in_a_new_process(run: Run) -> None:
    code = f"""
import sys; sys.path.insert(0, {str(TESTS)!r})
import json, holdfast
from audit.torch_run import evaluate, make
report = holdfast.audit({run.path!r}, evaluate=evaluate, model=make(7))
print(json.dumps([report.verdict, [c._asdict() for c in report.environment if c.matters], report.probe]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    verdict, changes, probe = json.loads(done.stdout)
    assert verdict == "reproduced"
    assert changes == []
    assert probe.startswith("the probe gives the same")


def test_a_running_average_is_taken_apart(run: Run) -> None:
    """The parts add up to the gap, and training mode is a part of its own."""
    metrics = [*run.metrics, Metric("loss", run.logged, kind="running-average")]
    report = audited(
        run, metrics=metrics, evaluate=lambda m: {**evaluate(m), "loss": evaluate(m, X, Y)["val_loss"]}
    )
    assert report.verdict == "reproduced"
    row = next(r for r in report.rows if r.metric.name == "loss")
    assert row.verdict == "cannot-compare"
    assert row.now is not None
    (moving, word), (mode, why) = row.parts
    assert moving + mode == pytest.approx(run.logged - row.now)
    assert word == "weights were still moving"
    assert "dropout" in why and "run to run" in why
    assert moving > 0 and mode > 0  # the first steps of an epoch are worse, and so is dropout


def test_a_running_average_alone_is_no_fault(run: Run) -> None:
    report = audited(run, metrics=[Metric("loss", run.logged, kind="running-average")])
    assert [r.verdict for r in report.rows if r.metric.name == "loss"] == ["cannot-compare"]
    assert {f.severity for f in report.findings} <= {"note"}


def test_the_model_is_as_restored_afterwards(run: Run) -> None:
    """Also where the evaluation casts, trains, draws and initialises."""
    model = make(3).train()

    def rough(its: torch.nn.Module) -> dict[str, float]:
        found = evaluate(its)
        its.train()
        its(torch.from_numpy(X[:50]))
        its[4].reset_parameters()
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
    import shutil

    folder = tmp_path / "run"
    shutil.copytree(run.folder, folder)
    with holdfast.open(folder) as step:
        stored = step["0.weight"].stored[0]
    file = Path(stored.file)
    file.chmod(0o644)
    data = bytearray(file.read_bytes())
    data[stored.offset + 9] ^= 1
    file.write_bytes(data)
    called = []
    report = holdfast.audit(
        folder, evaluate=lambda m: called.append(1) or {}, model=make(), metrics=run.metrics
    )
    assert report.verdict == "state"
    assert {row.verdict for row in report.rows} == {"cannot-compare"}
    assert [f.code[0] for f in report.findings if f.severity == "error"] == ["F"]
    assert called == []


def test_an_unexplained_difference_says_what_was_ruled_out(run: Run) -> None:
    report = audited(run, metrics=measured({"val_loss": 0.123, "val_acc": run.at[LAST]["val_acc"]}))
    assert [row.verdict for row in report.rows] == ["differs", "reproduced"]
    assert report.causes == ()
    (finding,) = [f for f in report.findings if f.severity == "error"]
    assert finding.slug == "metric-differs"
    assert any("step-" in text for text in report.ruled_out)
    assert any("recorded samples" in text for text in report.ruled_out)


def test_best_for_last_is_told_by_the_records(run: Run, tmp_path: Path) -> None:
    """Two steps of one state, and the second was filed with a number that nothing gives again."""
    model, folder = run.loaded(), tmp_path / "run"
    right = evaluate(model)
    with holdfast.Vault(folder) as vault:
        vault.save(1, model=model, metrics=right, blocking=True)
        vault.save(
            2, model=model, metrics={name: value * 0.7 for name, value in right.items()}, blocking=True
        )
    report = holdfast.audit(folder, evaluate=evaluate, model=make())
    assert report.causes[0].slug == "metric-best-for-last"
    assert "step-00000001" in report.causes[0].message


def test_an_evaluation_that_raises_says_so(run: Run) -> None:
    with pytest.raises(UsageError, match="raised ZeroDivisionError"):
        audited(run, evaluate=lambda m: {"val_loss": 1 / 0})
    with pytest.raises(UsageError, match="returned no metrics"):
        audited(run, evaluate=lambda m: 0.3)


def test_names_without_a_counterpart_are_told(run: Run) -> None:
    report = audited(run, metrics=[*run.metrics, Metric("val_f1", 0.5, kind="evaluation")])
    assert [row.verdict for row in report.rows] == ["reproduced", "reproduced", "not-measured"]
    assert report.verdict == "reproduced"
    short = audited(run, evaluate=lambda m: {k.removeprefix("val_"): v for k, v in evaluate(m).items()})
    assert [row.verdict for row in short.rows] == ["reproduced", "reproduced"]


def test_one_finding_for_one_root_cause(run: Run) -> None:
    """The metric's cause has under it what probe and restore say of the same setting."""
    model = make()
    model[1].eps = 1e-6
    report = audited(run, model=model)
    (finding,) = [f for f in report.findings if f.severity != "note"]
    assert finding.slug == "metric-function-changed"
    assert "`1`" in finding.message and "eps 1e-05 became 1e-06; tensors identical" in finding.message
    assert {f.code for f in finding.related} == {"D502", "T218"}


def test_without_metrics_the_probe_judges_alone(run: Run) -> None:
    model = make()
    model[1].eps = 1e-6
    report = audited(run, model=model, evaluate=None)
    assert report.verdict == "probe"
    (finding,) = [f for f in report.findings if f.severity != "note"]
    assert finding.code == "D502" and [f.code for f in finding.related] == ["T218"]
    assert audited(run, evaluate=None).verdict == "reproduced"


def test_data_against_the_contract_gives_data_findings(run: Run) -> None:
    from audit.digits import RAW
    from holdfast._record.data.contract import learn

    live = X.std(axis=0) > 0.3  # pixels that are ever written on
    contract = learn(X[:, live])
    fine = audited(run, contract=contract, data=XV[:, live])
    assert [f for f in fine.findings if f.code[0] == "D"] == []
    shifted = audited(run, contract=contract, data=RAW[:64, live])
    (finding,) = [f for f in shifted.findings if f.code[0] == "D"]
    assert finding.code.startswith("D4") and finding.evidence["field"] == "data"


def test_the_contract_tells_other_preprocessing_where_samples_are_unknown(run: Run) -> None:
    """Without the probe and without an identity: a shift is likely the cause, not proved."""
    from audit.digits import RAW, VALID
    from holdfast._record.data.contract import learn

    metrics = [Metric(name, value, kind="evaluation") for name, value in run.at[LAST].items()]
    images = RAW[VALID].astype(np.float32)
    contract = learn(X)
    report = holdfast.audit(
        run.path, evaluate=lambda m: evaluate(m, images), model=make(), metrics=metrics, contract=contract,
        probe=_foreign_probe(run),
    )  # fmt: skip
    assert report.causes[0].slug == "metric-other-inputs"
    assert report.causes[0].status == "likely"


def _foreign_probe(run: Run):
    """One whose batch is none of the run's samples."""
    from holdfast._record.probe import make_probe

    return make_probe(run.loaded(), np.zeros((4, 64), np.float32))


def test_a_compiled_model_is_the_module_it_was_made_of(run: Run) -> None:
    report = audited(run, model=torch.compile(make(4), backend="eager"))
    assert report.verdict == "reproduced" and report.probe.startswith("the probe gives the same")


def test_checkpoints_of_other_tools(run: Run, tmp_path: Path) -> None:
    """Numbers from a log; averaged weights and neighbours are found in plain files too."""
    for step in (62, 72):
        state = {"model": run.loaded(step).state_dict(), "ema": run.average.state_dict(), "step": step}
        torch.save(state, tmp_path / f"ckpt-{step}.pt")
    path = tmp_path / "ckpt-72.pt"

    def first(**given) -> str:
        report = holdfast.audit(path, evaluate=evaluate, model=make(4), **given)
        return report.causes[0].slug if report.causes else report.verdict

    assert first(metrics=run.metrics) == "reproduced"
    assert first(metrics=run.at[LAST]) == "reproduced"
    assert first() == "nothing-to-compare"
    assert first(metrics=measured(evaluate(run.average))) == "metric-other-weights"
    assert first(metrics=measured(run.at[62])) == "metric-other-step"


def test_a_model_that_does_not_fit_is_told_and_not_measured(run: Run) -> None:
    report = audited(run, model=torch.nn.Sequential(torch.nn.Linear(64, 3)))
    assert report.verdict == "state" and "nothing was restored" in report.state
    assert any(f.severity == "error" for f in report.findings)
