"""Loads: what the file is, what the load did, what was put off, and the step that fails because of it."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .._core.catalog import Catalog
from .._core.difference_kinds import DIFFERENCES
from .._core.errors import HoldfastError
from .._core.finding import CheckpointReport, Finding, Place
from .._diagnose.explaining import explained
from .._examine.fit_names import modules_within
from .._frameworks.events import Call, Site
from .._integrity.architecture import called_by, modules_of
from .._integrity.seal import find_seal
from .._layouts.opening import the_one, try_open
from .._rules.registry import told_by
from .by_framework import ByFramework
from .deferred import Deferred, Open
from .done import Done, reference
from .lines import TOLD
from .loaded import Loaded
from .loading import Load
from .mixed_steps import of_two_steps
from .origins import Origins
from .seen import STOPS, Seen, first_line
from .states import State, also_told, state_of
from .steps import Steps

if TYPE_CHECKING:
    from .guard import Guard

__all__ = ["Loads"]

Line = tuple[str, Site | None, type, int]
"""A call, where it stands in the program, into what, of how many values."""


class Loads:
    """The policy for calls of the kinds ``read``, ``assign``, ``restore`` and ``step``."""

    def __init__(self, guard: Guard) -> None:
        self.guard = guard
        self.origins = Origins()
        self.files = guard.files
        self.by_framework = ByFramework(self)
        self.steps = Steps(self)
        self.done: list[Done] = []
        self.deferred = Deferred(guard, self._from_file)
        self._told: dict[tuple[str, str], list[Callable[[], Any]]] = {}
        self._copies: set[Line] = set()
        self.loose: dict[str, tuple[Seen, str]] = {}

    def around(self, call: Call, run: Callable[[str | None], Any]) -> Any:
        """Carry the call out; see :class:`Guard`."""
        return {
            "read": self._read,
            "assign": self._assign,
            "restore": self._restore,
            "step": self.steps.around,
        }[call.kind](call, run)

    # -- a file's content comes into memory ------------------------------------------------------------------------
    def _read(self, call: Call, run: Callable[[str | None], Any]) -> Any:
        if call.load.by_framework:
            return self.by_framework.around(call, run)
        if call.load.piece:  # of a file that was looked at when it was opened
            result = run(call.path)
            if call.path is not None:
                self.origins.note(result, self.files.place(call.path))
            return result
        seen = Seen.of(call)
        self._look_at_file(call, seen)
        result = self.carry_out(call, run, seen)
        with self.guard.looking(seen):
            if call.path is not None:
                self.origins.note(result, self.files.place(call.path))
        if call.path is not None or seen.findings or seen.sentence:  # a buffer: nothing is known of it
            self.guard.note(seen)
        return result

    def _look_at_file(self, call: Call, seen: Seen) -> CheckpointReport | None:
        """What the file is, and whether it is whole."""
        if call.path is None:
            return None
        with self.guard.looking(seen):
            report = self.files.examined(call.path)
            if report is None:
                return None
            seen.sentence = self.files.sentence(report)
            seen.findings += self.new(report.findings, call.path)  # of a file once
            return report
        return None

    # -- values in memory are put into live objects ---------------------------------------------------------------
    def _assign(self, call: Call, run: Callable[[str | None], Any]) -> Any:
        line = line_of(call)
        stored = call.load.stored  # out of bytes that were written once
        if line in self._copies and not stored and self.origins.of(call.state) is None:
            return run(call.path)  # copies in memory, in a loop: the first of them was looked at
        seen, load, state, held = Seen.of(call), None, None, ExitStack()
        with self.guard.looking(seen):
            state = state_of(call, self.origins, self._known_models())
            if state is not None:
                load = self._begun(state, held)
                seen.path = state.path
                self.loose.pop(state.path or "", None)
        copy = line if not stored and (state is None or state.path is None) else None
        return self._loaded(call, run, seen, load, held, state, copy)

    def _begun(self, state: State, held: ExitStack) -> Load:
        stored = held.enter_context(state.open())
        if state.path is not None and state.only is None:
            seal = find_seal(the_one(state.path))
            if seal is not None:
                with try_open_path(state.path) as file:
                    front = "" if state.within is None else state.within(file)
                    if front is not None:
                        stored.modules = modules_within(modules_of(file, seal), front)
        return Load(
            stored, state.path or "the state dict", state.parts, only=state.only, by_position=state.by_position,
            owned=state.owned, earlier=state.earlier, own=state.own, left_out=state.left_out, described=state.described,
        )  # fmt: skip

    # -- a file is put into live objects in one call ---------------------------------------------------------------
    def _restore(self, call: Call, run: Callable[[str | None], Any]) -> Any:
        if call.load.by_framework:
            return self.by_framework.around(call, run)
        seen, load, held = Seen.of(call), None, ExitStack()
        self._look_at_file(call, seen)
        if call.path is None:
            return self._without_path(call, run, seen)
        if call.parts:
            with self.guard.looking(seen):
                load = self._from_file(call.path, call.parts, held)
        return self._loaded(call, run, seen, load, held)

    def _from_file(self, path: str, parts: Mapping[str, Any], held: ExitStack) -> Load | None:
        try:
            target = the_one(path)
        except HoldfastError:
            return None  # the call itself will tell
        stored, _ = try_open(target)
        if stored is None:
            return None
        held.enter_context(stored)
        seal = find_seal(target)
        stored.modules = modules_of(stored, seal)
        return Load(stored, path, parts, called=called_by(seal))

    def _without_path(self, call: Call, run: Callable[[str | None], Any], seen: Seen) -> Any:
        """``restore(None)``: frameworks take it for "there is nothing to restore"."""
        result = self.carry_out(call, run, seen)
        seen.sentence = "nothing was loaded"
        why, severity = call.load.because
        message = f"{call.api} was given no checkpoint (None): everything keeps its initial values"
        seen.findings.append(
            told_by("nothing-loaded", f"{message}; {why}" if why else message, severity=severity)
        )
        self.guard.note(seen)
        return result

    # -- both ----------------------------------------------------------------------------------------------------
    def _loaded(
        self,
        call: Call,
        run: Callable[[str | None], Any],
        seen: Seen,
        load: Load | None,
        held: ExitStack,
        state: State | None = None,
        copy: Line | None = None,
    ) -> Any:
        """``copy``: the line of a load from memory alone, of no file; where that is right, nothing is told of it."""
        with held:
            result = self.carry_out(call, run, seen, load)
            if load is None and call.kind == "restore" and not call.parts:  # it has made the objects itself
                with self.guard.looking(seen):
                    if call.path is not None and (made := made_by(call, result)):
                        load = self._from_file(call.path, made, held)
            parts = {**call.parts, **made_by(call, result)}
            done = Done(seen, {part: reference(thing) for part, thing in parts.items()}, call.path)
            if load is not None:
                with self.guard.looking(seen):
                    deferring = call.load.deferred
                    loaded = load.after(
                        made_by(call, result) or None, deferring=deferring, weights=call.load.weights
                    )
                    if state is not None and state.after is not None:
                        state.after(loaded)
                    seen.sentence = loaded.sentence
                    seen.findings += self.new(
                        with_reason(loaded.findings, call), seen.site, load.parts.get(load.only or "model")
                    )
                    seen.findings += self.new(map(not_there, call.load.unset), seen.site)
                    seen.findings += self.new(map(compiled_before, call.load.outdated), seen.site)
                    seen.findings += self.new(also_told(call, call.parts, made_by(call, result)), seen.site)
                    seen.facts = facts_of(loaded)
                    if deferring and (loaded.pending or loaded.later or loaded.unmade or loaded.unused):
                        self._put_off(call, done, loaded)
                    done.passed_over = loaded.passed_over
                    done.in_part = call.load.skip_mismatch or call.load.by_name
                    self._settle(done, loaded)
                    mixed = of_two_steps(self.done, done)
                    if mixed is not None:
                        seen.findings += self.new([told_by("steps-mixed", mixed, file=seen.path)], seen.site)
        self.done.append(done)
        if copy is not None:
            self._copies.add(copy)
            if seen.worst not in ("error", "warning"):
                return result
        self.guard.note(seen)
        return result

    def _settle(self, done: Done, loaded: Loaded) -> None:
        """Earlier loads into the same objects may have left at its initial value what this one has set."""
        done.left = frozenset(loaded.left)
        settled = [before.seen.site for before in self.done if before.settle(done, loaded.restored)]
        if settled:
            done.seen.sentence += f"; what {' and '.join(settled)} had left at its initial value is set now"

    def _put_off(self, call: Call, done: Done, loaded: Loaded) -> None:
        """What has no variables yet is looked at again once it has."""
        known = frozenset((*loaded.restored, *loaded.left, *loaded.other))
        alive = call.load.alive or (lambda: done.alive if len(done.alive) == len(done.parts) else None)
        if call.path is not None:
            self.deferred.add(Open(done.seen, call.path, alive, known, call.load.bound, call.load.by_place))

    def carry_out(
        self,
        call: Call,
        run: Callable[[str | None], Any],
        seen: Seen,
        load: Load | Callable[[], Load | None] | None = None,
    ) -> Any:
        """Run the call; one that raises is told, with what stood against ``load``."""
        try:
            call.result = run(call.path)
        except BaseException as error:
            if isinstance(error, STOPS):
                raise
            call.error = error
            with self.guard.looking(seen):
                seen.error = f"{type(error).__name__}: {first_line(error)}"
                begun = load() if callable(load) else load
                if begun is not None:
                    seen.findings += self.new(begun.misfits, seen.site)
                found = explained(error, seen.path)
                if found is not None and found.causes:
                    cause, grave = found.causes[0], [f for f in seen.findings if f.severity != "note"]
                    seen.facts = {"diagnosis": [c.label for c in found.causes]}
                    if not any(f.remedy for f in grave):
                        seen.facts = {**seen.facts, "remedy": cause.remedy}
                    if not grave:
                        seen.sentence = f"{cause.label} ({cause.status}): {cause.why}"
            self.guard.note(seen)
            raise
        return call.result

    def new(self, findings: Iterable[Finding], of: str, thing: Any = None) -> list[Finding]:
        """Those that were not told of this file, or of this line of the program, before.

        ``thing``: what the line has loaded into. Another one beside all those that the same was told of (the second of two
        optimizers that a loop goes through) is told too; one in the place of what is gone is the loop's next turn.
        """
        found = []
        for finding in findings:
            known = self._told.setdefault((of, f"{finding.code} {finding.message}"), [])
            if not known or (len(known) < TOLD and _beside(known, thing)):
                found.append(finding)
                known.append(reference(thing))
        return found

    def _known_models(self) -> list[Any]:
        """Objects that were loaded before, each once, the earliest first."""
        return [*{id(thing): thing for done in self.done for thing in done.alive.values()}.values()]

    # -- at the end ------------------------------------------------------------------------------------------------
    def close(self) -> None:
        """What is still open when the program ends."""
        self.deferred.settle("at the program's end", end=True)
        for read, model in self.loose.values():
            seen = Seen(read.api, "restore", read.site, read.path)
            seen.sentence = "at the program's end: loaded into copies"
            seen.findings.append(
                told_by("nothing-loaded",
                    f"{read.api} at {read.site} filled tensors that are no model's own, and no load_state_dict put them into "
                    f"{model}, whose names they bear: it kept its values", severity="warning",
                    remedy="Put them in: model.load_state_dict(...), or set_state_dict; or load into model.state_dict() itself.",
                )
            )  # fmt: skip
            self.guard.note(seen)


def _beside(known: list[Callable[[], Any]], thing: Any) -> bool:
    """Whether ``thing`` is another object beside all of those."""

    def others() -> bool:
        return all(other is not None and other is not thing for other in (told() for told in known))

    if thing is None or type(thing) is dict or not others():
        return False
    gc.collect()  # an object of the loop's last turn may be gone but for a cycle
    return others()


def line_of(call: Call) -> Line:
    """The line that makes an ``assign`` call, for loops of them."""
    size = len(call.state) if isinstance(call.state, (Mapping, list, tuple)) else 0
    return call.api, call.site, type(next(iter(call.parts.values()), None)), size


def try_open_path(path: str) -> Catalog:
    """The checkpoint at ``path``; raises what opening raises."""
    from .._layouts.opening import open_path

    return open_path(path)


def made_by(call: Call, result: Any) -> dict[str, Any]:
    """Live objects that a call gives as its result (``load_model``; JAX's trees), by part; ``load.makes`` is the part's word,
    or a function that takes the result apart."""
    made = call.load.makes
    if callable(made):
        return dict(made(result)) if result is not None else {}
    return {made: result} if made is not None and result is not None else {}


def with_reason(findings: Iterable[Finding], call: Call) -> Iterator[Finding]:
    """The findings; where values have crossed, with what the framework goes by, as its hook says it: ``load.crossing`` is the
    reason and the remedy."""
    findings = list(findings)
    in_part = call.load.skip_mismatch or call.load.by_name
    anew = in_part and any(f.code == "T203" for f in findings)
    for finding in findings:
        if finding.code == "T231" and call.load.crossing is not None:
            reason, remedy = call.load.crossing
            yield replace(finding, message=f"{finding.message}: {reason}", remedy=remedy)
        elif (finding.code in ("T201", "T203") and in_part) or (finding.code == "T225" and anew):
            yield replace(finding, severity="note")  # as was asked for: what has another size begins anew
        else:
            yield finding


def not_there(name: str) -> Finding:
    """A variable beside the model, of which its framework says that the restore has not set it."""
    kind = DIFFERENCES["T201"]
    return Finding(
        "T201", kind.slug, "warning", f"{name} is in the program's checkpoint object and not in the checkpoint: "
        "it keeps its value",
        where=Place(tensor=name), tensors=(name,), cause=kind.cause,
    )  # fmt: skip


def compiled_before(layer: str) -> Finding:
    """A layer whose constants the load made anew, beside functions that were compiled with the earlier ones."""
    told = (
        f"the layer {layer!r} has made new constants of what was loaded, and what the model had compiled before (it has "
        "predicted, been evaluated or trained) goes on with the earlier ones"
    )
    return told_by("stale-constants", told, tensors=(layer,))


def facts_of(loaded: Loaded) -> dict[str, Any]:
    """Numbers for the JSON document."""
    return {
        "restored": len(loaded.restored),
        "of": loaded.total,
        "bytes": loaded.nbytes,
        "of_bytes": loaded.total_bytes,
        "initial": list(loaded.left),
        "unused": list(loaded.unused),
        "cast": list(loaded.cast),
        "hyperparameters": {name: list(pair) for name, pair in loaded.hyper.items()},
        "next_step": loaded.next_step,
    }
