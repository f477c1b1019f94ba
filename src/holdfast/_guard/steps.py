"""The step after a load: what was put off is looked at, an error is linked back to the load that it comes from."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._frameworks.events import Call
from .._rules.registry import told_by
from .seen import Seen, first_line

if TYPE_CHECKING:
    from .loads import Loads

__all__ = ["Steps"]

_NO_ERROR = frozenset({"O207", "N101", "N102", "N108"})
"""Findings on a load that make no step raise: a hyperparameter, values."""


class Steps:
    """The policy for calls of the kind ``step``, after the loads in ``loads``."""

    def __init__(self, loads: Loads) -> None:
        self.loads, self.guard = loads, loads.guard

    def around(self, call: Call, run: Callable[[str | None], Any]) -> Any:
        """Carry the step out; see :class:`Guard`."""
        reading = call.step.reading
        if self.loads.deferred and reading is not None:
            with reading():
                self.loads.deferred.settle(call.step.when)
        if not call.step.made:
            self._goes_on(call)
        try:
            return run(None)
        except Exception as error:
            seen = Seen.of(call)
            with self.guard.looking(seen):
                self._linked(call, error, seen)
            if seen.findings or seen.sentence:
                self.guard.note(seen)
            raise

    def _linked(self, call: Call, error: Exception, seen: Seen) -> None:
        """The error of a step, linked back to what the load before it left wrong."""
        seen.error = f"{type(error).__name__}: {first_line(error)}"
        optimizer = next(iter(call.parts.values()), None)
        for done in reversed(self.loads.done):
            wrong = [f for f in done.seen.findings if f.severity != "note" and f.code not in _NO_ERROR]
            named = any(name in str(error) for f in wrong for name in f.tensors)
            if wrong and (done.touches(optimizer) or optimizer is None or named):
                source = f" from {done.seen.path}" if done.seen.path else ""
                seen.sentence = (
                    f"this comes from {done.seen.api} at {done.seen.site}{source}: {wrong[0].message}"
                )
                seen.facts = {"load": done.seen.site, "codes": [f.code for f in wrong]}
                error.__dict__.setdefault("__notes__", []).append(f"holdfast: {seen.sentence}")
                return

    def _goes_on(self, call: Call) -> None:
        """An optimizer steps whose state was in a checkpoint, and was not loaded."""
        optimizer = call.parts.get("optimizer")
        for done in reversed(self.loads.done if optimizer is not None else ()):
            if not done.touches(optimizer):
                continue
            if done.passed_over and not done.in_part:
                seen = Seen.of(call)
                seen.findings.append(
                    told_by("restore-still-open",
                        f"{done.seen.api} at {done.seen.site} passed over the optimizer's state in {done.path} (it loads one "
                        "only where the format has it and the optimizer is built, with as many variables): the optimizer starts "
                        "anew here",
                        severity="warning", tensors=done.passed_over,
                        remedy="Build the optimizer before the load: optimizer.build(model.trainable_variables). "
                        "holdfast.restore(path, model=model, optimizer=optimizer) restores both, or says what does not fit.",
                    )
                )  # fmt: skip
                done.passed_over = ()
                self.guard.note(seen)
            return
