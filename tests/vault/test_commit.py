"""A committed step: standard files, a record that fits them, every flip found, and names, links and modes as they should be."""

from __future__ import annotations

import errno
import gc
import json
import logging
import os
import random
import shutil
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import holdfast
from holdfast import Keep, Vault
from holdfast._core.errors import HoldfastError, NothingToRestore, SaveFailed, UsageError
from holdfast._record.schema import load_record
from holdfast._storage.local_sink import LocalSink
from holdfast.testing import FaultySink
from vault.crashing import state, tag_of


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def _saved(run: Path, *steps: int) -> Path:
    with Vault(run) as vault:
        for step in steps:
            vault.save(step, model=state(step), extra={"note": f"of {step}"}, blocking=True)
    return run / f"step-{steps[-1]:08d}"


# -- standard files --------------------------------------------------------------------------------------------------
def test_files_open_with_safetensors_numpy(tmp_path: Path) -> None:
    numpy_files = pytest.importorskip("safetensors.numpy")
    rows = np.arange(24, dtype=np.float32).reshape(4, 6)
    model = {
        "c": rows,
        "turned": rows.T,
        "every other": rows[::2, ::-1],
        "big end": np.arange(5, dtype=">i4"),
        "half": np.arange(3, dtype=np.float16),
        "flag": np.array([True, False]),
        "none": np.zeros((0, 4), np.int16),
        "one": np.array(7, np.uint64),
        "ünï/cöde": np.ones(2, np.int8),
    }
    with Vault(tmp_path) as vault:
        path = vault.save(1, model=model, blocking=True).wait()
    found = numpy_files.load_file(os.path.join(path, "model.safetensors"))
    assert found.keys() == model.keys()
    for name, value in model.items():
        assert found[name].shape == value.shape
        assert found[name].dtype == value.dtype.newbyteorder("=")
        assert (found[name] == value).all(), name


def test_files_open_with_safetensors_torch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch_files = pytest.importorskip("safetensors.torch")
    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3)).to(torch.bfloat16)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.randn(5, 4, dtype=torch.bfloat16)).sum().backward()
    optimizer.step()
    with Vault(tmp_path) as vault:
        path = vault.save(1, model=model, optimizer=optimizer, blocking=True).wait()
    found = torch_files.load_file(os.path.join(path, "model.safetensors"))
    expected = model.state_dict()
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value), name
    model.load_state_dict(found)
    slots = torch_files.load_file(os.path.join(path, "optimizer.safetensors"))
    assert sum("exp_avg" in name for name in slots) == 8


def test_a_dtype_that_safetensors_does_not_know_is_there_as_bytes(tmp_path: Path) -> None:
    numpy_files = pytest.importorskip("safetensors.numpy")
    values = {
        "c": np.arange(4).astype(np.complex64),
        "f8": np.arange(4).astype(ml_dtypes.float8_e4m3b11fnuz),
    }
    with Vault(tmp_path) as vault:
        path = vault.save(1, model=values, blocking=True).wait()
        fresh = {name: np.zeros_like(value) for name, value in values.items()}
        vault.restore(model=fresh)
    found = numpy_files.load_file(os.path.join(path, "model.safetensors"))
    for name, value in values.items():
        assert found[name].dtype == np.uint8
        assert found[name].tobytes() == value.tobytes() == fresh[name].tobytes()


def test_the_record_fits_the_files(tmp_path: Path) -> None:
    step = _saved(tmp_path, 1)
    text = (step / "holdfast.json").read_bytes()
    record = load_record(text, "holdfast.json")
    assert {f.name for f in record.files} == {"model.safetensors", "state.json"}
    for entry in record.files:
        assert entry.size == (step / entry.name).stat().st_size
    data = (step / "model.safetensors").read_bytes()
    for row in record.tensors:
        (place,) = row.stored
        assert data[place.offset : place.offset + place.length] == state(1)[row.name].tobytes()
    with pytest.raises(HoldfastError):
        load_record(text.replace(b'"float32"', b'"float16"', 1), "holdfast.json")
    assert holdfast.verify(step).verdict == "sound"
    assert "note" in (step / "state.json").read_text()


# -- flips -----------------------------------------------------------------------------------------------------------
def _flip(step: Path, chance: random.Random) -> str:
    files = sorted(p for p in step.iterdir() if p.stat().st_size)
    sizes = [p.stat().st_size for p in files]
    file = chance.choices(files, sizes)[0] if chance.random() < 0.5 else chance.choice(files)
    at, bit = chance.randrange(file.stat().st_size), chance.randrange(8)
    with file.open("r+b") as handle:
        handle.seek(at)
        byte = handle.read(1)[0] ^ (1 << bit)
        handle.seek(at)
        handle.write(bytes([byte]))
    return f"{file.name}:{at} bit {bit}"


def _flips(tmp_path: Path, times: int, seed: int) -> None:
    chance = random.Random(seed)
    files: Counter[str] = Counter()
    run = tmp_path / "run"
    _saved(run, 1)
    for n in range(times):
        step = _saved(run, 2)
        flipped = _flip(step, chance)
        files[flipped.partition(":")[0]] += 1
        model = {name: np.zeros_like(value) for name, value in state(0).items()}
        with Vault(run) as vault:
            outcome = vault.restore(model=model)
            assert outcome is not None
            if flipped.startswith("holdfast.json"):  # one of two copies: told, and the other is used
                told = [f.slug for f in outcome.findings]
                assert told == ["seal-damaged"], f"flip {n} of {flipped} is not found"
                assert model["tag"][0] == 2
                shutil.rmtree(step)
                continue
            assert [name for name, _ in outcome.passed_over] == [step.name], (
                f"flip {n} of {flipped} is not found"
            )
            assert model["tag"][0] == 1
            for name, value in state(1).items():
                assert model[name].tobytes() == value.tobytes()
            assert [c.step for c in vault] == [1], "the damaged step is set aside"
        (aside,) = run.glob(".damaged-*")
        assert aside.name.startswith(".damaged-step-00000002")
        for file in aside.iterdir():
            file.unlink()
        aside.rmdir()
    assert files.keys() == {"model.safetensors", "state.json", "holdfast.json", "holdfast.json.copy"}


def test_flips_are_found_at_restore(tmp_path: Path) -> None:
    _flips(tmp_path, 40, 3)


@pytest.mark.long
def test_200_flips_are_found_at_restore(tmp_path: Path) -> None:
    _flips(tmp_path, 200, 4)


@pytest.mark.parametrize("file", ["model.safetensors", "state.json"])
@pytest.mark.parametrize("how", ["gone", "empty", "short", "longer", "zeros"])
def test_a_damaged_file_is_passed_over(tmp_path: Path, file: str, how: str) -> None:
    step = _saved(tmp_path, 1, 2)
    place = step / file
    data = place.read_bytes()
    changed = {"empty": b"", "short": data[:-2], "longer": data + b"\0", "zeros": bytes(len(data))}
    if how == "gone":
        place.unlink()
    else:
        place.write_bytes(changed[how])
    model = {name: np.zeros_like(value) for name, value in state(0).items()}
    outcome = Vault(tmp_path).restore(model=model)
    assert outcome is not None
    assert [name for name, _ in outcome.passed_over] == ["step-00000002"]
    assert model["tag"][0] == 1


def test_a_step_that_cannot_be_read_now_is_passed_over_and_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many open files is no damage."""
    step = _saved(tmp_path, 1, 2)
    real = Path.read_bytes

    def read_bytes(self: Path) -> bytes:
        if self.parent == step:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return real(self)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    model = {name: np.zeros_like(value) for name, value in state(0).items()}
    outcome = Vault(tmp_path).restore(model=model)
    assert outcome is not None
    assert outcome.passed_over == (("step-00000002", "its record cannot be used: Too many open files"),)
    assert step.exists()
    monkeypatch.undo()
    assert tag_of(Vault(tmp_path)) == 2


def test_when_nothing_verifies_it_is_an_error_and_no_fresh_start(tmp_path: Path) -> None:
    step = _saved(tmp_path, 1)
    (step / "model.safetensors").write_bytes(b"")
    for fresh in (False, True):
        model = state(0)
        with pytest.raises(NothingToRestore, match="no checkpoint of this vault verifies") as failed:
            Vault(tmp_path).restore(model=model, or_start_fresh=fresh)
        assert "step-00000001" in str(failed.value)
        assert model["w"].tobytes() == state(0)["w"].tobytes()
    assert step.exists(), "with nothing better, nothing is set aside"


def test_the_run_goes_on_after_a_fallback(tmp_path: Path) -> None:
    """Step 2 is damaged: the run continues from 1, and its new step 2 is another line's."""
    step = _saved(tmp_path, 1, 2)
    (step / "model.safetensors").write_bytes(b"")
    with Vault(tmp_path) as vault:
        model = {name: np.zeros_like(value) for name, value in state(0).items()}
        vault.restore(model=model)
        vault.save(2, model=state(4), blocking=True)
        first, second = list(vault)
        assert (first.step, second.step) == (1, 2)
        assert second.parent == first.name
        assert second.lineage != first.lineage
        assert tag_of(vault) == 4


# -- names -----------------------------------------------------------------------------------------------------------
def test_a_name_that_is_taken_becomes_2_and_3(tmp_path: Path) -> None:
    with Vault(tmp_path) as vault:
        for tag in (4, 5, 6):
            vault.save(7, model=state(tag), blocking=True)
        assert [c.name for c in vault] == ["step-00000007", "step-00000007.2", "step-00000007.3"]
        assert [tag_of(vault, step=c.name) for c in vault] == [4, 5, 6]
        assert tag_of(vault, step=7) == 6, "a number means the newest of its saves"


def test_going_back_and_saving_again_touches_nothing(tmp_path: Path) -> None:
    with Vault(tmp_path) as vault:
        for step in (1, 2, 3):
            vault.save(step, model=state(step), blocking=True)
        before = {p: (p.stat().st_ino, p.read_bytes()) for p in tmp_path.glob("step-*/*")}
        assert tag_of(vault, step=1) == 1
        vault.save(2, model=state(8), blocking=True)
        assert {p: (p.stat().st_ino, p.read_bytes()) for p in before} == before
        newest = vault.latest
        assert newest is not None
        assert (newest.name, newest.parent) == ("step-00000002.2", "step-00000001")
        assert tag_of(vault) == 8, "the newest of the newest lineage, although step 3 has a greater number"
        assert len({c.lineage for c in vault}) == 2


@pytest.mark.parametrize("taken", ["folder", "file", "link to nowhere"])
def test_a_name_that_another_took_meanwhile_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: str
) -> None:
    """It is taken after the vault has looked, just before the rename."""
    place = tmp_path / "step-00000001"
    real = LocalSink.rename

    def rename(self: LocalSink, old: str, new: str) -> None:
        if new == place.name:
            if taken == "folder":
                place.mkdir()
            elif taken == "file":
                place.write_text("mine")
            else:
                place.symlink_to(tmp_path / "nowhere")
        real(self, old, new)

    monkeypatch.setattr(LocalSink, "rename", rename)
    with Vault(tmp_path) as vault, pytest.raises(SaveFailed):
        vault.save(1, model=state(1), blocking=True)
    assert place.is_symlink() if taken == "link to nowhere" else place.exists()
    assert not list(tmp_path.glob(".partial-*"))
    assert taken != "folder" or not list(place.iterdir())


def test_a_target_that_is_a_symlink(tmp_path: Path) -> None:
    """The link stays a link, the data lies where it points, and both names are one vault."""
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    with Vault(link, Keep(last=1)) as vault:
        for step in (1, 2):
            vault.save(step, model=state(step), blocking=True)
        assert tag_of(Vault(real)) == 2
    assert link.is_symlink()
    there = ["dropped.jsonl", "step-00000002", "vault.json", "vault.lock"]
    assert sorted(p.name for p in real.iterdir()) == there


def test_a_step_that_was_moved_and_linked_back(tmp_path: Path) -> None:
    """Someone moved an old step to another disk: dropping it removes the link, not what it points to."""
    run, away = tmp_path / "run", tmp_path / "away"
    step = _saved(run, 1)
    step.rename(away)
    step.symlink_to(away)
    with Vault(run, Keep(last=1)) as vault:
        assert tag_of(vault) == 1
        vault.save(2, model=state(2), blocking=True)
        assert [c.step for c in vault] == [2]
    assert (away / "model.safetensors").exists()


def test_a_vault_that_was_moved(tmp_path: Path) -> None:
    _saved(tmp_path / "a", 1, 2)
    (tmp_path / "a").rename(tmp_path / "b")
    with Vault(tmp_path / "b") as vault:
        assert tag_of(vault) == 2
        vault.save(3, model=state(3), blocking=True)
        assert tag_of(vault) == 3


@pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_modes_are_those_of_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        run = tmp_path / "run"
        with Vault(run) as vault:
            vault.save(1, model=state(1), blocking=True)
            vault.annotate(1, metrics={"loss": 1.0})
            vault.pin(1)
    finally:
        os.umask(before)
    seen = {path: stat.S_IMODE(path.stat().st_mode) for path in (run, *run.rglob("*"))}
    assert len(seen) == 10
    for path, mode in seen.items():
        assert mode == (0o777 if path.is_dir() else 0o666) & ~umask, path


def test_partial_folders_are_removed_and_nothing_else(tmp_path: Path) -> None:
    _saved(tmp_path, 1)
    partial = tmp_path / ".partial-step-00000002-abcd"
    (partial / "inner").mkdir(parents=True)
    (partial / "inner" / "x").write_text("x")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "keep").write_text("x")
    (partial / "link").symlink_to(outside)
    (tmp_path / ".damaged-step-00000003").mkdir()
    (tmp_path / "notes.txt").write_text("x")
    assert tag_of(Vault(tmp_path)) == 1
    assert partial.exists(), "reading removes nothing"
    _saved(tmp_path, 4)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        ".damaged-step-00000003", "notes.txt", "outside", "step-00000001", "step-00000004", "vault.json", "vault.lock",
    ]  # fmt: skip
    assert (outside / "keep").exists()


def test_a_leftover_that_cannot_be_removed_hinders_no_save(tmp_path: Path) -> None:
    _saved(tmp_path, 1)
    (tmp_path / ".partial-x").mkdir()
    sink = FaultySink(tmp_path, at=1, kinds={"unlink"}, forever=True)
    with Vault(tmp_path, sink=sink) as vault:
        vault.save(2, model=state(2), blocking=True)
        assert sink.struck
        assert tag_of(vault) == 2


# -- metrics measured later ------------------------------------------------------------------------------------------
def test_a_torn_last_line_of_metrics_costs_only_itself(tmp_path: Path) -> None:
    step = _saved(tmp_path, 1)
    with Vault(tmp_path) as vault:
        vault.annotate(1, metrics={"loss": 0.5})
        with (step / "metrics.jsonl").open("ab") as file:
            file.write(b'{"record": "ab')
        assert vault.checkpoints()[0].metrics == {"loss": 0.5}
        vault.annotate(1, metrics={"acc": 0.75})
        assert vault.checkpoints()[0].metrics == {"loss": 0.5, "acc": 0.75}
        lines = (step / "metrics.jsonl").read_bytes().split(b"\n")
        assert [bool(line) for line in lines] == [True, True, True, False]
        assert tag_of(vault) == 1, "metrics are no part of what is verified"


@pytest.mark.parametrize(
    "junk", [b"\xff\xfe\n", b"[]\n", b"3\n", b'{"record": 1}\n', b"\n", b'{"metrics": {"loss": 9}}\n']
)
def test_lines_that_mean_nothing_are_passed_over(tmp_path: Path, junk: bytes) -> None:
    step = _saved(tmp_path, 1)
    (step / "metrics.jsonl").write_bytes(junk)
    with Vault(tmp_path) as vault:
        assert vault.checkpoints()[0].metrics == {}
        vault.annotate(1, metrics={"loss": 0.5})
        assert vault.checkpoints()[0].metrics == {"loss": 0.5}


def test_metrics_of_another_record_do_not_count(tmp_path: Path) -> None:
    step = _saved(tmp_path, 1, 2)
    row = json.dumps({"record": "0" * 64, "metrics": {"loss": 0.0}})
    (step / "metrics.jsonl").write_text(row + "\n")
    assert Vault(tmp_path).checkpoints()[1].metrics == {}


def test_annotating_a_disk_that_is_full_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _saved(tmp_path, 1)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SaveFailed, match="the disk is full"):
        Vault(tmp_path).annotate(1, metrics={"loss": 1.0})


def test_a_step_that_is_not_there(tmp_path: Path) -> None:
    _saved(tmp_path, 1)
    with pytest.raises(UsageError, match="no such step"):
        Vault(tmp_path).annotate(5, metrics={"loss": 1.0})


# -- reading beside writing ------------------------------------------------------------------------------------------
def test_what_is_being_read_is_not_written_over(tmp_path: Path) -> None:
    """A step that is open keeps its values whatever is saved or dropped meanwhile."""
    step = _saved(tmp_path, 1)
    with holdfast.open(step) as held:
        view = held.read("w")
        with Vault(tmp_path, Keep(last=1)) as vault:
            for tag in (4, 5):
                vault.save(1, model=state(tag), blocking=True)
            assert [c.name for c in vault] == ["step-00000001", "step-00000001.3"], "its reader keeps it"
        assert view.tobytes() == state(1)["w"].tobytes()
        assert held.read("b").tobytes() == state(1)["b"].tobytes()
    gc.collect()
