"""The crash sweep: every operation of a save goes wrong in every way, and the vault is looked at afterwards."""

from __future__ import annotations

import errno
import gc
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ml_dtypes import bfloat16

from holdfast import Keep, Vault
from holdfast._core.errors import SaveFailed
from holdfast.testing import DroppingSink, Killed
from vault.places import folder_in_memory

ENTRIES = {
    "w": ((5, 3), np.float32),
    "b": ((7,), np.float64),
    "half": ((2, 2), bfloat16),
    "none": ((0, 3), np.int8),
}


State = Callable[[int], dict[str, np.ndarray]]


def state(tag: int) -> dict[str, np.ndarray]:
    """A small model whose every value tells which save it belongs to."""
    made = {
        name: (np.arange(int(np.prod(shape))).reshape(shape) + 16 * tag).astype(dtype)
        for name, (shape, dtype) in ENTRIES.items()
    }
    return made | {"tag": np.array([tag], np.int64)}


def with_frozen(tag: int) -> dict[str, np.ndarray]:
    """The same beside tensors that no save changes, large enough for a file of their own."""
    return state(tag) | {
        "base/a": np.arange(5000, dtype=np.float32),
        "base/b": np.arange(1000, dtype=np.int64).reshape(10, 100),
    }


def wide(tag: int) -> dict[str, np.ndarray]:
    """The same beside tensors that lie across several blocks of a disk, and one that does not lie as it is stored."""
    return state(tag) | {
        "wide/a": np.arange(5003, dtype=np.float32) + tag,
        "wide/b": (np.arange(3000, dtype=np.int64) + tag).reshape(30, 100).T,
    }


def in_torch(model: dict[str, np.ndarray]) -> dict[str, Any]:
    """The same as tensors."""
    import torch

    return {
        name: torch.from_numpy(value.view(np.int16)).view(torch.bfloat16)
        if value.dtype == bfloat16
        else torch.from_numpy(value)
        for name, value in model.items()
    }


def tag_in_torch(step: Path) -> int:
    """Which save a step's native payload is. Fails where it is not exactly one."""
    import torch

    found = torch.load(step / "checkpoint.pt", weights_only=True)["model"]
    tag = int(found["tag"][0])
    wanted = in_torch(state(tag))
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], value) for name, value in wanted.items())
    return tag


def tag_of(vault: Vault, state: State = state, **which: Any) -> int:
    """Restore into a fresh model and say which save it is. Fails where it is not exactly one."""
    model = {name: np.zeros_like(value) for name, value in state(0).items()}
    outcome = vault.restore(model=model, **which)
    assert outcome is not None
    assert not outcome.passed_over, outcome.passed_over
    tag = int(model["tag"][0])
    for name, value in state(tag).items():
        assert model[name].tobytes() == value.tobytes(), f"{name} is not the {name} of save {tag}"
    return tag


@dataclass(frozen=True)
class Scenario:
    """A vault with earlier saves (step and tag), and one more save that goes wrong."""

    name: str
    before: tuple[tuple[int, int], ...]
    step: int
    keep: Keep = field(default_factory=Keep)
    blocking: bool = True
    leftover: bool = False
    incremental: bool = False
    native: bool = False
    sink: dict[str, Any] = field(default_factory=dict)

    @property
    def state(self) -> State:
        """The model of a save, by its tag."""
        if self.sink:
            return wide
        return with_frozen if self.incremental else state

    @property
    def given(self) -> dict[str, Any]:
        """What every save is told besides."""
        if self.native:
            return {"payload": "torch"}
        return {"frozen": "base/*"} if self.incremental else {}

    def model(self, tag: int) -> dict[str, Any]:
        """The live model of a save."""
        return in_torch(self.state(tag)) if self.native else self.state(tag)

    @property
    def earlier(self) -> dict[str, int]:
        return {f"step-{step:08d}": tag for step, tag in self.before}

    @property
    def new(self) -> str:
        name = f"step-{self.step:08d}"
        return f"{name}.2" if name in self.earlier else name

    def prepare(self, path: Path) -> None:
        if self.before:
            with Vault(path) as vault:
                for step, tag in self.before:
                    vault.save(step, model=self.model(tag), blocking=True, **self.given)
        if self.leftover:
            folder = path / ".partial-step-00000007-0badcafe"
            folder.mkdir()
            (folder / "model.safetensors").write_bytes(b"half")

    def run(self, path: Path, sink: DroppingSink) -> BaseException | None:
        """Save; gives what reached the caller."""
        error: BaseException | None = None
        if self.sink:
            sink.large, sink.piece = 0, 8192  # as if it were large: every file by several threads
        vault = Vault(path, self.keep, sink=sink)
        try:
            vault.save(
                self.step, model=self.model(NEW), extra={"note": "x"}, blocking=self.blocking, **self.given
            )
        except (SaveFailed, Killed) as failed:
            error = failed
        try:
            vault.close()
        except (SaveFailed, Killed) as failed:
            assert error is None, "the failure was raised twice"
            error = failed
        return error


def folder_for(scenario: Scenario) -> tempfile.TemporaryDirectory[str]:
    """Where a scenario is played. What a power cut leaves is the sink's own account, so memory serves as well as a disk; only
    writes past the cache are a matter of the medium."""
    return folder_in_memory(unless=bool(scenario.sink.get("direct")))


NEW = 5
SCENARIOS = (
    Scenario("first", (), 1),
    Scenario("plain", ((1, 1), (2, 2)), 3),
    Scenario("overwriting", ((1, 1),), 1),
    Scenario("pruning", ((1, 1), (2, 2)), 3, Keep(last=1)),
    Scenario("background", ((1, 1),), 2, blocking=False),
    Scenario("after a crash", ((1, 1),), 2, leftover=True),
    Scenario("two threads", ((1, 1),), 2, sink={"direct": False}),
    Scenario("past the cache", ((1, 1),), 2, sink={"direct": True}),
    Scenario("past the cache, pruning", ((1, 1),), 2, Keep(last=1), blocking=False, sink={"direct": True}),
    Scenario("native payload", ((1, 1),), 2, Keep(last=1), native=True),
    Scenario("incremental, first", (), 1, incremental=True),
    Scenario("incremental", ((1, 1), (2, 2)), 3, incremental=True),
    Scenario("incremental, pruning", ((1, 1), (2, 2)), 3, Keep(last=1), incremental=True),
)


@dataclass(frozen=True)
class Trouble:
    """What goes wrong, and whether the power fails with it (``names`` as in :meth:`DroppingSink.crash`)."""

    name: str
    fault: dict[str, Any]
    crash: str | None = None

    @property
    def harmless(self) -> bool:
        """Whether a save must get over it."""
        fault = self.fault
        return fault["action"] in ("short", "slow", "hang") or (
            fault.get("error") == errno.EINTR and not fault.get("forever")
        )


def _troubles() -> Iterator[Trouble]:
    for error in (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EINTR):
        for forever in (False, True):
            name = f"{errno.errorcode[error]} {'for ever' if forever else 'once'}"
            yield Trouble(name, {"action": "fail", "error": error, "forever": forever})
    yield Trouble("short write once", {"action": "short"})
    yield Trouble("short writes", {"action": "short", "forever": True})
    yield Trouble("disk fills up", {"action": "fill"})
    yield Trouble("slow", {"action": "slow", "seconds": 0.001})
    yield Trouble("hangs, then goes on", {"action": "hang"})
    yield Trouble("killed", {"action": "kill"})
    yield Trouble("power cut", {"action": "kill"}, "synced")
    yield Trouble("power cut, names first", {"action": "kill"}, "all")


TROUBLES = tuple(_troubles())


def operations(scenario: Scenario) -> list[tuple[str, str]]:
    """The operations of a save in which nothing goes wrong."""
    with folder_for(scenario) as folder:
        path = Path(folder, "run")
        scenario.prepare(path)
        sink = DroppingSink(path, **scenario.sink)
        assert scenario.run(path, sink) is None
        return sink.operations


def examine_point(scenario: Scenario, trouble: Trouble, at: int) -> str:
    """One save whose ``at``-th operation goes wrong: ``"saved"``, ``"raised"`` (nothing new is there) or ``"raised, new
    step whole"``. Fails (AssertionError) where anything is lost, wrong, half-visible or untold."""
    with folder_for(scenario) as folder:
        path = Path(folder, "run")
        scenario.prepare(path)
        sink = DroppingSink(path, at=at, **trouble.fault, **scenario.sink)
        release = threading.Timer(0.01, sink.release.set)
        if trouble.fault["action"] == "hang":
            release.start()
        error = scenario.run(path, sink)
        release.cancel()
        if trouble.harmless:
            assert error is None, f"a save did not get over it: {error!r}"
        if error is None:
            sink.crash("synced")  # what was called saved outlasts a power cut
        elif trouble.crash is not None:
            sink.crash(trouble.crash)  # type: ignore[arg-type]
        gc.collect(0)
        return _afterwards(scenario, path, error)


def _afterwards(scenario: Scenario, path: Path, error: BaseException | None) -> str:
    allowed = scenario.earlier | {scenario.new: NEW}
    with Vault(path) as vault:
        found = {c.name: c.fault for c in vault}
        assert not any(found.values()), f"half-visible: {found}"
        assert found.keys() <= allowed.keys(), f"never saved: {found.keys() - allowed.keys()}"
        for name in found:
            assert tag_of(vault, scenario.state, step=name) == allowed[name], f"{name} holds another save"
            if scenario.native:
                assert tag_in_torch(path / name) == allowed[name], f"{name}: checkpoint.pt holds another save"
        committed = scenario.new in found
        if error is None:
            assert committed, "called saved, and is not there"
        if not committed or scenario.keep.everything:
            assert scenario.earlier.keys() <= found.keys(), "an earlier checkpoint is lost"
        if found:
            newest = NEW if committed else max(scenario.earlier.values())
            assert tag_of(vault, scenario.state) == newest
        vault.save(9, model=scenario.model(9), blocking=True, **scenario.given)
    with Vault(path) as vault:
        assert tag_of(vault, scenario.state) == 9
        assert len(vault) == len(found) + 1
    left = [entry.name for entry in path.iterdir() if entry.name.startswith(".")]
    assert not left, f"left lying: {left}"
    return "saved" if error is None else "raised, new step whole" if committed else "raised"


def sweep(scenario: Scenario, trouble: Trouble, count: int, stride: int = 1, first: int = 1) -> Counter[str]:
    """All points of one row (or each ``stride``-th from ``first``), counted by outcome. Fails naming the point."""
    seen: Counter[str] = Counter()
    for at in range(first, count + 1, stride):
        try:
            seen[examine_point(scenario, trouble, at)] += 1
        except AssertionError as wrong:
            raise AssertionError(f"{scenario.name}, {trouble.name}, operation {at}: {wrong}") from wrong
    return seen
