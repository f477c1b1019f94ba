"""Python's cycle collector, held off while very many objects are made that all stay.

The collector walks everything that lives again and again as objects are added; for tens of thousands of tensors
that costs more than making them. Specs, nodes and pairs hold no cycles, so nothing is missed meanwhile.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["collector_paused"]


@contextmanager
def collector_paused() -> Iterator[None]:
    """No collection of cycles within; also a decorator. Nests, and leaves a collector alone that was off."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
