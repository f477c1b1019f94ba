"""``audit`` for people: the answer first, then the table, then causes, what was ruled out, and the environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import words
from .page import Page

__all__ = ["draw"]

_MARKS = {
    "reproduced": ("✔", "good", "reproduced"),
    "differs": ("✘", "error", "differs"),
    "cannot-compare": ("·", "dim", "cannot be compared"),
    "not-measured": ("·", "dim", "not measured"),
}
_STATUS = {"proved": "proved", "fits": "fits the numbers", "likely": "likely, not tested"}
_MEANS = {
    "proved": "proved: compared by content, or counted",
    "fits": "fits: tried out, and the recorded number came back",
    "likely": "likely: it is so; whether it explains the difference was not tested",
}


def draw(document: Mapping[str, Any], page: Page, *, verbose: bool = False, quiet: bool = False) -> None:
    """Write an ``audit`` document onto ``page``."""
    good = document["verdict"] == "reproduced"
    page.line((document["path"], "path"))
    mark = (
        ("✔", "good")
        if good
        else ("·", "dim")
        if document["verdict"] == "nothing-to-compare"
        else ("✘", "error")
    )
    page.wrapped(document["summary"], indent=2, label=mark, hang=2)
    if quiet and good:
        return
    page.blank()
    _table(document["metrics"], page)
    causes = _causes(document["metrics"])
    if len(causes) == 1 and causes[0][0]["message"] in document["summary"]:
        _only(causes[0], document["metrics"], page)
    elif causes:
        page.blank()
        page.line(("Likely causes, in order", "head"))
        for n, (cause, names) in enumerate(causes, 1):
            page.wrapped(
                f"{cause['message']} ({_STATUS[cause['status']]}; {', '.join(names)})",
                indent=2,
                label=f"{n}.",
            )
    for row in document["metrics"]:
        if row["parts"]:
            page.blank()
            gap = row["recorded"] - row["now"]
            page.line((f"{row['name']}: {gap:+.4g} = ", "head"))
            for part in row["parts"]:
                page.wrapped(part["what"], indent=4, label=f"{part['amount']:+.4g}", hang=11)
    if document["ruled_out"] and (verbose or not causes):
        page.blank()
        page.wrapped("; ".join(document["ruled_out"]), label="Ruled out:", hang=13, style="dim")
    page.blank()
    page.wrapped(document["state"], label="State:", hang=13)
    if document["probe"]:
        again = not good and document["probe"] in document["summary"]
        text = "diverges there" if again else document["probe"].removeprefix("the probe ")
        page.wrapped(text, label="Probe:", hang=13)
    if document.get("data"):
        page.wrapped(document["data"], label="Data:", hang=13)
    _environment(document["environment"], page, verbose=verbose)
    for finding in document["findings"]:
        if finding["remedy"] and finding["severity"] != "note":
            page.wrapped(f"{finding['code']} {finding['remedy']}", label="Next:", hang=13)


def _table(rows: list[Mapping[str, Any]], page: Page) -> None:
    width = max((len(row["name"]) for row in rows), default=0)
    if rows:
        page.line("    ", (f"{'':<{width}}  {'recorded':>12}  {'now':>12}", "dim"))
    for n, row in enumerate(rows):
        mark, style, text = _MARKS[row["verdict"]]
        numbers = f"{_number(row['recorded']):>12}  {_number(row['now']):>12}"
        far = row["distance"]
        if row["verdict"] in ("reproduced", "differs") and far is not None:
            text += (
                " exactly"
                if far == 0
                else f" to {far:.1g}"
                if row["verdict"] == "reproduced"
                else f" by {far:.2g}"
            )
        page.line("  ", (mark, style), f" {row['name']:<{width}}  {numbers}  ", (text, style))
        following = rows[n + 1] if n + 1 < len(rows) else None
        if row["why"] and (following is None or following["why"] != row["why"]):
            page.wrapped(row["why"], indent=4 + width + 2, style="dim")
        tolerance = row["tolerance"] if row["verdict"] == "differs" else None
        if tolerance and not any(
            r["verdict"] == "differs" and r["tolerance"] == tolerance for r in rows[n + 1 :]
        ):
            page.wrapped(f"tolerance: {tolerance}", indent=4 + width + 2, style="dim")
    apart = [r["name"] for r in rows if r["meaning"].get("kind") == "running-average" and r["now"] is None]
    if apart:
        text = f"Where the evaluation also returns {' and '.join(apart[:3])} of the training data, that gap is taken apart."
        page.wrapped(text, indent=4 + width + 2, style="dim")


def _only(found: tuple[Mapping[str, Any], list[str]], rows: list[Mapping[str, Any]], page: Page) -> None:
    """The one cause, which the first line has told: how sure it is, and what it leaves open."""
    cause, names = found
    page.blank()
    page.wrapped(_MEANS[cause["status"]], label="Cause:", hang=13)
    left = [row["name"] for row in rows if row["verdict"] == "differs" and row["name"] not in names]
    if left:
        page.wrapped(f"it does not explain {' and '.join(left)}", indent=13)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.7g}"


def _causes(rows: list[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], list[str]]]:
    """Each cause once, with the metrics that it explains, in the order of the first that names it."""
    found: dict[str, tuple[Mapping[str, Any], list[str]]] = {}
    for row in rows:
        for cause in row["causes"]:
            found.setdefault(cause["message"], (cause, []))[1].append(row["name"])
    return list(found.values())


def _environment(changes: list[Mapping[str, Any]], page: Page, *, verbose: bool) -> None:
    matter = [c for c in changes if c["matters"]]
    shown = changes if verbose else matter
    for n, change in enumerate(shown[: None if verbose else 8]):
        text = f"{change['name']}: {words.value(change['then'])} then, {words.value(change['now'])} now"
        text += f" ({change['why']})" if change["why"] else ""
        page.wrapped(text, label="" if n else "Environment:", hang=13)
    if len(matter) > 8 and not verbose:
        page.wrapped(
            f"and {len(matter) - 8} more that can change numbers (--verbose)", indent=13, style="dim"
        )
    rest = len(changes) - len(matter)
    if rest and not verbose:
        page.wrapped(f"{rest} further differences that change no numbers", label="" if matter else "Environment:", hang=13,
                     style="dim")  # fmt: skip
