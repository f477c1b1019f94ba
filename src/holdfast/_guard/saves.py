"""Saves: what they put at risk, whether what they wrote is there and whole, and what happened to it meanwhile."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._diagnose.explaining import explained
from .._facts.savers import saver_of
from .._frameworks.events import Call, of_a_library
from .._rules.registry import told_by
from .._storage.probe import room
from .background import Background
from .framework_log import opened, shut
from .judging import Judging, Save, has_others, has_prefix, state_of_file
from .mutation import Still
from .open_files import OpenFiles
from .protecting import Aside, movable_to, put_right
from .seen import LATER, STOPS, Seen, first_line
from .swallowed import Failed, Swallowed
from .writers import Other, Writers

if TYPE_CHECKING:
    from .guard import Guard

__all__ = ["Saves"]


class Saves:
    """The policy for calls of the kind ``save``."""

    def __init__(self, guard: Guard) -> None:
        self.guard = guard
        self.files = guard.files
        self.writers = Writers()
        self.swallowed = Swallowed(self._died)
        self.judge = Judging(guard)
        self.open_files = OpenFiles(self.judge)
        self._latest: dict[str, Seen] = {}
        self._background: list[Background] = []
        if hasattr(os, "register_at_fork"):
            known = weakref.ref(self)
            os.register_at_fork(after_in_child=lambda: _unlock(known()))

    def around(self, call: Call, run: Callable[[str | None], Any]) -> Any:
        """Carry the call out; see :class:`Guard`."""
        save = Save(call, Seen.of(call))
        with self.guard.looking(save.seen):
            self.open_files.settle()
            self.judge.seals.tidy()
            save.handled = self.swallowed.retried()
            self._before(save)
        try:
            call.result = run(save.aside.path if save.aside is not None else call.path)
        except BaseException as error:
            call.error = error
            with self.guard.looking(save.seen):
                self._failed(save, error)
            if not isinstance(error, STOPS):
                self.guard.note(save.seen)
            raise
        with self.guard.looking(save.seen):
            self._after(save)
        if call.finished is None:  # what goes on in the background has not gone well yet
            self._settle(save)
        if save.lost is not None:
            assert save.aside is not None
            put_right(save.lost, save.aside.path, str(call.path))
            save.seen.error = f"{type(save.lost).__name__}: {first_line(save.lost)}"
            self.guard.note(save.seen)
            raise save.lost
        # a buffer is nobody's checkpoint yet
        if call.path is not None or save.seen.findings or save.seen.sentence:
            self.guard.note(save.seen)
        return call.result

    def close(self, code: int | None = None) -> None:
        """At the end: streams that are closed by now, background saves that are not done, saves that failed unseen."""
        self.open_files.settle(at_end=True)
        for task in self._background:
            task.at_end(self._not_in_time)
        self.guard.in_threads.at_end(lambda call, *how: self._not_in_time(Save(call, Seen.of(call)), *how))
        self._background.clear()
        for failed in self.swallowed.close(code):
            self._tell_swallowed(failed)
        nothing = Seen("save", LATER, "")
        with self.guard.looking(nothing):
            self.judge.seals.tidy()
            for writing, other in self.writers.later():
                ranks = Seen(writing.api, LATER, writing.site, writing.place)
                self._second_writer(ranks, writing.place, writing.place, other, protected=False)
                if ranks.findings:
                    self.guard.note(ranks)
            self.writers.close()
        if nothing.findings:
            self.guard.note(nothing)

    # -- before ----------------------------------------------------------------------------------------------------
    def _before(self, save: Save) -> None:
        call = save.call
        if call.path is None:
            save.still = Still(call)
            return
        save.place = place = movable_to(call.path)
        if place is None:
            return
        inner = call.site is not None and of_a_library(call.site.file)
        self._latest[place] = save.seen
        save.writing = self.writers.begin(place, save.seen.site, call.api, inner, call.save.together)
        file = Path(place)
        if file.is_file() and call.save.stream is None:  # a file that was opened for it is empty already
            save.before, save.state = file.stat().st_size, state_of_file(place)
            save.others = has_others(file, save.before)
        elif call.save.force and file.is_dir():  # a folder that is deleted first
            save.before = 0
            save.others = sum(1 for one in file.parent.iterdir() if one.is_dir()) > 1
        save.still = Still(call)
        save.needed = save.still.nbytes
        found = room(file.parent)
        protect = self.guard.options.protect
        if found is not None:
            in_place = save.before is not None and not protect
            save.free = found.bytes + (save.before or 0 if in_place else 0)
        if protect:
            self._put_aside(save, place)

    def _put_aside(self, save: Save, place: str) -> None:
        call, why = save.call, ""
        if call.movable:
            try:
                save.aside = Aside(place)
                return
            except OSError as error:
                why = f": its folder takes no new entry ({error.strerror or error})"
        known = saver_of(call.api)
        if known is None or not known.atomic:
            what = f"; it {known.how}" if known is not None and not why else why
            save.seen.findings += self.judge.once(
                place if why else call.api,
                told_by("not-protected", f"{call.api} cannot be given another path{what}", file=call.path),
            )

    # -- it raised ---------------------------------------------------------------------------------------------------
    def _failed(self, save: Save, error: BaseException) -> None:
        call = save.call
        if save.writing is not None:
            save.writing.others += self.writers.end(save.writing)
        if save.aside is not None:
            put_right(error, save.aside.path, str(call.path))
        try:
            if not isinstance(error, STOPS):
                self._raised(save, error)
        finally:
            if save.aside is not None:
                save.aside.discard()

    def _raised(self, save: Save, error: BaseException) -> None:
        call, seen = save.call, save.seen
        seen.error = f"{type(error).__name__}: {first_line(error)}"
        self._writers_told(save)
        if save.free is not None and save.needed > save.free:
            both = " beside the checkpoint before it" if save.aside is not None and save.before else ""
            told = f"this save needs about {save.needed:,} bytes, and {save.free:,} were free{both}"
            seen.findings.append(
                told_by("disk-full", told, file=call.path, seen=save.free, expected=save.needed)
            )
        if save.before is not None and save.place is not None:
            self._previous(save)
        # that it is not there is no cause of a save's failure
        there = save.place is not None and (os.path.lexists(save.place) or has_prefix(save.place))
        found = explained(error, call.path if there else None)
        if found is not None and found.causes:
            cause = found.causes[0]
            words = f"{cause.label} ({cause.status}): {cause.why}"
            seen.sentence = f"{words}; {seen.sentence}" if seen.sentence else words
            seen.facts = {"diagnosis": [c.label for c in found.causes], "remedy": cause.remedy}
        behind = call.site is not None and not call.site.of_program  # the task of a pool
        self.swallowed.failed(
            Failed.of(error, call.api, seen.site, save.place or call.path, call.path, behind)
        )

    def _previous(self, save: Save) -> None:
        """What became of the checkpoint that had this name."""
        assert save.place is not None
        if save.aside is not None:
            save.seen.sentence = "the checkpoint before it is untouched"
            return
        if save.state is not None and state_of_file(save.place) == save.state:
            return  # it was not touched
        report = self.files.examined(save.place, fresh=True, sealed=False, alone=True)
        if report is None or report.verdict in ("damaged", "lost", "unknown"):
            what = f"is {report.verdict} now" if report is not None else "is gone"
            save.seen.findings.append(
                told_by("only-copy-at-risk", f"the save failed, and the checkpoint that had its name {what}",
                      severity="error", file=save.call.path)
            )  # fmt: skip

    # -- it returned -------------------------------------------------------------------------------------------------
    def _after(self, save: Save) -> None:
        call, seen, place = save.call, save.seen, save.place
        if call.finished is not None:
            self._goes_on(save)
            return
        if (why := call.save.skipped) is not None:
            seen.sentence = "nothing was written"
            seen.findings += self.judge.once(call.api, told_by("save-skipped", why))
        if place is None and call.path is not None:
            # the call has made the folder, or has found the name only now
            place = save.place = movable_to(call.path)
        written = save.aside.path if save.aside is not None else place
        stream = call.save.stream
        self.judge.moved(save, written if stream is None else None)
        try:
            if place is not None:
                if stream is not None and not getattr(stream, "closed", True):
                    self.open_files.add(stream, place, seen)
                    seen.sentence = "wrote to an open file"
                elif save.aside is not None:
                    self.judge.publish(save, place, save.aside)
                else:
                    self.judge.look(seen, place, call.path or place)
        finally:
            if save.writing is not None:
                save.writing.others += self.writers.end(save.writing)
            if save.aside is not None:
                save.aside.discard()
        self._writers_told(save)
        self._at_risk(save)

    def _at_risk(self, save: Save) -> None:
        """The notes: what this save puts at risk, though it went well."""
        call, seen, place = save.call, save.seen, save.place
        if place is None:
            return
        known = saver_of(call.api)
        if (
            save.before is not None
            and save.aside is None
            and not save.others
            and not (known and known.atomic)
        ):
            what = f"{call.api} {known.how}" if known is not None else f"{call.path} is overwritten"
            seen.findings += self.judge.once(
                place, told_by("only-copy-at-risk", f"{what}: until the save has ended there is no whole checkpoint of this name",
                             file=call.path)
            )  # fmt: skip
        if save.before is None and save.free is not None and save.needed < save.free < 2 * save.needed:
            left = save.free - save.needed
            seen.findings += self.judge.once(
                str(Path(place).parent),
                told_by("disk-tight", f"{left:,} bytes are left there: no room for another checkpoint of {save.needed:,} bytes",
                      severity="note", file=call.path)
            )  # fmt: skip

    # -- other writers -------------------------------------------------------------------------------------------------
    def _writers_told(self, save: Save) -> None:
        if met := save.call.save.met:
            told = (
                f"{save.call.path} was saved while another thread was in {save.call.api} of the same folder, at "
                f"{met[0].site}: both count on, and name the newest, in one state file; a checkpoint may be missing, or an "
                "older one called the latest, without any error"
            )
            save.seen.findings += self.judge.once(
                str(met[0].shared), told_by("second-writer-seen", told, file=save.call.path)
            )
        if save.writing is None:
            return
        place, shown = save.writing.place, save.call.path or save.writing.place
        for other in {o.key or o.who: o for o in save.writing.others}.values():
            if other.api != save.call.api and (other.inner or save.writing.inner):
                continue  # a library's own thread, that does what the call has asked for
            if other.overlap:  # then it needs no other word that somebody has written there
                save.seen.findings = [f for f in save.seen.findings if f.slug != "second-writer-seen"]
            self._second_writer(save.seen, place, shown, other, save.aside is not None)

    def _second_writer(self, seen: Seen, place: str, shown: str, other: Other, protected: bool) -> None:
        if other.overlap:
            self.judge.known(place, "second-writer-seen")
            told = f"{shown} is being written by {other.who}, at the same time"
            if protected:
                told += "; both are written aside, and the one that ends last stays"
            seen.findings.append(
                told_by("second-writer-seen", told, severity="warning" if protected else None, file=shown)
            )
        else:
            told = f"{shown} is written by {other.who} too; the saves did not overlap this time"
            seen.findings += self.judge.once(
                place, told_by("second-writer-seen", told, severity="warning", file=shown)
            )

    # -- saves that go on in the background -----------------------------------------------------------------------------
    def _goes_on(self, save: Save) -> None:
        self.judge.moved(save, None)
        self._at_risk(save)
        finished = save.call.finished
        assert finished is not None
        save.call.state, save.call.parts = None, {}  # what is saved is not kept alive for us
        save.call = replace(save.call, result=None)
        save.seen.sentence = "it goes on in the background"
        if self.guard.options.framework_log:
            opened()
        self._background = [task for task in self._background if not task.over]
        self._background.append(Background(finished, lambda error: self._ended_behind(save, error), save))

    def _ended_behind(self, save: Save, error: BaseException | None) -> None:
        call = save.call
        later = Seen(call.api, LATER, save.seen.site, call.path)
        with self.guard.looking(later):
            if save.writing is not None:
                save.writing.others += self.writers.end(save.writing)
            if save.place is None and call.path is not None:
                save.place = movable_to(call.path)  # its folder is there by now
            if error is not None:
                later.error = f"{type(error).__name__}: {first_line(error)}"
                self.swallowed.failed(
                    Failed.of(error, call.api, later.site, save.place, call.path, behind=True)
                )
            elif save.place is not None and save.aside is not None:
                self.judge.publish(replace(save, seen=later), save.place, save.aside)
            elif save.place is not None:
                self.judge.look(later, save.place, call.path or save.place)
                kept = call.save.kept
                if self._latest.get(save.place, save.seen) is not save.seen or (
                    kept is not None and not kept()
                ):
                    later.findings.clear()  # the program has gone on meanwhile: it writes it anew, or has deleted it
            if call.save.moved:
                later.findings.append(self.judge.written_in_place(call.path, call.save.moved))
            if later.sentence:
                later.sentence = f"in the background: {later.sentence}"
            self._writers_told(replace(save, seen=later))
        if save.aside is not None:
            save.aside.discard()
        if error is None:
            self._settle(save)
        if self.guard.options.framework_log:
            shut()
        self.guard.note(later, raising=False)

    def _not_in_time(self, save: Save, ended: bool, failed: bool) -> None:
        """A background save that was not done when the program was. ``ended``: the interpreter waited for it."""
        if failed:  # that is told by itself
            return
        later = Seen(save.call.api, LATER, save.seen.site, save.call.path)
        told = "the program's last line had run, and this save was still being written"
        if ended:
            told += "; the interpreter waited for it, which a kill would not have done"
        later.findings.append(
            told_by(
                "not-saved-in-time",
                told,
                severity="note" if ended else None,
                file=save.call.path,
            )
        )
        self.guard.note(later, raising=False)

    # -- saves that failed unseen ------------------------------------------------------------------------------------------
    def _settle(self, save: Save) -> None:
        """This one went well: it may have been another try of one that failed before it."""
        call = save.call
        line = save.seen.site if call.site is not None and call.site.of_program else None
        for failed in self.swallowed.settle(save.handled, save.place or call.path, line, save.begun):
            self._tell_swallowed(failed)

    def _died(self, failed: Failed) -> None:
        self._tell_swallowed(failed)

    def _tell_swallowed(self, failed: Failed) -> None:
        seen = Seen(failed.api, LATER, failed.site, failed.shown)
        how = "was caught, or left where nobody asked," if failed.behind else "was caught,"
        how = f"died in the thread {failed.thread!r}," if failed.thread else how
        seen.findings.append(
            told_by(
                "save-failed",
                f"this save failed ({failed.error}), its error {how} and the program went on",
                file=failed.path,
            )
        )
        self.guard.note(seen, raising=False)


def _unlock(saves: Saves | None) -> None:
    """In a forked child: a thread that held a lock is not there to release it."""
    if saves is not None:
        for owner in (saves.open_files, saves.writers, saves.swallowed, saves.judge, saves.judge.seals):
            owner._lock = threading.Lock()
