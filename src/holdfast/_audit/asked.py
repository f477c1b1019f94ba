"""What an audit is asked: the model and how to measure it, what to hold it against, and how to restore it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from .._core.fault import Progress
from .._core.plan import Edit, Plan
from .._examine.fit import as_plan
from .._record.probe import Probe
from .._restore.data_contract import DataContract
from .evaluation import Evaluate

__all__ = ["Asked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The arguments of :func:`holdfast.audit`, which says what each is; ``allow`` and ``plan`` together are :attr:`edits`."""

    model: Any
    evaluate: Evaluate | None = None
    metrics: Any = None
    probe: Probe | None = None
    preprocess: Any = None
    apply: Callable[..., Any] | None = None
    data: Any = None
    contract: DataContract | None = None
    loaded: bool = False
    steps: int = 6
    allow: Iterable[str | Edit] | str = ()
    plan: Plan | str | Iterable[str] | None = None
    build_with: Any = None
    jobs: int | None = None
    progress: Progress | None = None

    @property
    def edits(self) -> Plan:
        """The edits that are allowed. Raises :class:`PlanError`."""
        return as_plan(self.allow, self.plan)
