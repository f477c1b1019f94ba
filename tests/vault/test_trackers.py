"""What trackers get of a run, read back with each tool's own reader; and that none of them can hinder a save."""

from __future__ import annotations

import json
import logging
import math
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast
from holdfast import Keep, Metric, SaveFailed, Tracker, UsageError, Vault
from holdfast._trackers import tracker_of
from holdfast._vault.telling import tracking
from holdfast.testing import FaultySink
from vault.crashing import state

METRICS = [
    Metric("val_loss", 0.25, kind="evaluation", step=7),
    Metric("top@5 (%)", math.nan),
    Metric("ema_loss", 0.5, step=5),
]


class Keeping(Tracker):
    """Keeps what it is told."""

    name = "keeping"

    def __init__(self) -> None:
        self.rows: list[tuple[int, dict[str, float], dict[str, str]]] = []
        self.threads: set[str] = set()

    def put(self, step: int, numbers: Mapping[str, float], texts: Mapping[str, str]) -> None:
        self.threads.add(threading.current_thread().name)
        self.rows.append((step, dict(numbers), dict(texts)))

    @property
    def verdicts(self) -> list[tuple[int, str]]:
        return [(step, texts["holdfast/verdict"]) for step, _, texts in self.rows if texts]


def _record(run: Path, step: int) -> dict[str, Any]:
    return json.loads((run / f"step-{step:08d}" / "holdfast.json").read_text())


# -- what is told ------------------------------------------------------------------------------------------------------
def test_a_save_tells_metrics_telemetry_and_where_the_state_lies(tmp_path: Path) -> None:
    kept = Keeping()
    with Vault(tmp_path, trackers=[kept]) as vault:
        vault.save(7, model=state(1), metrics=METRICS)
    (step, numbers, texts), other = kept.rows
    assert step == 7
    assert numbers["checkpoint/val_loss"] == 0.25 and math.isnan(numbers["checkpoint/top@5 (%)"])
    assert numbers["holdfast/bytes"] > 0 and numbers["holdfast/total_s"] > 0
    assert other == (5, {"checkpoint/ema_loss": 0.5}, {}), "at the step that it was measured at"
    assert texts["holdfast/checkpoint"] == str(tmp_path / "step-00000007")
    assert texts["holdfast/record"] == _record(tmp_path, 7)["digest"]
    assert texts["holdfast/verdict"] == "saved"
    assert kept.threads == {"holdfast-tell-keeping"}, "neither the training thread nor the one that writes"


def test_what_became_of_a_checkpoint_is_told_too(tmp_path: Path) -> None:
    kept = Keeping()
    with Vault(tmp_path, Keep(last=2), trackers=[kept]) as vault:
        for step in (1, 2, 3):
            vault.save(step, model=state(step), blocking=True)
        vault.annotate(2, metrics=iter([Metric("test_acc", 0.875)]))
        file = tmp_path / "step-00000003" / "model.safetensors"
        file.write_bytes(file.read_bytes()[:-9])
        assert vault.scrub().damaged == ("step-00000003",)
        vault.restore(model=state(0))
        vault.wait()
        told = kept.verdicts
    assert told[:5] == [(1, "saved"), (2, "saved"), (3, "saved"), (1, "dropped: keep"), (2, "annotated")]
    assert [(step, text.partition(":")[0]) for step, text in told[5:]] == [
        (3, "damaged"),
        (3, "passed over"),
        (2, "restored"),
    ]
    assert all(text.partition(": ")[2] for _, text in told[5:]), "each says why"
    annotated = next(row for row in kept.rows if row[2].get("holdfast/verdict") == "annotated")
    assert annotated[1] == {"checkpoint/test_acc": 0.875}
    assert annotated[2]["holdfast/record"] == _record(tmp_path, 2)["digest"]
    restored = kept.rows[-1][2]
    assert (
        restored["holdfast/checkpoint"].endswith("step-00000002") and "sealed" in restored["holdfast/verdict"]
    )


def test_a_failed_save_is_told_with_its_reason(tmp_path: Path) -> None:
    kept = Keeping()
    sink = FaultySink(tmp_path, at=2, kinds={"rename"})
    with Vault(tmp_path, sink=sink, trackers=[kept]) as vault, pytest.raises(SaveFailed):
        vault.save(1, model=state(1), metrics={"loss": 1.0}, blocking=True)
    ((step, numbers, texts),) = kept.rows
    assert (step, numbers) == (1, {}), "a number without a checkpoint is none of a checkpoint's"
    assert texts["holdfast/verdict"].startswith("failed: ")


def test_a_callable_gets_the_numbers(tmp_path: Path) -> None:
    rows: list[Any] = []
    with Vault(tmp_path, trackers=[lambda step, numbers: rows.append((step, numbers))]) as vault:
        vault.save(7, model=state(1), metrics={"loss": 2.0}, blocking=True)
        vault.restore(model=state(0))  # texts only: nothing for it
    ((step, numbers),) = rows
    assert step == 7 and numbers["checkpoint/loss"] == 2.0


# -- what a tracker cannot do ------------------------------------------------------------------------------------------
def test_one_that_raises_is_logged_once_counted_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = Keeping()

    def broken(step: int, numbers: dict[str, float]) -> None:
        raise ConnectionError("the server is gone")

    with caplog.at_level(logging.DEBUG, "holdfast.vault"), Vault(tmp_path, trackers=[broken, kept]) as vault:
        first = vault.save(1, model=state(1), blocking=True)
        vault.wait()
        second = vault.save(2, model=state(2), blocking=True)
        vault.wait()
    name = broken.__qualname__
    expected = {"failed": 1, "lost": 0, "why": "ConnectionError: the server is gone"}
    assert first.telemetry["trackers"] == {name: expected}
    assert second.telemetry["trackers"] == {name: {**expected, "failed": 2}}
    assert "trackers" not in _record(tmp_path, 1)["telemetry"]
    assert _record(tmp_path, 2)["telemetry"]["trackers"] == {name: expected}, (
        "what was known when it was written"
    )
    errors = [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]
    assert len(errors) == 1 and "the server is gone" in errors[0]
    last = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(last) == 1 and "did not take 2 of 2 messages" in last[0]
    assert [step for step, _ in kept.verdicts] == [1, 2], "the others go on"


def test_one_that_ends_the_process_or_waits_for_the_vault_does_neither(tmp_path: Path) -> None:
    seen: list[int] = []

    def leaves(step: int, numbers: dict[str, float]) -> None:
        sys.exit(3)

    def waits(step: int, numbers: dict[str, float]) -> None:
        vault.wait()
        seen.append(step)

    with Vault(tmp_path, trackers=[leaves, waits]) as vault:
        handle = vault.save(1, model=state(1), blocking=True)
        vault.save(2, model=state(2), blocking=True)
    assert seen == [1, 2]
    assert handle.telemetry["trackers"][leaves.__qualname__]["why"] == "SystemExit: 3"


def test_one_that_takes_everything_is_nowhere_complained_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "holdfast.vault"), Vault(tmp_path, trackers=[Keeping()]) as vault:
        handle = vault.save(1, model=state(1), blocking=True)
    assert "trackers" not in handle.telemetry
    assert not caplog.records


def test_one_that_hangs_holds_nobody_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "_PATIENCE", 0.2)
    monkeypatch.setattr(tracking, "_MOST", 3)
    go = threading.Event()
    kept = Keeping()
    with caplog.at_level(logging.WARNING, "holdfast.vault"):
        with Vault(tmp_path, Keep(last=10), trackers=[lambda step, numbers: go.wait(60), kept]) as vault:
            for step in range(1, 8):
                vault.save(step, model=state(step), blocking=True)
        texts = [r.getMessage() for r in caplog.records]
    go.set()
    assert [step for step, _ in kept.verdicts] == [1, 2, 3, 4, 5, 6, 7]
    assert any("has not taken 4 messages yet" in text for text in texts), texts
    assert any("did not take 3 of 3 messages: it is too slow" in text for text in texts), texts


def test_the_end_of_a_process_that_closed_nothing_waits_for_its_trackers(tmp_path: Path) -> None:
    code = f"""
import time, numpy as np, holdfast
def slow(step, numbers):
    time.sleep(0.5)
    open({str(tmp_path / "told")!r}, "a").write(f"{{step}} ")
vault = holdfast.Vault({str(tmp_path / "run")!r}, trackers=[slow])
for step in (1, 2):
    vault.save(step, model={{"w": np.zeros(9)}})
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
    assert (tmp_path / "told").read_text() == "1 2 "


def test_what_is_no_tracker_is_refused_with_what_would_be(tmp_path: Path) -> None:
    for wrong in (object(), 3, "mlflow", dict, None):
        with pytest.raises(UsageError, match="no tracker") as caught:
            Vault(tmp_path, trackers=[wrong])
        assert "SummaryWriter" in str(caught.value.expected)
    for single in (Keeping(), "mlflow", lambda step, numbers: None):
        with pytest.raises(UsageError, match="a list"):
            Vault(tmp_path, trackers=single)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="tensorboard="):
        Vault(tmp_path, tensorboard=lambda step, numbers: None)
    assert not list(tmp_path.iterdir())


def test_recognising_imports_no_tool() -> None:
    code = (
        "import sys, holdfast; from holdfast._trackers import tracker_of; tracker_of(lambda s, n: None);"
        "assert not {'mlflow', 'wandb', 'tensorflow', 'torch', 'lightning', 'tensorboard'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# -- the tools themselves ----------------------------------------------------------------------------------------------
def _saved(run: Path, tracker: Any, *, several: bool = False) -> Vault:
    """One save with metrics, or three of which the first is dropped and one is annotated."""
    with Vault(run, Keep(last=2), trackers=[tracker]) as vault:
        if several:
            vault.save(5, model=state(5), blocking=True)
            vault.save(6, model=state(6), blocking=True)
        vault.save(7, model=state(7), metrics=METRICS, blocking=True)
        if several:
            vault.annotate(6, metrics={"test_acc": 0.875})
    return vault


def _events(folder: Path) -> Any:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    log = accumulator.EventAccumulator(str(folder))
    log.Reload()
    return log


@pytest.mark.parametrize("package", ["torch.utils.tensorboard", "tensorboardX"])
def test_a_summary_writer(tmp_path: Path, package: str) -> None:
    pytest.importorskip("tensorboard")
    with pytest.importorskip(package).SummaryWriter(str(tmp_path / "log")) as writer:
        _saved(tmp_path / "run", writer)
    log = _events(tmp_path / "log")
    loss, ema = log.Scalars("checkpoint/val_loss"), log.Scalars("checkpoint/ema_loss")
    assert [(e.step, e.value) for e in (*loss, *ema)] == [(7, 0.25), (5, 0.5)]
    assert "holdfast/total_s" in log.Tags()["scalars"]
    texts = {tag: log.Tensors(tag) for tag in log.Tags()["tensors"]}
    (place,) = texts["holdfast/checkpoint/text_summary"]
    assert place.step == 7 and place.tensor_proto.string_val[0].decode() == str(
        tmp_path / "run" / "step-00000007"
    )
    (record,) = texts["holdfast/record/text_summary"]
    assert record.tensor_proto.string_val[0].decode() == _record(tmp_path / "run", 7)["digest"]


def test_a_writer_of_tf_summary(tmp_path: Path) -> None:
    tensorflow = pytest.importorskip("tensorflow")
    writer = tensorflow.summary.create_file_writer(str(tmp_path / "log"))
    _saved(tmp_path / "run", writer)
    writer.close()
    log = _events(tmp_path / "log")
    (loss,) = log.Tensors("checkpoint/val_loss")
    assert (loss.step, float(tensorflow.make_ndarray(loss.tensor_proto))) == (7, 0.25)
    (place,) = log.Tensors("holdfast/checkpoint")
    assert tensorflow.make_ndarray(place.tensor_proto).item().decode().endswith("step-00000007")
    assert "holdfast/verdict" in log.PluginTagToContent("text")


@pytest.fixture
def mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    found = pytest.importorskip("mlflow")
    before = found.get_tracking_uri()
    found.set_tracking_uri((tmp_path / "mlruns").as_uri())
    monkeypatch.chdir(tmp_path)  # where it keeps the artifacts of a database's runs
    yield found
    while found.active_run() is not None:
        found.end_run()
    found.set_tracking_uri(before)


@pytest.mark.parametrize("given", ["run", "module", "client", "run in sqlite"])
def test_an_mlflow_run(tmp_path: Path, mlflow: Any, given: str) -> None:
    if given == "run in sqlite":
        pytest.importorskip("sqlalchemy")
        pytest.importorskip("alembic")
        mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'runs.db'}")
    with mlflow.start_run() as run:
        client = mlflow.MlflowClient()
        tracker = {"run": run, "module": mlflow, "client": (client, run.info.run_id)}.get(given, run)
        _saved(tmp_path / "run", tracker, several=True)
    name = run.info.run_id
    assert len(mlflow.search_runs(output_format="list")) == 1, "no run of another thread's own"
    history = client.get_metric_history(name, "checkpoint/val_loss")
    assert [(m.step, m.value) for m in history] == [(7, 0.25)]
    assert [(m.step, m.value) for m in client.get_metric_history(name, "checkpoint/test_acc")] == [(6, 0.875)]
    assert math.isnan(client.get_metric_history(name, "checkpoint/top_5 ___")[0].value)
    assert len(client.get_metric_history(name, "holdfast/total_s")) == 3
    tags = client.get_run(name).data.tags
    assert tags["holdfast.checkpoint"] == str(tmp_path / "run" / "step-00000007"), (
        "the newest, whatever was told since"
    )
    assert tags["holdfast.record"] == _record(tmp_path / "run", 7)["digest"]
    assert (tags["holdfast.verdict"], tags["holdfast.step"]) == ("saved", "7")
    files = {Path(f.path).name for f in client.list_artifacts(name, "holdfast")}
    assert files == {
        "step-00000005.saved.json",
        "step-00000005.dropped.json",
        "step-00000006.saved.json",
        "step-00000006.annotated.json",
        "step-00000007.saved.json",
    }
    told = mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/holdfast/step-00000007.saved.json")
    assert told["record"] == tags["holdfast.record"] and told["numbers"]["checkpoint/top@5 (%)"] == "nan"


def test_mlflow_without_a_run_says_what_to_do(tmp_path: Path, mlflow: Any) -> None:
    with pytest.raises(UsageError, match="no active run"):
        Vault(tmp_path, trackers=[mlflow])
    with pytest.raises(UsageError, match="says no run"):
        Vault(tmp_path, trackers=[mlflow.MlflowClient()])
    with mlflow.start_run() as run:
        vault = Vault(tmp_path / "run", trackers=[run])
    mlflow.MlflowClient().delete_run(run.info.run_id)
    handle = vault.save(1, model=state(1), blocking=True)
    vault.close()
    assert "lifecycle_stage" in handle.telemetry["trackers"]["mlflow"]["why"]


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    return pytest.importorskip("wandb")


def _rows(run: Any) -> list[dict[str, Any]]:
    """The rows of an offline run that was finished: wandb's own messages out of its file, a log in LevelDB's format."""
    file = next(Path(run.dir).parent.glob("*.wandb"))
    for _ in range(200):  # its service may still be writing when finish() returns
        rows, ended = _read(file.read_bytes())
        if ended:
            return rows
        time.sleep(0.1)
    raise AssertionError("the run has no end")


def _read(data: bytes) -> tuple[list[dict[str, Any]], bool]:
    from wandb.proto.wandb_internal_pb2 import Record

    at, part, rows = 7, b"", []
    while at + 7 <= len(data):
        if (left := 32768 - at % 32768) < 7:
            at += left
            continue
        size, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        part += data[at + 7 : at + 7 + size]
        at += 7 + size
        if at > len(data):
            break
        if kind in (1, 4):
            record = Record()
            record.ParseFromString(part)
            part = b""
            if record.WhichOneof("record_type") == "exit":
                return rows, True
            if record.WhichOneof("record_type") == "history":
                rows.append({i.key or i.nested_key[0]: json.loads(i.value_json) for i in record.history.item})
    return rows, False


def test_a_wandb_run_keeps_every_number_of_both(tmp_path: Path, wandb: Any) -> None:
    """A run's counter only goes up: what comes late is dropped, unless it goes into the row that is open."""
    run = wandb.init(project="test", dir=str(tmp_path))
    with Vault(tmp_path / "run", trackers=[run]) as vault:
        for step in range(1, 7):
            run.log({"loss": 1 / step}, step=step)
            if step % 2 == 0:
                vault.save(step, model=state(step), metrics={"val_loss": 10.0 + step}, blocking=True)
                vault.wait()
            run.log({"lr": step}, step=step)  # for the same row, after the save
        for step in (7, 8, 9):  # nothing else is logged any more
            vault.save(step, model=state(step), metrics={"val_loss": 10.0 + step}, blocking=True)
    run.finish()
    rows = _rows(run)
    assert [(r["loss"], r["lr"]) for r in rows if "loss" in r] == [(1 / n, n) for n in range(1, 7)]
    ours = [r for r in rows if "holdfast/step" in r]
    assert [(r["holdfast/step"], r["checkpoint/val_loss"]) for r in ours] == [
        (n, 10.0 + n) for n in (2, 4, 6, 7, 8, 9)
    ]
    assert ours[0]["holdfast/checkpoint"].endswith("step-00000002") and ours[0]["holdfast/verdict"] == "saved"
    assert ours[-1]["holdfast/record"] == _record(tmp_path / "run", 9)["digest"]


def test_wandb_that_is_finished_off_or_not_begun(tmp_path: Path, wandb: Any) -> None:
    with pytest.raises(UsageError, match="no run yet"):
        Vault(tmp_path, trackers=[wandb])
    run = wandb.init(mode="disabled")
    with Vault(tmp_path / "off", trackers=[run]) as vault:
        handle = vault.save(1, model=state(1), blocking=True)
    assert "trackers" not in handle.telemetry
    run.finish()
    run = wandb.init(project="test", dir=str(tmp_path))
    vault = Vault(tmp_path / "run", trackers=[wandb])
    run.finish()
    handle = vault.save(1, model=state(1), blocking=True)
    vault.close()
    assert "finished" in handle.telemetry["trackers"]["wandb"]["why"]


def test_lightning_loggers_by_the_tool_behind_them(tmp_path: Path, mlflow: Any) -> None:
    pytest.importorskip("tensorboard")
    loggers = pytest.importorskip("lightning.pytorch.loggers")
    board = loggers.TensorBoardLogger(str(tmp_path / "tb"))
    _saved(tmp_path / "run", board)
    board.finalize("success")
    (loss,) = _events(Path(board.log_dir)).Scalars("checkpoint/val_loss")
    assert (loss.step, loss.value) == (7, 0.25)
    with pytest.raises(UsageError, match="not safe to write to"):
        Vault(tmp_path / "other", trackers=[loggers.CSVLogger(str(tmp_path / "csv"))])


def test_lightning_with_wandb_and_mlflow(tmp_path: Path, mlflow: Any, wandb: Any) -> None:
    loggers = pytest.importorskip("lightning.pytorch.loggers")
    logger = loggers.MLFlowLogger(tracking_uri=(tmp_path / "mlruns").as_uri())
    assert tracker_of(logger).name == "mlflow"
    _saved(tmp_path / "run", logger)
    history = mlflow.MlflowClient().get_metric_history(logger.run_id, "checkpoint/val_loss")
    assert [(m.step, m.value) for m in history] == [(7, 0.25)]
    own = loggers.WandbLogger(save_dir=str(tmp_path), offline=True)
    assert tracker_of(own).name == "wandb"
    own.experiment.finish()


def test_two_of_a_kind_have_names_of_their_own(tmp_path: Path) -> None:
    def broken(step: int, numbers: dict[str, float]) -> None:
        raise ValueError("no")

    with Vault(tmp_path, trackers=[broken, broken]) as vault:
        handle = vault.save(1, model={"w": np.zeros(3)}, blocking=True)
        vault.wait()
        later = vault.save(2, model={"w": np.zeros(3)}, blocking=True)
    name = broken.__qualname__
    assert set(later.telemetry["trackers"]) == {name, f"{name}.2"}
    assert handle.path and holdfast.verify(handle.path).verdict
