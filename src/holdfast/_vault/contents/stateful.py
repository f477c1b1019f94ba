"""State beside the model in saves: where the data stands, fitted preprocessing, metrics in the middle of an epoch."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from ..._record.stateful import Captured, capture
from ..._record.stateful.changes import digest_of
from ..._restore.states import STATES
from ..coordinator import Part
from .beside import put_arrays
from .given import Given
from .payload import Payload

__all__ = ["STATES", "documents_of", "merge_states", "states_taken", "take_states"]

_FRONT = "recorded-"


def take_states(payload: Payload, given: Given, rank: int = 0) -> Callable[[], None]:
    """Capture everything now, into ``payload``; gives what takes the digests, which may be done later.

    Of several ranks each has data and metrics of its own, under names with its number; preprocessing is rank 0's. Raises
    :class:`UsageError` naming what cannot be saved.
    """
    rows: dict[str, dict[str, Any]] = {}
    taken: list[tuple[dict[str, Any], Captured]] = []
    for part, things in given.parts().items():
        if part == "preprocess" and rank:
            continue
        for plain, thing in things.items():
            name = f"{plain}@{rank}" if rank else plain
            state = capture(thing, f"{part} `{plain}`")
            put_arrays(payload, f"{part}/{name}", state.arrays)
            documents = {file: _document(payload, part, name, file) for file in state.files}
            payload.documents.update({documents[file]: data for file, data in state.files.items()})
            row = {"kind": state.kind, "class": state.of, "about": state.about, "files": documents}
            rows.setdefault(part, {})[name] = row
            taken.append((row, state))
    if rows:
        payload.attributes[STATES] = rows

    def finish() -> None:
        for row, state in taken:
            row["digest"] = digest_of(state)

    return finish


def merge_states(payload: Payload, parts: Iterable[Part]) -> None:
    """Take what other ranks captured into the leader's payload."""
    for other in parts:
        for part, rows in other.states.items():
            payload.attributes.setdefault(STATES, {}).setdefault(part, {}).update(rows)
        payload.documents.update(other.documents)


def documents_of(payload: Payload) -> dict[str, bytes]:
    """The small files of the states in a payload."""
    return {name: data for name, data in payload.documents.items() if name.startswith(_FRONT)}


def states_taken(payload: Payload) -> dict[str, Any]:
    """The states in a payload as the record's section ``resume`` tells them: kind, class and digest of each, and the value of a
    number or text."""
    rows = payload.attributes.get(STATES, {})
    found: dict[str, Any] = {"states": bool(rows)}
    for part, of in rows.items():
        found[part] = {
            name: {key: row[key] for key in ("kind", "class", "digest")}
            | ({"value": row["about"]} if isinstance(row["about"], (int, float, str)) else {})
            for name, row in of.items()
        }
    return found


def _document(payload: Payload, part: str, name: str, file: str) -> str:
    """The name of a file of a state in the step's folder."""
    clean = _FRONT + re.sub(r"[^A-Za-z0-9._@-]+", "-", f"{part}-{name}-{file}").strip("-.")
    found, n = clean, 1
    while found in payload.documents:
        n += 1
        found = f"{clean}-{n}"
    return found
