"""Bugs that other savers have had, each as a test."""

from __future__ import annotations

import errno
import logging
import os
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

import holdfast
from holdfast import Keep, Vault
from holdfast._core.errors import SaveFailed, VaultLocked
from holdfast._storage.local_sink import LocalSink
from holdfast.testing import DroppingSink, FaultySink
from vault.crashing import state, tag_of
from vault.freezing import Gate

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
Result = TypeVar("Result")


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


# -- saving over what is mapped --------------------------------------------------------------------------------------
def test_weights_that_are_mapped_from_the_vault_are_saved_back_into_it(tmp_path: Path) -> None:
    """safetensors' save_file over a path whose mmap its own tensors are writes zeros."""
    with Vault(tmp_path) as vault:
        vault.save(1, model=state(1), blocking=True)
    with holdfast.open(tmp_path / "step-00000001") as held, Vault(tmp_path, Keep(last=1)) as vault:
        mapped = {name: held.read(name) for name in held}
        assert any(not value.flags.writeable for value in mapped.values())
        for _ in range(3):
            vault.save(1, model=mapped, blocking=True)
        for name, value in state(1).items():
            assert mapped[name].tobytes() == value.tobytes()
        assert tag_of(vault) == 1


def test_weights_that_another_library_maps_from_the_vault(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors")
    with Vault(tmp_path, Keep(last=1)) as vault:
        path = vault.save(1, model={"w": np.arange(1 << 16, dtype=np.float32)}, blocking=True).wait()
        with safetensors.safe_open(os.path.join(path, "model.safetensors"), "numpy") as file:
            vault.save(1, model={"w": file.get_tensor("w")}, blocking=True)
            vault.save(2, model={"w": file.get_tensor("w") * 2}, blocking=True)
            assert file.get_tensor("w")[-1] == (1 << 16) - 1, "what was dropped lives as long as its reader"
        fresh = {"w": np.zeros(1 << 16, np.float32)}
        vault.restore(model=fresh)
        assert (fresh["w"] == 2 * np.arange(1 << 16, dtype=np.float32)).all()


# -- modes, links, other file systems --------------------------------------------------------------------------------
@pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
@pytest.mark.parametrize("umask", [0o022, 0o027, 0o002])
def test_a_group_that_may_read_the_run_may_read_what_is_saved(tmp_path: Path, umask: int) -> None:
    """NamedTemporaryFile makes 0600, and a rename keeps it. (Files that are linked are read-only besides.)"""
    before = os.umask(umask)
    try:
        with Vault(tmp_path / "run") as vault:
            vault.save(1, model=state(1), blocking=True)
            vault.save(
                2, model={"w": np.ones(2 << 20, np.float64)}, blocking=True
            )  # large: another way of writing
            vault.pin(1)
            vault.annotate(1, metrics={"loss": 1.0})
            vault.scrub()
    finally:
        os.umask(before)
    seen = list((tmp_path / "run").rglob("*"))
    assert {"scrub.json", "pins.json", "vault.lock", "vault.json", "metrics.jsonl"} <= {p.name for p in seen}
    for path in seen:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o777 if path.is_dir() else 0o666) & ~umask, f"{path}: {mode:o}"


def test_a_run_behind_a_symlink_stays_behind_it(tmp_path: Path) -> None:
    """os.replace on a link's name puts a file in the link's place."""
    real, link = tmp_path / "disk" / "run", tmp_path / "link"
    real.mkdir(parents=True)
    link.symlink_to(real)
    with Vault(link, Keep(last=1)) as vault:
        for step in (1, 2):
            vault.save(step, model=state(step), blocking=True)
        vault.pin(2)
        vault.scrub()
        with pytest.raises(VaultLocked):
            Vault(real).save(3, model=state(3), blocking=True)
    assert link.is_symlink()
    assert {"step-00000002", "pins.json", "scrub.json"} <= {p.name for p in real.iterdir()}
    assert not [p for p in tmp_path.iterdir() if p.name not in ("disk", "link")]
    assert tag_of(Vault(real)) == 2


def test_a_step_name_that_is_a_link_is_not_written_through(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    run = tmp_path / "run"
    run.mkdir()
    (run / "step-00000001").symlink_to(outside)
    with Vault(run) as vault:
        vault.save(1, model=state(1), blocking=True)
        assert tag_of(vault) == 1
    assert not list(outside.iterdir())
    assert (run / "step-00000001").is_symlink()


def test_temporary_files_lie_on_the_runs_own_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of others lie in TMPDIR: a rename to another file system copies, and is not atomic."""
    used: list[str] = []

    class Watching(LocalSink):
        def call(self, kind: str, name: str, call: Callable[[], Result]) -> Result:
            used.append(name)
            return super().call(kind, name, call)

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "not there"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "not there"))
    places = [tmp_path / "run"]
    if Path("/dev/shm").is_dir() and os.access("/dev/shm", os.W_OK):
        places.append(Path(f"/dev/shm/holdfast-test-{os.getpid()}"))
    for run in places:
        try:
            with Vault(run, sink=Watching(run)) as vault:
                vault.save(1, model=state(1), blocking=True)
                assert tag_of(vault) == 1
                assert len({p.stat().st_dev for p in (run, *run.rglob("*"))}) == 1
            assert all(not os.path.isabs(name) for name in used)
            assert {name.split("/")[0] for name in used if name.startswith(".partial-")}
        finally:
            if run.parent.name == "shm":
                subprocess.run(["rm", "-rf", str(run)], check=True)


# -- the newest is durable before it is the newest -------------------------------------------------------------------
def test_nothing_names_a_step_before_all_of_it_is_durable(tmp_path: Path) -> None:
    """A `latest` that moves first points to half a checkpoint after a crash. Here the step's name is the only pointer, and
    it appears after every file, the record and the folder were forced."""
    sink = DroppingSink(tmp_path / "run")
    with Vault(tmp_path / "run", sink=sink) as vault:
        vault.save(1, model=state(1), blocking=True)
    ((shown, _),) = [(n, o) for n, o in enumerate(sink.operations) if o == ("rename", "step-00000001")]
    opened = [name for kind, name in sink.operations if kind == "open" and "/" in name]
    forced = [name for kind, name in sink.operations[:shown] if kind == "fsync"]
    assert opened
    for name in (*opened, opened[0].split("/")[0]):
        assert name in forced, f"{name} was not forced before the step was shown"
    last_write = max(n for n, (kind, _) in enumerate(sink.operations) if kind in ("write", "ftruncate"))
    assert last_write < shown
    assert ("fsync", ".") in sink.operations[shown:]
    pointers = {"latest", "last", "checkpoint", "latest.json"}
    assert not {p.name for p in (tmp_path / "run").rglob("*")} & pointers


@pytest.mark.parametrize("kind", ["write", "fsync", "rename"])
def test_latest_is_the_previous_one_until_then(tmp_path: Path, kind: str) -> None:
    with Vault(tmp_path) as vault:
        vault.save(1, model=state(1), blocking=True)
    sink = FaultySink(tmp_path, at=1, action="hang", kinds={kind}, forever=True)
    with Vault(tmp_path, sink=sink) as vault:
        handle = vault.save(2, model=state(2))
        assert sink.hanging.wait(60)
        latest = Vault(tmp_path).latest
        assert latest is not None
        assert latest.step == 1
        assert tag_of(Vault(tmp_path)) == 1
        sink.release.set()
        handle.wait(60)
        assert tag_of(vault) == 2


# -- arrays that do not lie as they look -----------------------------------------------------------------------------
BASE = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
LAYOUTS: dict[str, Callable[[], np.ndarray]] = {
    "Fortran order": lambda: np.asfortranarray(BASE),
    "transposed": lambda: BASE.T,
    "axes moved": lambda: np.moveaxis(BASE, 1, 3),
    "every other row": lambda: BASE[:, ::2],
    "backwards": lambda: BASE[::-1, :, ::-1],
    "a column": lambda: BASE[0, :, 1, 2],
    "a slice of a larger array": lambda: BASE[1:, 1:2, :3],
    "broadcast": lambda: np.broadcast_to(BASE[0, 0, 0], (7, 5)),
    "a field of a record": lambda: np.zeros(6, [("a", "i1"), ("b", "<f8")])["b"],
    "odd address": lambda: np.frombuffer(b"\0" + BASE.tobytes(), np.float32, offset=1).reshape(BASE.shape),
    "big-endian": lambda: BASE.astype(">f4"),
    "big-endian Fortran": lambda: np.asfortranarray(BASE.astype(">f8")),
    "0-d of a larger": lambda: BASE[1, 2, 3, 4:].reshape(()),
    "empty slice": lambda: BASE[:, 3:],
    "sliding window": lambda: np.lib.stride_tricks.sliding_window_view(BASE[0, 0, 0], 3),
    "complex imaginary part": lambda: (BASE + 1j * BASE[::-1]).imag,
    "subclass": lambda: BASE.view(np.recarray) if BASE.dtype.names else np.ma.array(BASE).data,
}


def test_numpy_arrays_of_every_layout(tmp_path: Path) -> None:
    model = {name: make() for name, make in LAYOUTS.items()}
    big = np.asfortranarray(np.arange(3_000_000, dtype=np.float64).reshape(1500, 2000))
    model |= {"large Fortran": big, "large slice": big[::2, 1::3], "large big-endian": big.astype(">f8").T}
    with Vault(tmp_path) as vault:
        path = vault.save(1, model=model, blocking=True).wait()
        fresh = {name: np.zeros(value.shape, value.dtype.newbyteorder("=")) for name, value in model.items()}
        vault.restore(model=fresh)
    for name, value in model.items():
        assert fresh[name].shape == value.shape, name
        assert (fresh[name] == value).all(), name
    numpy_files = pytest.importorskip("safetensors.numpy")
    found = numpy_files.load_file(os.path.join(path, "model.safetensors"))
    for name, value in model.items():
        assert (found[name] == value).all(), name


def test_torch_tensors_of_every_layout(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch_files = pytest.importorskip("safetensors.torch")
    base = torch.arange(2 * 3 * 4 * 4, dtype=torch.float32).reshape(2, 3, 4, 4)
    wave = torch.complex(base, base.flip(0))

    class Odd(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            made = {
                "turned": base.transpose(0, 2),
                "channels_last": base.to(memory_format=torch.channels_last),
                "stepped": base[:, ::2],
                "expanded": torch.arange(5.0).expand(3, 5),
                "column": base[0, :, 1, 2],
                "offset": base.flatten()[7:19],
                "windows": torch.arange(9.0).unfold(0, 3, 1),
                "imaginary": wave.imag,
                "lazily_conjugated": wave.conj(),
                "lazily_negated": wave.conj().imag,
                "bf16": base.bfloat16().transpose(1, 3),
            }
            for name, value in made.items():
                self.register_buffer(name, value)

    model = Odd()
    assert model.lazily_conjugated.is_conj()
    assert model.lazily_negated.is_neg()
    expected = {name: value.clone().contiguous() for name, value in model.state_dict().items()}
    with Vault(tmp_path) as vault:
        path = vault.save(1, model=model, blocking=True).wait()
    with holdfast.open(path) as step:
        for name, value in expected.items():
            plain = value.resolve_conj().resolve_neg()
            if value.dtype is torch.bfloat16:
                assert (step.read(name).astype(np.float32) == plain.float().numpy()).all(), name
            else:
                assert (step.read(name) == plain.numpy()).all(), name
    found = torch_files.load_file(os.path.join(path, "model.safetensors"))
    for name, value in expected.items():
        if not value.is_complex():  # which old readers of the format do not know: plain bytes
            assert torch.equal(found[name], value), name


# -- a fork while a save is in flight --------------------------------------------------------------------------------
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_while_a_save_is_in_flight(tmp_path: Path) -> None:
    """The child neither commits nor waits for ever nor holds the lock; the parent's save is whole."""
    sink = Gate(tmp_path)
    vault = Vault(tmp_path, sink=sink)
    handle = vault.save(1, model=state(1))
    while not list(tmp_path.glob(".partial-step*")):
        time.sleep(0.001)
    ready, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        words = []
        try:
            for ask in (lambda: handle.wait(60), lambda: vault.save(2, model=state(2), blocking=True)):
                try:
                    ask()
                    words.append("done")
                except (SaveFailed, VaultLocked) as error:
                    words.append(type(error).__name__)
            vault.wait()
            vault.close()
            words.append(str(len(Vault(tmp_path))))
        except BaseException as error:  # noqa: BLE001 - told to the parent
            words.append(repr(error))
        os.write(told, " ".join(words).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(ready, 1000) == b"SaveFailed VaultLocked 0"
    assert not handle.done
    assert list(tmp_path.glob(".partial-step*")), "the child swept nothing away"
    sink.open.set()
    handle.wait(60)
    assert tag_of(vault) == 1
    vault.close()
    Vault(tmp_path).save(3, model=state(3), blocking=True)
    os.close(ready)
    os.close(told)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_while_another_thread_is_inside_save(tmp_path: Path) -> None:
    """That thread does not live in the child, and would never give its locks back there."""
    inside, go = threading.Event(), threading.Event()

    class Slow(LocalSink):
        def call(self, kind: str, name: str, call: Callable[[], Result]) -> Result:
            if kind == "open" and "/" in name:
                inside.set()
                assert go.wait(60)
            return super().call(kind, name, call)

    vault = Vault(tmp_path, sink=Slow(tmp_path))
    thread = threading.Thread(target=lambda: vault.save(1, model=state(1), blocking=True))
    thread.start()
    assert inside.wait(60)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            vault.save(2, model=state(2), blocking=True)
        except VaultLocked:
            code = 7
        os._exit(code)
    end = time.monotonic() + 60
    status = None
    while status is None and time.monotonic() < end:
        done, found = os.waitpid(pid, os.WNOHANG)
        status = found if done else None
        time.sleep(0.01)
    go.set()
    thread.join()
    if status is None:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    assert status is not None, "the child waits for a lock that nobody gives back"
    assert os.waitstatus_to_exitcode(status) == 7
    assert tag_of(vault) == 1
    vault.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_saves_once_its_parent_has_given_the_vault_up(tmp_path: Path) -> None:
    """As a daemon does: the parent leaves, the child trains."""
    vault = Vault(tmp_path)
    vault.save(1, model=state(1), blocking=True)
    ready, go = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.read(ready, 1)
        code = 1
        try:
            vault.save(2, model=state(2), blocking=True)
            vault.save(3, model=state(3)).wait()
            vault.close()
            code = 0
        finally:
            os._exit(code)
    vault.close()
    os.write(go, b"x")
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert [(c.step, c.sequence) for c in Vault(tmp_path)] == [(1, 1), (2, 2), (3, 3)]
    assert tag_of(Vault(tmp_path)) == 3
    os.close(ready)
    os.close(go)


# -- errors that were swallowed --------------------------------------------------------------------------------------
def test_a_short_write_is_gone_on_with(tmp_path: Path) -> None:
    """write(2) may take less than it was given, above all on a disk that is nearly full."""
    sink: Any = FaultySink(tmp_path, at=1, action="short", kinds={"write"}, forever=True)
    with Vault(tmp_path, sink=sink) as vault:
        vault.save(1, model=state(1), blocking=True)
        assert sink.struck
        assert tag_of(vault) == 1


@pytest.mark.parametrize("kind", ["fsync", "close"])
def test_an_error_that_comes_with_fsync_or_close_is_no_success(tmp_path: Path, kind: str) -> None:
    """NFS and quotas report what a write could not do only then."""
    sink = FaultySink(tmp_path, kinds={kind}, error=errno.EDQUOT)
    with Vault(tmp_path, sink=sink) as vault:
        vault.save(1, model=state(1), blocking=True)
        sink.at, sink._counted = 1, 0
        with pytest.raises(SaveFailed, match="quota"):
            vault.save(2, model=state(2), blocking=True)
        assert tag_of(vault) == 1
