"""``diagnose`` for people: the cause first, what proves it, what to do; then what else it may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .page import Page

__all__ = ["draw"]

_STATUS = {
    "proved": ("proved on the files", "good"),
    "likely": ("likely, by the text", "warning"),
    "possible": ("possible, by the text", "dim"),
    "refuted": ("refuted on the files", "dim"),
}


def draw(document: Mapping[str, Any], page: Page, *, verbose: bool = False, quiet: bool = False) -> None:
    """Write a ``diagnose`` document onto ``page``."""
    if document["failed"] and not quiet:
        page.wrapped(document["failed"][:400], label="Failed:", hang=9, style="dim")
    if document["left_out"] and not quiet:
        page.wrapped(document["left_out"], label="", hang=0, style="dim")
    if not document["is_checkpoint_failure"] and document["causes"]:
        page.wrapped(f"This cannot be told: {document['note']}.", label=("?", "warning"), hang=2)
        _nearest(document["causes"], page, quiet=quiet)
        return
    if not document["is_checkpoint_failure"]:
        page.wrapped(f"This is no checkpoint failure: {document['note']}.", label=("·", "dim"), hang=2)
        return
    if document["note"]:
        page.wrapped(document["note"], label=("?", "warning"), hang=2)
        _nearest(document["causes"], page, quiet=quiet)
        return
    first, *others = document["causes"]
    _first(first, page, verbose=verbose)
    if others and not quiet:
        page.blank()
        page.line(("Else it may be", "head"))
        for cause in others if verbose else others[:3]:
            words, style = _STATUS[cause["status"]]
            page.wrapped(f"{cause['label']}: {cause['why']} ({words})", indent=2, label=("·", style), hang=2)
            if cause["found"]:
                page.wrapped(cause["found"], indent=6, style="dim")
    if not quiet and not document["paths"]:
        page.blank()
        page.wrapped(
            "No file was looked at. `--checkpoint PATH` tests these causes on it.",
            style="dim",
            label="",
            hang=0,
        )


def _nearest(causes: Sequence[Mapping[str, Any]], page: Page, *, quiet: bool) -> None:
    """What it may be where the message is not known, each with its chance."""
    if not causes:
        return
    page.blank()
    page.line(("It may be", "head"))
    for cause in causes[:1] if quiet else causes[:3]:
        words = f"{cause['label']} ({cause['confidence']:.0%}): {cause['why']}"
        page.wrapped(words, indent=2, label=("·", "dim"), hang=2)
        if cause["remedy"]:
            page.wrapped(cause["remedy"], indent=4, label="Do:", hang=9)


def _first(cause: Mapping[str, Any], page: Page, *, verbose: bool) -> None:
    words, style = _STATUS[cause["status"]]
    page.line(("✘ ", "error"), (cause["label"], "head"), "  ", (words, style))
    page.wrapped(cause["why"], indent=2)
    if cause["found"] and cause["found"] != cause["why"]:
        page.wrapped(cause["found"], indent=2, label="Found:", hang=9)
    if cause["remedy"]:
        page.wrapped(cause["remedy"], indent=2, label="Do:", hang=9)
    if cause["confirm"] and cause["status"] != "proved":
        page.wrapped(cause["confirm"], indent=2, label="Test:", hang=9)
    if cause["evidence"] and verbose:
        page.wrapped(cause["evidence"], indent=2, label="Text:", hang=9, style="dim")
