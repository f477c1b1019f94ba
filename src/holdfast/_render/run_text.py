"""``run`` for people: each watched call on a line, what is wrong with it below, and the sum at the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import words
from .finding_text import draw_finding
from .page import Page

__all__ = ["draw", "draw_call"]

_MARK = {"error": ("✘", "error"), "warning": ("!", "warning"), "note": ("·", "note"), None: ("✔", "good")}
_GRAVE = ("error", "warning")
_MOST = 4
"""Findings of one call that are told at once; the rest is in the document, and with ``-v``."""


def draw_call(call: Mapping[str, Any], page: Page, *, verbose: bool = False) -> None:
    """One call, as soon as it is over: the line of the program, what it did, what is wrong."""
    grave = [f for f in call["findings"] if verbose or f["severity"] in _GRAVE]
    worst = "error" if call["error"] else call["worst"] if call["worst"] in _GRAVE else None
    path = f'("{call["path"]}")' if call["path"] else ""
    page.line(
        _MARK[worst], " ", ("holdfast", "dim"), " ", (call["site"], "path"), "  ", f"{call['api']}{path}"
    )
    if call["error"]:
        page.wrapped(call["error"], indent=4, style="dim")
    if call["sentence"]:
        page.wrapped(call["sentence"], indent=4)
    if call["error"] and call["facts"].get("remedy"):
        page.wrapped(call["facts"]["remedy"], indent=4, label="Do:", hang=4)
    shown = grave if verbose else grave[:_MOST]
    for finding in shown:
        if verbose:
            draw_finding(finding, page, call["path"] or "", verbose=True)
        else:
            _finding(finding, page)
    if len(grave) > len(shown):
        page.line("    ", (f"and {len(grave) - len(shown)} more (-v shows all)", "dim"))


def _finding(finding: Mapping[str, Any], page: Page) -> None:
    """Code and message, and what to do."""
    style = finding["severity"]
    page.wrapped(words.grouped(finding["message"]), indent=4, label=(finding["code"], style), hang=5)
    if finding["remedy"]:
        page.wrapped(finding["remedy"], indent=9, style="dim")


def draw(document: Mapping[str, Any], page: Page, *, verbose: bool = False, quiet: bool = False) -> None:
    """The summary of a ``run`` document."""
    total = document["summary"]
    kinds = (
        ", ".join(words.plural(n, word) for word, n in total["calls"].items() if n) or "no load and no save"
    )
    found = ", ".join(words.plural(n, word) for word, n in total["findings"].items() if n and word in _GRAVE)
    worst = next((word for word in _GRAVE if total["findings"].get(word)), None)
    failed = sum(1 for call in document["calls"] if call["error"])
    raised = f"{words.plural(failed, 'call')} raised" if failed else ""
    told = ", ".join(word for word in (found, raised) if word)
    mark = _MARK["error" if failed else worst]
    page.line(mark, " ", ("holdfast", "dim"), f"  watched {kinds}: ", told or "nothing wrong")
    if quiet:
        return
    for call in document["calls"]:
        grave = [f for f in call["findings"] if f["severity"] in _GRAVE]
        if grave:
            more = f" (and {len(grave) - 1} more)" if len(grave) > 1 else ""
            first = grave[0]
            page.wrapped(
                f"{call['site']}  {words.grouped(first['message'])}{more}", indent=4, hang=5,
                label=(first["code"], first["severity"]),
            )  # fmt: skip
    if total.get("closing"):
        page.wrapped(total["closing"], indent=4)
    if total.get("passed_over"):
        many = words.plural(total["passed_over"], "small file")
        page.line("    ", (f"and {many} more, of lines that read or write many: not looked at", "dim"))
    if total["notes"]:
        more = "" if verbose else " (-v shows them)"
        page.line("    ", (f"and {words.plural(total['notes'], 'note')}{more}", "dim"))
