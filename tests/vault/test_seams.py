"""The seams, by the worked examples of docs/vault.md: a sink in memory, and ranks that save together."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast
from holdfast import Coordinator, Keep, SaveFailed, SaveHandle, UsageError, Vault
from holdfast._formats.holdfast_step import open_step
from holdfast._frameworks import live_catalog
from holdfast._storage.local_sink import LocalSink
from holdfast._vault.contents.payload import Payload, gather
from holdfast._vault.coordinator import Part, merged
from holdfast._vault.folder.names import StepName
from holdfast._vault.saving.commit import commit
from holdfast.testing import FaultySink
from vault.crashing import state, tag_of
from vault.ranks import RANKS, documented, together


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


# -- a sink in memory ------------------------------------------------------------------------------------------------
SINK = documented("A sink of your own")


def _payload(model: dict[str, Any]) -> Payload:
    return gather(live_catalog(model=model), {"note": "x"})


def test_what_is_committed_to_memory_is_read_back_bit_for_bit() -> None:
    model = state(3) | {"rows": np.arange(24, dtype=np.float32).reshape(4, 6).T, "text": np.array(["a", "ü"])}
    sink = SINK["MemorySink"]()
    commit(sink, StepName(3), _payload(model))
    assert {name.split("/")[0] for name in sink.files} == {"step-00000003"}
    store = SINK["MemoryStore"](sink.files, "step-00000003")
    with open_step(store.open("holdfast.json"), store) as step:
        assert not step.faults
        for name, value in model.items():
            found = np.asarray(step.read(name))
            assert found.shape == value.shape
            assert (found == value).all() if value.dtype.kind == "U" else found.tobytes() == value.tobytes()
        assert step.attributes["values"]["extra/note"] == "x"


def test_memory_and_disk_hold_the_same_bytes(tmp_path: Path) -> None:
    sink, disk = SINK["MemorySink"](), LocalSink(tmp_path)
    for place in (sink, disk):
        commit(place, StepName(1), _payload(state(1)))
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert names == set(sink.files)
    for name in names:
        if "holdfast.json" not in name:  # which has the time
            assert (tmp_path / name).read_bytes() == sink.files[name], name


def test_a_name_that_is_taken_and_failures_leave_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = SINK["MemorySink"]()
    commit(sink, StepName(1), _payload(state(1)))
    before = dict(sink.files)
    with pytest.raises(SaveFailed, match="the name is taken"):
        commit(sink, StepName(1), _payload(state(2)))
    assert sink.files == before
    for method in ("create", "rename", "sync_folder"):

        def fail(*_: object) -> None:
            raise SaveFailed("no answer")

        with monkeypatch.context() as patched, pytest.raises(SaveFailed, match="no answer"):
            patched.setattr(SINK["MemorySink"], method, fail)
            commit(sink, StepName(2), _payload(state(2)))
        if method != "sync_folder":
            assert sink.files == before
    store = SINK["MemoryStore"](sink.files, "step-00000001")
    assert [entry.name for entry in store.entries()] == sorted(name[14:] for name in before)
    assert not store.is_folder("inner")
    with pytest.raises(holdfast.CheckpointNotFound):
        store.sub("inner").entries()


# -- ranks -----------------------------------------------------------------------------------------------------------
def _half(tag: int, rank: int) -> dict[str, np.ndarray]:
    return {name: value for n, (name, value) in enumerate(sorted(state(tag).items())) if n % 2 == rank}


@pytest.mark.parametrize("blocking", [True, False])
def test_two_ranks_save_one_step(tmp_path: Path, blocking: bool) -> None:
    def work(vault: Vault, rank: int) -> list[str]:
        handles: list[SaveHandle] = []
        for tag in (1, 2, 3):
            handles.append(vault.save(tag, model=_half(tag, rank), blocking=blocking))
        return [handle.wait() for handle in handles]

    first, second = together(tmp_path, work, keep=Keep(last=2))
    assert first == second == [str(tmp_path / f"step-{n:08d}") for n in (1, 2, 3)]
    with Vault(tmp_path) as vault:
        assert [(c.step, c.sequence) for c in vault] == [(2, 2), (3, 3)]
        assert tag_of(vault) == 3
        assert tag_of(vault, step=2) == 2
        assert not vault.scrub().findings
        assert holdfast.verify(tmp_path / "step-00000003").proof == "sealed"
    files = {p.name for p in (tmp_path / "step-00000003").iterdir()}
    assert {"model.safetensors", "model.rank1.safetensors"} <= files
    assert not list(tmp_path.glob(".partial-*"))


FAULTS: dict[str, tuple[int, dict[str, Any]]] = {
    "rank 1 cannot open its file": (1, {"at": 1, "kinds": {"open"}}),
    "rank 1 cannot write": (1, {"at": 1, "kinds": {"write"}}),
    "rank 1 cannot force its file": (1, {"at": 1, "kinds": {"fsync"}}),
    "rank 0 cannot make the folder": (0, {"at": 2, "kinds": {"mkdir"}}),
    "rank 0 cannot rename": (0, {"at": 4, "kinds": {"rename"}, "forever": True}),
}


@pytest.mark.parametrize(("rank", "fault"), FAULTS.values(), ids=FAULTS.keys())
@pytest.mark.parametrize("blocking", [True, False])
def test_where_one_rank_fails_nothing_is_committed_and_both_raise(
    tmp_path: Path, rank: int, fault: dict[str, Any], blocking: bool
) -> None:
    if rank == 0 and "rename" in fault["kinds"]:
        counting = FaultySink(tmp_path / "count")
        together(tmp_path / "count", _save_half, sinks={0: counting})
        renames = [name for kind, name in counting.operations if kind == "rename"]
        fault = fault | {"at": renames.index("step-00000001") + 1}
    if rank == 0 and "mkdir" in fault["kinds"]:
        counting = FaultySink(tmp_path / "count")
        together(tmp_path / "count", _save_half, sinks={0: counting})
        made = [name for kind, name in counting.operations if kind == "mkdir"]
        (at,) = [n for n, name in enumerate(made, 1) if "partial-step" in name]
        fault = fault | {"at": at}

    def work(vault: Vault, rank: int) -> Any:
        return vault.save(1, model=_half(1, rank), blocking=blocking).wait()

    run = tmp_path / "run"
    faulty = FaultySink(run, error=errno.EIO, **fault)
    found = together(run, work, sinks={rank: faulty})
    assert faulty.struck
    assert isinstance(found[rank], SaveFailed)
    assert "the disk reports an error" in found[rank].message
    other = found[1 - rank]
    assert isinstance(other, SaveFailed)
    assert f"rank {rank} failed at" in other.message
    assert "the disk reports an error" in other.message
    assert not list(run.glob("step-*"))
    assert not list(run.glob(".partial-*"))
    assert all(isinstance(text, str) for text in together(run, _save_half)), "both save on"
    assert tag_of(Vault(run)) == 1


def _save_half(vault: Vault, rank: int) -> str:
    return vault.save(1, model=_half(1, rank), blocking=True).wait()


@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_fails_before_it_writes_is_heard(tmp_path: Path, rank: int) -> None:
    """What it was given cannot be saved: the other does not wait for it."""

    def work(vault: Vault, here: int) -> Any:
        bad = {"x": np.array([object()])} if here == rank else {}
        try:
            vault.save(1, model=_half(1, here) | bad, blocking=True)
        except Exception as error:  # noqa: BLE001 - looked at below
            failed = error
        return failed, vault.save(2, model=_half(2, here), blocking=True).wait()

    found = together(tmp_path, work)
    assert isinstance(found[rank][0], UsageError)
    assert isinstance(found[1 - rank][0], SaveFailed)
    assert f"rank {rank} failed at starting" in str(found[1 - rank][0])
    assert [c.step for c in Vault(tmp_path)] == [2]


def test_a_rank_that_never_comes_fails_the_save(tmp_path: Path) -> None:
    def work(vault: Vault, rank: int) -> Any:
        coordinator: Any = vault._writer.group
        if rank == 1:
            coordinator.table.barrier.abort()
            return None
        return vault.save(1, model=_half(1, rank), blocking=True).wait()

    first, _ = together(tmp_path, work)
    assert isinstance(first, SaveFailed)
    assert "the ranks lost each other at starting" in first.message
    assert not list(tmp_path.glob("step-*"))


def test_replicas_must_agree(tmp_path: Path) -> None:
    def same(vault: Vault, rank: int) -> str:
        return vault.save(1, model=state(1), blocking=True).wait()

    assert all(isinstance(text, str) for text in together(tmp_path, same))
    assert tag_of(Vault(tmp_path)) == 1

    def other(vault: Vault, rank: int) -> str:
        return vault.save(2, model=state(2 + rank), blocking=True).wait()

    for found in together(tmp_path, other):
        assert isinstance(found, SaveFailed)
        assert "two ranks saved different values under one name" in found.message
    assert [c.step for c in Vault(tmp_path)] == [1]


def test_ranks_wait_for_each_other_and_nothing_else(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="wait for each other"):
        Vault(tmp_path, coordinator=RANKS["ThreadRank"](0, RANKS["Table"](2)), when_busy="skip")
    Vault(tmp_path, coordinator=Coordinator(), when_busy="skip").close()


def test_one_process_is_a_group_of_one() -> None:
    alone = Coordinator()
    assert (alone.rank, alone.size, alone.leads) == (0, 1, True)
    assert alone.gather("word") == ["word"]
    assert alone.share(3) == 3
    assert alone.place("model.safetensors") == "model.safetensors"
    error = ValueError("x")
    with pytest.raises(ValueError, match="x") as raised, alone.phase("trying"):
        raise error
    assert raised.value is error
    part = Part()
    assert merged([part]) is part
