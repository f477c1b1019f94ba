"""H: Holdfast's own failures, reported as findings so that they neither stop a report nor hide in it."""

from __future__ import annotations

from collections.abc import Iterator

from .._core.finding import Finding
from .registry import Rule, Subject, rule

__all__ = ["internal"]


@rule("H000", "internal", severity="error", cause="other")
def internal(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A rule or check of Holdfast failed with a bug of its own.

    The rest of the report stands; what this rule would have found is not known. The finding names the rule
    and the exception.

    Evidence: rule, exception, the line it came from.

    What to do: report it with the finding's text; ``--ignore`` the rule to go on meanwhile.

    Example: none that we know of.
    """
    yield from ()
