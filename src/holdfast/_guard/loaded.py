"""What a load did, tensor by tensor, and the sentence that says it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .._core.finding import Finding
from .._core.words import plural

__all__ = ["Loaded", "shown"]


@dataclass(slots=True)
class Loaded:
    """What a load did.

    ``restored``: live names that hold the file's values. ``cast``: of these, those in another dtype. ``left``: live
    names that have nothing in the file and keep what they had; ``kept``: those that do so by right. ``other``: live
    name -> the name in the file whose values it holds in place of its own, or ``None``. ``hyper``: name -> (in the code
    before, now). ``total``, ``nbytes``, ``total_bytes``: tensors that were to be set, bytes restored, bytes of all of
    them. ``pending``: modules without variables yet. ``unused``: what the file has and the live objects do not.
    ``later``: tensors that the file has and the live optimizer makes with its first step. ``passed_over``: state of an
    optimizer in the file that was not loaded. ``unmade``: there is an optimizer that makes its variables with its first
    step.
    """

    restored: list[str] = field(default_factory=list)
    cast: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    other: dict[str, str | None] = field(default_factory=dict)
    hyper: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    total: int = 0
    nbytes: int = 0
    total_bytes: int = 0
    findings: list[Finding] = field(default_factory=list)
    pending: tuple[str, ...] = ()
    next_step: str = ""
    unused: tuple[str, ...] = ()
    later: tuple[str, ...] = ()
    passed_over: tuple[str, ...] = ()
    unmade: bool = False

    @property
    def sentence(self) -> str:
        """How much was restored, what was not, and whether the next step will run."""
        share = 100.0 if not self.total_bytes else 100.0 * self.nbytes / self.total_bytes
        percent = "100 %" if share >= 100.0 else f"{min(share, 99.9):.1f} %"
        if not self.total and self.pending:
            said = ["nothing was restored yet"]
        elif self.total and len(self.restored) == self.total:
            said = [f"restored all {plural(self.total, 'tensor')}, {percent} of bytes"]
        elif not self.total and self.hyper:
            said = []  # a scheduler or scaler: its values are told below
        else:
            said = [f"restored {len(self.restored)} of {plural(self.total, 'tensor')}, {percent} of bytes"]
        if self.pending:
            later = (
                f"{plural(len(self.pending), 'module')} without variables yet: restored when built, if at all"
            )
            said = [*said, later] if self.total else [later]
        elif self.left:
            said.append(f"{_some(self.left)} kept {'its' if len(self.left) == 1 else 'their'} initial value")
        if self.kept:
            said.append(
                f"{_some(self.kept)} {'stays as it was' if len(self.kept) == 1 else 'stay as they were'}"
            )
        if self.other:
            said.append(
                f"{_some(list(self.other))} {'holds' if len(self.other) == 1 else 'hold'} other values"
            )
        if self.unused:
            number = plural(len(self.unused), "tensor")
            said.append(f"{number} of the checkpoint went nowhere: {_some(list(self.unused))}")
        for name, (was, now) in self.hyper.items():
            said.append(f"{name} is {shown(now)} and no longer {shown(was)}")
        if self.later and not self.passed_over and not self.pending:
            said.append(f"{plural(len(self.later), 'tensor')} of the optimizer {'follows' if len(self.later) == 1 else 'follow'} "
                        "when it is built")  # fmt: skip
        if self.passed_over:
            said.append("the optimizer's state was passed over")
        elif self.next_step and not self.pending and not self.next_step.startswith("no optimizer was given"):
            said.append(self.next_step.split("; ")[0])
        return "; ".join(said)


def shown(value: Any) -> str:
    """A hyperparameter's value, for a sentence."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _some(names: list[str]) -> str:
    return f"`{names[0]}`" if len(names) == 1 else f"`{names[0]}` and {plural(len(names) - 1, 'other')}"
