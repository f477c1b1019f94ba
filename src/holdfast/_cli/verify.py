"""``holdfast verify PATH…``: every byte that carries evidence, checked."""

from __future__ import annotations

import click

from .options import Settings, shared

__all__ = ["command"]


@click.command("verify")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@shared()
def command(paths: tuple[str, ...], settings: Settings) -> None:
    """Check every byte that carries evidence, and say what has none.

    Evidence is what the format itself carries (crc32c of TensorFlow, CRC-32 of zip members), a seal beside
    the checkpoint (see `holdfast seal`), and hashes that came for free: in a torch-hub name, a Hugging Face
    cache, a Git-LFS pointer, a .sha256 file.
    """
    from .. import _api
    from .reports import run

    def verify(path: str, progress: object) -> object:
        return _api.verify(path, jobs=settings.jobs, progress=progress)  # type: ignore[arg-type]

    run("verify", paths, settings, verify)
