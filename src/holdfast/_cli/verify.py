"""``holdfast verify PATH…``: every byte that carries evidence, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .._core.errors import UsageError
from .options import Settings, shared

if TYPE_CHECKING:
    from .._core.fault import Progress
    from .._core.finding import Report

__all__ = ["command"]


@click.command("verify")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--seal-file", metavar="FILE", help="The checkpoint's seal, where it lies elsewhere.")
@shared()
def command(paths: tuple[str, ...], seal_file: str | None, settings: Settings) -> None:
    """Check every byte that carries evidence, and say what has none.

    A folder means every checkpoint below it.

    Evidence is what the format itself carries (crc32c of TensorFlow, CRC-32 of zip members), a seal beside
    the checkpoint (see `holdfast seal`), and hashes that came for free: in a torch-hub name, a Hugging Face
    cache, a Git-LFS pointer, a .sha256 file.

    \b
    Examples:
      holdfast verify model.safetensors
      holdfast verify runs/bert
      holdfast verify model.pt --seal-file /safe/place/model.pt.holdfast.json
    """
    from .. import _api
    from .reports import run

    if seal_file is not None and len(paths) > 1:
        raise UsageError("--seal-file is for one checkpoint", found=f"{len(paths)} paths")

    def verify(path: str, progress: Progress) -> Report:
        return _api.verify(path, jobs=settings.jobs, progress=progress, seal_file=seal_file, recursive=True)

    run("verify", paths, settings, verify)
