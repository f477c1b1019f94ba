"""``history`` for people: one line a checkpoint, the newest last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._core.words import plural
from . import words
from .page import Page

__all__ = ["draw"]


def draw(document: Mapping[str, Any], page: Page, *, quiet: bool = False) -> None:
    """Write a ``history`` document onto ``page``."""
    checkpoints = document["checkpoints"]
    newest = next((c["name"] for c in reversed(checkpoints) if c["fault"] is None), None)
    page.line((document["path"], "path"), f"  {plural(len(checkpoints), 'checkpoint')}")
    width = max((len(c["name"]) for c in checkpoints), default=0)
    lineage: str | None = None
    variant: str | None = None
    for c in checkpoints:
        if c["fault"] is None and c["lineage"] != lineage:
            if lineage is not None:
                after = f", continues {c['parent']}" if c["parent"] else ""
                page.line("  ", (f"new lineage {c['lineage']}{after}", "dim"))
            lineage = c["lineage"]
        if c["fault"] is None and c["variant"] != variant:
            if variant is not None:
                page.line("  ", (f"variant {c['variant']}: the model has another structure", "dim"))
            variant = c["variant"]
        mark, style = ("✘", "error") if c["fault"] else ("✔", "good") if c["name"] == newest else ("·", "dim")
        facts = [c["created"] or "", words.size(c["nbytes"])] if c["fault"] is None else [c["fault"]]
        facts += [f"{name} {value:.6g}" for name, value in c["metrics"].items()]
        if c["pinned"]:
            facts.append("pinned")
        if c["name"] == newest:
            facts.append("latest")
        if c["last_verified"]:
            check = c["last_verified"]
            facts.append(f"{'verified' if check['verdict'] == 'sound' else check['verdict']} {check['at']}")
        if c["note"]:
            facts.append(c["note"])
        page.line("  ", (mark, style), f" {c['name']:<{width}}  ", " · ".join(filter(None, facts)))
    for kind, text in (("set_aside", "damaged, set aside"), ("unfinished", "unfinished save")):
        for name in document[kind]:
            page.line("  ", ("✘", "warning"), f" {name}  ", (text, "dim"))
    if not checkpoints and not quiet:
        page.wrapped("No checkpoint is committed here yet.", indent=2, style="dim")
