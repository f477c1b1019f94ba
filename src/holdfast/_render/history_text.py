"""``history`` for people: one line a checkpoint, the newest last; then each metric as a line of blocks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from .._core.words import plural
from . import words
from .escape import cells
from .page import Page
from .spark import spark

__all__ = ["as_number", "draw", "gone", "number", "seconds"]

_MOST = 24
"""Metrics that are drawn; there may be hundreds."""


def draw(document: Mapping[str, Any], page: Page, *, quiet: bool = False, verbose: bool = False) -> None:
    """Write a ``history`` document onto ``page``; ``verbose`` lists the dropped steps one by one."""
    if "step" in document:
        from . import step_text

        step_text.draw(document, page, verbose=verbose)
        return
    checkpoints = document["checkpoints"]
    deleted = sum(c["why"] != "damaged" for c in document["dropped"])
    more = f", {deleted:,} more dropped" if deleted else ""
    page.line((document["path"], "path"), f"  {plural(len(checkpoints), 'checkpoint')}{more}")
    _table(document, page, verbose=verbose)
    for kind, text in (("set_aside", "damaged, set aside"), ("unfinished", "unfinished save")):
        for name in document[kind]:
            page.line("  ", ("✘", "warning"), f" {name}  ", (text, "dim"))
    if not checkpoints and not quiet:
        page.wrapped("No checkpoint is committed here yet.", indent=2, style="dim")
    if not quiet:
        _metrics(document, page)
        _cost(document, page)
        if document.get("written"):
            page.blank()
            page.line("report: ", (document["written"], "path"))


# -- the table -------------------------------------------------------------------------------------------------------
def _table(document: Mapping[str, Any], page: Page, *, verbose: bool) -> None:
    checkpoints = document["checkpoints"]
    rows = sorted([*checkpoints, *(document["dropped"] if verbose else ())], key=lambda c: c["place"])
    newest = next((c["name"] for c in reversed(checkpoints) if c["fault"] is None), None)
    best = {(b["step"], m["name"]) for m in document["metrics"] if (b := m["best"]) is not None}
    line = set(document["line"]["places"])
    width = max((len(c["name"]) for c in rows), default=0)
    lineage: str | None = None
    variant: str | None = None
    for c in rows:
        if c["fault"] is None and c["lineage"] != lineage:
            if lineage is not None:
                after = f", continues {c['parent']}" if c["parent"] else ""
                page.line("  ", (f"new lineage {c['lineage']}{after}", "dim"))
            lineage = c["lineage"]
        if c["fault"] is None and c["variant"] != variant:
            if variant is not None:
                page.line("  ", (f"variant {c['variant']}: the model has another structure", "dim"))
            variant = c["variant"]
        latest = c["name"] == newest and not c["dropped"]
        mark, style = ("✘", "error") if c["fault"] else ("✔", "good") if latest else ("·", "dim")
        facts = _facts(c, {name for step, name in best if step == c["step"] and c["place"] in line})
        if latest:
            facts.insert(len(facts) - bool(c["note"]), "latest")
        page.line(
            "  ",
            (mark, style),
            f" {c['name']:<{width}}  ",
            (" · ".join(facts), "dim" if c["dropped"] else ""),
        )


def _facts(c: Mapping[str, Any], best: set[str]) -> list[str]:
    """What a line says of one checkpoint."""
    if c["dropped"]:
        facts = [c["created"] or "", gone(c)]
    else:
        facts = [c["fault"]] if c["fault"] else [c["created"] or "", words.size(c["nbytes"])]
    if c["bytes_reused"]:
        facts.append(f"{words.size(c['bytes_reused'])} reused")
    facts += [f"{name} {number(v)}{' (best)' if name in best else ''}" for name, v in c["metrics"].items()]
    if "stall" in c["timings"]:
        facts.append(f"stall {seconds(c['timings']['stall'])}")
    if c["pinned"]:
        facts.append("pinned")
    if c["last_verified"]:
        check = c["last_verified"]
        facts.append(f"{'verified' if check['verdict'] == 'sound' else check['verdict']} {check['at']}")
    if c["note"]:
        facts.append(c["note"])
    return [fact for fact in facts if fact]


# -- over the checkpoints --------------------------------------------------------------------------------------------
def _metrics(document: Mapping[str, Any], page: Page) -> None:
    series, steps = document["metrics"], document["line"]["steps"]
    if len(steps) < 2 or not series:
        return
    page.blank()
    several = ", newest lineage" if len(document["lineages"]) > 1 else ""
    page.line(
        (f"metrics over {len(steps):,} checkpoints, step {steps[0]:,} to {steps[-1]:,}{several}", "bold")
    )
    shown = series[:_MOST]
    name_width = min(28, max(cells(page.clipped(m["name"], 28)) for m in shown))
    room = max(8, min(60, page.width - name_width - 46, len(steps)))
    for m in shown:
        name = page.clipped(m["name"], 28)
        blocks = spark([as_number(v) for v in m["values"]], room, unicode=page.unicode)
        page.line(
            "  ",
            name,
            " " * max(0, name_width - cells(name)),
            "  ",
            *_marked(blocks, m, steps),
            "  ",
            _said(m),
        )
    if len(series) > _MOST:
        page.line("  ", (f"and {len(series) - _MOST:,} more", "dim"))
    if document["line"]["gaps"]:
        page.wrapped(
            f"Nothing is known of {words.some(document['line']['gaps'])}, which this line continues.", indent=2, style="dim"
        )  # fmt: skip


def _marked(blocks: str, m: Mapping[str, Any], steps: Sequence[int]) -> list[Any]:
    """The blocks with the best one's in another colour."""
    best = m["best"]
    if best is None or best["step"] not in steps or len(blocks) != len(steps):
        return [blocks]
    at = steps.index(best["step"])
    return [blocks[:at], (blocks[at], "good"), blocks[at + 1 :]]


def _said(m: Mapping[str, Any]) -> str:
    if m["min"] is None:
        return "no finite value" if m["not_finite"] else ""
    facts = [f"{number(m['min'])} to {number(m['max'])}", f"last {number(m['last'])}"]
    if m["best"] is not None:
        facts.insert(0, f"best {number(m['best']['value'])} at {m['best']['step']:,}")
    if m["not_finite"]:
        facts.append(f"{m['not_finite']:,} not finite")
    return " · ".join(facts)


def _cost(document: Mapping[str, Any], page: Page) -> None:
    saves = document["saves"]
    if "stall" not in saves:
        return
    stall, total = saves["stall"], saves.get("total")
    facts = [f"stall {seconds(stall['median'])} (most {seconds(stall['most'])})"]
    if total:
        facts.append(f"durable after {seconds(total['median'])} (most {seconds(total['most'])})")
    if saves["bytes"]:
        facts.append(f"{words.size(saves['bytes'])} saved")
    if saves["bytes_reused"]:
        facts.append(f"{words.share(saves['bytes_reused'], saves['bytes'])} of it reused, not written")
    page.blank()
    page.facts(facts, label=("saves, median:", "bold"), hang=15)


def gone(c: Mapping[str, Any]) -> str:
    """Why a checkpoint does not lie there any more, in a word or two."""
    return "" if not c["dropped"] else "damaged, set aside" if c["why"] == "damaged" else "dropped"


# -- numbers ---------------------------------------------------------------------------------------------------------
def as_number(value: Any) -> float | None:
    """A number of a document: text where JSON has none."""
    if value is None or isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def number(value: Any) -> str:
    """Six digits are enough."""
    found = as_number(value)
    if found is None:
        return "?"
    return (
        f"{found:.6g}"
        if math.isfinite(found)
        else "NaN"
        if math.isnan(found)
        else f"{found:+}".replace("inf", "Infinity")
    )


def seconds(value: Any) -> str:
    """``0.84 ms``, ``12 ms``, ``3.4 s``, ``2 min 5 s``."""
    found = as_number(value)
    if found is None or not math.isfinite(found):
        return "?"
    if found < 0.9995:
        return f"{found * 1e3:.{0 if found >= 0.00995 else 1 if found >= 0.000995 else 2}f} ms"
    if found < 120:
        return f"{found:.1f} s"
    return f"{int(found // 60)} min {int(found % 60)} s"
