"""``holdfast diff A B``: what is different, and the plan that settles it."""

from __future__ import annotations

from dataclasses import replace

import click

from .._core.collector import collector_paused
from .._core.errors import UsageError
from .options import Settings, shared

__all__ = ["command"]


@click.command("diff")
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option(
    "--plan", metavar="FILE", help="Write the plan that turns A into what B expects (TOML; - prints it)."
)
@click.option(
    "--max", "most", type=click.IntRange(min=0), help="Lines of each kind, 0 for all.  [default: 12]"
)
@shared(depth="structure", jobs=False)
@collector_paused()
def command(a: str, b: str, plan: str | None, most: int | None, settings: Settings) -> None:
    """Compare two checkpoints, of any formats: names, shapes, dtypes, ties, optimizers, values.

    --depth header compares what the headers say, structure also samples values where that decides a match,
    full all values. Exit code 0 if there is no difference, 1 if there is one.

    \b
    Examples:
      holdfast diff ckpt-100 ckpt-200 --depth full
      holdfast diff model.keras export.safetensors --plan plan.toml
    """
    from .. import _api
    from .._render.delta_text import MOST
    from .._render.delta_view import delta_view
    from .._render.document import delta_document
    from .._render.plain import plain
    from .reports import known_codes

    known_codes(settings)
    delta = _api.compare(a, b, depth=settings.depth)
    # The text shows a few lines of what may be tens of thousands; the whole document would take the longest.
    document = delta_view(delta) if settings.format == "text" else delta_document(delta)
    if settings.select or settings.ignore:
        document["differences"] = [
            d for d in document["differences"] if settings.wanted_code(d["code"], d["slug"])
        ]
    if plan is not None and plan != "-":
        if settings.output == plan:
            raise UsageError("--plan and --output name one file", file=plan)
        replace(settings, output=plan).write(plain(delta.plan.to_toml()))
    if plan == "-":
        settings.write(plain(delta.plan.to_toml()))
    else:
        limit = MOST if most is None else most or None
        settings.show(document, most=limit)
    click.get_current_context().exit(int(bool(document["differences"]) and settings.fail_on != "never"))
