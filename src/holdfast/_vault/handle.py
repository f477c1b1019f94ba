"""A save that was asked for: frozen, done or failed."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

__all__ = ["SaveHandle"]


class SaveHandle:
    """What :meth:`Vault.save` gives.

    Attributes
    ----------
    step: the step. path: the folder, once committed. frozen: whether training may change everything again.
    done: whether the save has ended. error: what it failed with, or ``None``. timings: seconds by phase: ``stall``
        (in ``save()``), ``snapshot``, ``write``, ``total``.
    skipped: whether it was passed over because another was in flight (``when_busy="skip"``).
    """

    def __init__(self, step: int) -> None:
        self.step = step
        self.path: str | None = None
        self.error: BaseException | None = None
        self.skipped = False
        self._timings: dict[str, float] = {}
        self._frozen = threading.Event()
        self._done = threading.Event()
        self._told = False

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
