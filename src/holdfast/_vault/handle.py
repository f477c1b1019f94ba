"""A save that was asked for: frozen, done or failed."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .freezing.overlap import Overlap
    from .telling.telemetry import Meter

__all__ = ["SaveHandle"]


class SaveHandle:
    """What :meth:`Vault.save` gives.

    Attributes
    ----------
    step: the step. path: the folder, once committed. frozen: whether training may change everything again.
    done: whether the save has ended. error: what it failed with, or ``None``. timings: seconds by phase: ``stall``
        (in ``save()``, and in the join), ``join`` (what the next step, or who else called :meth:`join`, waited),
        ``snapshot``, ``copy`` (what a thread copied or compared beside training), ``write``, ``total``.
    skipped: whether it was passed over because another was in flight (``when_busy="skip"``).
    """

    def __init__(self, step: int) -> None:
        self.step = step
        self.path: str | None = None
        self.error: BaseException | None = None
        self.skipped = False
        # these two may come while a thread reads the others: no key is added then
        self._timings: dict[str, float] = {"stall": 0.0, "join": 0.0}
        self._overlap: Overlap | None = None
        self._frozen = threading.Event()
        self._done = threading.Event()
        self._told = False
        self._parts: frozenset[str] = frozenset()
        self._telemetry: dict[str, Any] = {}
        self._meter: Meter | None = None

    @property
    def frozen(self) -> bool:
        """Whether everything may be changed again without changing what is saved."""
        return self._frozen.is_set()

    @property
    def done(self) -> bool:
        """Whether the save has ended: committed, failed or skipped."""
        return self._done.is_set()

    @property
    def timings(self) -> Mapping[str, Any]:
        """Seconds by phase so far."""
        return MappingProxyType(self._timings)

    @property
    def telemetry(self) -> Mapping[str, Any]:
        """What else was measured: ``bytes`` and ``bytes_reused``; ``free_before`` and ``free_after`` (bytes free on the
        disk); ``rss_before``, ``rss_during``, ``rss_after`` (memory of this process) and ``peak_rss``; ``gpu`` where PyTorch
        uses one; ``trackers`` where one of them did not take what it was told: by name, how much and why."""
        return MappingProxyType(self._telemetry)

    def join(self) -> None:
        """Return once everything may be changed again (``frozen``). For whatever writes to weights before the next step
        of their optimizer, where the vault copies beside training (``overlap=True``). Raises nothing: what the copy
        fails with, the save fails with."""
        if self._overlap is not None:
            self._overlap.join()

    def _freezes(self, overlap: Overlap | None) -> None:
        """The freeze is guaranteed, and complete where there is nothing that ``overlap`` has still to do."""
        if overlap is not None:
            self._timings["copy"] = 0.0
            if overlap.arm(self._ended, self._waited):
                self._overlap = overlap
                return
        self._is_frozen()

    def _ended(self, overlap: Overlap) -> None:
        self._timings["copy"] = overlap.seconds
        self._is_frozen()

    def _is_frozen(self) -> None:
        self._frozen.set()
        if self._meter is not None:
            self._meter.frozen()

    def _waited(self, seconds: float) -> None:
        self._timings["join"] += seconds
        self._timings["stall"] += seconds

    def wait(self, timeout: float | None = None) -> str:
        """Wait until the save is durable; gives the folder. Raises what it failed with, and :class:`TimeoutError`
        after ``timeout`` seconds."""
        if not self._done.wait(timeout):
            raise TimeoutError(f"the save of step {self.step} is still being written")
        if self.error is not None:
            self._told = True
            raise self.error
        assert self.path is not None or self.skipped
        return self.path or ""

    def __repr__(self) -> str:
        state = (
            "skipped" if self.skipped else "failed" if self.error else "done" if self.done else "in flight"
        )
        return f"<SaveHandle step {self.step}: {state}>"
