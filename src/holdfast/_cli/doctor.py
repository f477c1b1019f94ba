"""``holdfast doctor PATH…``: verdict, proof and findings of every checkpoint there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .options import Settings, shared

if TYPE_CHECKING:
    from .._core.fault import Progress
    from .._core.finding import Report

__all__ = ["command"]


@click.command("doctor")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@shared(depth="full")
def command(paths: tuple[str, ...], settings: Settings) -> None:
    """Examine checkpoints: are they whole, what is wrong with them, what still loads.

    PATH is a file, a TensorFlow prefix, a shard, an index or a folder; folders are searched for every
    checkpoint below. Exit code 0 if there is no finding at or above --fail-on, 1 if there is one, 2 if a path
    could not be looked at.

    \b
    Examples:
      holdfast doctor runs/bert
      holdfast model.pt other.keras
      holdfast doctor runs --depth header --format json
    """
    from .. import _api
    from .reports import run

    def examine(path: str, progress: Progress) -> Report:
        return _api.examine(
            path,
            depth=settings.depth,
            select=settings.select,
            ignore=settings.ignore,
            jobs=settings.jobs,
            progress=progress,
            recursive=True,
        )

    run("doctor", paths, settings, examine)
