"""The plots of a run's report, drawn from its document."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from . import words
from .history_text import as_number, gone, number, seconds
from .html import esc
from .svg import Bar, Line, Point, bar_chart, line_chart, wants_log

__all__ = ["cost_plots", "families", "legend", "lineage_tree", "metric_plots", "norm_plot"]

_SPLIT = re.compile(r"^(?:(train|training|val|valid|validation|eval|test)[_/. -])?(.+)$", re.I)
_MOST_BARS = 240


def legend(entries: Sequence[tuple[str, int, bool]]) -> str:
    """Names beside the colours of their lines: (text, colour, whether it is another lineage's)."""
    made = "".join(
        f'<li><span class="swatch c{color}{" aside" if aside else ""}"></span>{esc(text)}</li>'
        for text, color, aside in entries
    )
    return f'<ul class="legend">{made}</ul>'


# -- metrics ---------------------------------------------------------------------------------------------------------
def families(names: Sequence[str]) -> list[list[str]]:
    """Metrics that belong into one plot: ``loss``, ``val_loss`` and ``test/loss``."""
    found: dict[str, list[str]] = {}
    for name in names:
        match = _SPLIT.match(name)
        found.setdefault(match[2].lower() if match else name, []).append(name)
    return [group[n : n + 4] for group in found.values() for n in range(0, len(group), 4)]


def metric_plots(document: Mapping[str, Any], most: int) -> list[str]:
    """A card for each family of metrics, ``most`` families at most."""
    rows = all_rows(document)
    names = list(dict.fromkeys(name for row in rows for name in row["metrics"]))
    return [_family_card(document, rows, group) for group in families(names)[:most]]


def all_rows(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Every checkpoint whose record could be used, live or dropped, in the order of saving."""
    rows = [row for row in (*document["checkpoints"], *document["dropped"]) if not row["fault"]]
    return sorted(rows, key=lambda row: row["place"])


def _age(row: Mapping[str, Any]) -> str:
    return f" ({gone(row)})" if row["dropped"] else ""


def branches(document: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """What lies beside the newest line: the rest of each other lineage, begun at the row that it leaves the line at."""
    line = set(document["line"]["places"])
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["place"] in line:
            continue
        if row["lineage"] not in found:
            before = [r for r in rows if r["place"] < row["place"] and r["name"] == row["parent"]]
            found[row["lineage"]] = before[-1:]
        found[row["lineage"]].append(row)
    return list(found.values())


def restored_from(rows: Sequence[Mapping[str, Any]]) -> set[int]:
    """Places of the rows from which another lineage goes on."""
    found: set[int] = set()
    latest: dict[str, Mapping[str, Any]] = {}
    begun: set[str] = set()
    for row in rows:
        parent = latest.get(row["parent"] or "")
        if parent is not None and row["lineage"] not in begun and parent["lineage"] != row["lineage"]:
            found.add(parent["place"])
        begun.add(row["lineage"])
        latest[row["name"]] = row
    return found


def _family_card(document: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], group: Sequence[str]) -> str:
    line = set(document["line"]["places"])
    series = {m["name"]: m for m in document["metrics"]}
    marked = restored_from(rows)
    lines: list[Line] = []
    entries: list[tuple[str, int, bool]] = []
    several = False
    for color, name in enumerate(group):
        best = (series.get(name) or {}).get("best")
        at = None if best is None else best["step"]
        main = [_point(row, name, at, marked) for row in rows if row["place"] in line]
        lines.append(Line(name, main, color))
        for branch in branches(document, rows):
            points = [
                _point(row, name, None, set()) for row in branch if row["metrics"].get(name) is not None
            ]
            if points:
                lines.append(Line(name, points, color, aside=True))
                several = True
        last = (series.get(name) or {}).get("last")
        told = f": best {number(best['value'])} at {at:,}" if best is not None else ""
        told += (
            f", last {number(last)}"
            if last is not None and told
            else f": last {number(last)}"
            if last is not None
            else ""
        )
        entries.append((name + told, color, False))
    if several:
        entries.append(("another lineage", 8, True))
    plot = line_chart(lines, label=f"{', '.join(group)} over checkpoints")
    return f'<div class="card"><h3>{esc(", ".join(group))}</h3>{plot}{legend(entries)}</div>'


def _point(row: Mapping[str, Any], name: str, best: int | None, marked: set[int]) -> Point:
    value = as_number(row["metrics"].get(name))
    marks = {"best"} if best == row["step"] and value is not None and math.isfinite(value) else set()
    if row["place"] in marked:
        marks.add("restored")
    more = " · best" if "best" in marks else ""
    more += " · training went on from here" if "restored" in marks else ""
    title = f"{name} {number(value)} · step {row['step']:,} · {row['name']}{_age(row)}{more}"
    return Point(row["step"], value, title, frozenset(marks))


# -- cost ------------------------------------------------------------------------------------------------------------
_PHASES = (("stall", 0), ("write", 1), ("total", 4))


def cost_plots(document: Mapping[str, Any]) -> list[str]:
    """Seconds and bytes of each save, in the order of saving."""
    rows = all_rows(document)
    if not rows:
        return []
    lines, entries = [], []
    for phase, color in _PHASES:
        points = [
            Point(
                row["place"] + 1,
                as_number(row["timings"].get(phase)),
                f"{phase} {seconds(row['timings'].get(phase))} · {row['name']}",
            )
            for row in rows
        ]
        if any(p.y is not None for p in points):
            lines.append(Line(phase, points, color))
            median = document["saves"].get(phase, {}).get("median")
            entries.append((f"{phase}: median {seconds(median)}", color, False))
    known = [p.y for line in lines for p in line.points if p.y is not None]
    times = line_chart(lines, label="seconds of each save", x_name="save", zero=not wants_log(known))
    bars = []
    for row in rows[-_MOST_BARS:]:
        reused = min(int(row["bytes_reused"] or 0), int(row["nbytes"]))
        written = int(row["nbytes"]) - reused
        title = f"{row['name']}: {words.size(written)} written" + (
            f", {words.size(reused)} reused" if reused else ""
        )
        bars.append(Bar(((written, 0), (reused, 2)), title, f"{row['place'] + 1:,}"))
    sizes = bar_chart(bars, label="bytes of each save", unit="bytes", x_name="save")
    said = [("written", 0, False), ("reused from the step before", 2, False)]
    cut = f"<p class=sub>The last {_MOST_BARS} saves.</p>" if len(rows) > _MOST_BARS else ""
    return [
        f'<div class="card"><h3>seconds</h3>{times}{legend(entries)}</div>',
        f'<div class="card"><h3>bytes</h3>{sizes}{legend(said)}{cut}</div>',
    ]


# -- norms -----------------------------------------------------------------------------------------------------------
def norm_plot(document: Mapping[str, Any]) -> str:
    """L2 norms of the largest layers over the checkpoints of the newest line that lie there, each as a multiple of its own
    first one: what grows or shrinks stands out whatever its size."""
    report = document["report"]
    line = set(document["line"]["places"])
    rows = [c for c in document["checkpoints"] if c["place"] in line and c["name"] in report["numbers"]]
    lines, entries = [], []
    wanted: list[tuple[str, str | None]] = [(name, name) for name in report["layers"]]
    for n, (label, layer) in enumerate([*wanted[:8], ("all weights", None)]):
        color = n if layer is not None else 8
        norms = [_norm(report["numbers"][row["name"]], layer) for row in rows]
        known = [norm for norm in norms if norm is not None]
        if not known:
            continue
        entries.append((f"{label}: {number(known[0])} → {number(known[-1])}", color, False))
        if known[0] > 0:
            points = [
                Point(
                    row["step"],
                    None if norm is None else norm / known[0],
                    f"{label}: {number(norm)} · step {row['step']:,}",
                )
                for row, norm in zip(rows, norms, strict=True)
            ]
            lines.append(Line(label, points, color))
    plot = line_chart(lines, label="norms of weights over checkpoints", width=960, height=280)
    return f'<div class="card">{plot}{legend(entries)}</div>'


def _norm(numbers: Mapping[str, Any], layer: str | None) -> float | None:
    return as_number(numbers["norm"] if layer is None else numbers["layers"].get(layer))


# -- lineages --------------------------------------------------------------------------------------------------------
def lineage_tree(document: Mapping[str, Any]) -> str:
    """The lines of a run, one below the other, the saves from left to right; dashed: what a new line continues."""
    rows = _with_damaged(document)
    order = {entry["lineage"]: n for n, entry in enumerate(document["lineages"])}
    wide, row_height, left = 960, 34, 16
    height = row_height * max(1, len(order)) + 12
    last = max(max((row["place"] for row in rows), default=0), 1)

    def at(row: Mapping[str, Any]) -> tuple[float, float]:
        return left + row["place"] / last * (wide - 2 * left), 20 + row_height * order.get(row["lineage"], 0)

    newest = {row["place"] for row in rows if row["place"] in set(document["line"]["places"])}
    out = [f'<svg viewBox="0 0 {wide} {height}" role="img" aria-label="lineages"><title>lineages</title>']
    nodes = []
    latest: dict[str, Mapping[str, Any]] = {}
    radius = max(1.6, min(4.5, 300 / max(1, len(rows))))
    for row in rows:
        x, y = at(row)
        color = order.get(row["lineage"], 0) % 8
        parent = latest.get(row["parent"] or "")
        if parent is not None:
            a, b = at(parent)
            jump = parent["lineage"] != row["lineage"]
            bend = (
                f"M{a:.1f} {b:.1f}C{a:.1f} {y:.1f} {a:.1f} {y:.1f} {x:.1f} {y:.1f}"
                if jump
                else f"M{a:.1f} {b:.1f}L{x:.1f} {y:.1f}"
            )
            out.append(f'<path class="edge c{color}{" jump" if jump else ""}" d="{bend}"/>')
        latest[row["name"]] = row
        if row["fault"] or row["why"] == "damaged":
            title = f"<title>{esc(row['name'])} · {esc(row['fault'] or gone(row))}</title>"
            nodes.append(
                f'<text class="bad" text-anchor="middle" x="{x:.1f}" y="{y + 5:.1f}">×{title}</text>'
            )
            continue
        hollow = " gone" if row["dropped"] else ""
        said = f"{row['name']}{_age(row)} · lineage {row['lineage']}"
        said += f" · continues {row['parent']}" if row["parent"] else ""
        said += " · on the newest line" if row["place"] in newest else ""
        nodes.append(
            f'<circle class="node c{color}{hollow}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}">'
            f"<title>{esc(said)}</title></circle>"
        )
    return "".join([*out, *nodes, "</svg>"])


def _with_damaged(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """All rows; a damaged step, whose lineage nothing tells, on that of the step before it."""
    found: list[Mapping[str, Any]] = []
    for row in sorted((*document["checkpoints"], *document["dropped"]), key=lambda row: row["place"]):
        if row["fault"]:
            before = found[-1] if found else {"lineage": "", "name": None}
            row = {**row, "lineage": before["lineage"], "parent": before["name"]}
        found.append(row)
    return found
