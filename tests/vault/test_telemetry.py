"""What a save tells of itself: record, handle, events, TensorBoard, log, progress; and that nobody who listens breaks it."""

from __future__ import annotations

import errno
import io
import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdfast import Keep, SaveFailed, UsageError, Vault
from holdfast._storage.memory import peak_resident, resident
from holdfast._vault.telling import telemetry
from holdfast._vault.telling.telemetry import gpu_memory, scalars
from holdfast.events import (
    Committed,
    Dropped,
    Failed,
    Frozen,
    PassedOver,
    SaveStarted,
    Skipped,
    Written,
)
from holdfast.testing import FaultySink
from vault.crashing import state, tag_of

PHASES = ("stall", "snapshot", "hash", "write", "fsync", "total")


def _big(nbytes: int = 1 << 20) -> dict[str, np.ndarray]:
    return {"w": np.zeros(nbytes // 4, np.float32)}


def _record(run: Path, step: int) -> dict[str, Any]:
    return json.loads((run / f"step-{step:08d}" / "holdfast.json").read_text())


# -- the record and the handle ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("blocking", [True, False])
def test_the_record_and_the_handle_hold_all_phases(tmp_path: Path, blocking: bool) -> None:
    with Vault(tmp_path) as vault:
        for step in (1, 2):
            handle = vault.save(step, model=_big(), blocking=blocking)
            handle.wait()
            found = _record(tmp_path, step)
            for timings in (found["timings"], handle.timings):
                for name in PHASES:
                    assert timings[name] > 0, name
                assert timings["retries"] == 0
                assert timings["total"] >= timings["write"] >= timings["fsync"]
                assert timings["snapshot"] <= timings["total"]
            assert handle.timings["total"] >= found["timings"]["total"]
            for told in (found["telemetry"], handle.telemetry):
                assert told["bytes"] == 1 << 20
                assert told["bytes_reused"] == 0
                assert told["free_before"] > 0 and told["free_after"] > 0
                assert "gpu" not in told, "no GPU is in use here"
                for name in ("rss_before", "rss_during", "rss_after"):
                    assert 0 < told[name] <= told["peak_rss"]


def test_the_peak_of_memory_is_the_process_own() -> None:
    now, peak = resident(), peak_resident()
    assert now is not None and peak is not None
    assert 1 << 20 < now <= peak < 1 << 40


def test_retries_are_counted(tmp_path: Path) -> None:
    sink = FaultySink(tmp_path, at=4, error=errno.EINTR, kinds={"write"})
    with Vault(tmp_path, sink=sink) as vault:
        handle = vault.save(1, model=state(1), blocking=True)
    assert sink.struck == 1
    assert handle.timings["retries"] == 1


def test_what_is_shared_with_an_earlier_step_is_counted(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    model = torch.nn.Sequential(torch.nn.Linear(64, 64, bias=False), torch.nn.Linear(64, 2))
    model[0].weight.requires_grad_(False)
    with Vault(tmp_path) as vault:
        first = vault.save(1, model=model, blocking=True)
        second = vault.save(2, model=model, blocking=True)
    assert first.telemetry["bytes_reused"] == 0
    assert second.telemetry["bytes_reused"] >= 64 * 64 * 4
    assert _record(tmp_path, 2)["telemetry"]["bytes_reused"] == second.telemetry["bytes_reused"]


@pytest.mark.gpu
def test_memory_of_a_gpu_is_told(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    model = torch.nn.Linear(512, 512).cuda()
    with Vault(tmp_path) as vault:
        handle = vault.save(1, model=model, blocking=True)
    for moment in ("before", "during", "after"):
        assert handle.telemetry["gpu"][moment]["allocated"] >= 512 * 512 * 4


def test_a_gpu_that_is_not_in_use_is_not_asked() -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    assert gpu_memory() is None
    assert not torch.cuda.is_initialized()


# -- events ------------------------------------------------------------------------------------------------------------
def test_events_come_in_their_order(tmp_path: Path) -> None:
    events: list[Any] = []
    with Vault(tmp_path, Keep(last=1), on_event=events.append) as vault:
        vault.save(1, model=_big(), blocking=True)
        vault.save(2, model=_big()).wait()
    kinds = [SaveStarted, Frozen, Written, Committed]
    assert [type(e) for e in events] == [*kinds, *kinds, Dropped]
    assert [e.step for e in events[:-1]] == [1] * 4 + [2] * 4
    assert events[-1] == Dropped("step-00000001")
    _, frozen, written, committed = events[4:8]
    assert frozen.nbytes == written.nbytes == 1 << 20
    assert 0 < frozen.elapsed < written.elapsed < committed.elapsed
    assert committed.name == "step-00000002" and Path(committed.path).is_dir()
    assert committed.timings["total"] >= committed.timings["fsync"]
    assert committed.telemetry["bytes"] == 1 << 20


@pytest.mark.parametrize("blocking", [True, False])
def test_a_failure_is_told_once(tmp_path: Path, blocking: bool) -> None:
    events: list[Any] = []
    sink = FaultySink(tmp_path, at=2, kinds={"rename"}, error=errno.EIO)
    with Vault(tmp_path, on_event=events.append, sink=sink) as vault:
        with pytest.raises(SaveFailed, match="the disk reports an error"):
            vault.save(1, model=state(1), blocking=blocking).wait()
        (failed,) = [e for e in events if isinstance(e, Failed)]
        assert failed.step == 1 and isinstance(failed.error, SaveFailed) and failed.elapsed > 0
        assert not any(isinstance(e, Committed) for e in events)
        vault.save(2, model=state(2), blocking=True)
    assert sum(isinstance(e, Failed) for e in events) == 1


def test_what_fails_before_the_freeze_is_told_too(tmp_path: Path) -> None:
    events: list[Any] = []
    with Vault(tmp_path, on_event=events.append) as vault, pytest.raises(UsageError):
        vault.save(1, model=state(1), extra={"f": print})
    assert [type(e) for e in events] == [SaveStarted, Failed]


def test_a_skipped_save_and_a_step_passed_over(tmp_path: Path) -> None:
    events: list[Any] = []
    sink = FaultySink(tmp_path, at=1, action="hang", kinds={"fsync"})
    (tmp_path / "vault.json").write_text("{}")
    with Vault(tmp_path, on_event=events.append, sink=sink, when_busy="skip") as vault:
        vault.save(1, model=state(1))
        assert sink.hanging.wait(60)
        vault.save(2, model=state(2))
        assert Skipped(2) in events
        sink.release.set()
        vault.wait()
        vault.save(3, model=state(3), blocking=True)
        file = tmp_path / "step-00000003" / "model.safetensors"
        file.write_bytes(file.read_bytes()[:-9])
        vault.restore(model=state(0))
    (passed,) = [e for e in events if isinstance(e, PassedOver)]
    assert passed.name == "step-00000003" and passed.why


def test_a_save_that_may_not_begin_does_not_end_the_one_in_flight(tmp_path: Path) -> None:
    events: list[Any] = []
    (tmp_path / "vault.json").write_text("{}")
    sink = FaultySink(tmp_path, at=1, action="hang", kinds={"fsync"})
    with Vault(tmp_path, on_event=events.append, sink=sink, when_busy="raise") as vault:
        handle = vault.save(1, model=state(1))
        assert sink.hanging.wait(60)
        with pytest.raises(SaveFailed, match="still being written"):
            vault.save(2, model=state(2))
        with pytest.raises(UsageError):
            vault.save(-1, model=state(2))
        sink.release.set()
        handle.wait()
    assert [type(e) for e in events] == [SaveStarted, Frozen, Written, Committed]


def test_an_overlapped_copy_is_frozen_when_it_has_ended(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    model = torch.nn.Linear(512, 512)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    model(torch.ones(2, 512)).sum().backward()
    optimizer.step()
    events: list[Any] = []
    with Vault(tmp_path, overlap=True, on_event=events.append) as vault:
        handle = vault.save(1, model=model, optimizer=optimizer)
        optimizer.step()
        assert handle.frozen
        handle.wait()
    assert [type(e) for e in events] == [SaveStarted, Frozen, Written, Committed]
    recorded = _record(tmp_path, 1)["timings"]
    assert recorded["stall"] >= recorded["snapshot"] > 0
    assert handle.timings["stall"] >= handle.timings["join"] >= 0


def test_a_save_that_hung_too_long_is_told_once_and_never_as_committed(tmp_path: Path) -> None:
    events: list[Any] = []
    (tmp_path / "vault.json").write_text("{}")
    sink = FaultySink(tmp_path, at=1, action="hang", kinds={"fsync"})
    with Vault(tmp_path, deadline=2, on_event=events.append, sink=sink) as vault:
        with pytest.raises(SaveFailed, match="saving hangs: fsync"):
            vault.save(1, model=state(1)).wait(60)
        assert sum(isinstance(e, Failed) for e in events) == 1
        sink.release.set()
        for thread in threading.enumerate():
            if thread.name == "holdfast-write":
                thread.join(60)
    assert sum(isinstance(e, Failed) for e in events) == 1
    assert not any(isinstance(e, (Written, Committed)) for e in events)


def test_a_callback_that_raises_breaks_nothing_and_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(event: object) -> None:
        raise ValueError("not today")

    with caplog.at_level(logging.DEBUG, "holdfast.vault"):
        with Vault(tmp_path, Keep(last=1), on_event=broken, progress=broken, tensorboard=_Broken()) as vault:
            for step in (1, 2, 3):
                vault.save(step, model=_big(), blocking=step != 2)
        assert tag_is_there(tmp_path)
    errors = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert len(errors) == 3, errors
    assert {text.partition("=")[0] for text in errors} == {"on_event", "progress", "tensorboard"}
    assert all("not today" in text for text in errors)


def tag_is_there(run: Path) -> bool:
    return (run / "step-00000003" / "holdfast.json").is_file()


class _Broken:
    def add_scalar(self, tag: str, value: float, step: int) -> None:
        raise ValueError("not today")


def test_only_what_can_be_called_is_taken(tmp_path: Path) -> None:
    for given in ({"on_event": 3}, {"progress": "yes"}, {"tensorboard": object()}):
        with pytest.raises(UsageError):
            Vault(tmp_path, **given)  # type: ignore[arg-type]


# -- TensorBoard -------------------------------------------------------------------------------------------------------
NAMES = {f"holdfast/{name}_s" for name in PHASES} | {
    "holdfast/retries",
    "holdfast/bytes",
    "holdfast/bytes_reused",
    "holdfast/free_after",
    "holdfast/peak_rss",
}


def test_scalars_of_a_gpu_as_well() -> None:
    told = scalars({"stall": 0.5}, {"gpu": {"before": {"allocated": 7, "reserved": 8, "peak": 9}}})
    assert told == {"stall_s": 0.5, "retries": 0.0, "gpu_before": 7.0}


def test_any_writer_with_add_scalar(tmp_path: Path) -> None:
    class Writer:
        def __init__(self) -> None:
            self.rows: list[tuple[str, float, int]] = []

        def add_scalar(self, tag: str, value: float, step: int) -> None:
            self.rows.append((tag, value, step))

    writer = Writer()
    with Vault(tmp_path / "run", tensorboard=writer) as vault:
        vault.save(7, model=_big(), blocking=True)
    found = {tag: value for tag, value, step in writer.rows if step == 7}
    assert found.keys() >= NAMES
    assert found["holdfast/bytes"] == 1 << 20
    assert 0 < found["holdfast/stall_s"] <= found["holdfast/total_s"] + 0.1


def test_a_real_summary_writer_of_pytorch(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path / "log")) as writer, Vault(tmp_path / "run", tensorboard=writer) as vault:
        vault.save(7, model=_big())
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = EventAccumulator(str(tmp_path / "log"))
    log.Reload()
    assert set(log.Tags()["scalars"]) >= NAMES
    (row,) = log.Scalars("holdfast/bytes")
    assert (row.step, row.value) == (7, 1 << 20)


def test_a_real_writer_of_tf_summary(tmp_path: Path) -> None:
    tensorflow = pytest.importorskip("tensorflow")
    writer = tensorflow.summary.create_file_writer(str(tmp_path / "log"))
    with Vault(tmp_path / "run", tensorboard=writer) as vault:
        vault.save(7, model=_big())  # from the thread that writes
    writer.close()
    found = {}
    for file in (tmp_path / "log").iterdir():
        for event in tensorflow.compat.v1.train.summary_iterator(str(file)):
            for value in event.summary.value:
                if value.metadata.plugin_data.plugin_name != "text":
                    found[value.tag] = (event.step, float(tensorflow.make_ndarray(value.tensor)))
    assert found.keys() >= NAMES
    assert found["holdfast/bytes"] == (7, 1 << 20)
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    except ImportError:
        return
    log = EventAccumulator(str(tmp_path / "log"))
    log.Reload()
    assert "holdfast/bytes" in log.Tags()["tensors"]


# -- the log -----------------------------------------------------------------------------------------------------------
def test_a_stuck_save_can_be_seen_where_it_stands(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sink = FaultySink(tmp_path, at=2, action="hang", kinds={"fsync"})
    (tmp_path / "vault.json").write_text("{}")
    with caplog.at_level(logging.DEBUG, "holdfast.vault"), Vault(tmp_path, sink=sink) as vault:
        vault.save(5, model=state(1))
        assert sink.hanging.wait(60)
        last = [r.getMessage() for r in caplog.records if r.getMessage().startswith("step 5")][-1]
        sink.release.set()
    assert last.startswith("step 5 +0.") and "fsync .partial-step-00000005-" in last
    assert last.endswith("/state.json"), last
    texts = [r.getMessage() for r in caplog.records]
    for phase in (
        "save started",
        "frozen, ",
        "written",
        "rename step-00000005",
        "committed as step-00000005",
    ):
        assert any(phase in text and text.startswith("step 5 +") for text in texts), phase
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]


def test_an_operation_that_was_slow_is_told_with_its_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telemetry, "_SLOW", 0.04)
    sink = FaultySink(tmp_path, at=3, action="slow", kinds={"write"}, seconds=0.05)
    with caplog.at_level(logging.DEBUG, "holdfast.vault"), Vault(tmp_path, sink=sink) as vault:
        vault.save(5, model=state(1), blocking=True)
    assert any("write .partial-" in r.getMessage() and " took 0.0" in r.getMessage() for r in caplog.records)


# -- progress ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("nbytes", [1 << 20, 12 << 20])
def test_progress_counts_every_byte_that_is_written(tmp_path: Path, nbytes: int) -> None:
    counts: list[int] = []
    with Vault(tmp_path, progress=counts.append) as vault:
        vault.save(1, model=_big(nbytes), blocking=True)
        first = sum(counts)
        vault.save(2, model=_big(nbytes), blocking=True)
    assert nbytes <= first <= nbytes + (1 << 16)
    assert sum(counts) == 2 * first


def test_a_bar_on_a_terminal_for_a_long_save_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    def shown(stream: io.StringIO, run: Path) -> str:
        monkeypatch.setattr(telemetry.sys, "stderr", stream)
        with Vault(run, progress=True) as vault:
            vault.save(1, model=_big(), blocking=True)
        return stream.getvalue()

    monkeypatch.setenv("TERM", "xterm")
    assert shown(Terminal(), tmp_path / "short") == ""
    monkeypatch.setattr("holdfast._render.progress.DELAY", 0.0)
    assert "saving step 1" in shown(Terminal(), tmp_path / "long")
    assert shown(io.StringIO(), tmp_path / "piped") == ""
    assert not any(thread.name.startswith("Thread-") and thread.is_alive() for thread in _rich_threads())


def _rich_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if type(t).__module__.startswith("rich")]


def test_a_progress_that_wants_to_know_what_comes_is_told(tmp_path: Path) -> None:
    seen: list[tuple[Any, ...]] = []

    class Wants:
        def __call__(self, nbytes: int) -> None:
            pass

        def checkpoint(self, *given: Any) -> None:
            seen.append(given)

    wants: Callable[[int], None] = Wants()
    with Vault(tmp_path, progress=wants) as vault:
        vault.save(4, model=_big(), blocking=True)
    assert seen == [("saving step 4", 1, 1, 1 << 20)]


def test_threads_that_save_at_once_do_not_mix_their_numbers(tmp_path: Path) -> None:
    events: list[Any] = []
    with Vault(tmp_path, on_event=events.append) as vault:
        threads = [
            threading.Thread(
                target=lambda step=step: vault.save(step, model=state(step), blocking=step % 2 == 0)
            )
            for step in range(1, 5)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        vault.wait()
        assert sorted(c.step for c in vault) == [1, 2, 3, 4]
        assert tag_of(vault, step=3) == 3
    committed = [e for e in events if isinstance(e, Committed)]
    assert sorted(e.step for e in committed) == [1, 2, 3, 4]
    assert len({e.telemetry["bytes"] for e in committed}) == 1
    assert not any(isinstance(e, Failed) for e in events)
