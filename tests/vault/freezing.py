"""What the freeze tests share: a save that is slow to write, so that the mutation comes first, and comparing a step's
tensors bit for bit with copies taken before."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

import holdfast
from holdfast import Vault
from holdfast._frameworks import live_catalog
from holdfast._storage.local_sink import LocalSink

Result = TypeVar("Result")


class Gate(LocalSink):
    """A disk that begins to write only when it is told to."""

    def __init__(self, path: str | Path) -> None:
        super().__init__(path)
        self.open = threading.Event()

    def call(self, kind: str, name: str, call: Callable[[], Result]) -> Result:
        if kind == "open" and "/" in name:  # a step's own file
            assert self.open.wait(60)
        return super().call(kind, name, call)


def copies(**parts: Any) -> dict[str, np.ndarray]:
    """Every live value now, in memory of its own."""
    live = live_catalog(**parts)
    return {
        name: np.array(variable.read(), copy=True)
        for name, variable in live.variables.items()
        if not variable.virtual and variable.read is not None and variable.spec.role != "gradient"
    }


def settings(**parts: Any) -> dict[str, Any]:
    return {name: setting.read() for name, setting in live_catalog(**parts).settings.items()}


def same_bits(step: str | Path, before: Mapping[str, np.ndarray]) -> None:
    """The step holds exactly these tensors (and perhaps those of ``extra``)."""
    with holdfast.open(step) as stored:
        names = {name for name in stored if not name.startswith("extra/")}
        assert names == set(before), names ^ set(before)
        for name, values in before.items():
            found = np.asarray(stored.read(name))
            assert found.shape == values.shape, name
            assert found.dtype == values.dtype, (name, found.dtype, values.dtype)
            assert (
                found.tobytes() == values.tobytes() if not values.dtype.hasobject else (found == values).all()
            ), name


def frozen(
    run: Path, mutate: Callable[[], Any], *, proof: Any = "protocol", overlap: bool = False, **parts: Any
) -> str:
    """Save in the background, mutate before a single byte is written, and compare; gives the step's folder.

    The mutation must change something, or the test would say nothing.
    """
    sink = Gate(run)
    before = copies(**parts)
    with Vault(run, sink=sink, proof=proof, overlap=overlap) as vault:
        handle = vault.save(len(vault) + 1, **parts)
        assert handle.frozen or overlap
        mutate()
        assert not handle.done
        try:
            after = copies(**parts)
        finally:
            sink.open.set()
        assert any(
            name not in after or after[name].tobytes() != values.tobytes() for name, values in before.items()
        ), "nothing was changed"
        path = handle.wait()
    same_bits(path, before)
    return path


def torn_saves(
    run: Path,
    saves: int,
    parts: Mapping[str, Any],
    update: Callable[[int], None],
    *,
    pausing: bool,
    proof: Any = "content",
) -> tuple[int, int]:
    """A thread updates everything, over and over; so many saves are made meanwhile.

    ``update(k)`` writes the value ``k`` into every element of every tensor (never one twice: values that come back would
    hide a change). ``pausing``: the writer waits at its step's end while a save is taken.

    The two threads take turns as often as they can: more places where a save meets a write, and none waits long for the other.

    Gives (committed, torn): steps in the vault, and those whose elements are not all one value.
    """
    stop, boundary = threading.Event(), threading.Lock()
    steps = [0]

    def write() -> None:
        while not stop.is_set():
            steps[0] += 1
            if pausing:
                with boundary:
                    update(steps[0])
            else:
                update(steps[0])

    writer = threading.Thread(target=write)
    turns = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    writer.start()
    try:
        with Vault(run, proof=proof) as vault:
            for number in range(saves):
                if pausing:
                    with boundary:
                        vault.save(number, **parts)
                    vault.wait()
                else:
                    try:
                        vault.save(number, blocking=True, **parts)
                    except holdfast.SaveFailed as error:
                        assert "torn" in error.message
                        assert error.tensor
                        assert [f.code for f in error.findings] == ["S132"]
    finally:
        sys.setswitchinterval(turns)
        stop.set()
        writer.join()
    assert steps[0] > saves / 2, "the writer hardly ran"
    committed = Vault(run).checkpoints()
    assert not [name for name in run.iterdir() if name.name.startswith(".partial")]
    torn = 0
    for checkpoint in committed:
        with holdfast.open(checkpoint.path) as stored:
            values = {
                float(v)
                for name in stored
                for v in np.unique(np.asarray(stored.read(name)).astype(np.float64))
            }
        torn += len(values) > 1
    return len(committed), torn
