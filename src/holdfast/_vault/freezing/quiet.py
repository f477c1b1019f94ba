"""No garbage collection while the training loop waits: a pass over a framework's heap takes longer than a whole freeze."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["uncollected"]


@contextmanager
def uncollected() -> Iterator[None]:
    """What is made here has no cycles worth looking for now; the collector goes on afterwards as it was."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
