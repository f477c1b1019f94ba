"""What dropped steps measured is not lost: the file of the dropped, the history of all, the line of one."""

from __future__ import annotations

import errno
import json
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast
from holdfast import Keep, Metric, Vault
from holdfast._core.errors import SaveFailed
from holdfast._storage.local_sink import LocalSink
from holdfast._vault.folder.past import DROPPED, chain, dropped_steps
from holdfast._vault.folder.saved import SavedStep
from holdfast.testing import DroppingSink, FaultySink, Killed
from vault.crashing import NEW, SCENARIOS, TROUBLES, folder_for, operations

IN_MEMORY = True


def model(value: int = 0) -> dict[str, Any]:
    return {"w": np.full((3, 2), value, np.float32)}


def run(path: Path, steps: range, keep: Keep | None = None, **given: Any) -> None:
    with Vault(path, keep or Keep(last=2), **given) as vault:
        for step in steps:
            metrics = {"val_loss": math.nan if step == 3 else 1 / step, "accuracy": step / 10}
            vault.save(step, model=model(step), metrics=metrics, blocking=True)


# -- what is kept ----------------------------------------------------------------------------------------------------
def test_all_that_a_dropped_step_measured(tmp_path: Path) -> None:
    with Vault(tmp_path, Keep(last=1)) as vault:
        said = Metric("val_loss", 0.25, kind="evaluation", data="validation", samples=10)
        vault.save(1, model=model(), metrics=[said, Metric("diverged", math.inf)], blocking=True)
        vault.annotate(1, metrics=[Metric("bleu", 27.5, kind="external"), Metric("bad", math.nan)])
        live = vault.history()[0]
        vault.save(2, model=model(), blocking=True)
        first, second = vault.history()
    assert (live.live, first.live, second.live) == (True, False, True)
    assert first.why == "keep" and first.dropped is not None
    assert first.metrics.keys() == {"val_loss", "diverged", "bleu", "bad"}
    assert first.metrics["val_loss"] == 0.25 and first.metrics["diverged"] == math.inf
    assert math.isnan(first.metrics["bad"])
    assert first.measured["val_loss"] == {"kind": "evaluation", "data": "validation", "samples": 10}
    assert first.measured["bleu"]["kind"] == "external"
    for field in (
        "name",
        "step",
        "created",
        "sequence",
        "lineage",
        "parent",
        "variant",
        "nbytes",
        "digest",
        "timings",
    ):
        assert getattr(first, field) == getattr(live, field), field
    assert first.telemetry["bytes"] == 24
    assert first.timings["stall"] > 0


def test_every_step_in_the_order_of_saving(tmp_path: Path) -> None:
    run(tmp_path, range(1, 9), Keep(last=2, best=1, by="val_loss"))
    rows = Vault(tmp_path).history()
    assert [row.step for row in rows] == list(range(1, 9))
    assert [row.step for row in rows if row.live] == [7, 8]
    assert [c.step for c in Vault(tmp_path)] == [7, 8]
    assert math.isnan(rows[2].metrics["val_loss"])


def test_nothing_is_noted_where_nothing_is_dropped(tmp_path: Path) -> None:
    run(tmp_path, range(1, 4), Keep())
    assert not (tmp_path / DROPPED).exists()
    assert [row.live for row in Vault(tmp_path).history()] == [True] * 3


def test_a_name_that_was_given_twice(tmp_path: Path) -> None:
    """A step that was dropped may be saved anew: two rows, told apart by their records."""
    run(tmp_path, range(1, 4), Keep(last=1))
    with Vault(tmp_path, Keep(last=1)) as vault:
        vault.save(1, model=model(), metrics={"val_loss": 7.0}, blocking=True)
        rows = vault.history()
    assert [(r.name, r.live) for r in rows if r.step == 1] == [
        ("step-00000001", False),
        ("step-00000001", True),
    ]
    assert [r.metrics["val_loss"] for r in rows if r.step == 1] == [1.0, 7.0]


def test_a_step_whose_record_is_damaged_keeps_its_place(tmp_path: Path) -> None:
    run(tmp_path, range(1, 5), Keep(last=3))
    for name in ("holdfast.json", "holdfast.copy.json"):
        place = tmp_path / "step-00000003" / name
        if place.exists():
            place.chmod(0o644)
            place.write_bytes(b"{")
    for other in (tmp_path / "step-00000003").glob("*holdfast*"):
        other.chmod(0o644)
        other.write_bytes(b"{")
    rows = Vault(tmp_path).history()
    assert [(row.step, row.fault is None, row.live) for row in rows] == [
        (1, True, False), (2, True, True), (3, False, True), (4, True, True),
    ]  # fmt: skip


# -- what can go wrong with the file -----------------------------------------------------------------------------------
def test_torn_lines_and_lines_of_others(tmp_path: Path) -> None:
    run(tmp_path, range(1, 5), Keep(last=1))
    place = tmp_path / DROPPED
    lines = place.read_bytes().splitlines(keepends=True)
    assert len(lines) == 3
    hostile = [
        b"\n", b"[1]\n", b"null\n", b'{"name": "../../etc"}\n', b'{"name": 5}\n', b"\xff\xfe\n", b"[" * 5000 + b"\n",
        b'{"name": "step-00000099", "sequence": -1, "metrics": {"a": "x", "b": [1], "c": true, "d": 1e400, "e": 1},'
        b' "measured": {"e": 5}, "timings": 7, "nbytes": "much", "lineage": {}, "parent": 3}\n',
    ]  # fmt: skip
    place.write_bytes(lines[0] + b"".join(hostile) + lines[1] + lines[2][:-40])
    found = {row.name: row for row in dropped_steps(str(tmp_path))}
    assert set(found) == {"step-00000001", "step-00000002", "step-00000099"}
    odd = found["step-00000099"]
    assert odd.metrics == {"d": math.inf, "e": 1}
    assert (odd.measured, odd.timings, odd.nbytes, odd.lineage, odd.parent, odd.sequence) == (
        {},
        {},
        0,
        "",
        None,
        0,
    )
    run(tmp_path, range(5, 6), Keep(last=1))  # a line after a torn one stands alone
    assert [r.step for r in Vault(tmp_path).history()][-2:] == [4, 5]
    place.write_bytes(b"")
    assert [r.step for r in Vault(tmp_path).history()] == [5]
    place.unlink()
    place.mkdir()
    assert [r.step for r in Vault(tmp_path).history()] == [5]


def test_a_line_beyond_all_measure_is_passed_over(tmp_path: Path) -> None:
    run(tmp_path, range(1, 3), Keep(last=1))
    place = tmp_path / DROPPED
    whole = place.read_bytes()
    place.write_bytes(b'{"name": "step-00000077", "x": "' + b"a" * (9 << 20) + b'"}\n' + whole)
    assert [row.step for row in dropped_steps(str(tmp_path))] == [1]


def test_killed_between_noting_and_deleting(tmp_path: Path) -> None:
    """The step is still there: one row, live; when it goes at last there are two lines and still one row."""
    run(tmp_path, range(1, 3), Keep())
    sink = FaultySink(tmp_path, at=2, kinds=["rename"], action="kill")  # the first makes the new step visible
    vault = Vault(tmp_path, Keep(last=2), sink=sink)
    with pytest.raises(Killed):
        vault.save(3, model=model(3), blocking=True)
    vault.close()
    assert sink.struck == 1
    assert [(row.step, row.live) for row in Vault(tmp_path).history()] == [(1, True), (2, True), (3, True)]
    assert [row.step for row in dropped_steps(str(tmp_path))] == [1]
    run(tmp_path, range(4, 5), Keep(last=1))
    assert [(row.step, row.live) for row in Vault(tmp_path).history()] == [
        (1, False),
        (2, False),
        (3, False),
        (4, True),
    ]
    lines = (tmp_path / DROPPED).read_bytes().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 1, 2, 3]


def test_a_full_disk_is_no_reason_to_keep_a_step(tmp_path: Path) -> None:
    """The line does not fit, the step goes all the same, and then it fits."""

    class Tight(LocalSink):
        def append(self, name: str, data: bytes) -> bool:
            if any(child.name == "step-00000001" for child in tmp_path.iterdir()):
                raise SaveFailed("no space") from OSError(errno.ENOSPC, "No space left on device")
            return super().append(name, data)

    run(tmp_path, range(1, 3), Keep(last=1), sink=Tight(tmp_path))
    assert [(row.step, row.live) for row in Vault(tmp_path).history()] == [(1, False), (2, True)]


def test_a_line_that_is_lost_for_good_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Full(LocalSink):
        def append(self, name: str, data: bytes) -> bool:
            raise SaveFailed("no space") from OSError(errno.ENOSPC, "No space left on device")

    with caplog.at_level(logging.ERROR, "holdfast.vault"):
        run(tmp_path, range(1, 3), Keep(last=1), sink=Full(tmp_path))
    assert [c.step for c in Vault(tmp_path)] == [2]
    assert "step-00000001 was dropped, and what it measured is lost" in caplog.text


def test_another_failure_keeps_the_step(tmp_path: Path) -> None:
    run(tmp_path, range(1, 2), Keep())
    (tmp_path / DROPPED).mkdir()  # nothing can be appended to that
    with (
        Vault(tmp_path, Keep(last=1)) as vault,
        pytest.raises(SaveFailed, match="is saved, but an older step"),
    ):
        vault.save(2, model=model(2), blocking=True)
    assert [c.step for c in Vault(tmp_path)] == [1, 2]


def test_a_sink_that_cannot_append(tmp_path: Path) -> None:
    class NoAppend(LocalSink):
        def append(self, name: str, data: bytes) -> bool:
            return False

    run(tmp_path, range(1, 4), Keep(last=1), sink=NoAppend(tmp_path))
    assert [row.step for row in Vault(tmp_path).history()] == [3]


@pytest.mark.parametrize(
    "trouble", ["killed", "power cut", "power cut, names first", "EIO once", "short writes"]
)
@pytest.mark.parametrize("name", ["pruning", "past the cache, pruning"])
def test_the_sweep_from_noting_on(name: str, trouble: str) -> None:
    """Whatever goes wrong at whichever operation of dropping: what every step measured is still known."""
    scenario = next(s for s in SCENARIOS if s.name == name)
    fault = next(t for t in TROUBLES if t.name == trouble)
    all_of_it = operations(scenario)
    begin = next(n for n, (_, where) in enumerate(all_of_it, 1) if where == DROPPED)
    for at in range(begin, len(all_of_it) + 1):
        with folder_for(scenario) as folder:
            path = Path(folder, "run")
            scenario.prepare(path)
            sink = DroppingSink(path, at=at, **fault.fault, **scenario.sink)
            scenario.run(path, sink)
            if fault.crash is not None:
                sink.crash(fault.crash)  # type: ignore[arg-type]
            names = [row.name for row in Vault(path).history()]
            assert names == [*scenario.earlier, scenario.new], (at, all_of_it[at - 1], names)
    assert NEW not in scenario.earlier.values()


# -- the line of one step ----------------------------------------------------------------------------------------------
def test_the_line_of_a_restored_step(tmp_path: Path) -> None:
    """What another lineage measured is not in it; what was dropped is."""
    run(tmp_path, range(1, 7), Keep(last=3))
    with Vault(tmp_path, Keep(last=3)) as vault:
        vault.restore(model=model(), step=4)
        vault.save(5, model=model(), metrics={"val_loss": 50.0}, blocking=True)
        vault.save(6, model=model(), metrics={"val_loss": 60.0}, blocking=True)
        outcome = vault.restore(model=model())
        assert outcome is not None
        assert outcome.history.steps == [1, 2, 3, 4, 5, 6]
        assert outcome.history.array("val_loss").tolist()[3:] == [0.25, 50.0, 60.0]
        assert outcome.history.purge_step == 7 and outcome.history.gaps == ()
        older = vault.restore(model=model(), step="step-00000006")
        assert older is not None
        assert older.history.array("val_loss").tolist()[3:] == [1 / 4, 1 / 5, 1 / 6]
    assert len({row.lineage for row in Vault(tmp_path).history()}) == 2


def test_a_restore_without_a_vault_has_an_empty_history(tmp_path: Path) -> None:
    run(tmp_path, range(1, 2))
    outcome = holdfast.restore(tmp_path / "step-00000001", model=model())
    assert (
        len(outcome.history) == 0 and outcome.history.purge_step is None and outcome.history.as_dict() == {}
    )


def test_after_a_fallback_the_history_ends_where_training_goes_on(tmp_path: Path) -> None:
    run(tmp_path, range(1, 4), Keep())
    tensors = tmp_path / "step-00000003" / "model.safetensors"
    tensors.chmod(0o644)
    data = bytearray(tensors.read_bytes())
    data[-1] ^= 0xFF
    tensors.write_bytes(data)
    with Vault(tmp_path) as vault:
        outcome = vault.restore(model=model())
        assert outcome is not None and outcome.step == 2
        assert outcome.history.steps == [1, 2]
        for step in (3, 4):
            vault.save(step, model=model(), metrics={"val_loss": 70.0}, blocking=True)
        rows = vault.history()
        again = vault.restore(model=model())
    assert again is not None and again.history.array("val_loss").tolist() == [1.0, 0.5, 70.0, 70.0]
    assert [(row.step, row.live, row.why) for row in rows] == [
        (1, True, ""), (2, True, ""), (3, False, "damaged"), (3, True, ""), (4, True, ""),
    ]  # fmt: skip
    assert math.isnan(rows[2].metrics["val_loss"]) and rows[2].lineage == rows[1].lineage != rows[3].lineage


def rows_of(*rows: tuple[str, str | None, str]) -> list[SavedStep]:
    return [
        SavedStep(name, int(name.split("-")[1].split(".")[0]), parent=parent, lineage=lineage, sequence=n)
        for n, (name, parent, lineage) in enumerate(rows)
    ]


def test_chains() -> None:
    rows = rows_of(
        ("step-00000001", None, "a"),
        ("step-00000002", "step-00000001", "a"),
        ("step-00000001", "step-00000002", "b"),  # the name anew
        ("step-00000003", "step-00000001", "b"),
        ("step-00000009", "step-00000008", "b"),  # 8 is not known
        ("step-00000010", "step-00000007", "c"),  # nothing of its line is known
    )
    sequence = [[row.sequence for row in chain(rows, row)] for row in rows]
    assert sequence == [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3], [0, 1, 2, 3, 4], [5]]
    loop = rows_of(("step-00000001", "step-00000001", "a"), ("step-00000002", "step-00000002", "a"))
    assert [row.sequence for row in chain(loop, loop[1])] == [0, 1]


def test_a_very_long_run_is_read_in_no_time(tmp_path: Path) -> None:
    with Vault(tmp_path) as vault:
        vault.save(1, model=model(), blocking=True)
        only = vault.history()[0]
    with (tmp_path / DROPPED).open("w") as file:
        for n in range(20_000):
            parent = f"step-{n - 1:08d}" if n else None
            row = {
                "name": f"step-{n:08d}",
                "sequence": n - 30_000,
                "parent": parent,
                "lineage": only.lineage,
                "record": f"{n}",
            }
            file.write(json.dumps({**row, "sequence": n, "metrics": {"loss": 1 / (n + 1)}}) + "\n")
    rows = Vault(tmp_path).history()
    last = next(row for row in rows if row.name == "step-00019999")
    assert len(chain(rows, last)) == 20_000


def test_what_a_dropped_step_was_made_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Most steps have the same environment: it is written once by a process, and each row has it."""
    said = {"commit": "aaa", "dirty": True, "diff": "+x"}
    monkeypatch.setattr("holdfast._record.environment._code_at_first", lambda: dict(said))
    with Vault(tmp_path, Keep(last=1)) as vault:
        for step in range(1, 7):
            said |= {"commit": "bbb", "diff": "+y"} if step == 4 else {}
            vault.save(step, model=model(step), blocking=True)
    lines = [json.loads(line) for line in (tmp_path / DROPPED).read_bytes().splitlines()]
    assert ["environments" in line for line in lines] == [True, False, False, True, False]
    rows = Vault(tmp_path).history()
    assert [row.environment["code"]["commit"] for row in rows] == ["aaa"] * 3 + ["bbb"] * 3
    digests = [row.environment["code"]["diff_digest"] for row in rows]
    assert len(set(digests)) == 2 and digests[0] == digests[2] != digests[3] == digests[5]
    assert rows[0].environment["python"] == rows[5].environment["python"]
    odd = [
        "5",
        "{}",
        '{"environments": 5, "name": "step-00000099", "environment": {}}',
        '{"environments": {"a": 5}}',
    ]
    with (tmp_path / DROPPED).open("a") as file:
        file.writelines(f"{line}\n" for line in odd)
    assert {row.name: row.environment for row in dropped_steps(str(tmp_path))}["step-00000099"] == {}
