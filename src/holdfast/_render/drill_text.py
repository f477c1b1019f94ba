"""``drill`` for people: the answer first, then what was killed when, the table, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .page import Page

__all__ = ["draw"]

_MARKS = {"exact": ("✔", "good"), "differs": ("✘", "error"), "not-drilled": ("✘", "error")}


def draw(document: Mapping[str, Any], page: Page, *, verbose: bool = False, quiet: bool = False) -> None:
    """Write a ``drill`` document onto ``page``."""
    page.line((document["path"], "path"))
    page.wrapped(document["summary"], indent=2, label=_MARKS[document["verdict"]], hang=2)
    if quiet and document["verdict"] == "exact":
        return
    page.blank()
    for one in document["resumptions"]:
        how = "in the middle of the save" if one["how"] == "in-save" else "killed"
        after = (
            "did not resume"
            if one["resumed_after"] is None
            else f"resumed after step {one['resumed_after']}, {one['steps']} steps made"
        )
        page.line("    ", f"{how} after step {one['killed_at']}: {after}" if one["how"] != "in-save"
                  else f"killed {how} after step {one['killed_at']}: {after}")  # fmt: skip
    if document["compared"]:
        page.blank()
        _table(document["compared"], page)
    findings = document["findings"]
    for n, finding in enumerate(findings):
        page.blank()
        style = {"error": "error", "warning": "warning"}.get(finding["severity"], "note")
        lead = "Cause: " if n == 0 and document["verdict"] == "differs" else ""
        page.line(lead, (f"{finding['code']} {finding['slug']}", style), f" ({finding['severity']})")
        page.wrapped(finding["message"], indent=4)
        if finding["remedy"]:
            page.wrapped(finding["remedy"], indent=4, label=("→", "dim"))
        if verbose:
            page.wrapped(
                ", ".join(f"{k}: {v}" for k, v in finding["evidence"].items()), indent=4, style="dim"
            )
    page.blank()
    took = f"; {document['seconds']:.0f} s" if verbose else ""
    page.wrapped(
        f"{document['steps']} steps uninterrupted; kill points of seed {document['seed']}{took}", style="dim"
    )
    if document["tolerance"]:
        page.wrapped(document["tolerance"], label="Tolerance:", hang=11)
    if document["folder"]:
        page.wrapped(document["folder"], label="Kept in:", hang=11)


def _table(rows: list[Mapping[str, Any]], page: Page) -> None:
    width = max(len(row["what"]) for row in rows)
    for row in rows:
        good = row["differs_at"] is None
        text = "equal" if good else f"differs at step {row['differs_at']}"
        over = f"over {row['steps']} steps" if row["steps"] > 1 else ""
        facts = ", ".join(filter(None, (over, row["note"])))
        page.line("  ", ("✔", "good") if good else ("✘", "error"), f" {row['what']:<{width}}  ",
                  (f"{text:<20}", "" if good else "error"), (facts, "dim"))  # fmt: skip
