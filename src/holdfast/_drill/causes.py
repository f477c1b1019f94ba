"""What differs at the first step that does, put into causes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .._core.fault import Fault
from .compare import FIELDS, Loose
from .runs import Record, Run
from .wording import apart, batch, changed, gathers, is_count, is_slot, said, some

__all__ = ["Causes"]

_SEARCHED = 400
"""Steps of the uninterrupted run among which a batch is looked for."""

Differs = dict[str, list[str]]


class Causes:
    """One resumption, and one step of it: ``expected`` is the uninterrupted run's, ``found`` the resumed one's.

    ``start``: the step after which it went on. ``save``: the save that it went on from, where it was seen.
    """

    def __init__(
        self, reference: Run, resumed: Run, save: Record | None, loose: Loose, k: int, expected: Record, found: Record
    ) -> None:  # fmt: skip
        self.reference, self.resumed, self.save, self.loose = reference, resumed, save, loose
        self.k, self.expected, self.found = k, expected, found
        self.start = resumed.offset
        self.first = k == self.start + 1

    def of(self, differs: Differs, silent: Fault | None) -> Iterator[Fault]:
        """Faults, the cause first; what follows from one of them is not told. ``silent``: random state that differed before."""
        told = list(self._state(differs))
        data = self._data(differs)
        if data is not None:
            told.append(data)
        if "seeds" in differs:
            names = differs["seeds"]
            text = f"the seed state of {some(names)} is not what it was: what draws from it draws again what it drew before"
            told.append(self.fault("drill-layer-seed", text, names))
        random = silent
        if "rng" in differs and (self.first or random is None) and not self._follows(data):
            random = self.random(differs["rng"])
        if random is not None and (data is None or data.slug != random.slug):
            told.append(random)
        for name in ("callbacks", "values", "logs"):
            if name in differs and not (name == "logs" and told):
                told.append(self.remembered(name, differs[name]))
        yield from told or [self._unexplained(differs)]

    # -- what the step began with ------------------------------------------------------------------------------------
    def _state(self, differs: Differs) -> Iterator[Fault]:
        slots, gathered = apart(differs.get("slots", []))
        pending = int((self.save or {}).get("pending") or 0)
        if self.first and pending:
            passes = f"{pending} backward pass{'es' if pending > 1 else ''}"
            text = f"the save after step {self.start} was made in the middle of gradient accumulation: {passes} had been made "
            yield self.fault(
                "drill-accumulation", f"{text}whose gradients no step had used, and these are gone", []
            )
            return
        if gathered:
            text = f"gradients that had been accumulated at the save are gone: {some(gathered)}"
            yield self.fault("drill-accumulation", text, gathered)
            return
        if self.first and ("weights" in differs or "buffers" in differs):
            names = [*differs.get("weights", []), *differs.get("buffers", [])]
            of = len(self.expected.get("weights") or {}) + len(self.expected.get("buffers") or {})
            text = f"{len(names)} of {of} weights and buffers are not those of the save: {some(names)}"
            yield self.fault("drill-weights", text, names)
        counts = [name for name in slots if is_count(name)]
        if "lr" in differs and "left" in differs:  # a loop that tells what its steps leave
            counts = slots = [name for name in differs["left"] if is_count(name)]
        scheduled = "scheduler" in differs or ("lr" in differs and counts and len(counts) == len(slots))
        if slots and not scheduled and (self.first or not self.loose):
            of = len(self.expected["slots"])
            text = f"{len(slots)} of {of} values of the optimizer's state are not those of the save: {some(slots)}"
            yield self.fault("drill-optimizer", text, slots)
        if scheduled:
            yield self._schedule(differs, counts)
        elif "lr" in differs and not slots:
            yield self._rate()
        if "scaler" in differs:
            was, now = changed(self.expected["scaler"], self.found["scaler"])
            text = f"the loss scale is not that of the save: {said(now)}, and was {said(was)}: its state was not restored"
            yield self.fault("drill-loss-scale", text, [], seen=now, expected=was)

    def _schedule(self, differs: Differs, counts: list[str]) -> Fault:
        rates = f"learning rate {said(self.found.get('lr'))} for {said(self.expected.get('lr'))}"
        if "scheduler" not in differs:
            text = f"{some(counts)} begins anew, and with it the schedule ({rates})"
            return self.fault("drill-scheduler", text, counts)
        name = differs["scheduler"][0]
        was, now = self.expected["scheduler"][name], self.found["scheduler"][name]
        fields = [f for f in was if f in now and was[f] != now[f]]
        at = "last_epoch" if "last_epoch" in fields or not fields else fields[0]
        text = f"{name.partition(':')[2]}: {at} is {now.get(at)}, and was {was.get(at)}"
        initial = self.reference.steps[0].get("scheduler", {}).get(name, {}).get(at)
        if not self.first:
            text += "; it was restored, and is not stepped as before"
        elif initial == now.get(at):
            text += "; the schedule begins anew"
        else:
            text += "; it was not restored"
        return self.fault(
            "drill-scheduler", text + (f" ({rates})" if "lr" in differs else ""), [], seen=now, expected=was
        )

    def _rate(self) -> Fault:
        was, now = self.expected["lr"], self.found["lr"]
        text = f"the learning rate is {said(now)}, and was {said(was)}"
        initial = self.reference.steps[0].get("lr")
        after = range(self.k, self.resumed.last + 1)
        curve = [record.get("lr") for j in after if (record := self.resumed.at(j)) is not None]
        begun = [record.get("lr") for record in self.reference.steps[: len(curve)]]
        constant = len({str(rate) for rate in curve}) == 1
        slug = "drill-learning-rate"
        if now == initial and curve == begun and not constant:
            slug = "drill-scheduler"
            text += f": the schedule begins anew (the rates are those of steps 1 to {len(curve)})"
        elif not self.first and constant:
            slug = "drill-scheduler"
            text += ": the schedule stands still after resuming"
        elif now == initial:
            text += f": it is back at its initial value (step 1: {said(initial)})"
        return self.fault(slug, text, [], seen=now, expected=was)

    # -- data and random state ---------------------------------------------------------------------------------------
    def _data(self, differs: Differs) -> Fault | None:
        """Other batches: the position, or the order."""
        kind = "batches" if "batches" in differs else "fed" if "fed" in differs else None
        if kind is None:
            return None
        if kind == "fed" and self.expected.get("batches") and self.found.get("batches"):
            if "rng" in differs:
                return None
            text = "the same samples were drawn, and reach the model otherwise: what prepares them keeps a state of its own"
            return self.fault("drill-data-position", text, [])
        was, now = self.expected[kind], self.found[kind]
        elsewhere = self._found_at(kind, now)
        where = f": that is the batch of step {elsewhere}" if elsewhere else ""
        shown = (batch(now, was) if kind == "batches" else "the model is fed another batch") + where
        moved = kind == "batches" and self.expected.get("position") != self.found.get("position")
        lost = self._random_lost()
        if moved or (elsewhere is not None and not (lost and (kind == "batches" or self._new_epoch()))):
            begins = "the data begin anew" if elsewhere in (1, None) else "the data go on at another place"
            return self.fault("drill-data-position", f"{begins}: {shown}", [], seen=now, expected=was)
        if self.expected.get("generator") != self.found.get("generator"):
            text = f"the DataLoader's own generator is not where it was: {shown}"
            return self.fault("drill-random-state", text, [], seen=now, expected=was)
        if lost:
            text = f"random state was not restored ({some(lost)}), and the order of the data is drawn from it: {shown}"
            return self.fault("drill-random-state", text, lost, seen=now, expected=was)
        return self.fault(
            "drill-data-position", f"the data come in another order: {shown}", [], seen=now, expected=was
        )

    def _new_epoch(self) -> bool:
        """Whether the uninterrupted run began a new pass over its loader here."""
        return bool(self.expected.get("position")) and self.expected["position"][0] == 1

    def _found_at(self, kind: str, now: Any) -> int | None:
        for j in range(1, min(self.reference.last, _SEARCHED) + 1):
            record = self.reference.at(j)
            if j != self.k and record is not None and record.get(kind) == now and now:
                return j
        return None

    def _random_lost(self) -> list[str]:
        """Generators whose state, when it went on, was neither that of the save nor that of the uninterrupted run."""
        both = self.found.get("rng_in") and self.expected.get("rng_in")
        word = "rng_in" if both else "rng"
        now: dict[str, str] = self.found.get(word) or {}
        if not self.first:
            return []
        skip = self.loose.names.get("rng", set())
        known: list[dict[str, str]] = [
            r for r in (self.expected.get(word), (self.save or {}).get("rng")) if r
        ]
        off = [[n for n in now if n in other and n not in skip and other[n] != now[n]] for other in known]
        return min(off, key=len, default=[])

    def _follows(self, data: Fault | None) -> bool:
        """Whether other random state is what a sampler that begins anew leaves, and no cause."""
        return data is not None and (data.slug == "drill-random-state" or not self._random_lost())

    def random(self, names: list[str]) -> Fault:
        """Random state that differs."""
        if self.first and self.found.get("rng_in") and not self._random_lost():
            text = f"random state was restored, and then drawn from before training went on: {some(names)}"
            if "torch cpu" in names and self.found.get("batches"):
                text += "; making a DataLoader's iterator draws a seed (generator=torch.Generator() gives it one of its own)"
            return self.fault("drill-random-state", text, names)
        return self.fault("drill-random-state", f"random state was not restored: {some(names)}", names)

    # -- the rest ----------------------------------------------------------------------------------------------------
    def remembered(self, kind: str, names: list[str]) -> Fault:
        """What the loop counts or logs beside its state."""
        was, now = self.expected[kind][names[0]], self.found[kind][names[0]]
        if isinstance(was, dict) and isinstance(now, dict):
            was, now = changed(was, now)
        text = f"{names[0].partition(':')[2] or names[0]}: {said(now)}, and was {said(was)}"
        low = names[0].lower()
        if "scale" in low and kind == "values":
            return self.fault("drill-loss-scale", text, names, seen=now, expected=was)
        if kind == "callbacks" or any(word in low for word in ("best", "patience", "wait", "bad_epochs")):
            text += "; what the run remembers beside its state begins anew"
            return self.fault("drill-best", text, names, seen=now, expected=was)
        return self.fault("drill-metrics", text, names, seen=now, expected=was)

    def _unexplained(self, differs: Differs) -> Fault:
        left = differs.get("left")
        same = "state, batches and global random state were the same: a generator of the script's own"
        if left:
            gathered = [n for n in left if gathers(n)]
            slots = [n for n in left if is_slot(n)]
            if any("mini_step" in n for n in gathered) or (gathered and "loss" not in differs):
                text = f"accumulated gradients are not those of the save: {some(gathered)}"
                return self.fault("drill-accumulation", text, gathered)
            if slots and "loss" not in differs:
                text = "the loss is the same and what the step leaves is not: the optimizer's state is not that of the save"
                return self.fault("drill-optimizer", f"{text} ({some(slots)})", slots)
            if self.first and "loss" in differs and self.found.get("seeds"):
                text = "the loss of the first step differs, for the same batch and key: the weights are not those of the save"
                return self.fault("drill-weights", text, left)
            same = "what was told of the loop before was the same: the state that was loaded, a generator of the script's own"
        what = ", ".join(FIELDS[name] for name in differs)
        text = f"{what} differ{'s' if ',' not in what else ''}, and {same}, or something else that it keeps and does not save"
        return self.fault("drill-unexplained", text, [])

    def fault(self, slug: str, text: str, tensors: list[str], **more: Any) -> Fault:
        """A fault at this step."""
        return Fault(slug, f"step {self.k}: {text}", seen=more.get("seen"), expected=more.get("expected"), tensors=tuple(tensors),
                     attributes={"step": self.k, "resumed_after": self.start})  # fmt: skip
