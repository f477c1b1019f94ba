"""What a save has written: whether it is there and whole, whether its values held still, and its seal."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from .._core.errors import HoldfastError
from .._core.words import plural
from .._frameworks.events import Call
from .._layouts.shards import SHARD
from .._rules.registry import rule_named, told_by
from .mutation import Moved, Still
from .protecting import Aside
from .seals import Seals
from .seen import Seen
from .swallowed import Failed
from .writers import Writing

if TYPE_CHECKING:
    from .._core.finding import CheckpointReport, Finding
    from .guard import Guard

__all__ = ["Judging", "Save", "has_others", "has_prefix", "state_of_file"]

_VALUES = "N"
"""Family of rules on values: what they find was in memory before it was in the file."""
_DAMAGE = frozenset({"corrupt", "incomplete-save"})
_GRAPH = ".meta"
"""The graph of a TensorFlow checkpoint: written by the program itself, wherever the tensors are written."""


@dataclass(slots=True)
class Save:
    """One save on its way. ``place``: the real path; ``None`` where that is no local file. ``before``: size of the file that was
    there; ``others``: beside it, checkpoints of the same kind. ``needed``, ``free``: bytes. ``lost``: why it could not be put in
    its place at all. ``begun``: when (:func:`time.monotonic`, seconds)."""

    call: Call
    seen: Seen
    place: str | None = None
    writing: Writing | None = None
    still: Still | None = None
    aside: Aside | None = None
    lost: OSError | None = None
    before: int | None = None
    state: tuple[int, int, int] | None = None
    others: bool = False
    needed: int = 0
    free: int | None = None
    handled: list[Failed] = field(default_factory=list)
    begun: float = field(default_factory=time.monotonic)


class Judging:
    """Looks at what was written; each thing that may be said of every save of a path is said of its first."""

    def __init__(self, guard: Guard) -> None:
        self.guard, self.files = guard, guard.files
        self.seals = Seals()
        self._told: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def publish(self, save: Save, place: str, aside: Aside) -> None:
        """What was written aside, forced to the disk, verified and put in its place."""
        seen, shown = save.seen, save.call.path or place
        if not aside.written:
            self.look(seen, place, shown)
            return
        report, bug = None, None
        trouble = _forced(aside)
        try:
            report = self.files.examined(aside.path, fresh=True, alone=True)
            damage = self._judged(seen, report, shown)
            if self.guard.options.seal and not damage and not trouble:
                self._sealed(seen, aside.path)
        except Exception as ours:  # noqa: BLE001 - raised below: what the program has saved must not be lost by it
            bug, damage = ours, False
        if trouble:
            told = f"what {seen.api} has written could not be forced to the disk: {trouble}"
            seen.findings.append(told_by("saved-damaged", told, file=shown))
        if (damage or trouble) and aside.before is not None:
            seen.sentence += "; it was not put in the place of the checkpoint before it, which is untouched"
            return
        if aside.disturbed:
            told = f"somebody else has written {shown} while this save was under way; this save has taken its place"
            seen.findings.append(told_by("second-writer-seen", told, file=shown))
        if self._put(save, place, aside) and report is not None:
            self.files.moved(aside.path, place, report)
        self._seal_beside(seen, place, shown)
        if bug is not None:
            raise bug

    def _put(self, save: Save, place: str, aside: Aside) -> bool:
        """Rename it into its place, or copy it there where that cannot be; gives whether it was renamed. Where neither can be,
        ``save.lost`` is the error, which is the program's."""
        seen, shown = save.seen, save.call.path or place
        try:
            aside.publish()
        except OSError as error:  # a folder where this user may write into the file and not replace it
            try:
                aside.copy()
            except OSError as again:
                save.lost = again
                return False
            told = f"{shown} cannot be replaced by a rename ({error.strerror}): it was copied over the one before"
            seen.findings += self.once(place, told_by("not-protected", told, file=shown))
            return False
        seen.sentence = f"{seen.sentence or 'wrote it'}; written aside and renamed"
        return True

    def _seal_beside(self, seen: Seen, place: str, shown: str) -> None:
        """Keep track of the seal that was written, or tell of one that the save has left behind."""
        if self.guard.options.seal:
            self.seals.made(place)
        elif self.files.seal_of_another(place):
            told = f"the seal beside {shown} is of the content before"
            seen.findings += self.once(place, told_by("seal-mismatch", told, severity="warning", file=shown))

    def look(self, seen: Seen, place: str, shown: str) -> None:
        """Whether what was written is there and whole."""
        if not os.path.lexists(place) and not has_prefix(place):
            graph = os.path.lexists(f"{place}{_GRAPH}")
            what = f"only its graph ({Path(place).name}{_GRAPH}), and no tensor," if graph else "nothing"
            seen.findings.append(
                told_by("save-not-there", f"{seen.api} returned, and there is {what} at {shown}", file=shown)
            )
            return
        state = state_of_file(place)
        report = self.files.examined(place, fresh=True, sealed=False, alone=True)
        damage = self._judged(seen, report, shown)
        if state_of_file(place) != state:
            seen.findings.append(
                told_by(
                    "second-writer-seen",
                    f"{shown} was written to again after {seen.api} had returned",
                    file=shown,
                )
            )
            return
        if report is None:
            seen.sentence = f"wrote {shown}"
        if report is None or damage:
            return
        if self.guard.options.seal:
            self._sealed(seen, place)
        self._seal_beside(seen, place, shown)

    def _judged(self, seen: Seen, report: CheckpointReport | None, shown: str) -> bool:
        """Tell what a report says of a new checkpoint; gives whether it is damaged."""
        if report is None:
            return False
        if report.verdict == "unknown":
            unread = f": it has no reader for {report.format}" if report.format else ""
            seen.sentence = f"wrote {shown}, whose content Holdfast cannot look at{unread}"
            return False
        seen.sentence = f"wrote {plural(report.tensors, 'tensor')}, {report.nbytes:,} bytes; {report.verdict}"
        errors = [f for f in report.findings if f.severity == "error"]
        for finding in errors:
            if finding.code.startswith(_VALUES):
                seen.sentence = (
                    f"wrote {plural(report.tensors, 'tensor')}, {report.nbytes:,} bytes; as it is in memory"
                )
                seen.findings += self.once(
                    shown,
                    replace(
                        finding,
                        severity="warning",
                        remedy="It was so in memory: look at the training before it.",
                    ),
                )
        damage = [f for f in errors if not f.code.startswith(_VALUES) and f.cause in _DAMAGE]
        if damage:
            seen.sentence = (
                f"wrote {plural(report.tensors, 'tensor')}, {report.nbytes:,} bytes; {report.verdict}"
            )
            seen.findings.append(
                told_by("saved-damaged", f"what {seen.api} has just written is {report.verdict}: {damage[0].message}", file=shown,
                      seen=[f.code for f in damage])
            )  # fmt: skip
        return bool(damage)

    def _sealed(self, seen: Seen, place: str) -> None:
        from .._integrity.seal import seal_path

        try:
            seal_path(place, overwrite=True)
            seen.sentence += "; sealed"
        except HoldfastError as error:
            told, severity = f"it was not sealed: {error.message}", None
            if SHARD.fullmatch(Path(place).name):  # the others and their index are written after it
                told, severity = (
                    "a shard is sealed with the others and their index, once all are there",
                    "note",
                )
            seen.findings += self.once(seen.api, told_by("not-sealed", told, severity=severity, file=place))

    def moved(self, save: Save, written: str | None) -> None:
        found: Moved | None = save.still.moved(written) if save.still is not None else None
        save.still = None
        if found is None:
            return
        names = ", ".join(f"`{name}`" if name else "the tensor" for name in found.names[:3])
        more = f" and {len(found.names) - 3} more" if len(found.names) > 3 else ""
        it = "it was" if len(found.names) == 1 else "they were"
        told = {
            True: "the checkpoint mixes two moments",
            False: "this time the checkpoint holds them as they were before",
            None: "the checkpoint may mix two moments",
        }[found.torn]
        save.seen.findings.append(
            told_by("changed-while-written", f"{names}{more} changed while {it} being saved: {told}",
                  severity="note" if found.torn is False else None, file=save.call.path, tensors=found.names)
        )  # fmt: skip

    def written_in_place(self, path: str | None, names: list[str]) -> Finding:
        """Of a save in the background that wrote the program's own memory."""
        shown = ", ".join(f"`{name}`" for name in names[:3])
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        were = "was" if len(names) == 1 else "were"
        text = (
            f"{shown}{more} {were} written out of the program's own memory, of which no copy had been staged, and changed "
            "meanwhile: the checkpoint is not of the moment of the call"
        )
        return told_by("changed-while-written", text, file=path, tensors=tuple(names))

    def known(self, of: str, slug: str) -> None:
        """That this was said of a place, in other words."""
        rule = rule_named(slug)
        assert rule is not None
        with self._lock:
            self._told.add((of, rule.code))

    def once(self, of: str, finding: Finding) -> list[Finding]:
        """The finding, unless the same was told of this place before."""
        with self._lock:
            if (of, finding.code) in self._told:
                return []
            self._told.add((of, finding.code))
        return [finding]


def _forced(aside: Aside) -> str:
    """Force it to the disk; what the system said where it would not."""
    try:
        aside.force()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def has_others(file: Path, size: int) -> bool:
    """Whether another file beside it could stand in: same ending, at least half its size."""
    try:
        with os.scandir(file.parent) as entries:
            for number, entry in enumerate(entries):
                if number > 1000:
                    return True
                like = entry.name != file.name and entry.name.endswith(file.suffix or "\0")
                if like and entry.is_file() and entry.stat().st_size * 2 >= size:
                    return True
    except OSError:
        return False
    return False


def has_prefix(place: str) -> bool:
    """Whether files begin with this name: TensorFlow's prefixes, Keras's shards."""
    path = Path(place)
    try:
        begun = [entry for entry in path.parent.iterdir() if entry.name.startswith(f"{path.name}.")]
        # a folder is another's: Orbax's of a save that has not ended
        names = [entry.name for entry in begun if entry.is_file()]
    except OSError:
        return False
    return any(name != f"{path.name}{_GRAPH}" for name in names)


def state_of_file(place: str) -> tuple[int, int, int] | None:
    """What changes when a file is written to, or replaced; ``None`` where there is none."""
    try:
        about = Path(place).stat()
    except OSError:
        return None
    return about.st_ino, about.st_size, about.st_mtime_ns
