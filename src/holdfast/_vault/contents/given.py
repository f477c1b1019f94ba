"""Objects beside the model that were given to a save, to every save, or to a restore, by part and name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..._core.errors import UsageError
from ..._record.metrics import Metric
from ..._record.stateful import stateful
from ..._record.stateful.nest import owner_of
from ..._restore.fitted import fitted_of, function_of, named
from ..._restore.states import PARTS

__all__ = ["Given", "fitted_of", "function_of", "given_for_every_save"]

_FIXED = (bool, int, float, complex, str, bytes, tuple, np.generic)


@dataclass(frozen=True)
class Given:
    """Live objects by part and name, as ``save``, ``record`` or ``restore`` were given them."""

    data: Mapping[str, Any] = field(default_factory=dict)
    preprocess: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, data: Any = None, preprocess: Any = None, metrics: Any = None) -> Given:
        """From the arguments. ``metrics`` are those among them that have a state. Raises :class:`UsageError` for names that
        cannot be."""
        own = {n: v for n, v in metrics.items() if _counts(v)} if isinstance(metrics, Mapping) else {}
        return cls(named(data, "data"), fitted_of(preprocess), own)

    def over(self, other: Given) -> Given:
        """These, and the others' of names that are not among them."""
        return Given(*({**getattr(other, part), **getattr(self, part)} for part in PARTS))

    def parts(self) -> dict[str, Mapping[str, Any]]:
        """The names by part."""
        return {part: getattr(self, part) for part in PARTS}


def _counts(value: Any) -> bool:
    """Whether a metric that was passed is an object that goes on counting."""
    if isinstance(value, (Metric, int, float, str)):
        return False
    fed = hasattr(value, "update") or hasattr(value, "update_state")
    return fed and (hasattr(value, "compute") or hasattr(value, "result")) and stateful(value)


def given_for_every_save(data: Any, preprocess: Any) -> dict[str, Any]:
    """What :meth:`Vault.record` keeps of these two. Raises :class:`UsageError` for a number as a position: it
    would be the same in every save."""
    things = named(data, "data")
    fixed = [
        name
        for name, thing in things.items()
        if isinstance(thing, _FIXED) or owner_of(thing) in ("jax", "jaxlib")
    ]
    if fixed:
        raise UsageError(
            "a position that is a number changes with each save", found=f"data={{{fixed[0]!r}: {things[fixed[0]]!r}}}",
            remedy="Pass it to save(); or keep it in a dict of your own that you change, and pass that here.",
        )  # fmt: skip
    return {"data": things or None, "fitted": fitted_of(preprocess) or None}
