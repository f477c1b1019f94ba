"""Silent failures that people reported, by their id in the corpus: numbers that are of something else than the checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import holdfast  # noqa: E402
from audit.digits import XV, YV, evaluated  # noqa: E402
from audit.kinds import FIRST, LAST, Run  # noqa: E402


@pytest.fixture
def run(runs: Any) -> Run:
    return runs("torch")


def told(path: Path, run: Run, metrics: Any, evaluate: Any = None) -> tuple[str, str]:
    """The first cause and its words; the verdict where there is none."""
    report = holdfast.audit(
        path, evaluate=evaluate or run.kind.evaluate, model=run.kind.make(4), metrics=metrics
    )
    return (report.causes[0].slug, report.causes[0].message) if report.causes else (report.verdict, "")


def test_pt_112_the_number_was_measured_with_the_average_and_the_raw_weights_are_loaded(
    run: Run, tmp_path: Path
) -> None:
    average = {name: torch.from_numpy(value) for name, value in run.averages[LAST].items()}
    path = tmp_path / "ckpt.pt"
    torch.save({"model": run.loaded().state_dict(), "ema": average}, path)
    slug, text = told(path, run, evaluated(run.measured_with(run.averages[LAST])))
    assert slug == "metric-other-weights" and "ema" in text
    assert told(path, run, evaluated(run.at[LAST])) == ("reproduced", "")


def in_batches(run: Run, size: int) -> Any:
    """An evaluation that says what each batch gave."""

    def evaluate(model: Any) -> dict[str, Any]:
        parts = [slice(n, n + size) for n in range(0, len(YV), size)]
        rows = [(len(YV[part]), run.kind.evaluate(model, XV[part], YV[part])) for part in parts]
        return {**run.kind.evaluate(model), "batches": rows}

    return evaluate


@pytest.mark.parametrize("size", [100, 199], ids=["ragged", "equal batches"])
def test_pt_199_the_number_is_that_of_the_last_step(run: Run, tmp_path: Path, size: int) -> None:
    path = tmp_path / "ckpt.pt"
    torch.save(run.loaded().state_dict(), path)
    evaluate = in_batches(run, size)
    *_, (count, last) = evaluate(run.loaded())["batches"]
    slug, text = told(path, run, evaluated(last), evaluate)
    assert slug == "metric-averaging"
    assert f"the last batch alone ({count} of {len(YV)} samples)" in text
    assert told(path, run, evaluated(run.at[LAST]), evaluate) == ("reproduced", "")


def test_pt_199_an_accuracy_that_the_last_batch_has_by_chance_explains_nothing(
    run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "ckpt.pt"
    torch.save(run.loaded().state_dict(), path)
    evaluate = in_batches(run, 199)  # of 199 samples a share is one of 597, too
    *_, (_, last) = evaluate(run.loaded())["batches"]
    slug, _ = told(path, run, evaluated({"val_loss": 0.123, "val_accuracy": last["val_accuracy"]}), evaluate)
    assert slug != "metric-averaging"


def test_pt_200_the_best_file_is_the_last_one(run: Run, tmp_path: Path) -> None:
    """A callback that monitors nothing calls its last file the best; the number is of one that lies beside it."""
    best, last = sorted((FIRST, LAST), key=lambda step: run.at[step]["val_loss"])
    for step in (best, last):
        torch.save({"model": run.loaded(step).state_dict(), "step": step}, tmp_path / f"ckpt-{step}.pt")
    slug, text = told(tmp_path / f"ckpt-{last}.pt", run, evaluated(run.at[best]))
    assert slug in ("metric-other-step", "metric-best-for-last") and f"ckpt-{best}" in text
    assert told(tmp_path / f"ckpt-{best}.pt", run, evaluated(run.at[best])) == ("reproduced", "")


def test_pt_203_each_rank_evaluated_with_statistics_of_its_own(run: Run, tmp_path: Path) -> None:
    """The number that was logged is the mean over ranks; the file has the first one's statistics."""
    model, path = run.loaded(), tmp_path / "ckpt.pt"
    torch.save(model.state_dict(), path)
    own = run.kind.read(model)
    ranks = [run.kind.evaluate(model)]
    moved = {name: np.float32(0.7) * own[name] + np.float32(0.2) for name in run.kind.statistics(model)}
    ranks.append(run.kind.evaluate(run.kind.put(run.loaded(), {**own, **moved})))
    logged = {name: float(np.mean([rank[name] for rank in ranks])) for name in ranks[0]}
    report = holdfast.audit(
        path, evaluate=run.kind.evaluate, model=run.kind.make(4), metrics=evaluated(logged)
    )
    assert report.verdict == "differs" and report.causes == ()  # told, and no cause is guessed
    assert told(path, run, evaluated(ranks[0])) == ("reproduced", "")
