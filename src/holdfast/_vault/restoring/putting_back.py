"""State beside the model in restores: read, held against what was passed, put back, and what is missing told."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..._core.errors import UsageError
from ..._core.finding import Finding
from ..._core.pattern import escape
from ..._core.plan import Edit
from ..._layouts.opening import open_path, the_one
from ..._record.stateful import Captured, obstacles, put_back
from ..._restore.engine import restore
from ..._restore.fitted import function_of, layers_among
from ..._restore.outcome import Outcome
from ..._restore.proving import restore_and_prove
from ..._restore.states import PARTS, different, states_of
from ..._rules.facts import findings_of
from ..contents.given import Given
from .extra import extra_in
from .missing import missing

__all__ = ["Putting", "Wanted", "restore_with_states"]

LOG = logging.getLogger("holdfast.vault")
Saved = Mapping[str, Mapping[str, Captured]]


@dataclass(frozen=True)
class Wanted:
    """What a restore puts back.

    ``given``: the objects. ``asked``: (part, name) of those that this very call was given, and not an earlier
    :meth:`Vault.record`. ``resume``: training goes on, so that what is missing is worth telling. ``rank``: of how many.
    ``config``: what this run is configured with, where it said so.
    """

    given: Given = field(default_factory=Given)
    asked: frozenset[tuple[str, str]] = frozenset()
    resume: bool = False
    rank: int = 0
    config: Any = None

    @classmethod
    def of(cls, passed: Given, always: Given, resume: bool, rank: int, config: Any = None) -> Wanted:
        """From the arguments of a restore and what every save was told to capture; data of that only where training goes on."""
        more = always if resume else Given(preprocess=always.preprocess)
        asked = frozenset((part, name) for part, things in passed.parts().items() for name in things)
        return cls(passed.over(more), asked, resume, rank, config)

    def begin(self, path: str) -> Putting:
        """Read what the step at ``path`` holds. Raises :class:`UsageError` with everything that stands against putting it back
        (nothing was changed), :class:`ChecksumMismatch` where it is damaged."""
        every = self.resume or bool(self.given.data or self.given.metrics)
        target = the_one(path)
        with open_path(target.path) as step:
            record = getattr(step, "record", None)
            saved = states_of(step, PARTS if every else ("preprocess",))
            extra = extra_in(step) if record is not None else {}
        found = [
            f"{part} `{name}`: {text}"
            for part, things in self.given.parts().items()
            for name, thing in things.items()
            if (state := self.state(saved, part, name)) is not None
            for text in obstacles(thing, state)
        ]
        if found:
            raise UsageError(
                "nothing was restored: state beside the model does not fit what was passed", file=path,
                found="; ".join(found[:5]), expected="objects made as the run made them",
                remedy="Make them so; or leave them out here and take what was saved from the outcome.",
            )  # fmt: skip
        faults = different(saved.get("preprocess", {}), self.given.preprocess, path, noted=True)
        return Putting(self, path, record, saved, extra, list(findings_of(faults, target)))

    def state(self, saved: Saved, part: str, name: str) -> Captured | None:
        """What was saved for an object: this rank's own, else the one of all."""
        of = saved.get(part, {})
        own = of.get(f"{name}@{self.rank}") if self.rank else None
        return own or of.get(name)


class Putting:
    """One step's states on their way back. ``found``: fields of the outcome, ``extra`` among them."""

    def __init__(
        self,
        wanted: Wanted,
        path: str,
        record: Any,
        saved: Saved,
        extra: dict[str, Any],
        noted: list[Finding],
    ) -> None:
        self._wanted, self._path, self._record, self._saved, self._noted = wanted, path, record, saved, noted
        self.found: dict[str, Any] = {"extra": extra}
        self._again: frozenset[str] = frozenset()

    def without_its_own(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What a restore of the model is given, where :meth:`preprocessing` puts layers of that model back: their vocabulary
        does not stand against it (other settings than it had do so at :meth:`Wanted.begin`)."""
        saved, wanted = self._saved, self._wanted
        things = (
            t
            for name, t in wanted.given.preprocess.items()
            if wanted.state(saved, "preprocess", name) is not None
        )
        self._again = frozenset(path for path in layers_among(given.get("model"), things) if path)
        edits = [Edit("function", (escape(path),)) for path in sorted(self._again)]
        if not edits:
            return dict(given)
        allowed = given.get("allow") or ()
        return {**given, "allow": [*([allowed] if isinstance(allowed, str) else allowed), *edits]}

    def preprocessing(self) -> None:
        """Put fitted preprocessing back. Raises :class:`UsageError` with what a library said."""
        self._put("preprocess", "preprocess")

    def rest(self) -> None:
        """Put the others back; before random generators, as loaders may draw while they are made ready."""
        self._put("data", "data")
        self._put("metrics", "metric_states")

    def without_vocabularies(self, findings: Iterable[Finding]) -> Iterator[Finding]:
        """Those of the model's restore, without what :meth:`findings` tells of the same layers."""
        for finding in findings:
            if finding.code != "T225" or not {*finding.evidence.get("modules", ())} <= self._again:
                yield finding

    def findings(self, given: Mapping[str, Any]) -> tuple[Finding, ...]:
        """What is missing for an exact resume, and preprocessing that had been fitted otherwise. ``given``: live objects."""
        passed: Iterable[str] = (name for name, thing in given.items() if thing is not None)
        faults = missing(self._record, self._saved, self._wanted, passed, self.found["extra"], self._path)
        found = (*self._noted, *findings_of(faults, the_one(self._path)))
        for finding in found:
            level = logging.WARNING if finding.severity == "warning" else logging.INFO
            LOG.log(level, "%s: %s", finding.code, finding.message)
        return found

    def _put(self, part: str, where: str) -> None:
        things = self._wanted.given.parts()[part]
        names = dict.fromkeys([*(name.partition("@")[0] for name in self._saved.get(part, {})), *things])
        self.found[where] = {}
        for name in names:
            state, thing = self._wanted.state(self._saved, part, name), things.get(name)
            if state is not None:
                try:
                    self.found[where][name] = put_back(thing, state, f"{part} `{name}`")
                except UsageError as error:
                    raise UsageError(
                        f"{error.message}; the tensors were restored before it, and stay so", file=self._path,
                        expected="an object that takes its own state", found=error.found, remedy=error.remedy,
                    ) from error  # fmt: skip
            elif thing is not None:
                self.found[where][name] = thing


def restore_with_states(
    path: str | os.PathLike[str],
    *,
    data: Any = None,
    preprocess: Any = None,
    metrics: Any = None,
    prove: bool = False,
    apply: Any = None,
    **given: Any,
) -> Outcome:
    """:func:`holdfast.restore` of one checkpoint with state beside the model; see :meth:`Vault.restore`."""
    wanted = Wanted.of(Given.of(data, preprocess, metrics), Given(), given.get("optimizer") is not None, 0)
    path = os.fspath(path)
    beside = wanted.begin(path)
    given = beside.without_its_own(given)
    if prove:
        given |= {"preprocess": function_of(preprocess), "apply": apply, "restored": beside.preprocessing}
        outcome = restore_and_prove(path, **given)
    else:
        outcome = restore(path, **given)
        beside.preprocessing()
    beside.rest()
    found = (*beside.without_vocabularies(outcome.findings), *beside.findings(given))
    return replace(outcome, **beside.found, findings=found)
