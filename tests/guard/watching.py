"""A guard, and what it told."""

from __future__ import annotations

from holdfast._guard.guard import Guard, Options
from holdfast._guard.seen import Seen


class Watched:
    """A guard that is on, and what it told."""

    def __init__(self, options: Options | None = None) -> None:
        self.seen: list[Seen] = []
        self.guard = Guard(options, self.seen.append)

    def codes(self, *severities: str) -> list[str]:
        """Of the findings told so far, at warning and error unless said otherwise."""
        wanted = severities or ("error", "warning")
        return [f.code for s in self.seen for f in s.findings if f.severity in wanted]

    def of(self, code: str) -> str:
        """The message of that finding."""
        return next(f.message for s in self.seen for f in s.findings if f.code == code)

    def last(self) -> Seen:
        return self.seen[-1]
