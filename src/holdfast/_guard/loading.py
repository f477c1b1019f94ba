"""What a load really did: held against the file before the call, and value by value after it.

Before: the comparison that ``check`` makes, of the file (or the values in memory) and the live objects. After: every live
tensor that has a counterpart is read beside it: one kept its initial value, one holds another's values, a cast lost something,
a hyperparameter that the code had set was set back by the file. What comes of it is told by :mod:`holdfast._guard.outcome`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from .._compare.casting import overflow
from .._compare.content import equal_values
from .._core.catalog import Catalog
from .._core.dtypes import is_float, is_integer
from .._core.errors import HoldfastError, NotStored
from .._core.finding import Finding
from .._core.spec import TensorSpec
from .._core.words import plural
from .._examine.check import next_step, readiness_findings
from .._examine.fit import fit
from .._examine.fitted import Fit, tied
from .._frameworks import LiveCatalog, live_catalog
from .loaded import Loaded
from .outcome import by_program, findings_of, without_edits
from .passing_over import pass_over, without_optimizer

__all__ = ["HELD", "OF_STATE", "Load"]

HELD = frozenset({"weight", "buffer", "slot", "average", "counter"})
"""Roles of live tensors that a load is expected to set."""
_OF_OTHER_WEIGHTS = frozenset({"optimizer-order", "unknown-variable"})
"""Findings on an optimizer that was built over other weights than the model's, or in another order."""
_PUT_OFF = frozenset({"not-built"})
"""Findings on modules that have no variables yet."""
OF_STATE = ("O204", "O205")
"""Codes on state that only one side keeps: not to be told while the optimizer has made none."""
_MOST_SEARCHED = 64
_WHOLE = 1 << 16  # elements up to which a tensor is compared whole
_SOME = 512  # values of a larger one that are compared, beside its ends


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
        own: Collection[str] = (),
        left_out: Mapping[str, TensorSpec] | None = None,
        described: Callable[..., LiveCatalog] = live_catalog,
    ) -> None:
        """``stored``: what is loaded; the caller closes it. ``name``: what messages call it. ``only``: the part that the call
        sets, where the others are there for their names. ``called``: what a seal says the tensors were called.
        ``by_position``, ``owned``, ``earlier``, ``own``, ``left_out``, ``described``: see :class:`State`."""
        self.own, self.left_out = own, left_out or {}
        self.parts, self.only, self.owned, self.earlier = parts, only, owned, earlier
        self.by_position = by_position
        self.described = described
        self.live = described(**parts)
        self.fit: Fit = fit(stored, self.live, name=name, called=called)
        self._tied = tied(self.fit)

    @property
    def misfits(self) -> tuple[Finding, ...]:
        """What stands against the load, before it is made: what the model wants first, what is left over last."""
        found = [
            replace(f, edit=None, remedy=without_edits(f.remedy))
            for finding in self.fit.errors
            if self.concerns(finding)
            for f in by_program(self, finding)
            if f.code != "T201" or not f.tensors or not {*f.tensors} <= {*self.own}
        ]
        if (
            self.only is None and "optimizer" in self.live.parts
        ):  # an optimizer made for other weights explains the others
            found[:0] = [f for f in readiness_findings(self.live) if f.slug in _OF_OTHER_WEIGHTS]
        return tuple(sorted(found, key=lambda f: f.code == "T202"))

    def concerns(self, finding: Finding) -> bool:
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
        self._of_other_shape(live, loaded)
        self._hyper(live, loaded)
        ready = readiness_findings(live)
        loaded.next_step = next_step(live, ready)
        if self.only is not None:  # the other part is there for its names
            foreign = any(f.slug == "foreign-variable" for f in ready)
            ready = [f for f in ready if f.slug != "unknown-variable" or foreign]
        loaded.findings = [*findings_of(self, loaded, losing), *ready]
        # whose values are where, and an optimizer of other weights before its state: the others follow from these
        stale = any(f.slug in _OF_OTHER_WEIGHTS and f.severity == "error" for f in ready)
        loaded.findings.sort(key=lambda f: (f.code != "T231", stale and f.code in OF_STATE))
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
        key = self._counterpart(name)
        if self.by_position and name in self.fit.stored:
            key = name  # whatever the class or the weight
        if key is None and name not in self.live.variables and not self.live.unbuilt:
            return None  # a plain number before the call, which made a tensor of it
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

    def _counterpart(self, name: str) -> str | None:
        """What the file has for a live tensor, under its own name or under that of one which is the same object."""
        return self.fit.pairs.get(name) or self._tied.get(name)

    def _lost_by_cast(self, live: LiveCatalog, name: str) -> str | None:
        key, spec = self._counterpart(name) or name, live[name]
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

    def _of_other_shape(self, live: LiveCatalog, loaded: Loaded) -> None:
        """What the file has in another shape cannot have been set: it kept its initial value."""
        for name in [n for n, other in loaded.other.items() if other is None]:
            key = self._counterpart(name)
            if key is not None and self.fit.stored[key].shape != live[name].shape:
                del loaded.other[name]
                loaded.left.append(name)

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


def _alike(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether a copy was made: all values of a small tensor; of a large one both ends and values all over. A load that went
    wrong went wrong for whole tensors; what the bytes are worth, the checksums have told."""
    if a.size <= _WHOLE or not (a.flags.c_contiguous and b.flags.c_contiguous):
        return equal_values(a, b)
    one, other = a.reshape(-1), b.reshape(-1)
    apart = a.size // _SOME | 1  # odd: not one column of a matrix again and again
    parts = (slice(None, 4096), slice(-4096, None), slice(None, None, apart))
    return all(equal_values(one[part], other[part]) for part in parts)
