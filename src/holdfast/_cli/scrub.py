"""``holdfast scrub RUN``: a vault's steps read again, the longest unchecked first."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import click

from .._core.errors import CheckpointNotFound
from .options import Settings, shared

__all__ = ["command"]


@click.command("scrub")
@click.argument("run", metavar="RUN")
@click.option(
    "--budget", metavar="AMOUNT", help="How much to do: 60s, 15min, 2h, 10GB.  [default: every step]"
)
@shared()
def command(run: str, budget: str | None, settings: Settings) -> None:
    """Verify a vault's committed steps, the longest unchecked first.

    Every byte is read from the medium and held against the step's record. When each step was last checked is kept
    in the run's scrub.json, so that a short scrub now and then comes round to all of them. At least one step is
    checked. Nothing is deleted: restoring passes a damaged step over.

    \b
    Examples:
      holdfast scrub runs/bert
      holdfast scrub runs/bert --budget 60s
      holdfast scrub runs/bert --budget 10GB --format json
    """
    from .._render.document import report_document
    from .._storage.local_sink import LocalSink
    from .._vault.folder.names import MANIFEST
    from .._vault.folder.steps import Steps
    from .._vault.operating.scrub import scrub
    from .progress import ByteProgress
    from .reports import known_codes

    known_codes(settings)
    steps = Steps(LocalSink(run))
    if not steps.all() and not Path(run, MANIFEST).is_file():
        raise CheckpointNotFound(
            "this folder is no vault" if Path(run).is_dir() else "no such folder", file=run,
            expected=f"{MANIFEST} and folders step-...",
            remedy=f"`holdfast verify {run}` verifies whatever checkpoints lie there.",
        )  # fmt: skip
    with ByteProgress(sys.stderr, quiet=settings.quiet) as progress:
        progress.path(run)
        report = scrub(steps, budget, jobs=settings.jobs, progress=progress)
    report = replace(
        report,
        checkpoints=tuple(
            replace(c, findings=tuple(f for f in c.findings if settings.wanted(f)))
            for c in report.checkpoints
        ),
    )
    document = {**report_document(report), "left": list(report.left)}
    settings.show(document)
    click.get_current_context().exit(int(settings.fails(report.findings)))
