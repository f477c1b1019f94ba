"""``holdfast diagnose [FILE|-]``: the cause of an error that was printed."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from .._core.errors import CheckpointNotFound, UsageError
from .options import Settings, shared

__all__ = ["command"]


@click.command("diagnose")
@click.argument("file", required=False, metavar="[FILE|-]")
@click.option(
    "--checkpoint",
    "-c",
    "checkpoints",
    multiple=True,
    metavar="PATH",
    help="Test the causes on this checkpoint.",
)
@click.option("--text", "text", metavar="TEXT", help="The error itself, in place of a file.")
@click.option("--no-files", is_flag=True, help="Go by the text alone; open no path that stands in it.")
@shared(formats=("text", "json"), findings=False, jobs=False)
def command(
    file: str | None, checkpoints: tuple[str, ...], text: str | None, no_files: bool, settings: Settings
) -> None:
    """Tell what an error while saving or loading really means, and what to do.

    FILE is a traceback or a whole log (`-`, or nothing where something is piped in: standard input). Causes are
    ranked; those that can be are tested on the checkpoint of --checkpoint, or on paths in the text that exist
    here. Nothing that a file contains is run. Exit code 0, also where the cause is not known.

    \b
    Examples:
      python train.py 2>&1 | tee log; holdfast diagnose log
      holdfast diagnose --checkpoint runs/last.pt < traceback.txt
      holdfast diagnose --text "invalid load key, 'v'." -c model.pt
    """
    from .. import _api
    from .._diagnose.logs import excerpt
    from .._render.version import SCHEMA_VERSION

    if text is not None and file is not None:
        raise UsageError("a file and --text together", found=file)
    folder, left_out = None, ""
    if text is None:
        if file is None and sys.stdin.isatty():
            raise UsageError(
                "nothing to diagnose", expected="a file, or a text on standard input",
                remedy="`holdfast diagnose log.txt`, or paste it: `holdfast diagnose -`, then Ctrl-D.",
            )  # fmt: skip
        if file in (None, "-"):
            text, left_out = excerpt(sys.stdin.buffer)
        else:
            assert file is not None
            place = Path(file)
            if place.is_dir():
                raise UsageError(
                    "this is a folder, not a log", found=file, remedy=f"`holdfast {file}` examines the checkpoints in it.",
                )  # fmt: skip
            try:
                with place.open("rb") as stream:
                    text, left_out = excerpt(stream)
            except FileNotFoundError as error:
                raise CheckpointNotFound("no such file", file=file) from error
            folder = place.parent if any(place.parent.parts) else None
    found = _api.diagnose(text, checkpoint=checkpoints or None, folder=folder, files=not no_files)
    document = {"schema_version": SCHEMA_VERSION, "command": "diagnose", **found.as_document()}
    document["left_out"] = left_out or found.left_out
    settings.show(document)
