"""``isolate`` for people: the smallest thing first, why it fails, what to do, how that was proved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .page import Page
from .words import size

__all__ = ["draw"]

_SHOWN = 12
_PHASES = {
    "load": "when it is read back",
    "load afresh": "when a fresh process reads it",
    "values": "when it is read back",
}


def draw(document: Mapping[str, Any], page: Page, *, verbose: bool = False, quiet: bool = False) -> None:
    """Write an ``isolate`` document onto ``page``."""
    good = document["verdict"] == "saved"
    page.line((document["path"], "path"), (f"  {document['title']}", "dim"))
    page.wrapped(document["summary"], indent=2, label=("✔", "good") if good else ("✘", "error"), hang=2)
    if quiet and good:
        return
    if document["read"]:
        held = f", {size(document['nbytes'])}" if document["nbytes"] is not None else ""
        page.wrapped(f"Read back by {', '.join(document['read'])}{held}.", indent=4, style="dim")
    groups = _groups(document["culprits"])
    for culprit, alike in groups[: None if verbose else _SHOWN]:
        page.blank()
        _one(culprit, alike, page, verbose=verbose)
    if len(groups) > _SHOWN and not verbose:
        page.blank()
        page.wrapped(f"{len(groups) - _SHOWN} more; --verbose shows them all.", style="dim")
    if document["error"] and not document["culprits"]:
        page.wrapped(document["error"][:600], indent=4, label="Error:", hang=7, style="dim")
    if quiet:
        return
    for note in document["notes"]:
        page.blank()
        page.wrapped(note["text"], label=("·", "dim"), hang=2)
        if note["paths"]:
            page.wrapped(", ".join(note["paths"][:8]), indent=4, style="dim")
        if note["remedy"]:
            page.wrapped(note["remedy"], indent=4, label=("→", "dim"), hang=2)
    page.blank()
    counted = f"{document['saves']} saves tried" if document["saves"] != 1 else "1 save tried"
    took = f", {document['seconds']:.1f} s" if verbose else ""
    page.wrapped(f"{counted}{took}{_proof(document)}", style="dim")


def _proof(document: Mapping[str, Any]) -> str:
    if not document["culprits"]:
        return ""
    if not document["complete"]:
        return "; not searched to the end: there is more that fails"
    if all(c["passes_without"] for c in document["culprits"]):
        return "; without " + ("it" if len(document["culprits"]) == 1 else "these") + " the save passes"
    return ""


def _groups(culprits: list[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], list[str]]]:
    """Those of one kind are told once, with all their paths."""
    found: dict[tuple[Any, ...], tuple[Mapping[str, Any], list[str]]] = {}
    for culprit in culprits:
        what = culprit["what"].partition(",")[0]
        key = (what, culprit["why"], culprit["phase"]) if not culprit["together"] else (culprit["path"],)
        if key in found:
            found[key][1].append(culprit["path"])
        else:
            found[key] = (culprit, [])
    return list(found.values())


def _one(culprit: Mapping[str, Any], alike: list[str], page: Page, *, verbose: bool) -> None:
    paths = list(culprit["together"]) or [culprit["path"], *alike]
    for path in paths[: None if verbose else 5]:
        page.line("  ", (path, "error"))
    if len(paths) > 5 and not verbose:
        page.line("  ", (f"and {len(paths) - 5} more", "error"))
    page.wrapped(f"{culprit['what']}: {culprit['why']}.", indent=4)
    if culprit["error"]:
        when = _PHASES.get(culprit["phase"], "")
        label = f"Error {when}:" if when else "Error:"
        page.wrapped(culprit["error"][:300], indent=4, style="dim", label=label, hang=len(label) + 1)
    if culprit["also"]:
        page.wrapped(", ".join(culprit["also"]), indent=4, label="Also at:", hang=9)
    alone = {True: "saved alone it fails too", False: "saved alone it passes", None: ""}[
        culprit["alone_fails"]
    ]
    without = "the save without it passes" if culprit["passes_without"] else ""
    if alone or without:
        page.wrapped(
            "; ".join(filter(None, (without, alone))), indent=4, label=("Proved:", "dim"), hang=8, style="dim"
        )
    page.wrapped(culprit["remedy"], indent=4, label=("→", "dim"), hang=2)
    died = culprit["kind"] != "error"
    if (verbose or died) and culprit["trace"]:
        lines = culprit["trace"].rstrip().splitlines()
        for line in (lines[:12] if died else lines)[: None if verbose else 12][-40:]:
            page.line("      ", (line, "dim"))
