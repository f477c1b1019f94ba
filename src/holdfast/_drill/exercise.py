"""The courses of one drill: uninterrupted, then killed and resumed, and what came of it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from .._core.errors import UsageError
from .._core.fault import Fault
from .._core.words import plural
from .align import align
from .compare import Loose, Row, final_rows, rows
from .judge import beyond_the_end, is_grave, judge, loose_of
from .process import Course
from .report import Resumption, Verdict
from .runs import Run
from .trace import Kill

__all__ = ["Exercise", "Tell"]

Tell = Callable[[str], None]

_NO_SAVE = (
    "Save within the loop (torch.save, model.save, Vault.save ...: those are seen), and load the newest checkpoint at the start "
    "where there is one. Where it does save: after the step at which it was killed, so give a later `--kill-at`."
)


class CannotDrill(Exception):
    """Why there is nothing to compare; ``fault`` tells it as a finding."""

    def __init__(self, summary: str, fault: Fault | None = None) -> None:
        super().__init__(summary)
        self.summary, self.fault = summary, fault


@dataclass
class Exercise:
    """The courses of one drill."""

    course: Callable[[str], Course]
    target: str
    resume_arguments: tuple[str, ...]
    draw: random.Random
    kills: int
    kill_at: tuple[int, ...]
    tell: Tell

    def __post_init__(self) -> None:
        self.reference = Run()
        self.faults: list[Fault] = []
        self.rows: list[Row] = []
        self.resumptions: list[Resumption] = []
        self.tolerance: str | None = None
        self.loose = Loose()
        self.pairs: list[tuple[int, dict[str, object], dict[str, object]]] = []

    def carry_out(self) -> tuple[Verdict, str]:
        """All of it; gives the verdict with one sentence."""
        try:
            self._uninterrupted()
            self._interrupted()
            self._started_after_its_end()
        except CannotDrill as stopped:
            if stopped.fault is not None:
                self.faults.append(stopped.fault)
            return "not-drilled", stopped.summary
        self.rows = [*rows(self.pairs, self.loose), *self.rows]
        worst = [fault for fault in self.faults if is_grave(fault)]
        if worst:
            resumed = self.resumptions[-1]
            first = worst[0].attributes.get("step")
            if worst[0].attributes.get("finished"):
                return "differs", "resumes exactly, and started again after its end it trains on"
            at = f" (killed after step {resumed.killed_at}, resumed after step {resumed.resumed_after})"
            return "differs", (
                f"does not resume exactly: differs first at step {first}{at}"
                if first
                else f"does not resume{at}"
            )
        times = len(self.resumptions)
        how = "bit for bit" if self.tolerance is None else self.tolerance
        return "exact", (
            f"resumes exactly: {self.reference.last} steps, killed and resumed {times} time{'s' if times > 1 else ''}, {how}"
        )

    def _uninterrupted(self) -> None:
        self.tell("running it uninterrupted")
        self.first = self.course("uninterrupted")
        self.reference = run = self.first.run()
        if run.code != 0 or not run.ended:
            self.tell(run.errors.strip())
            raise UsageError(
                f"the script fails by itself (exit code {run.code})", file=self.target, found=_last_line(run.errors),
                remedy="Make it run to its end first: nothing was killed yet.",
            )  # fmt: skip
        outside = [s["path"] for s in run.saves if s["path"].startswith("/")]
        if outside:
            why = f"it saves outside its working folder: {outside[0]}"
            raise _cannot(why, f"{why}; the runs would find each other's checkpoints there")
        if not run.steps:
            why = "no optimizer step was seen"
            call = "holdfast.drill.step(step, loss=..., batch=..., state=...)"
            raise _cannot(why, f"{why}: call {call} once in each step of the loop")
        if run.last < 3:
            why = f"only {run.last} optimizer steps: too few to be interrupted"
            raise _cannot(why, f"{why}; there must be some before the kill and some after")

    def _interrupted(self) -> None:
        course = self.course("interrupted")
        before: Run | None = None
        for at, how in [*self._points(), (0, "")]:
            done = 0 if before is None else self._expected_after(before)
            kill = None
            if how == "in-save":
                at, path = self._save_to_die_in(at, before)
                kill = Kill(max(1, at - done), "in-save", path)
            elif how:
                number = (self.reference.at(at) or {}).get("n")
                kill = Kill(max(1, at - done), number=number if isinstance(number, int) else None)
            self.tell(f"running it until it is killed after step {at}" if before is None else "resuming it" + (
                f", until it is killed after step {at}" if kill else ""))  # fmt: skip
            run = course.run(
                kill=kill, arguments=self.resume_arguments if before is not None else (), done=done
            )
            if before is None:
                if run.code == 0:
                    why = "it does not take the same number of steps each time"
                    raise _cannot(why, f"{why}: {self.reference.last} at first, and then {run.last}")
                if not run.killed:
                    self.tell(run.errors.strip())
                    raise UsageError(f"the second run fails by itself (exit code {run.code})", file=self.target,
                                     found=_last_line(run.errors))  # fmt: skip
                self.loose = loose_of(self.reference, run, run.last)
                if self.loose:
                    self._not_reproducible()
            else:
                if not self._resumed(before, run):
                    return
            if not how or run.ended:
                self._ended(run, course)
                return
            before = run
            self._killed = (run.last, how)

    def _started_after_its_end(self) -> None:
        """Where all went well: the script that was not interrupted, started once more where its last checkpoint lies."""
        run = self.reference
        if self.first.stop is not None or not run.saved or any(map(is_grave, self.faults)):
            return  # told when to stop, it was not at its end
        self.tell("starting it again after it has ended")
        again = self.first.run(kill=Kill(run.last + 1), arguments=self.resume_arguments)
        self.faults += beyond_the_end(run, again)

    def _points(self) -> list[tuple[int, str]]:
        """Where to kill: after the first save, before the last step, in rising order."""
        total = self.reference.last
        if self.kill_at:
            beyond = [k for k in self.kill_at if not 0 < k < total]
            if beyond:
                raise UsageError(
                    "a kill must come before the last step", found=beyond, expected=f"1 to {total - 1}"
                )
            return [(k, "after-step") for k in sorted(set(self.kill_at))]
        saves = [s["k"] for s in self.reference.saved]
        if self.reference.saves and not saves:
            raise CannotDrill("no save was finished")
        low = min(saves[0] + 1, total - 1) if saves else total // 2
        if saves and saves[0] >= total - 1:
            why = f"its first save comes after step {saves[0]} of {total}"
            raise _cannot(
                why, f"{why}: a kill before it has nothing to go on from, and nothing is left after it"
            )
        low, width = max(1, low), max(1, total - max(1, low))
        found: list[tuple[int, str]] = []
        for n in range(self.kills):
            begin = low + width * n // self.kills
            end = max(begin, low + width * (n + 1) // self.kills - 1)
            at = self.draw.randint(begin, min(end, total - 1))
            if n == 0:
                at = self._after_odd_save(at)
            later = [k for k in saves if at <= k < total]
            found.append((later[0], "in-save") if n % 2 and later else (at, "after-step"))
        return sorted(dict.fromkeys(found))

    def _after_odd_save(self, at: int) -> int:
        """Of saves in the middle of gradient accumulation one is resumed from, where there are any."""
        saves = [s["k"] for s in self.reference.saved]
        for n, save in enumerate(self.reference.saved):
            following = saves[n + 1] if n + 1 < len(saves) else self.reference.last
            if save.get("pending") and save["k"] + 1 < min(following + 1, self.reference.last):
                return int(save["k"]) + 1
        return at

    def _save_to_die_in(self, at: int, before: Run | None) -> tuple[int, str | None]:
        """The next save of what it resumes from: what it loaded, where that was seen, else what it saves most often."""
        often = Counter(save["path"] for save in self.reference.saved).most_common(1)
        for path in [*(load["path"] for load in (before or Run()).loads), *(path for path, _ in often)]:
            later = [s["k"] for s in self.reference.saved if s["k"] >= at and s["path"].startswith(path)]
            if later:
                return later[0], path
        return at, None

    def _expected_after(self, before: Run) -> int:
        saved = before.whole
        return saved[-1]["k"] + before.offset if saved else 0

    def _resumed(self, before: Run, run: Run) -> bool:
        """Judge one resumption; whether there is more to do."""
        killed_at, how = self._killed
        if run.code != 0 and not run.killed:
            self.resumptions.append(Resumption(killed_at, how, None, len(run.steps)))
            tail = "\n".join(run.errors.strip().splitlines()[-6:])
            slug, text = (
                "drill-resume-fails",
                f"killed after step {killed_at}, it fails when it is started again",
            )
            if how == "in-save":
                slug, text = (
                    "drill-torn-save",
                    f"killed in the middle of the save after step {killed_at}, it cannot go on",
                )
            self.faults.append(Fault(slug, f"{text} (exit code {run.code}): {_last_line(tail)}", seen=tail))
            return False
        where = align(self.reference, before, run)
        run.offset = where.step
        anew = where.how == "anew"
        self.resumptions.append(Resumption(killed_at, how, None if anew else where.step, len(run.steps)))
        if anew:
            if how == "in-save":
                text = f"killed in the middle of the save after step {killed_at}, it starts anew"
                self.faults.append(
                    Fault("drill-torn-save", f"{text}: the checkpoint that was there before is lost")
                )
                return False
            saves = [save["k"] + before.offset for save in before.whole]
            seen = f"{plural(len(saves), 'save')} had been made" if saves else "no save was seen"
            text = f"killed after step {killed_at} ({seen}), it begins at its first step when it is started again"
            more = {} if saves else {"remedy": _NO_SAVE}
            fault = Fault("drill-starts-anew", text, attributes={"saves": saves, **more})
            raise CannotDrill("it does not resume: it starts anew", fault)
        if self.first.stop is not None and run.last > self.reference.last:
            # where it would go on was not known when it was told how many steps to make
            del run.steps[self.reference.last - run.offset :]
            run.ended, run.arrays = True, None
        faults = judge(self.reference, before, run, self.loose)
        known = {fault.slug for fault in self.faults}
        self.faults += [fault for fault in faults if fault.slug not in known]
        self.pairs += [
            (k, expected, found)
            for k in range(run.offset + 1, run.last + 1)
            if (expected := before.at(k) or self.reference.at(k)) is not None
            and (found := run.at(k)) is not None
        ]
        return not any(map(is_grave, faults)) or run.ended

    def _ended(self, run: Run, course: Course) -> None:
        """The last resumption came to its end: the final states."""
        gap = final_rows(self.reference, run)
        if gap is None:
            return
        note, differs = f"{gap.total} tensors", None
        if gap.equal < gap.total:
            within = bool(self.loose) and gap.largest <= self.loose.spread
            note = f"{gap.equal} of {gap.total} equal; {gap.tensor} by {gap.largest:.3g} ({gap.ulp:.3g} ulp)"
            if self.loose:  # one pair of runs tells the size of the spread, and no bound that could convict
                note += f", {'within' if within else 'beyond'} the tolerance of {self.loose.spread:.3g}"
            else:
                differs = run.last
            if not self.loose and not any(map(is_grave, self.faults)):
                self.faults.append(
                    Fault(
                        "drill-unexplained",
                        f"step {run.last}: the final state differs: {note}",
                        attributes={"step": run.last},
                    )
                )
        self.rows.append(Row("final state", 1, differs, note))

    def _not_reproducible(self) -> None:
        """Two uninterrupted runs differ: a third one tells by how much they do at the end."""
        self.tell("running it uninterrupted once more, as two runs differ without any kill")
        other = self.course("uninterrupted-again").run()
        gap = final_rows(self.reference, other)
        self.loose.spread = 4 * gap.largest if gap is not None else 0.0
        what = ", ".join(sorted(self.loose.fields))
        spread = f"{self.loose.spread / 4:.3g}"
        self.tolerance = f"within 4 times what two uninterrupted runs differ by at the end ({spread})"
        text = f"two uninterrupted runs differ without any kill ({what}): what it goes on with is compared exactly, with "
        self.faults.append(Fault(
            "drill-not-reproducible", f"{text}the very run that was killed; the end within a tolerance",
            seen=sorted(self.loose.fields), attributes={"spread": self.loose.spread}))  # fmt: skip


def _cannot(summary: str, text: str) -> CannotDrill:
    return CannotDrill(summary, Fault("drill-not-drilled", text))


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip()[:300] if lines else "no output"
