"""State beside the model in a step of a vault: what was saved, and how live preprocessing differs from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .._core.catalog import Catalog
from .._core.errors import ChecksumMismatch, DamagedCheckpoint, LimitExceeded, UsageError
from .._core.fault import Fault
from .._integrity.digest import LeafHasher, file_digest
from .._record.schema import Record
from .._record.stateful import Captured, capture
from .._record.stateful.changes import changes
from .recorded import arrays_of

__all__ = ["PARTS", "STATES", "different", "states_of"]

STATES = "states"
"""The section of ``state.json`` for what stands beside the model."""
PARTS = ("data", "preprocess", "metrics")
_STATE = "state.json"
_LARGEST = 1 << 30


def states_of(catalog: Catalog, parts: tuple[str, ...] = PARTS) -> dict[str, dict[str, Captured]]:
    """What a step holds of each part, by name; empty where it holds nothing, or is no step of a vault.

    Raises :class:`ChecksumMismatch` where a byte of it is not what was saved, :class:`DamagedCheckpoint` for what no save
    writes.
    """
    record = getattr(catalog, "record", None)
    found: dict[str, dict[str, Captured]] = {part: {} for part in parts}
    if record is None or not (record.resume or {}).get("states"):
        return found
    folder = Path(catalog.files[0]).parent
    try:
        section = json.loads(_checked(folder, _STATE, record)).get(STATES) or {}
        for part in parts:
            for name, row in (section.get(part) or {}).items():
                arrays = arrays_of(catalog, f"{part}/{name}")
                files = {file: _checked(folder, document, record) for file, document in row["files"].items()}
                found[part][name] = Captured(row["kind"], row["class"], row["about"], arrays, files)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedCheckpoint(
            f"{STATES} of state.json cannot be read", file=str(folder), found=str(error)
        ) from error
    return found


def different(
    then: Mapping[str, Captured], live: Mapping[str, Any], path: str, *, noted: bool = False
) -> list[Fault]:
    """How live preprocessing differs from what was saved: one fault for each part and kind of difference.

    ``noted``: it is about to be put back, so a difference is only worth a note, and what is not fitted yet is none. Raises
    :class:`UsageError` where a live object has no state.
    """
    faults = []
    for name, thing in live.items():
        saved = then.get(name)
        if saved is None or thing is None:
            continue
        try:
            found = changes(saved, capture(thing, name))
        except UsageError:
            if noted:
                continue  # a file that is yet to be written, a layer without weights
            raise
        if any(change.what == "vocabulary" for change in found):  # what was derived from it follows
            found = [
                c for c in found if c.what == "vocabulary" or not c.path.rpartition(".")[2].startswith("_")
            ]
        for what in ("constants", "vocabulary"):
            of = [change for change in found if change.what == what and not (noted and change.gone)]
            if not of:
                continue
            first = max(of, key=lambda change: change.far or 0.0)
            more = f"; {len(of) - 1} more" if len(of) > 1 else ""
            text = f"{name}: {first.path}{' ' if first.path else ''}{first.text}{more}"
            text += "; what was saved is put back" if noted else ""
            rest: dict[str, Any] = {
                "part": name,
                "path": first.path,
                "far": first.far,
                "severity": "note" if noted else None,
            }
            rest["differ"] = [f"{c.path} {c.text}" for c in of[:20]] if len(of) > 1 else None
            faults.append(
                Fault(
                    f"preprocessing-{what}",
                    text,
                    file=path,
                    seen=first.now,
                    expected=first.then,
                    attributes=rest,
                )
            )
    return faults


def _checked(folder: Path, name: str, record: Record) -> bytes:
    """A small file of a step, compared with the record."""
    entry = next((entry for entry in record.files if entry.name == name), None)
    if entry is None:
        raise DamagedCheckpoint("the step's record does not name this file", file=str(folder / name))
    if entry.size > _LARGEST:
        raise LimitExceeded(
            "larger than any honest file beside a state", file=str(folder / name), found=entry.size
        )
    try:
        data = (folder / name).read_bytes()
    except OSError as error:
        raise DamagedCheckpoint(
            "a file of the step cannot be read", file=str(folder / name), found=str(error)
        ) from error
    regions = []
    for region in entry.regions:
        hasher = LeafHasher(record.leaf_bytes)
        hasher.update(memoryview(data)[region.offset : region.offset + region.length])
        regions.append((hasher.length, hasher.digest()))
    now = file_digest(len(data), regions)
    if now != entry.digest:
        raise ChecksumMismatch("a file of the step is not what was saved", file=str(folder / name),
                               expected=entry.digest, found=now)  # fmt: skip
    return data
