"""Fixtures for pytest, there wherever Holdfast is installed: ``assert_roundtrip``, ``assert_resumes_exactly`` and
``checkpoint_faults``. Nothing of Holdfast is imported before a test asks for one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from .testing.faults import FaultySink

__all__ = ["CheckpointFaults", "Struck", "assert_resumes_exactly", "assert_roundtrip", "checkpoint_faults"]


class Struck(NamedTuple):
    """One run in which one operation on the disk went wrong: which it was (``("fsync", "step.../model.safetensors")``), the
    folder as it is left, and what the run raised, or ``None``."""

    operation: tuple[str, str]
    folder: Path
    error: BaseException | None


class CheckpointFaults:
    """Disks that fail on demand.

    Called, it gives a :class:`holdfast.testing.FaultySink` in a folder of its own (or ``path``), for
    ``Vault(sink.path, sink=sink)``; ``at``, ``action``, ``kinds``, ``error`` ... are that class's.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: list[FaultySink] = []

    def __call__(self, path: Path | str | None = None, **fault: Any) -> FaultySink:
        """A sink whose operation ``at`` goes wrong in the way of ``action``."""
        from .testing.faults import FaultySink

        place = path if path is not None else self._folder / f"run-{len(self._made)}"
        sink = FaultySink(place, **fault)
        self._made.append(sink)
        return sink

    def each(self, run: Callable[[FaultySink], Any], **fault: Any) -> Iterator[Struck]:
        """Call ``run(sink)`` once for every operation that it makes on a sound disk, each time with that operation going wrong
        (``action="fail"`` by default; ``kinds=("fsync",)`` for these alone), and give what came of it."""
        from .testing.faults import Killed

        sound = self()
        run(sound)
        kinds = fault.get("kinds")
        count = sum(kinds is None or kind in kinds for kind, _ in sound.operations)
        for at in range(1, count + 1):
            sink = self(at=at, **fault)
            error: BaseException | None = None
            try:
                run(sink)
            except (Exception, Killed) as raised:  # noqa: BLE001 - handed to the test
                error = raised
            struck = [op for op in sink.operations if kinds is None or op[0] in kinds]
            if len(struck) >= at:
                yield Struck(struck[at - 1], Path(sink.path), error)

    def release(self) -> None:
        """Let operations go that hang."""
        for sink in self._made:
            sink.release.set()


@pytest.fixture
def checkpoint_faults(tmp_path: Path) -> Iterator[CheckpointFaults]:
    """Makes disks that fail, fill up, hang or die at a chosen operation; see :class:`CheckpointFaults`."""
    faults = CheckpointFaults(tmp_path / "checkpoint-faults")
    (tmp_path / "checkpoint-faults").mkdir()
    yield faults
    faults.release()


@pytest.fixture
def assert_roundtrip() -> Callable[..., None]:
    """:func:`holdfast.testing.assert_roundtrip`."""
    from ._drill.assertions import assert_roundtrip as check

    return check


@pytest.fixture
def assert_resumes_exactly() -> Callable[..., None]:
    """:func:`holdfast.testing.assert_resumes_exactly`."""
    from ._drill.assertions import assert_resumes_exactly as check

    return check
