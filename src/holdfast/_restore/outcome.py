"""What a restore did, for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .._core.finding import Finding, Proof, Told
from .._core.plan import Plan
from .._core.words import plural
from .._record.metric_history import MetricHistory

if TYPE_CHECKING:
    from .data_contract import DataContract

__all__ = ["Outcome"]


@dataclass(frozen=True, slots=True)
class Outcome(Told):
    """The outcome of :func:`holdfast.restore`.

    Attributes
    ----------
    path: the checkpoint. restored: live names that now hold the checkpoint's values. kept: live names that kept
        theirs because the plan says so, optimizer state last (``kept_state``: how many are that). reset: optimizer state
        that starts anew. dropped: names in the file that the plan left out. others: what else the file holds, by its
        first words, with the number of tensors.
    total, nbytes, total_bytes: live tensors in scope, bytes restored, bytes of all of them.
    values: hyperparameters and other plain values that became others: name -> (before, after). settings: how many
        plain values (of schedulers, loss scalers, parameter groups) hold what the checkpoint says.
    proof: how much evidence the bytes had: ``sealed``, ``checksums``, ``partial``, ``structure-only``.
    verified_bytes: bytes that agreed with evidence.
    findings: what is worth knowing (notes and warnings), readiness of the next step included.
    next_step: ``"the next step will run"``, or what stands against it. step: that of the vault, or, of any other
        checkpoint, the optimizer's.
    plan: the edits that were carried out. objects: the restored objects by part; new ones where the framework's
        values are immutable (JAX), else those that were passed. passed_over: newer checkpoints of a vault that were
        not taken, each with the reason. extra: what :meth:`Vault.save` was given as ``extra``. proved: what replaying
        the probe showed, where that was asked for. history: the metrics of the checkpoints that led to this one
        (:class:`MetricHistory`; from a vault only, else it is empty). data, preprocess, metric_states: by name, the objects that
        stand where they stood at the save; of what was not passed, what was saved.
    """

    path: str
    restored: tuple[str, ...]
    kept: tuple[str, ...] = ()
    kept_state: int = 0
    reset: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    others: tuple[tuple[str, int], ...] = ()
    total: int = 0
    nbytes: int = 0
    total_bytes: int = 0
    values: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    settings: int = 0
    proof: Proof = "structure-only"
    verified_bytes: int = 0
    findings: tuple[Finding, ...] = ()
    next_step: str = ""
    step: int | None = None
    plan: Plan = field(default_factory=Plan)
    objects: Mapping[str, Any] = field(default_factory=dict)
    passed_over: tuple[tuple[str, str], ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    proved: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    preprocess: Mapping[str, Any] = field(default_factory=dict)
    metric_states: Mapping[str, Any] = field(default_factory=dict)
    history: MetricHistory = field(default_factory=MetricHistory)

    @property
    def model(self) -> Any:
        """The restored model."""
        return self.objects.get("model")

    @property
    def optimizer(self) -> Any:
        """The restored optimizer."""
        return self.objects.get("optimizer")

    @property
    def contract(self) -> DataContract | None:
        """The data contract that the checkpoint holds, or ``None``. It is read when it is asked for: ask before retention
        drops the step, or :class:`CheckpointNotFound` is raised."""
        from .data_contract import contract_at

        return contract_at(self.path)

    @property
    def summary(self) -> str:
        """One sentence: how much was restored, what was not, and whether the next step will run."""
        text = self._amount()
        said = []
        if self.kept:
            weights = self.kept[: len(self.kept) - self.kept_state] or self.kept
            state = f", with {plural(self.kept_state, 'tensor')} of optimizer state"
            said.append(
                f"{_names(weights, self.restored)} kept {_its(weights)} initial value{_s(weights)}"
                f"{state if len(weights) < len(self.kept) else ''} (allowed)"
            )
        if self.reset:
            said.append(
                f"{_names(self.reset, self.restored)} start{'s' if len(self.reset) == 1 else ''} anew (allowed)"
            )
        if self.dropped:
            said.append(f"{_names(self.dropped)} of the checkpoint left out (allowed)")
        made = [str(edit) for edit in self.plan if edit.kind in _LOSSY]
        if made:
            more = f" and {len(made) - 3} more" if len(made) > 3 else ""
            said.append(", ".join(f"`{edit}`" for edit in made[:3]) + f"{more} carried out (allowed)")
        for name, why in self.passed_over:
            said.append(f"{name} was passed over ({why})")
        if self.proved:
            said.append(self.proved)
        if self.next_step:
            said.append(self.next_step)
        return "; ".join([text, *said])

    def _amount(self) -> str:
        beside = f" and {plural(self.settings, 'value')}" if self.settings else ""
        if not self.total:
            return (
                f"restored {plural(self.settings, 'value')}"
                if self.settings
                else "there was nothing to restore"
            )
        share = 100.0 if not self.total_bytes else 100.0 * self.nbytes / self.total_bytes
        if len(self.restored) == self.total:
            text = (
                f"restored all {plural(self.total, 'tensor')}"
                if self.total > 1
                else "restored the one tensor"
            )
        else:
            text = f"restored {len(self.restored)} of {plural(self.total, 'tensor')}"
        return f"{text}{beside}, {_percent(share)} of bytes"

    def __str__(self) -> str:
        return self.summary


_LOSSY = frozenset({"cast", "slice", "pad", "resize"})
"""Edits after which the live values are not those of the file."""


def _percent(share: float) -> str:
    """One decimal, and never 100 % where something is missing."""
    if share >= 100.0:
        return "100 %"
    return f"{min(share, 99.9):.1f} %"


def _its(names: tuple[str, ...]) -> str:
    return "its" if len(names) == 1 else "their"


def _s(names: tuple[str, ...]) -> str:
    return "" if len(names) == 1 else "s"


def _names(names: tuple[str, ...], others: tuple[str, ...] = ()) -> str:
    """One name, or what several have in common; a pattern alone only where none of ``others`` is under it."""
    if len(names) == 1:
        return f"`{names[0]}`"
    first = names[0]
    for cut in range(len(first), 0, -1):
        if first[cut - 1] in "./" and all(name.startswith(first[:cut]) for name in names):
            alone = not any(name.startswith(first[:cut]) for name in others)
            return f"`{first[:cut]}*`" if alone else f"{len(names)} tensors under `{first[:cut]}*`"
    return f"{len(names)} tensors"
