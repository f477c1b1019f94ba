"""``holdfast history RUN``: the checkpoints of a vault, in the order of saving; one of them in detail; a report to send."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from .._core.errors import UsageError
from .options import Settings, shared

__all__ = ["command"]


@click.command("history")
@click.argument("run", metavar="RUN")
@click.argument("step", metavar="[STEP]", required=False)
@click.option("--code", is_flag=True, help="With STEP: the recorded commit and the uncommitted difference.")
@click.option(
    "--html",
    "report",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Write a report that is one page: plots, norms, findings.",
)
@shared(depth="structure", formats=("text", "json"), findings=False)
def command(run: str, step: str | None, code: bool, report: str | None, settings: Settings) -> None:
    """List the checkpoints of a vault: step, time, size, metrics, stall, lineage, and where the model's structure changed;
    then each metric over all of them, also over those that retention has dropped (-v lists them too).

    With STEP (a number, a folder's name, or "latest"), or where RUN is a step's own folder, that one in detail: its metrics
    with their meaning, its line, environment and code, and what is recorded with it. A step whose record cannot be used
    is listed with the reason; it does not vanish. Nothing is verified here: `holdfast verify RUN` does that.

    --html writes one self-contained page. --depth says how much is read for it: `header` no tensor; `structure` the
    weights, for their norms, and the doctor's look at the structure; `full` every byte and all values.

    \b
    Examples:
      holdfast history runs/bert
      holdfast history runs/bert 1200
      holdfast history runs/bert latest --code
      holdfast history runs/bert --html report.html
      holdfast history runs/bert --format json
    """
    from .._vault.history.documents import history_document, is_step, look_at_run

    if step is None and is_step(run):
        folder = Path(run).resolve()
        run, step = str(folder.parent), folder.name
    looked = look_at_run(run)
    if step is None and code:
        raise UsageError("--code is of one step", remedy=f"`holdfast history {run} latest --code`")
    if step is not None:
        if report is not None:
            raise UsageError("--html is of a whole run; STEP is one of its checkpoints")
        from .._vault.history.step_document import step_document, step_named

        document: dict[str, Any] = step_document(looked, step_named(looked, step), code=code)
    else:
        document = history_document(looked)
    if report is not None:
        document |= _reported(looked, document, report, settings)
    settings.show(document)


def _reported(looked: Any, document: dict[str, Any], file: str, settings: Settings) -> dict[str, Any]:
    """Look into the checkpoints, write the page, and say where."""
    from dataclasses import replace

    from .._render.history_html import page_of
    from .._vault.history.report import report_of
    from .progress import ByteProgress

    with ByteProgress(sys.stderr, quiet=settings.quiet) as progress:
        found = {"report": report_of(looked, depth=settings.depth, jobs=settings.jobs, progress=progress)}
    replace(settings, output=file).write(page_of({**document, **found}))
    return {**found, "written": file}
