"""``holdfast doctor PATH…``: verdict, proof and findings of every checkpoint there."""

from __future__ import annotations

import click

from .options import Settings, shared

__all__ = ["command"]


@click.command("doctor")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@shared(depth="full")
def command(paths: tuple[str, ...], settings: Settings) -> None:
    """Examine checkpoints: are they whole, what is wrong with them, what still loads.

    PATH is a file, a TensorFlow prefix, a shard, an index or a folder; folders are searched for every
    checkpoint below. Exit code 0 if there is no finding at or above --fail-on, 1 if there is one, 2 if a path
    could not be looked at.
    """
    from .. import _api
    from .reports import run

    def examine(path: str, progress: object) -> object:
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
