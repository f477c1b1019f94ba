"""One step of a run in detail, as a document: what it measured and what that means, with what it was made, what it records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..._core.errors import HoldfastError, UsageError
from ..._core.plain import unpack
from ..._record.metrics import metric_of
from ..._record.schema import Record
from ..._render.document import SCHEMA_VERSION
from ..._render.plain import plain
from ..contents.recording import CODE, RESUME, resume_of
from ..folder.listing import record_of
from ..folder.past import chain
from ..folder.saved import SavedStep
from .documents import Run, row_document

__all__ = ["LARGEST_DIFF", "code_of", "step_document", "step_named"]

_STATES = ("data", "preprocess", "metrics")
"""What of the section ``resume`` are states that were captured, by name."""
LARGEST_DIFF = 4 << 20
"""Bytes of a ``code.diff`` that are read; what a save writes is smaller."""


def step_named(run: Run, text: str) -> SavedStep:
    """A step by its number (the last saved of that number, and one that lies there before one that was dropped), by its
    folder's name, or ``latest``. Raises :class:`UsageError` where none fits."""
    if text == "latest" and run.newest is not None:
        return run.newest
    number = int(text) if text.isdecimal() and len(text) < 20 else None
    fitting = [row for row in run.rows if row.name == text.rstrip("/") or row.step == number]
    if not fitting:
        there = [row.name for row in run.rows]
        raise UsageError(
            "no such step in this vault", file=run.path, found=text,
            expected=", ".join(there[-5:]) or "none is there",
        )  # fmt: skip
    live = [row for row in fitting if row.live]
    return (live or fitting)[-1]


def step_document(run: Run, step: SavedStep, *, code: bool = False) -> dict[str, Any]:
    """Everything that is known of one step. ``code``: with the uncommitted difference itself, where it was recorded.

    Raises :class:`UsageError` for ``code`` of a step that retention dropped.
    """
    place = next(n for n, row in enumerate(run.rows) if row is step)
    checkpoint = next((c for c in run.checkpoints if step.live and c.name == step.name), None)
    document: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "command": "history",
        "path": run.path,
        "step": row_document(place, step, checkpoint, run.checked.get(step.name), run.absent.get(step.name)),
        "metrics": _metrics(step),
        "line": [row.name for row in chain(run.rows, step)] if step.fault is None else [],
        "continued_by": [
            row.name
            for row in run.rows[place + 1 :]
            if row.parent == step.name and step.fault is None and row.fault is None
        ],
        "environment": None,
        "code": None,
        "recorded": None,
        "files": [],
        "tensors": {},
    }
    if checkpoint is not None and checkpoint.fault is None:
        record = record_of(checkpoint.path)
        document |= _of_record(checkpoint.path, record, with_diff=code)
    else:
        if code:
            gone = "was dropped, or set aside" if not step.live else "has no record that can be used"
            raise UsageError(f"{step.name} {gone}: its code went with it", file=run.path)
        known = step.environment.get("code")
        document["environment"] = {
            k: v for k, v in step.environment.items() if k not in ("code", "config")
        } or None
        if isinstance(known, Mapping):
            document["code"] = {**known, "diff_file": None, "diff": None}
    made = plain(document)
    assert isinstance(made, dict)
    diff = (document.get("code") or {}).get("diff")
    if code and diff is not None:
        made["code"]["diff"] = diff  # whole, however long
    return made


def _metrics(step: SavedStep) -> list[dict[str, Any]]:
    found = []
    for name, value in step.metrics.items():
        meaning = dict(step.measured.get(name) or {})
        try:
            metric = metric_of(name or "?", value, meaning)
        except (HoldfastError, TypeError, ValueError):
            found.append(
                {"name": name, "value": value, "kind": "unspecified", "meaning": meaning, "why_not": None}
            )
            continue
        found.append(
            {
                "name": name,
                "value": value,
                "kind": metric.kind,
                "meaning": {k: v for k, v in meaning.items() if k != "kind"},
                "why_not": metric.unprovable,
            }
        )
    return found


def _of_record(path: str, record: Record, *, with_diff: bool) -> dict[str, Any]:
    environment = dict(record.environment or {})
    config = environment.pop("config", None)
    code = environment.pop("code", None)
    return {
        "holdfast": record.holdfast,
        "environment": environment or None,
        "code": code_of(path, code, record, with_diff=with_diff),
        "recorded": {**_recorded(path, record), "config": config},
        "files": [{"name": entry.name, "nbytes": entry.size} for entry in record.files],
        "tensors": _roles(record),
        "snapshot": record.snapshot,
        "incremental": record.incremental,
        "telemetry": record.telemetry,
    }


def code_of(path: str, code: Any, record: Record, *, with_diff: bool) -> dict[str, Any] | None:
    """What the record says of the code: commit, branch, whether there were changes; with ``diff`` the changes themselves.

    A ``code.diff`` that is longer than :data:`LARGEST_DIFF` is cut.
    """
    if not isinstance(code, Mapping):
        return None
    found = {k: v for k, v in code.items() if k not in ("diff", "diff_digest")}
    listed = any(entry.name == CODE for entry in record.files)
    found["diff_file"] = CODE if listed else None
    found["diff"] = None
    if with_diff and listed:
        try:
            with Path(path, CODE).open("rb") as file:
                found["diff"] = file.read(LARGEST_DIFF).decode("utf-8", "backslashreplace")
        except OSError as error:
            found["diff_fault"] = error.strerror or str(error)
    return found


def _recorded(path: str, record: Record) -> dict[str, Any]:
    """What lies beside the state, each as much as a line can say; ``None`` for what was not recorded."""
    found: dict[str, Any] = {
        "probe": _probe(record.probe),
        "contract": _contract(record.contract),
        "architecture": len((record.architecture or {}).get("modules") or ()) or None,
        "optimizers": [
            {"name": o.name, "class": o.class_name, "step": o.step, "slots": list(o.slots)}
            for o in record.optimizers
        ],
    }
    try:
        resume = resume_of(path)
    except HoldfastError as error:
        found["resume_fault"] = error.message
        resume = {}
    random = resume.get("random")
    found["random_state"] = sorted(map(str, random)) if isinstance(random, Mapping) else None
    told = record.resume if isinstance(record.resume, Mapping) else {}
    found["parts"] = told.get("parts")
    found["accumulating"] = told.get("accumulating")
    found["states"] = {word: told[word] for word in _STATES if isinstance(told.get(word), Mapping)}
    found[RESUME] = sorted(str(key) for key in resume if key != "random")
    found["sections"] = sorted(
        name
        for name in ("topology", "snapshot", "incremental", "evidence", "attributes")
        if getattr(record, name, None)
    )
    return found


def _probe(about: Any) -> dict[str, Any] | None:
    if not isinstance(about, Mapping):
        return None
    layers = about.get("layers")
    return {
        "layers": len(layers) if isinstance(layers, (Sequence, Mapping)) else None,
        "fields": sorted(map(str, about)),
    }


def _contract(about: Any) -> dict[str, Any] | None:
    if not isinstance(about, Mapping):
        return None
    try:
        fields = unpack(dict(about))["fields"]
    except (HoldfastError, KeyError, TypeError):
        fields = None
    return {"fields": sorted(map(str, fields)) if isinstance(fields, Mapping) else None}


def _roles(record: Record) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for row in record.tensors:
        entry = found.setdefault(row.role, {"tensors": 0, "nbytes": 0})
        entry["tensors"] += 1
        entry["nbytes"] += row.nbytes
    return found
