"""``holdfast rule [CODE]``: what a finding means."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from .._core.errors import UsageError
from .options import Settings, shared

if TYPE_CHECKING:
    from .._render.rules_text import RuleLike

__all__ = ["command", "known"]


@dataclass(frozen=True, slots=True)
class _Difference:
    """A kind of difference, told like a rule."""

    code: str
    slug: str
    cause: str | None
    doc: str
    severity: str = "diff"
    depth: str = "structure"
    remedy: str | None = None


def known() -> list[RuleLike]:
    """All that a code can stand for: rules, and kinds of difference."""
    from .._core.difference_kinds import DIFFERENCES
    from .._rules.registry import rules

    kinds = [_Difference(k.code, k.slug, k.cause, k.doc) for k in DIFFERENCES.values()]
    every: list[RuleLike] = [*rules(), *kinds]
    return sorted(every, key=lambda rule: rule.code)


@click.command("rule")
@click.argument("code", required=False)
@shared(formats=("text", "json"), findings=False, jobs=False)
def command(code: str | None, settings: Settings) -> None:
    """Explain a finding's code (or slug), or list all of them by family.

    \b
    Examples:
      holdfast rule
      holdfast rule F102
      holdfast rule T
    """
    from .._facts.causes import cause_of
    from .._render.document import SCHEMA_VERSION
    from .._render.json import dumps
    from .._render.rules_text import draw_list, draw_page, rule_document
    from .._rules.registry import FAMILIES

    page = settings.page()
    if code is None or code.upper() in FAMILIES:
        chosen = [rule for rule in known() if code is None or rule.code.startswith(code.upper())]
        draw_list(chosen, FAMILIES, page)
    else:
        found = next((r for r in known() if code.lower() in (r.code.lower(), r.slug)), None)
        if found is None:
            names = [name for rule in known() for name in (rule.code, rule.slug)]
            near = difflib.get_close_matches(code, names, n=3) or difflib.get_close_matches(
                code.upper(), names, n=3
            )
            hint = f"Did you mean {' or '.join(near)}? " if near else ""
            raise UsageError(
                "no such rule", found=repr(code), remedy=f"{hint}`holdfast rule` lists them all."
            )
        chosen = [found]
        draw_page(found, page, cause_of(found.cause))
    if settings.format == "json":
        told = [rule_document(rule, cause_of(rule.cause)) for rule in chosen]
        settings.write(dumps({"schema_version": SCHEMA_VERSION, "rules": told}))
    else:
        settings.write(page.text())
