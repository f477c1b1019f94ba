"""Frozen tensors are written once: linked after that, written anew where they changed, and never linked from damage."""

from __future__ import annotations

import errno
import json
import logging
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast
from holdfast import Keep, Vault
from holdfast._core.errors import NothingToRestore, UsageError
from holdfast._storage.local_sink import LocalSink
from holdfast._vault.folder.listing import record_of
from holdfast._vault.saving import frozen as frozen_module

FROZEN = "model-frozen.safetensors"
TRAINED = "model-trained.safetensors"
INDEX = "model.safetensors.index.json"
State = dict[str, np.ndarray]


class CountingSink(LocalSink):
    """Counts the bytes that are written."""

    def __init__(self, path: Path, **given: Any) -> None:
        super().__init__(path, **given)
        self.bytes = 0

    def call(self, kind: str, name: str, call: Callable[[], Any]) -> Any:
        result = super().call(kind, name, call)
        if kind == "write" and isinstance(result, int):
            self.bytes += result
        return result

    def taken(self) -> int:
        """Bytes since it was asked last."""
        count, self.bytes = self.bytes, 0
        return count


def model(tag: int, base: int = 0) -> State:
    """98 of 100 parts are frozen."""
    return {
        "base/embedding": np.arange(20_000, dtype=np.float32) + base,
        "base/kernel": np.arange(29_000, dtype=np.float32).reshape(29, 1000) + base,
        "adapter/a": np.full((500,), tag, np.float32),
        "adapter/b": np.full((500,), -tag, np.float32),
    }


def save(vault: Vault, step: int, state: State | None = None, **given: Any) -> Path:
    given = {"frozen": "base/*", **given}
    return Path(
        vault.save(step, model=model(step) if state is None else state, blocking=True, **given).wait()
    )


def restored(vault: Vault, like: State, **which: Any) -> State:
    fresh = {name: np.zeros_like(value) for name, value in like.items()}
    vault.restore(model=fresh, **which)
    return fresh


def assert_same(found: State, expected: State) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].tobytes() == value.tobytes(), name


def inode(path: Path) -> int:
    return path.stat().st_ino


def damage(path: Path, at: int = -5) -> None:
    """Flip a bit in place, as a bad disk does; the modification time stays."""
    before = path.stat()
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[at] ^= 4
    with path.open("r+b") as file:
        file.write(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


# -- what it saves ---------------------------------------------------------------------------------------------------
def test_two_percent_are_written_after_the_first_save(tmp_path: Path) -> None:
    sink = CountingSink(tmp_path)
    state = {
        "base/w": np.random.default_rng(1).standard_normal(9_800_000 // 4 * 4).astype(np.float32),
        "adapter": np.zeros(200_000, np.float32),
    }
    total = sum(value.nbytes for value in state.values())
    with Vault(tmp_path, sink=sink) as vault:
        save(vault, 1, state)
        assert sink.taken() >= total
        for step in (2, 3, 4):
            state["adapter"] += 1
            path = save(vault, step, state)
            assert sink.taken() < 0.025 * total
        record = record_of(str(path))
        assert record.incremental is not None
        assert record.incremental["reused_from"] == "step-00000003"
        assert record.incremental["bytes_reused"] == (path / FROZEN).stat().st_size
        assert record.incremental["frozen"] == {FROZEN: {"since": "step-00000001", "links": 3}}
        assert record.timings is not None
        assert record.timings["bytes_reused"] == (path / FROZEN).stat().st_size
        assert_same(restored(vault, state), state)
        for step in (1, 2, 3):
            assert (restored(vault, state, step=step)["adapter"] == step - 1).all()


@pytest.mark.parametrize("optimizer", ["AdamW", None])
def test_torch_with_an_adapter(tmp_path: Path, optimizer: str | None) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(200, 200), torch.nn.BatchNorm1d(200), torch.nn.Linear(200, 2))
    net[0].requires_grad_(False)
    net[1].register_buffer("table", torch.arange(40_000.0))
    trained = [p for p in net.parameters() if p.requires_grad]
    step_by = torch.optim.AdamW(trained)
    given = {"model": net, **({"optimizer": step_by} if optimizer else {})}
    sink = CountingSink(tmp_path)
    with Vault(tmp_path, sink=sink) as vault:
        states = []
        for step in (1, 2, 3):
            net(torch.randn(4, 200)).sum().backward()
            step_by.step()
            vault.save(step, **given, blocking=True)
            states.append(({k: v.clone() for k, v in net.state_dict().items()}, sink.taken()))
        first, second = (inode(tmp_path / f"step-0000000{n}" / FROZEN) for n in (2, 3))
        assert first == second
        assert states[2][1] < 0.2 * states[0][1], "the record counts, in a model as small as this"
        for step in (1, 2, 3):
            with torch.no_grad():
                for tensor in net.state_dict().values():
                    tensor.zero_()
            vault.restore(**given, step=step)
            for name, value in net.state_dict().items():
                assert torch.equal(value, states[step - 1][0][name]), name
    record = record_of(str(tmp_path / "step-00000003"))
    homes = {row.name: row.stored[0].file for row in record.tensors}
    assert homes["0.weight"] == FROZEN
    assert homes["1.table"] == "model-frozen-2.safetensors", "apart from what is sure: it may yet change"
    assert homes["1.running_mean"] == homes["2.weight"] == TRAINED
    safe = pytest.importorskip("safetensors.torch")
    tensors = {}
    step = tmp_path / "step-00000003"
    for file in set(json.loads((step / INDEX).read_text())["weight_map"].values()):
        tensors |= safe.load_file(step / file)
    net.load_state_dict(tensors)


def test_other_tools_take_the_folder_for_one_model(tmp_path: Path) -> None:
    with Vault(tmp_path) as vault:
        save(vault, 1)
        step = save(vault, 2)
    assert not (step / "model.safetensors").exists(), "a tool would take it for the whole model"
    index = json.loads((step / INDEX).read_text())
    assert index["weight_map"] == {
        "adapter/a": TRAINED, "adapter/b": TRAINED, "base/embedding": FROZEN, "base/kernel": FROZEN,
    }  # fmt: skip
    assert index["metadata"]["total_size"] == sum(value.nbytes for value in model(2).values())
    for path in (step, step / INDEX):
        with holdfast.open(path) as found:
            assert found.faults == ()
            assert_same({name: np.array(found.read(name)) for name in model(2)}, model(2))
    report = holdfast.verify(step)
    assert (report.verdict, report.findings) == ("sound", ())
    assert {f.name for f in record_of(str(step)).files} == {FROZEN, TRAINED, INDEX, "state.json"}


def test_too_little_to_be_worth_a_file(tmp_path: Path) -> None:
    state = {"base/w": np.zeros(10, np.float32), "w": np.zeros(100_000, np.float32)}
    with Vault(tmp_path) as vault:
        step = save(vault, 1, state)
    assert (step / "model.safetensors").exists()
    assert not (step / INDEX).exists()
    assert record_of(str(step)).incremental is None


def test_a_pattern_that_covers_nothing(tmp_path: Path) -> None:
    with Vault(tmp_path) as vault:
        with pytest.raises(UsageError, match="names no tensor") as failed:
            save(vault, 1, frozen=["base/*", "bse/*"])
        assert failed.value.found == "bse/*"
        assert not list(vault)


# -- by content ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("proof", ["protocol", "content"])
def test_frozen_tensors_that_changed_are_written_anew(tmp_path: Path, proof: Any) -> None:
    """All of them: other pretrained weights were loaded."""
    with Vault(tmp_path, proof=proof) as vault:
        a, b = save(vault, 1), save(vault, 2, model(2, base=7))
        c = save(vault, 3, model(3, base=7))
        assert inode(a / FROZEN) != inode(b / FROZEN) == inode(c / FROZEN)
        for step, base in ((1, 0), (2, 7), (3, 7)):
            assert_same(restored(vault, model(step), step=step), model(step, base))


def test_one_that_changes_each_time_goes_with_what_is_trained(tmp_path: Path) -> None:
    """A codebook: not trainable, and moved by hand. It does not cost the others their link for ever."""
    with Vault(tmp_path) as vault:
        paths = []
        for step in (1, 2, 3, 4):
            state = model(step)
            state["base/embedding"][3] = step
            paths.append(save(vault, step, state))
        links = [inode(path / FROZEN) for path in paths]
        assert links[0] != links[1] == links[2] == links[3]
        for step in (1, 2, 3, 4):
            expected = model(step)
            expected["base/embedding"][3] = step
            assert_same(restored(vault, expected, step=step), expected)
        assert {r.name for r in record_of(str(paths[3])).tensors if r.stored[0].file == TRAINED} == {
            "adapter/a", "adapter/b", "base/embedding",
        }  # fmt: skip


def test_what_is_frozen_later_is_linked_later(tmp_path: Path) -> None:
    with Vault(tmp_path) as vault:
        paths = [save(vault, step, frozen=() if step < 3 else "base/*") for step in (1, 2, 3, 4)]
        assert (paths[1] / "model.safetensors").exists()
        assert inode(paths[2] / FROZEN) == inode(paths[3] / FROZEN)
        assert_same(restored(vault, model(4)), model(4))


def test_what_is_trained_again_is_written_again(tmp_path: Path) -> None:
    with Vault(tmp_path) as vault:
        save(vault, 1)
        state = model(2)
        state["base/kernel"] += 1
        step = save(vault, 2, state, frozen="base/embedding")
        assert_same(restored(vault, state), state)
        assert {r.name for r in record_of(str(step)).tensors if r.stored[0].file == FROZEN} == {
            "base/embedding"
        }
        again = save(vault, 3, state, frozen="base/embedding")
        assert inode(again / FROZEN) == inode(step / FROZEN)


@pytest.mark.parametrize("change", ["dtype", "shape", "renamed", "gone", "more"])
def test_another_structure_is_written_in_full(tmp_path: Path, change: str) -> None:
    other = model(2)
    kernel = other.pop("base/kernel")
    if change == "dtype":
        other["base/kernel"] = kernel.view(np.int32)
    elif change == "shape":
        other["base/kernel"] = kernel.reshape(1000, 29)
    elif change == "renamed":
        other["base/kernel2"] = kernel
    elif change == "more":
        other |= {"base/kernel": kernel, "base/x": np.ones(30_000, np.float32)}
    with Vault(tmp_path) as vault:
        a, b = save(vault, 1), save(vault, 2, other)
        assert (inode(a / FROZEN) == inode(b / FROZEN)) == (change == "more")
        assert_same(restored(vault, other), other)
        assert_same(restored(vault, model(1), step=1), model(1))


def test_a_full_one_every_so_often(tmp_path: Path) -> None:
    with Vault(tmp_path, Keep(full_every=3)) as vault:
        links = [inode(save(vault, step) / FROZEN) for step in range(1, 8)]
    assert [links.index(n) for n in links] == [0, 0, 0, 3, 3, 3, 6]
    with pytest.raises(UsageError, match="full_every"):
        Keep(full_every=0)


# -- one fate ----------------------------------------------------------------------------------------------------------
def test_frozen_files_are_read_only(tmp_path: Path) -> None:
    with Vault(tmp_path) as vault:
        save(vault, 1)
        step = save(vault, 2)
    if os.name != "nt":
        assert stat.S_IMODE((step / FROZEN).stat().st_mode) == 0o444 & ~_umask()
    assert (step / TRAINED).stat().st_mode & stat.S_IWUSR


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_dropping_the_parent_leaves_its_children_whole(tmp_path: Path) -> None:
    with Vault(tmp_path, Keep(last=1)) as vault:
        for step in (1, 2, 3):
            path = save(vault, step)
        assert [c.step for c in vault] == [3]
        assert (path / FROZEN).stat().st_nlink == 1
        assert_same(restored(vault, model(3)), model(3))
        assert holdfast.verify(path).verdict == "sound"


def test_a_damaged_step_is_set_aside_and_its_child_stays(tmp_path: Path) -> None:
    with Vault(tmp_path) as vault:
        for step in (1, 2):
            path = save(vault, step)
        damage(path / TRAINED)
        assert_same(restored(vault, model(1)), model(1))
        (aside,) = tmp_path.glob(".damaged-*")
        assert inode(aside / FROZEN) == inode(tmp_path / "step-00000001" / FROZEN)
        save(vault, 3)
        assert_same(restored(vault, model(3)), model(3))


def test_a_new_process_reads_a_file_before_it_links_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Vault(tmp_path) as vault:
        parent = save(vault, 1)
    with Vault(tmp_path) as vault:
        assert inode(save(vault, 2) / FROZEN) == inode(parent / FROZEN)
    damage(parent / FROZEN)
    with Vault(tmp_path) as vault, caplog.at_level(logging.WARNING):
        child = save(vault, 3)
        assert "is damaged, so it is not linked" in caplog.text
        assert inode(child / FROZEN) != inode(parent / FROZEN)
        assert record_of(str(child)).incremental == {"frozen": {FROZEN: {"since": None, "links": 0}}}
        assert_same(restored(vault, model(3)), model(3))
        for step in (1, 2):
            assert holdfast.verify(tmp_path / f"step-0000000{step}").verdict != "sound", (
                "verification finds both"
            )


@pytest.mark.parametrize("how", ["shorter", "touched", "replaced", "gone", "link to it"])
def test_a_file_that_is_not_the_one_we_wrote(tmp_path: Path, how: str) -> None:
    """Within one process: what somebody else did to the file is seen, and what is not known is read."""
    with Vault(tmp_path) as vault:
        place = save(vault, 1) / FROZEN
        place.chmod(0o644)
        whole = place.read_bytes()
        if how == "shorter":
            place.write_bytes(whole[:-8])
        elif how == "touched":
            place.write_bytes(whole[:-8] + b"\1" * 8)
        elif how == "replaced":
            place.unlink()
            place.write_bytes(whole)
        else:
            place.rename(tmp_path / "away")
            if how == "link to it":
                place.symlink_to(tmp_path / "away")
        child = save(vault, 2)
        same = inode(child / FROZEN) == (inode(place) if place.exists() and not place.is_symlink() else -1)
        assert same == (how == "replaced"), "equal bytes may be linked, whoever wrote them"
        assert_same(restored(vault, model(2)), model(2))


def test_damage_that_a_restore_finds_is_not_linked_on(tmp_path: Path) -> None:
    """The file is as we wrote it by size and time, and its bytes are not."""
    with Vault(tmp_path) as vault:
        for step in (1, 2):
            parent = save(vault, step)
        damage(parent / FROZEN)
        with pytest.raises(NothingToRestore):
            restored(vault, model(2))
        child = save(vault, 3)
        assert inode(child / FROZEN) != inode(parent / FROZEN)
        assert_same(restored(vault, model(3)), model(3))


def test_a_full_file_now_and_then_outlives_damage(tmp_path: Path) -> None:
    with Vault(tmp_path, Keep(full_every=2)) as vault:
        paths = [save(vault, step) for step in (1, 2, 3, 4)]
        damage(paths[3] / FROZEN)
        fresh = {name: np.zeros_like(value) for name, value in model(0).items()}
        outcome = vault.restore(model=fresh)
        assert outcome is not None
        assert [name for name, _ in outcome.passed_over] == ["step-00000004", "step-00000003"]
        assert_same(fresh, model(2))


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EPERM, errno.EMLINK])
def test_where_links_are_not_to_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Blocks are shared where the file system can; else the bytes are written."""

    def link(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", link)
    with Vault(tmp_path) as vault:
        a, b = save(vault, 1), save(vault, 2)
        assert inode(a / FROZEN) != inode(b / FROZEN)
        assert_same(restored(vault, model(2)), model(2))
        damage(a / FROZEN)
        assert_same(restored(vault, model(2)), model(2))
        assert not list(tmp_path.glob(".*"))


def test_a_clone_is_a_file_of_its_own(tmp_path: Path) -> None:
    sink = LocalSink(tmp_path)
    (tmp_path / "a").write_bytes(b"x" * 8192)
    if not sink.clone("a", "b"):
        assert not (tmp_path / "b").exists(), "nothing is left where blocks cannot be shared"
        return
    assert (tmp_path / "b").read_bytes() == b"x" * 8192
    assert inode(tmp_path / "a") != inode(tmp_path / "b")


def test_links_need_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Vault(tmp_path) as vault:
        save(vault, 1)
        monkeypatch.setattr(LocalSink, "free", lambda self: 300_000)
        save(vault, 2)
        with pytest.raises(holdfast.HoldfastError, match="no room"):
            save(vault, 3, model(3, base=1) | {"base/more": np.zeros(200_000, np.float32)})


def test_after_a_fallback_the_step_restored_is_the_parent(tmp_path: Path) -> None:
    with Vault(tmp_path) as vault:
        first = save(vault, 1)
        save(vault, 2, model(2, base=5))
        assert_same(restored(vault, model(1), step=1), model(1))
        third = save(vault, 3)
        assert inode(third / FROZEN) == inode(first / FROZEN)
        assert_same(restored(vault, model(3)), model(3))


def test_tied_and_frozen(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")

    class Tied(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = torch.nn.Embedding(100, 100)
            self.head = torch.nn.Linear(100, 100, bias=False)
            self.head.weight = self.embedding.weight
            self.adapter = torch.nn.Linear(2, 2)
            self.embedding.requires_grad_(False)

    net = Tied()
    kept = {k: v.clone() for k, v in net.state_dict().items()}
    with Vault(tmp_path) as vault:
        a, b = (Path(vault.save(n, model=net, blocking=True).wait()) for n in (1, 2))
        assert inode(a / FROZEN) == inode(b / FROZEN)
        with torch.no_grad():
            for p in net.parameters():
                p.zero_()
        vault.restore(model=net)
    for name, value in net.state_dict().items():
        assert torch.equal(value, kept[name])


def test_digests_of_many_tensors_by_several_threads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(frozen_module, "_MANY_BYTES", 0)
    with Vault(tmp_path) as vault:
        a, b = save(vault, 1), save(vault, 2)
        assert inode(a / FROZEN) == inode(b / FROZEN)


@pytest.fixture(autouse=True)
def _no_leftovers(tmp_path: Path) -> Iterator[None]:
    yield
    assert not list(tmp_path.glob(".partial-*"))


def test_rehearsal_and_preflight_know_the_word(tmp_path: Path) -> None:
    with Vault(tmp_path) as vault:
        assert vault.rehearse(model=model(1), frozen="base/*").tensors == 4
        assert not [
            f for f in vault.preflight(model=model(1), frozen="base/*").findings if f.severity == "error"
        ]
        with pytest.raises(UsageError, match="names no tensor"):
            vault.rehearse(model=model(1), frozen="nothing")


def test_damage_that_a_scrub_finds_is_not_linked_on(tmp_path: Path) -> None:
    with Vault(tmp_path) as vault:
        parent = save(vault, 1)
        damage(parent / FROZEN)
        assert vault.scrub().damaged == ("step-00000001",)
        child = save(vault, 2)
        assert inode(child / FROZEN) != inode(parent / FROZEN)
        assert_same(restored(vault, model(2)), model(2))
