"""The steps of a vault's folder: found, chosen, annotated and pinned. Nothing here takes the vault's lock."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..._core.errors import DamagedCheckpoint, HoldfastError, UsageError
from ..._integrity.atomic import write_whole
from ..._record.annotations import annotation_line
from ..._record.metrics import Metrics, as_metrics, meanings, values_of
from ..._storage.local import unlisted
from ..._storage.save_errors import save_failed
from ..._storage.sink import Sink
from ..events import Annotated
from .keep import Keep
from .listing import METRICS, Checkpoint, Marks, look_at, marks_of, newest_of, now, number_of, record_of
from .names import StepName, parse_step, step_number

__all__ = ["PINS", "Steps"]

PINS = "pins.json"


class Steps:
    """The committed steps in the folder of ``sink``."""

    def __init__(self, sink: Sink) -> None:
        self.path = sink.path
        self._sink = sink
        self._read: dict[str, tuple[Marks, Checkpoint]] = {}
        self._environment: Mapping[str, Any] = {}

    def all(self) -> list[Checkpoint]:
        """All committed steps in the order of saving; one whose record cannot be used has a ``fault``, and stands where
        its step's number belongs. Raises :class:`HoldfastError` where the folder may not be listed."""
        for _ in range(100):
            found = self._look()
            # a step that another process dropped after it was listed is no damage; a newer one is there, unlisted
            if all(c.fault is None or c.denied or Path(c.path).is_dir() for c in found):
                break
        ordered = sorted((c for c in found if c.fault is None), key=lambda c: (c.sequence, c.step, c.name))
        for broken in sorted((c for c in found if c.fault is not None), key=number_of):
            before = [n for n, c in enumerate(ordered) if number_of(c) < number_of(broken)]
            ordered.insert(before[-1] + 1 if before else 0, broken)
        return ordered

    def _look(self) -> list[Checkpoint]:
        try:
            names = [entry.name for entry in os.scandir(self.path) if entry.is_dir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise unlisted(self.path, error) from error
        pins = self.pins() or set()
        steps = {name: step for name in names if (step := parse_step(name)) is not None}
        for gone in [name for name in list(self._read) if name not in steps]:
            self._read.pop(gone, None)
        return [self._look_at(name, step, name in pins) for name, step in steps.items()]

    def _look_at(self, name: str, step: StepName, pinned: bool) -> Checkpoint:
        """A step; what its record says is known from the last look, where none of its files has changed since."""
        marks = marks_of(Path(self.path, name))
        before = self._read.get(name)
        if before is not None and before[0] == marks:
            return replace(before[1], pinned=pinned)
        found = look_at(self.path, name, step, pinned)
        if marks is not None and found.fault is None and found.note is None:
            self._read[name] = (marks, self._sharing(found))
        return found

    def _sharing(self, found: Checkpoint) -> Checkpoint:
        """With the environment of the step before, where that was made in an equal one: a run has many steps and few of those."""
        if found.saved is None:
            return found
        if found.saved.environment != self._environment:
            self._environment = found.saved.environment
        return replace(found, saved=replace(found.saved, environment=self._environment))

    @property
    def latest(self) -> Checkpoint | None:
        """The newest step whose record can be used, or ``None``."""
        return newest_of(self.all())

    def best(self, keep: Keep, by: str | None = None, mode: str | None = None) -> Checkpoint | None:
        """The best step by a metric (``keep``'s, by default), or ``None``. Raises :class:`UsageError` where neither
        says by which."""
        by, mode = by or keep.by, mode or keep.mode
        if by is None:
            raise UsageError("best by which metric?", expected="by=, or Keep(by=)")
        rated = [c for c in self.all() if c.fault is None and by in (c.metrics or {})]
        pick = min if mode == "min" else max
        return pick(rated, key=lambda c: (c.metrics or {})[by], default=None)

    def named(self, step: int | str) -> Checkpoint:
        """A step by its number (the last saved of that number) or its folder's name. Raises :class:`UsageError`."""
        known, number = self.all(), step_number(step)
        fitting = [c for c in known if c.name == step or c.step == number]
        if not fitting:
            raise UsageError(
                "no such step in this vault", file=self.path, found=step,
                expected=", ".join(c.name for c in known[-5:]) or "none is there",
            )  # fmt: skip
        return fitting[-1]

    def annotate(self, step: int | str, metrics: Metrics) -> Annotated:
        """Add a line to the step's ``metrics.jsonl``, bearing the record's digest; no committed file is touched."""
        found = self.named(step)
        try:
            record = record_of(found.path)
        except OSError as error:
            raise save_failed("annotate", found.path, error) from error
        given = as_metrics(metrics)
        line = annotation_line(record.digest, now(), values_of(given), meanings(given))
        place = Path(found.path, METRICS)
        try:
            fresh = not place.exists()
            with place.open("a+b") as file:
                if file.seek(0, os.SEEK_END) and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n":
                    line = b"\n" + line  # a line that a kill tore stays alone
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise save_failed("annotate", os.fspath(place), error) from error
        if fresh:
            self._sink.sync_folder(found.name)
        return Annotated(found.name, found.path, found.step, record.digest, given)

    def pin(self, step: int | str, pinned: bool = True) -> None:
        """Note in ``pins.json`` that a step stays whatever retention says; ``False`` takes that back."""
        name = self.named(step).name
        pins = self.pins()
        place = Path(self.path, PINS)
        if pins is None:
            raise DamagedCheckpoint(
                "the list of pinned steps cannot be read", file=str(place),
                remedy="Put it right, or delete it and pin again; until then nothing is dropped.",
            )  # fmt: skip
        pins = pins | {name} if pinned else pins - {name}
        try:
            write_whole(place, json.dumps(sorted(pins)).encode(), replace=True)
        except HoldfastError as error:
            cause = error.__cause__
            raise save_failed(
                "pin", str(place), cause if isinstance(cause, OSError) else OSError()
            ) from error

    def pins(self) -> set[str] | None:
        """The pinned steps; ``None`` where their list is damaged."""
        try:
            found = json.loads(Path(self.path, PINS).read_text("utf-8"))
        except FileNotFoundError:
            return set()
        except (OSError, ValueError):
            return None
        return set(found) if isinstance(found, list) and all(isinstance(n, str) for n in found) else None

    def withheld(self, name: str) -> OSError | None:
        """Why the system does not let us read a step (permission, too many open files), which is no damage; else
        ``None``."""
        try:
            record_of(str(Path(self.path, name)))
        except (FileNotFoundError, NotADirectoryError, HoldfastError):
            return None
        except OSError as error:
            return error
        return None
