"""``holdfast seal PATH…``: the digests of a checkpoint, written beside it."""

from __future__ import annotations

import sys

import click

from .._core.errors import HoldfastError, UsageError
from .options import Settings, shared

__all__ = ["command"]


@click.command("seal")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--seal-file", metavar="FILE", help="Write the seal there instead of beside the checkpoint.")
@click.option("--overwrite", is_flag=True, help="Replace a seal that says otherwise.")
@click.option("--force", is_flag=True, help="Seal a damaged checkpoint as it is, and record what is wrong.")
@click.option(
    "--for",
    "factory",
    metavar="MODULE:FACTORY",
    help="The model that was saved: its architecture and code are recorded too.",
)
@click.option(
    "--arg",
    "given",
    multiple=True,
    metavar="NAME=VALUE",
    help="An argument for the factory; may be repeated.",
)
@shared(formats=("text", "json"), findings=False)
def command(
    paths: tuple[str, ...],
    seal_file: str | None,
    overwrite: bool,
    force: bool,
    factory: str | None,
    given: tuple[str, ...],
    settings: Settings,
) -> None:
    """Write the digests of a checkpoint beside it, as NAME.holdfast.json.

    `holdfast verify` then proves every byte, and names the tensor, file and offset that changed. The
    checkpoint's own checksums are tested first, so that damage is not sealed. With --for, a changed activation,
    stride or layer code is seen later too, although no shape tells.

    \b
    Examples:
      holdfast seal model.safetensors
      holdfast seal model.safetensors --for train:build_model
      holdfast seal runs/bert/ckpt-1200 --seal-file /safe/place/ckpt-1200.json
    """
    from .._integrity.seal import seal_path
    from .._render.document import SCHEMA_VERSION, error_document
    from .errors import complain, debugging
    from .progress import ByteProgress

    if seal_file is not None and len(paths) > 1:
        raise UsageError("--seal-file is for one checkpoint", found=f"{len(paths)} paths")
    live = None
    if factory is not None:
        from .._frameworks import live_catalog
        from .factory import keywords, load_factory, parts_of

        live = live_catalog(model=parts_of(load_factory(factory, kwargs=keywords(given)))["model"])
    sealed: list[dict[str, str]] = []
    failures: list[tuple[str, Exception]] = []
    with ByteProgress(sys.stderr, quiet=settings.quiet) as progress:
        for path in paths:
            progress.path(path)
            try:
                written = seal_path(
                    path,
                    seal_file,
                    overwrite=overwrite,
                    force=force,
                    jobs=settings.jobs,
                    progress=progress,
                    live=live,
                )
                sealed.append({"path": path, "seal": written})
            except (HoldfastError, OSError, MemoryError) as error:
                if debugging():
                    raise
                failures.append((path, error))
    document = {
        "schema_version": SCHEMA_VERSION,
        "command": "seal",
        "seals": sealed,
        "errors": [error_document(error, path) for path, error in failures],
    }
    settings.show(document)
    for _, failure in failures:
        complain(failure)
    click.get_current_context().exit(2 if failures else 0)
