"""``holdfast isolate module:factory``: what exactly cannot be saved."""

from __future__ import annotations

import sys
from typing import Any

import click

from .options import Settings, shared

__all__ = ["command"]


@click.command("isolate")
@click.argument("factory", metavar="MODULE:FACTORY")
@click.option(
    "--save",
    "-s",
    type=click.Choice(("torch", "keras", "keras-weights", "keras-h5", "tf", "savedmodel", "orbax", "vault")),
    help="How it is saved.  [default: as fits what the factory gives]",
)
@click.option(
    "--arg",
    "given",
    multiple=True,
    metavar="NAME=VALUE",
    help="An argument for the factory; may be repeated.",
)
@click.option("--timeout", type=float, default=600.0, metavar="SECONDS", help="Of one save.  [default: 600]")
@click.option("--folder", metavar="DIR", help="Write scratch files there.  [default: the temporary folder]")
@click.option(
    "--most",
    type=click.IntRange(min=4),
    default=1000,
    metavar="N",
    help="Saves to try at most.  [default: 1000]",
)
@shared(formats=("text", "json"), findings=False, jobs=False)
def command(
    factory: str,
    save: str | None,
    given: tuple[str, ...],
    timeout: float,
    folder: str | None,
    most: int,
    settings: Settings,
) -> None:
    """Find the smallest tensor, layer or attribute that cannot be saved, and say what is wrong with it.

    MODULE:FACTORY names a function of your own code (train:make, or path/to/train.py:make) that returns what you would save:
    a model, a (model, optimizer) tuple, a dict, a tf.train.Checkpoint. It is really saved, with the framework's own call, into a
    scratch folder, and read back; where that fails, parts are left out until the smallest remains. All in another process, so
    that a save that hangs or crashes is found out too.

    \b
    --save torch           torch.save, torch.load
           keras           model.save("x.keras"), load_model
           keras-weights   model.save_weights("x.weights.h5")
           keras-h5        model.save("x.h5"), load_model
           tf              tf.train.Checkpoint
           savedmodel      tf.saved_model.save
           orbax           orbax.checkpoint
           vault           holdfast.Vault

    \b
    Exit code: 0 all is saved, 1 something cannot be, 2 the command failed.

    \b
    Examples:
      holdfast isolate train:make
      holdfast isolate train.py:make_checkpoint --save torch --arg width=64
      holdfast isolate train:model --save keras
    """
    from .._isolate.process import isolate_elsewhere
    from .._render.document import SCHEMA_VERSION
    from .._render.plain import plain
    from .factory import keywords

    def tell(text: str) -> None:
        if not settings.quiet and sys.stderr.isatty():
            click.echo(f"\r\x1b[K{text} ...", err=True, nl=False)

    def said(text: str) -> None:
        if text:
            click.echo("\n".join(text.splitlines()[-40:]), err=True)

    try:
        report = isolate_elsewhere(
            factory,
            save,
            arguments=keywords(given),
            timeout=timeout,
            folder=folder,
            most=most,
            tell=tell,
            said=said,
        )
    finally:
        if not settings.quiet and sys.stderr.isatty():
            click.echo("\r\x1b[K", err=True, nl=False)
    document: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "command": "isolate",
        **plain(report.as_document()),
    }
    settings.show(document)
    click.get_current_context().exit(report.exit_code)
