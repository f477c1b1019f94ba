"""Everything that was watched, as a document, as text, and as a page in a notebook."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from .._render.document import SCHEMA_VERSION, finding_document
from .._render.page import Page
from .._render.plain import plain
from .._render.run_text import draw, draw_call
from .seen import Seen

__all__ = ["GuardReport", "call_document", "run_document"]

_WORDS = {"read": "load", "assign": "load", "restore": "load", "save": "save"}


def call_document(seen: Seen) -> dict[str, Any]:
    """One watched call."""
    return {
        "api": seen.api,
        "kind": seen.kind,
        "site": plain(seen.site),
        "path": plain(seen.path),
        "sentence": plain(seen.sentence),
        "error": plain(seen.error),
        "worst": seen.worst,
        "facts": plain(dict(seen.facts)),
        "findings": [finding_document(f) for f in seen.findings],
    }


def run_document(
    calls: Sequence[Seen], command: Sequence[str] = (), code: int | None = None, closing: str = ""
) -> dict[str, Any]:
    """All of them, with the sum: what was watched, how many findings of each severity."""
    kinds = Counter(_WORDS[s.kind] for s in calls if s.kind in _WORDS)
    found = Counter(f.severity for s in calls for f in s.findings)
    return {
        "schema_version": SCHEMA_VERSION,
        "command": "run",
        "program": list(command),
        "exit_code": code,
        "calls": [call_document(seen) for seen in calls],
        "summary": {
            "calls": {"load": kinds["load"], "save": kinds["save"]},
            "findings": {word: found[word] for word in ("error", "warning", "note")},
            "notes": found["note"],
            "closing": plain(closing),
        },
    }


class GuardReport:
    """What a guard has seen so far; shows itself in a notebook.

    ``calls``: every watched call, in order (:class:`Seen`). ``findings``: all their findings. ``document``: what
    ``holdfast run --json FILE`` writes.
    """

    def __init__(self, calls: Sequence[Seen]) -> None:
        self.calls = tuple(calls)

    @property
    def findings(self) -> tuple[Any, ...]:
        """Those of all calls, one after the other."""
        return tuple(f for seen in self.calls for f in seen.findings)

    @property
    def document(self) -> dict[str, Any]:
        """As plain data."""
        return run_document(self.calls)

    def __str__(self) -> str:
        page = Page(width=100)
        for seen in self.calls:
            draw_call(call_document(seen), page)
        page.blank()
        draw(self.document, page)
        return "\n".join(page.lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from .._render.run_html import run_html

        return run_html(self.document)
