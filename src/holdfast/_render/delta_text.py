"""``diff`` for people: a sentence, the differences by kind with like ones folded, and the plan that settles
them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from .._core.shell import quote
from . import words
from .delta_fold import fold, pattern
from .escape import cells, safe
from .page import Page

__all__ = ["MOST", "delta_lines", "draw"]

MOST = 12
"""Lines shown of each kind where not all are asked for."""

_DIGITS = re.compile(r"[0-9]+")
_GRAVE = ("T201", "T202", "T203", "T209", "T210", "T217")


def delta_lines(document: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Every difference as (code, slug, sentence)."""
    return [(d["code"], d["slug"], d["message"]) for d in document["differences"]]


def draw(
    document: Mapping[str, Any],
    page: Page,
    *,
    verbose: bool = False,
    quiet: bool = False,
    most: int | None = MOST,
) -> None:
    """Write the ``diff`` document onto ``page``; ``most`` bounds the lines of each kind, ``None`` shows
    all.
    """
    a, b = document["a"], document["b"]
    page.line(("A ", "dim"), (a["path"], "path"), "  ", (a["format"], "dim"))
    page.line(("B ", "dim"), (b["path"], "path"), "  ", (b["format"], "dim"))
    page.blank()
    same = not document["differences"]
    page.wrapped(document["summary"] + ".", label=("✔", "good") if same else ("≠", "warning"))
    if quiet:
        return
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for difference in document["differences"]:
        groups.setdefault(difference["code"], []).append(difference)
    for code, members in groups.items():
        page.blank()
        _kind(code, members, page, most=None if verbose else most, command=_command(document))
    _plan(document, page, verbose)
    if document.get("not_looked_at"):
        page.blank()
        page.wrapped("; ".join(document["not_looked_at"]), label=("not looked at", "dim"), style="dim")


def _kind(
    code: str, members: Sequence[Mapping[str, Any]], page: Page, *, most: int | None, command: str
) -> None:
    title = members[0].get("title") or members[0]["slug"].replace("-", " ")
    style = "error" if code in _GRAVE else "warning"
    page.line((title, style), f"  {words.count(len(members))}", (f"  {code} {members[0]['slug']}", "dim"))
    if code == "T211":
        _values(members, page, most, command)
        return
    folded = fold(members)
    shown = folded if most is None else folded[:most]
    for position, group in enumerate(shown):
        if (
            code == "T216" and position and most is not None
        ):  # what the first one said of the wrapper holds for all
            page.wrapped(_arrow(group), indent=4)
        else:
            _entry(group, page, most)
    rest = sum(len(group) for group in folded[len(shown) :])
    if rest:
        page.line((f"    … and {words.count(rest)} more (--max 0 shows all)", "dim"))


def _values(members: Sequence[Mapping[str, Any]], page: Page, most: int | None, command: str) -> None:
    """Tensors of other values: one line each with its distance, the farthest first; without distances,
    their names.
    """
    measured = [(m, _distance(m["evidence"])) for m in members]
    if not any(facts for _, facts in measured):
        names = [pattern([m[side] for m in group]) for group in fold(members) for side in ("b",)]
        told = names if most is None else names[: 2 * most]
        page.wrapped(", ".join(told), indent=4)
        if len(names) > len(told):
            page.line((f"    … and {words.count(len(names) - len(told))} more (--max 0 shows all)", "dim"))
        page.line("    ", ("how far apart they are: ", "dim"), (f"{command} --depth full", "command"))
        return
    rows = [_row(group) for group in (([m] for m in members) if most is None else fold(members))]
    rows.sort(key=lambda row: -row[0])
    shown = rows if most is None else rows[:most]
    wide = min(48, max(cells(safe(name)) for _, name, _ in shown))
    for _, text, facts in shown:
        name = page.clipped(text, wide)
        page.line(
            "    ", name, " " * max(2, wide - cells(name) + 2), (_fit(facts, page.width - wide - 6), "dim")
        )
    if len(rows) > len(shown):
        page.line((f"    … and {words.count(len(rows) - len(shown))} more (--max 0 shows all)", "dim"))


def _row(group: Sequence[Mapping[str, Any]]) -> tuple[float, str, list[str]]:
    """How far the farthest of like tensors is, their names as one, and what to say of them."""
    group = sorted(group, key=lambda m: -_far(m["evidence"]))
    far = _far(group[0]["evidence"])
    if len(group) == 1:
        return far, group[0]["b"] or group[0]["a"] or "", _distance(group[0]["evidence"])
    near = _far(group[-1]["evidence"])
    facts = [f"{words.count(len(group))} ×"]
    if math.isfinite(far):
        facts.append(f"relative {near:.3g}" + (f" to {far:.3g}" if f"{far:.3g}" != f"{near:.3g}" else ""))
    largest = [n for m in group if isinstance(n := _numbers(m["evidence"]).get("max_abs"), (int, float))]
    if largest:
        facts.append(f"largest {max(largest):.3g}")
    cosines = [n for m in group if isinstance(n := _numbers(m["evidence"]).get("cosine"), (int, float))]
    if cosines:
        facts.append(
            f"cosine {min(cosines):.3g}" + (" at least" if len({f"{c:.3g}" for c in cosines}) > 1 else "")
        )
    # Folding goes by the pattern; the numbers in it read best in their order.
    names = sorted(
        (m["b"] or m["a"] or "" for m in group), key=lambda n: [int(d) for d in _DIGITS.findall(n)]
    )
    return far, pattern(names), facts


def _numbers(evidence: Mapping[str, Any]) -> Mapping[str, Any]:
    nested = evidence.get("distance")
    return nested if isinstance(nested, dict) else evidence


def _fit(facts: Sequence[str], room: int) -> str:
    """As many facts as a line takes, the middle ones going first."""
    kept = list(facts)
    while len(kept) > 1 and cells(" · ".join(kept)) > room:
        kept.pop(len(kept) // 2)
    return " · ".join(kept)


def _far(evidence: Mapping[str, Any]) -> float:
    """For sorting: the relative distance, where there is one."""
    far = _numbers(evidence).get("relative")
    return float(far) if isinstance(far, (int, float)) else float("inf")


def _entry(group: Sequence[Mapping[str, Any]], page: Page, most: int | None) -> None:
    first = group[0]
    if len(group) == 1:
        page.wrapped(first["message"], indent=4)
    else:
        page.wrapped(_arrow(group), indent=4)
        page.wrapped(f"the first: {first['message']}", indent=6, style="dim")
    distance = _distance(first["evidence"])
    if distance:
        label = "distance" if len(group) == 1 else "distance of the first"
        page.facts(distance, indent=6, label=(label, "dim"), hang=len(label) + 1)
    for side in ("a", "b"):
        fitting = first.get(f"candidates_{side}") or []
        if any(name not in first["message"] for name in fitting):
            text = words.some(fitting, most or len(fitting))
            page.wrapped(text, indent=6, label=(f"in {side.upper()}:", "dim"))
    if first.get("related"):
        text = f"and {words.plural(len(first['related']), 'slot')} of it: {words.some(first['related'], 2)}"
        page.wrapped(text, indent=6, style="dim")


def _arrow(group: Sequence[Mapping[str, Any]]) -> str:
    """``layers.{0..23}.w → block.{0..23}.kernel  (24 ×)``."""
    left, right = (pattern([member[side] for member in group]) for side in ("a", "b"))
    names = f"{left} → {right}" if left and right and left != right else left or right
    return names if len(group) == 1 else f"{names}  ({words.count(len(group))} ×)"


def _command(document: Mapping[str, Any]) -> str:
    return f"holdfast diff {quote(document['a']['path'])} {quote(document['b']['path'])}"


def _distance(evidence: Mapping[str, Any]) -> list[str]:
    found = _numbers(evidence)
    facts = []
    if isinstance(found.get("different"), int) and isinstance(found.get("elements"), int):
        facts.append(f"{words.count(found['different'])} of {words.plural(found['elements'], 'element')}")
    for key, label in (
        ("max_abs", "largest"),
        ("rms", "rms"),
        ("relative", "relative"),
        ("cosine", "cosine"),
    ):
        if isinstance(found.get(key), (int, float, str)) and not isinstance(found.get(key), bool):
            number = found[key]
            facts.append(f"{label} {number:.3g}" if isinstance(number, float) else f"{label} {number}")
    return facts


def _plan(document: Mapping[str, Any], page: Page, verbose: bool) -> None:
    edits, unsettled = document["plan"], document.get("unsettled") or []
    if not edits and not unsettled:
        return
    page.blank()
    if edits and not unsettled and (document.get("matched") or {}).get("pairs") == 0:
        page.wrapped(
            "no plan: nothing of A has a place in B. They are two models, or one is made to go on top of the other (an "
            "adapter, an optimizer's state)",
            label=("the plan", "bold"),
        )
        return
    page.line(("the plan", "bold"), ("  edits that turn A into what B expects", "dim"))
    shown = edits if verbose else edits[:MOST]
    for edit in shown:
        page.line("    ", (edit, "command"))
    if len(edits) > len(shown):
        page.line((f"    … and {words.count(len(edits) - len(shown))} more", "dim"))
    for text in unsettled if verbose else unsettled[:3]:
        page.wrapped(text, indent=4, label=("left open:", "warning"))
    if len(unsettled) > 3 and not verbose:
        page.line((f"    … and {words.count(len(unsettled) - 3)} more left open", "dim"))
    page.line("  ", ("to keep and edit it: ", "dim"), (f"{_command(document)} --plan plan.toml", "command"))
