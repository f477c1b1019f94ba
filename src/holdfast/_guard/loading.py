"""What a load really did: held against the file before the call, and value by value after it.

Before: the comparison that ``check`` makes, of the file (or the values in memory) and the live objects. After: every live
tensor that has a counterpart is read beside it. What ``restore`` would have refused and the framework did is told by what it
did: a tensor that kept its initial value, one that holds another's values, a cast that lost something, a hyperparameter that
the code had set and the file set back. What turned out right is not told.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .._compare.casting import overflow
from .._compare.content import equal_values
from .._core.catalog import Catalog
from .._core.difference import DIFFERENCES
from .._core.dtypes import is_float, is_integer
from .._core.errors import HoldfastError, NotStored
from .._core.finding import Finding
from .._core.words import plural
from .._examine.check import next_step, readiness_findings
from .._examine.fit import Fit, fit
from .._frameworks import LiveCatalog, live_catalog
from .._rules.registry import rule_named
from .passing_over import pass_over, without_optimizer

__all__ = ["HELD", "Load", "Loaded"]

HELD = frozenset({"weight", "buffer", "slot", "average", "counter"})
"""Roles of live tensors that a load is expected to set."""
_BY_VALUE = frozenset(
    {"T201", "T203", "T205", "T206", "T207", "T208", "T209", "T210", "T216", "T223", "O204", "O205", "O209"}
)
"""Differences that are no fault of a load after which the tensors concerned hold what the file has for them."""
_BECAME = {
    "T201": "it kept its initial value",
    "T203": "it does not hold the checkpoint's values",
    "T205": "it kept its initial value",
    "T207": "only one of the values is there now",
    "T216": "nothing was loaded under these names",
    "T223": "nearly everything kept its initial value",
    "O203": "the state of the one was taken for the other's",
    "O201": "the optimizer starts anew",
}
"""What became of a tensor or an optimizer that a load did not settle, by the difference."""
_OF_OTHER_WEIGHTS = frozenset({"optimizer-order", "unknown-variable"})
"""Findings on an optimizer that was built over other weights than the model's, or in another order."""
_PUT_OFF = frozenset({"not-built"})
"""Findings on modules that have no variables yet."""
OF_STATE = ("O204", "O205")
"""Codes on state that only one side keeps: not to be told while the optimizer has made none."""
_MOST_SEARCHED = 64
_WHOLE = 1 << 16  # elements up to which a tensor is compared whole
_SOME = 512  # values of a larger one that are compared, beside its ends


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
            said.append(f"{name} is {_shown(now)} and no longer {_shown(was)}")
        if self.later and not self.passed_over and not self.pending:
            said.append(f"{plural(len(self.later), 'tensor')} of the optimizer {'follows' if len(self.later) == 1 else 'follow'} "
                        "when it is built")  # fmt: skip
        if self.passed_over:
            said.append("the optimizer's state was passed over")
        elif self.next_step and not self.pending and not self.next_step.startswith("no optimizer was given"):
            said.append(self.next_step.split("; ")[0])
        return "; ".join(said)


class Load:
    """One load: made before the call, asked after it."""

    def __init__(
        self,
        stored: Catalog,
        name: str,
        parts: Mapping[str, Any],
        *,
        only: str | None = None,
        called: Mapping[str, str] | None = None,
        by_position: bool = False,
        owned: Collection[str] = (),
        earlier: Collection[str] = (),
        described: Callable[..., LiveCatalog] = live_catalog,
    ) -> None:
        """``stored``: what is loaded; the caller closes it. ``name``: what messages call it. ``only``: the part that the call
        sets, where the others are there for their names. ``called``: what a seal says the tensors were called.
        ``by_position``, ``owned``, ``earlier``, ``described``: see :class:`State`."""
        self.parts, self.only, self.owned, self.earlier = parts, only, owned, earlier
        self.by_position = by_position
        self.described = described
        self.live = described(**parts)
        self.fit: Fit = fit(stored, self.live, name=name, called=called)

    @property
    def misfits(self) -> tuple[Finding, ...]:
        """What stands against the load, before it is made: what the model wants first, what is left over last."""
        found = [
            replace(f, edit=None, remedy=_without_edits(f.remedy))
            for f in self.fit.errors
            if self._concerns(f)
        ]
        if (
            self.only is None and "optimizer" in self.live.parts
        ):  # an optimizer made for other weights explains the others
            found[:0] = [f for f in readiness_findings(self.live) if f.slug in _OF_OTHER_WEIGHTS]
        return tuple(sorted(found, key=lambda f: f.code == "T202"))

    def _concerns(self, finding: Finding) -> bool:
        """Whether a finding is of the part that the call sets."""
        if self.only is None or not finding.code.startswith("T"):
            return True
        if finding.slug == "another-model" or (self.by_position and finding.code == "T210"):
            return False
        names = [n for f in (finding, *finding.related) for n in f.tensors]
        stored = self.fit.stored
        return any(
            catalog[n].optimizer is not None for n in names for catalog in (self.live, stored) if n in catalog
        )

    def after(
        self,
        parts: Mapping[str, Any] | None = None,
        *,
        deferring: bool = False,
        weights: bool = False,
        known: frozenset[str] = frozenset(),
    ) -> Loaded:
        """Read the live objects and say what became of them. ``parts``: those that the call gave, where it makes new ones.
        ``deferring``: what has no variables yet is restored when it gets them. ``weights``: the call promises no optimizer's
        state. ``known``: what need not be looked at again."""
        live = self.described(**(parts or self.parts))
        loaded = Loaded(pending=live.unbuilt)
        loaded.unmade = any(o.attributes.get("built") is False for o in live.optimizers)
        loaded.later = tuple(n for n, v in live.variables.items() if v.virtual and n in self.fit.pairs)
        wanted = [n for n in self._wanted(live) if n not in known]
        losing: dict[str, str] = {}
        for name in wanted:
            spec = live[name]
            state = self._compared(live, name)
            if state is None:
                continue
            loaded.total += 1
            loaded.total_bytes += spec.nbytes
            if state in ("same", "cast"):
                loaded.restored.append(name)
                loaded.nbytes += spec.nbytes
                if state == "cast":
                    loaded.cast.append(name)
                    if (lost := self._lost_by_cast(live, name)) is not None:
                        losing[name] = lost
            elif state == "other":
                loaded.other[name] = None
            else:
                loaded.left.append(name)
        over = weights and pass_over(live, loaded, self.fit.pairs)
        if over and all(o.step == 0 for o in self.fit.stored.optimizers):
            loaded.passed_over = ()  # it had made no step: nobody misses it
        self._found_elsewhere(live, loaded)
        self._hyper(live, loaded)
        ready = readiness_findings(live)
        loaded.next_step = next_step(live, ready)
        if self.only is not None:  # the other part is there for its names
            foreign = any(f.slug == "foreign-variable" for f in ready)
            ready = [f for f in ready if f.slug != "unknown-variable" or foreign]
        loaded.findings = [*self._told(loaded, losing), *ready]
        loaded.findings.sort(
            key=lambda f: f.code != "T231"
        )  # whose values are where: the others follow from it, or are smaller
        if over or (weights and not any(live[n].optimizer for n in loaded.restored)):
            loaded.findings = without_optimizer(loaded.findings)
        if deferring:  # that is told when it has turned out wrong
            loaded.findings = [
                replace(f, severity="note")
                if f.severity != "note" and (f.slug in _PUT_OFF or (loaded.unmade and f.code in OF_STATE))
                else f
                for f in loaded.findings
            ]
        loaded.unused = tuple(n for f in loaded.findings if f.code == "T202" for n in f.tensors)
        return loaded

    # -- tensors ---------------------------------------------------------------------------------------------------
    def _wanted(self, live: LiveCatalog) -> list[str]:
        """Live tensors that the load is expected to set."""
        return [
            n
            for n, v in live.variables.items()
            if v.spec.role in HELD
            and not v.virtual
            and v.read is not None
            and (self.only != "optimizer" or v.spec.optimizer is not None)
        ]

    def _compared(self, live: LiveCatalog, name: str) -> str | None:
        """``same``, ``cast``, ``other``, ``left``; ``None`` where the values to compare with are not known."""
        key = self.fit.pairs.get(name)
        if self.by_position and name in self.fit.stored:
            key = name  # whatever the class or the weight
        if key is None:
            return None if name in self.fit.cleared else "left"
        try:
            stored, now = self.fit.stored.read(key), live.read(name)
        except NotStored:
            return None  # a skeleton: its values were held against the live ones when they were loaded
        except HoldfastError:
            return "other"
        if stored.shape != now.shape:
            return "other"
        if not _alike(np.asarray(stored), np.asarray(now)):
            return "other"
        return "same" if stored.dtype == now.dtype else "cast"

    def _lost_by_cast(self, live: LiveCatalog, name: str) -> str | None:
        key, spec = self.fit.pairs[name], live[name]
        try:
            if is_float(self.fit.stored[key].dtype) and is_integer(spec.dtype):
                return self._without_fraction(name, key, spec.dtype)
            if is_float(spec.dtype) and np.isfinite(np.asarray(live.read(name))).all():
                return None  # the values that it has say it, whatever the file's were
            found = overflow(self.fit.stored, key, spec.dtype)
        except HoldfastError:
            return None
        if found is None:
            return None
        return (
            f"{plural(found.values, 'value')} of {name} became infinite: {found.largest:g} does not fit into {spec.dtype}, "
            f"whose largest is {found.limit:g}"
        )

    def _without_fraction(self, name: str, key: str, dtype: str) -> str | None:
        lost = 0
        for piece in self.fit.stored.pieces(key):
            values = np.asarray(piece, np.float64)
            lost += int(np.count_nonzero(values != np.trunc(values)))
        return f"{plural(lost, 'value')} of {name} lost the fraction: it is {dtype} now" if lost else None

    def _found_elsewhere(self, live: LiveCatalog, loaded: Loaded) -> None:
        """Whose values the tensors hold that do not hold their own; and those without a counterpart that hold one all the
        same (the framework knows it under another name)."""
        if not loaded.other and not loaded.left:
            return
        taken = {self.fit.pairs[n] for n in loaded.restored if n in self.fit.pairs}
        free = [s for n, s in self.fit.stored.items() if n not in taken or n in self.fit.pairs.values()]
        for name in [*loaded.other, *loaded.left][:_MOST_SEARCHED]:
            spec = live[name]
            if spec.nbytes < 8 or loaded.total_bytes == 0:
                continue
            try:
                values = np.asarray(live.read(name))
            except HoldfastError:
                continue  # it has no value
            if values.size == 0 or bool(np.all(values == values.reshape(-1)[0])):
                continue  # zeros and ones are alike everywhere
            for other in free:
                if (
                    other.shape == spec.shape
                    and other.dtype == spec.dtype
                    and self._holds(other.name, values)
                ):
                    if name in loaded.other:
                        loaded.other[name] = other.name
                    elif other.name not in taken:
                        loaded.left.remove(name)
                        loaded.restored.append(name)
                        loaded.nbytes += spec.nbytes
                    break

    def _holds(self, stored: str, values: np.ndarray) -> bool:
        try:
            return equal_values(np.asarray(self.fit.stored.read(stored)), values)
        except HoldfastError:
            return False

    # -- hyperparameters -------------------------------------------------------------------------------------------
    def _hyper(self, live: LiveCatalog, loaded: Loaded) -> None:
        """Those that the code had set otherwise, and the load set back."""
        for decision in self.fit.decisions:
            if decision.take != "undecided" or decision.key in self.owned:
                continue
            if decision.setting is not None and decision.setting.name in live.settings:
                now = live.settings[decision.setting.name].read()
                if decision.key in ("beta_1", "beta_2") and isinstance(now, (list, tuple)):
                    now = now[int(decision.key[-1]) - 1]
            elif decision.variable is not None and decision.variable in live:
                now = np.asarray(live.read(decision.variable)).reshape(-1)[0].item()
            else:
                continue
            if now != decision.live:
                loaded.hyper[decision.name] = (decision.live, now)

    # -- findings --------------------------------------------------------------------------------------------------
    def _told(self, loaded: Loaded, losing: Mapping[str, str]) -> Iterator[Finding]:
        right = {*loaded.restored}
        crossed = {name for name, other in loaded.other.items() if other is not None}
        told: set[str] = set()
        for finding in self.fit.findings:
            if not self._concerns(finding):
                continue
            if finding.severity != "error":
                yield finding
                continue
            names = {n for f in (finding, *finding.related) for n in f.tensors}
            told |= names
            if finding.code == "O207":
                continue  # told below, by what became of the values
            if finding.slug == "not-built" and not loaded.pending:
                continue  # the load has built it
            if finding.code == "T201" and names and names <= {*self.earlier}:
                yield replace(finding, severity="note", edit=None, remedy=None)
                continue
            if finding.code == "T202" or (finding.code == "T204" and not losing) or self._of_unmoved(finding):
                yield replace(finding, severity="note", edit=None, remedy=None)
            elif finding.code == "T204":
                yield replace(
                    finding, message="; ".join(list(losing.values())[:3]), edit=None,
                    remedy="Restore into float32 (or bfloat16, which has float32's range), or find out why the values are so "
                    "large.",
                )  # fmt: skip
            elif finding.code in _BY_VALUE and names and names <= right:
                continue
            elif finding.code in _BY_VALUE and names and names <= right | crossed:
                told -= names  # told below, by whose values are there
            else:
                yield self._as_done(finding)
        for name, (was, now) in loaded.hyper.items():
            yield _hyper_finding(name, was, now)
        yield from self._crossed(loaded, told)

    def _of_unmoved(self, finding: Finding) -> bool:
        """Whether it is about state of weights that the live optimizer does not move (frozen ones): nothing misses it."""
        if finding.code != "O205":
            return False
        to_live = {stored: live for live, stored in self.fit.pairs.items()}
        owners = {self.fit.stored[n].owner for n in finding.tensors if n in self.fit.stored}
        moved = {v.spec.owner for v in self.live.variables.values() if v.spec.optimizer is not None}
        return bool(owners) and all(o is not None and to_live.get(o, o) not in moved for o in owners)

    def _as_done(self, finding: Finding) -> Finding:
        """A finding of ``check`` on a load that has been made: what came of it, and no advice on a load to be made."""
        evidence = {k: v for k, v in finding.evidence.items() if k != "framework"}
        remedy = _without_edits(finding.remedy)
        message = finding.message
        told = evidence_of_loader(finding)
        if told and message.endswith(told):
            message = message[: -len(told)].rstrip("; ")
        if finding.code in _BECAME:
            became = _BECAME[finding.code]
            message += f"; {_of_several(became) if len(finding.tensors) > 1 else became}"
        related = tuple(map(self._as_done, finding.related))
        return replace(finding, message=message, evidence=evidence, remedy=remedy, edit=None, related=related)

    def _crossed(self, loaded: Loaded, told: set[str]) -> Iterator[Finding]:
        rule = rule_named("not-what-was-loaded")
        assert rule is not None
        names = [n for n in loaded.other if n not in told]
        if not names:
            return
        crossed = [f"{n} holds the values of {loaded.other[n]}" for n in names if loaded.other[n] is not None]
        first = crossed[0] if crossed else f"{names[0]} does not hold what the checkpoint has for it"
        more = f", and {plural(len(names) - 1, 'other tensor')} likewise" if len(names) > 1 else ""
        yield rule.finding(first + more, tensor=names[0], tensors=tuple(names))


def _without_edits(remedy: str | None) -> str | None:
    """Advice on edits is for ``holdfast.restore``, which carries them out."""
    return None if remedy is not None and "llow `" in remedy else remedy


def evidence_of_loader(finding: Finding) -> str:
    """What the finding says that the framework would do."""
    return str(finding.evidence.get("framework") or "")


def _alike(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether a copy was made: all values of a small tensor; of a large one both ends and values all over. A load that went
    wrong went wrong for whole tensors; what the bytes are worth, the checksums have told."""
    if a.size <= _WHOLE or not (a.flags.c_contiguous and b.flags.c_contiguous):
        return equal_values(a, b)
    one, other = a.reshape(-1), b.reshape(-1)
    apart = a.size // _SOME | 1  # odd: not one column of a matrix again and again
    parts = (slice(None, 4096), slice(-4096, None), slice(None, None, apart))
    return all(equal_values(one[part], other[part]) for part in parts)


def _of_several(became: str) -> str:
    for one, several in (
        ("it kept its initial value", "they kept their initial values"),
        ("it does", "they do"),
    ):
        became = became.replace(one, several)
    return became


def _hyper_finding(name: str, was: Any, now: Any) -> Finding:
    kind = DIFFERENCES["O207"]
    return Finding(
        "O207", kind.slug, "warning", f"{name} was {_shown(was)} in the code and is {_shown(now)} since this load: the "
        "checkpoint's value replaced it", evidence={"seen": now, "expected": was}, cause=kind.cause,
        remedy=f"Set {name} after loading where the code is meant; nothing need be done where the checkpoint is.",
    )  # fmt: skip


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _some(names: list[str]) -> str:
    return f"`{names[0]}`" if len(names) == 1 else f"`{names[0]}` and {plural(len(names) - 1, 'other')}"
