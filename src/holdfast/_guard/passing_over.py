"""Calls that load weights, and an optimizer's state only if it happens to fit: what they passed over.

Keras's ``load_weights`` skips the state of an optimizer that is not built, or has another number of variables, with a Python
warning (keras/src/saving/saving_lib.py ``_load_state``; keras/src/optimizers/base_optimizer.py ``load_own_variables``), and the
legacy HDF5 loader never sets it (keras/src/legacy/saving/legacy_h5_format.py). Who wants to evaluate need not care; who trains
on starts with a new optimizer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from .._core.finding import Finding
from .._frameworks import LiveCatalog

if TYPE_CHECKING:
    from .loaded import Loaded

__all__ = ["pass_over", "without_optimizer"]

_STATE = frozenset({"slot", "counter", "average", "gradient"})


def pass_over(live: LiveCatalog, loaded: Loaded, pairs: Iterable[str]) -> bool:
    """Take an optimizer whose state was not loaded out of what ``loaded`` counts, and say whether there is one.

    ``pairs``: live names that the checkpoint has. Sets ``loaded.passed_over`` to the tensors that it has for that optimizer.
    """
    of_optimizer = {n for n, v in live.variables.items() if v.spec.optimizer is not None}
    missed = [n for n in (*loaded.other, *loaded.left) if n in of_optimizer]
    if not missed and not loaded.later:
        return False
    if any(n in of_optimizer and live[n].role in _STATE and _tells(live, n) for n in loaded.restored):
        return False
    have = {*pairs}
    loaded.passed_over = tuple(n for n in (*missed, *loaded.later) if n in have)
    for name in (*missed, *(n for n in loaded.restored if n in of_optimizer)):
        loaded.total -= 1
        loaded.total_bytes -= live[name].nbytes
    loaded.nbytes -= sum(live[n].nbytes for n in loaded.restored if n in of_optimizer)
    loaded.restored = [n for n in loaded.restored if n not in of_optimizer]
    loaded.cast = [n for n in loaded.cast if n not in of_optimizer]
    loaded.left = [n for n in loaded.left if n not in of_optimizer]
    loaded.other = {n: o for n, o in loaded.other.items() if n not in of_optimizer}
    return True


def _tells(live: LiveCatalog, name: str) -> bool:
    """Whether the values are of a state that has moved: zeros are those of a new optimizer too."""
    return bool(np.any(np.asarray(live.read(name)) != 0))


def without_optimizer(findings: Iterable[Finding]) -> list[Finding]:
    """What concerns the state of an optimizer becomes a note: it is told if that optimizer steps."""
    return [
        replace(f, severity="note") if f.code.startswith("O2") and f.severity != "note" else f
        for f in findings
    ]
