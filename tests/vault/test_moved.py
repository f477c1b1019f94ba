"""What people do to a run's folder, and to the program's own, while a run saves."""

from __future__ import annotations

import gc
import logging
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import holdfast
from holdfast import Vault
from holdfast._core.errors import HoldfastError, SaveFailed, VaultLocked
from holdfast._integrity.atomic import write_whole
from holdfast._storage.local_sink import LocalSink
from holdfast._vault.folder.names import COPY, RECORD
from vault.crashing import state

IN_MEMORY = True


# -- the program changes its folder ----------------------------------------------------------------------------------
@pytest.mark.parametrize("given", [False, True])
def test_a_relative_path_means_the_folder_of_the_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: bool
) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    with Vault("runs/a", sink=LocalSink("runs/a") if given else None) as vault:
        vault.save(1, model=state(1), blocking=True)
        os.chdir("data")
        assert [c.step for c in vault] == [1]
        vault.save(2, model=state(2), blocking=True)
        outcome = vault.restore(model=state(0), or_start_fresh=True)
    assert outcome is not None and outcome.step == 2
    assert sorted(p.name for p in (tmp_path / "runs/a").glob("step-*")) == ["step-00000001", "step-00000002"]
    assert not list((tmp_path / "data").iterdir())


def test_a_relative_path_is_settled_before_the_first_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    with Vault("run") as vault:
        vault.save(1, model=state(1), blocking=True)
    again = Vault("run")
    os.chdir("data")
    outcome = again.restore(model=state(0), or_start_fresh=True)
    assert outcome is not None and outcome.step == 1


# -- the run's folder is moved, or replaced --------------------------------------------------------------------------
def test_a_folder_that_is_gone_is_said_so_and_may_come_back(tmp_path: Path) -> None:
    with Vault(tmp_path / "run") as vault:
        vault.save(1, model=state(1), blocking=True)
        (tmp_path / "run").rename(tmp_path / "elsewhere")
        with pytest.raises(SaveFailed, match="moved or deleted while this run was saving"):
            vault.save(2, model=state(2))
        assert not (tmp_path / "run").exists()
        (tmp_path / "elsewhere").rename(tmp_path / "run")
        vault.save(2, model=state(2), blocking=True)
        assert [c.step for c in vault] == [1, 2]


def test_a_folder_that_goes_while_a_step_waits_to_be_written(tmp_path: Path) -> None:
    with Vault(tmp_path / "run") as vault:
        vault.save(1, model=state(1), blocking=True)
        shutil.rmtree(tmp_path / "run")
        with pytest.raises(SaveFailed) as failed:
            vault._writer._sweep()  # what the thread begins with
    assert failed.value.file == str(tmp_path / "run")


def test_a_lock_that_was_deleted_is_taken_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Vault(tmp_path) as vault:
        vault.save(1, model=state(1), blocking=True)
        Path(tmp_path, "vault.lock").unlink()
        with caplog.at_level(logging.WARNING, "holdfast.vault"):
            vault.save(2, model=state(2), blocking=True)
        assert "locked anew" in caplog.text
        with pytest.raises(VaultLocked):
            Vault(tmp_path).save(3, model=state(3))
        caplog.clear()
        vault.save(4, model=state(4), blocking=True)
        assert not caplog.records


def test_another_folder_in_its_place_is_locked_too(tmp_path: Path) -> None:
    with Vault(tmp_path / "run") as vault:
        vault.save(1, model=state(1), blocking=True)
        (tmp_path / "run").rename(tmp_path / "old")
        with Vault(tmp_path / "run") as other:
            other.save(1, model=state(1), blocking=True)
            with pytest.raises(VaultLocked):
                vault.save(2, model=state(2))
        vault.save(2, model=state(2), blocking=True)


def test_a_link_into_nothing_is_told_as_that(tmp_path: Path) -> None:
    os.symlink(tmp_path / "not mounted" / "run", tmp_path / "run")
    with pytest.raises(SaveFailed, match="a link to a folder that is not there") as failed:
        Vault(tmp_path / "run").save(1, model=state(1))
    assert failed.value.found == str(tmp_path / "not mounted" / "run")
    (tmp_path / "not mounted" / "run").mkdir(parents=True)
    with Vault(tmp_path / "run") as vault:
        vault.save(1, model=state(1), blocking=True)


# -- a notebook's cell is run again ----------------------------------------------------------------------------------
def test_a_vault_that_no_variable_holds_hinders_no_other(tmp_path: Path) -> None:
    gc.disable()
    try:
        for step in (1, 2, 3):
            vault = Vault(tmp_path)
            vault.save(step, model=state(step), blocking=True)
        assert [c.step for c in vault] == [1, 2, 3]
    finally:
        gc.enable()


def test_one_that_is_held_is_named_with_what_to_do(tmp_path: Path) -> None:
    with Vault(tmp_path) as held:
        held.save(1, model=state(1), blocking=True)
        with pytest.raises(VaultLocked, match=r"another Vault object of this process.*close\(\)"):
            Vault(tmp_path).save(2, model=state(2))


# -- a step is copied in part ----------------------------------------------------------------------------------------
def test_a_step_without_its_record_is_not_passed_over_in_silence(tmp_path: Path) -> None:
    with Vault(tmp_path / "run") as vault:
        for step in (1, 2):
            vault.save(step, model=state(step), blocking=True)
    assert {c.verdict for c in holdfast.verify(tmp_path / "run").checkpoints} == {"sound"}
    for name in (RECORD, COPY):
        (tmp_path / "run/step-00000002" / name).unlink()
    (tmp_path / "run/step-00000003").mkdir()
    for place in (tmp_path / "run", tmp_path / "run/step-00000002"):
        report = holdfast.verify(place, recursive=True)
        (found,) = (c for c in report.checkpoints if Path(c.path).name == "step-00000002")
        assert [f.code for f in found.findings] == ["F111"]
        assert "no record" in found.findings[0].message
    report = holdfast.verify(tmp_path / "run", recursive=True)
    bad = [Path(c.path).name for c in report.checkpoints if c.worst() == "error"]
    assert bad == ["step-00000002", "step-00000003"]


def test_folders_of_that_name_elsewhere_are_no_steps(tmp_path: Path) -> None:
    save = pytest.importorskip("safetensors.numpy").save_file
    (tmp_path / "step-00000002").mkdir()
    save({"w": np.zeros(3, "f4")}, tmp_path / "step-00000002/model.safetensors")
    assert [c.verdict for c in holdfast.verify(tmp_path, recursive=True).checkpoints] == ["sound"]


# -- nothing can be written ------------------------------------------------------------------------------------------
def test_a_disk_that_became_read_only_is_told_in_our_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise OSError(30, "Read-only file system")

    with (
        monkeypatch.context() as patched,
        pytest.raises(HoldfastError, match="be written: Read-only file system"),
    ):
        patched.setattr(os, "open", refuse)
        patched.setattr(os, "unlink", refuse)
        write_whole(tmp_path / "pins.json", b"[]", replace=True)
