"""``rule`` for people: the list by family, and one rule's page."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from .page import Page

__all__ = ["CauseLike", "RuleLike", "draw_list", "draw_page", "rule_document"]


class RuleLike(Protocol):
    """What a renderer needs to know of a rule."""

    @property
    def code(self) -> str: ...

    @property
    def slug(self) -> str: ...

    @property
    def severity(self) -> str: ...

    @property
    def cause(self) -> str | None: ...

    @property
    def depth(self) -> str: ...

    @property
    def doc(self) -> str: ...

    @property
    def remedy(self) -> str | None: ...


class CauseLike(Protocol):
    """What a renderer needs to know of a cause."""

    @property
    def title(self) -> str: ...

    @property
    def explanation(self) -> str: ...


def rule_document(rule: RuleLike, cause: CauseLike | None = None) -> dict[str, Any]:
    """One rule as plain data; ``cause``: what its label stands for."""
    document = {
        "code": rule.code,
        "slug": rule.slug,
        "severity": rule.severity,
        "cause": rule.cause,
        "depth": rule.depth,
        "summary": _summary(rule),
        "doc": inspect.cleandoc(rule.doc),
        "remedy": rule.remedy,
    }
    if cause is not None:
        document |= {"cause_title": cause.title, "cause_explanation": cause.explanation}
    return document


def _summary(rule: RuleLike) -> str:
    return " ".join(inspect.cleandoc(rule.doc).split("\n\n")[0].replace("``", "`").split())


def draw_list(rules: Iterable[RuleLike], families: Mapping[str, str], page: Page) -> None:
    """All rules, a line each, by family."""
    rules = list(rules)
    wide = max((len(rule.slug) for rule in rules), default=0)
    for letter, title in families.items():
        members = [rule for rule in rules if rule.code.startswith(letter)]
        if not members:
            continue
        page.blank()
        page.line((f"{letter}  {title}", "bold"))
        for rule in members:
            first = _summary(rule)
            room = page.width - wide - 20
            page.line(
                "  ",
                (rule.code, "bold"),
                "  ",
                rule.slug.ljust(wide),
                "  ",
                (rule.severity.ljust(7), rule.severity),
                "  ",
                (first if len(first) <= room else first[: max(8, room - 1)].rsplit(" ", 1)[0] + " …", "dim"),
            )
    page.blank()
    page.line(("holdfast rule CODE explains one", "dim"))


def draw_page(rule: RuleLike, page: Page, cause: CauseLike | None = None) -> None:
    """One rule's documentation; ``cause``: what its label stands for."""
    page.line((rule.code, "bold"), " ", (rule.slug, "bold"), "  ", (rule.severity, rule.severity))
    facts = [f"seen at depth {rule.depth} and deeper" if rule.depth != "full" else "seen at depth full"]
    if rule.cause:
        facts.append(f"cause: {rule.cause.replace('-', ' ')}")
    page.line((" · ".join(facts), "dim"))
    for paragraph in inspect.cleandoc(rule.doc).replace("``", "`").split("\n\n"):
        page.blank()
        lines = paragraph.split("\n")
        if any(line.startswith((" ", "-", "*", "|")) for line in lines):
            for line in lines:
                page.line(line)
        else:
            page.wrapped(" ".join(lines))
    if cause is not None:
        page.blank()
        page.wrapped(f"{cause.title}. {cause.explanation}", label=("cause", "dim"), hang=7)
    if rule.remedy:
        page.blank()
        page.wrapped(rule.remedy, label=("next", "dim"), hang=6)
