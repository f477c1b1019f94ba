"""``holdfast drill SCRIPT``: the resume rehearsal."""

from __future__ import annotations

import sys
from typing import Any

import click

from .options import Settings, shared

__all__ = ["command"]


@click.command("drill", context_settings={"ignore_unknown_options": False})
@click.argument("target", metavar="SCRIPT")
@click.argument("arguments", nargs=-1, metavar="[-- ARGS...]")
@click.option("--kills", type=click.IntRange(min=1), default=2, help="How often it is killed.  [default: 2]")
@click.option("--kill-at", type=click.IntRange(min=1), multiple=True, metavar="STEP",
              help="Kill after this optimizer step, and not at a random one; may be repeated.")  # fmt: skip
@click.option("--seed", type=int, default=0, help="Of the points at which it is killed.  [default: 0]")
@click.option("--steps", type=click.IntRange(min=3), help="End it after so many optimizer steps.")
@click.option(
    "--workdir", "-w", default=".", metavar="DIR", help="Start it in a copy of this folder.  [default: .]"
)
@click.option("--exclude", multiple=True, metavar="NAME", help="Not copied; a pattern, may be repeated.")
@click.option("--link", "links", multiple=True, metavar="NAME",
              help="Linked to instead of copied: data that is only read; a pattern, may be repeated.")  # fmt: skip
@click.option(
    "--resume-args",
    default="",
    metavar="ARGS",
    help="Added when it is started again (--resume-args=--resume).",
)
@click.option("--timeout", type=float, metavar="SECONDS", help="Give up on a run that takes longer.")
@click.option("--keep", metavar="DIR", help="Leave copies, traces and outputs there.")
@shared(formats=("text", "json"), jobs=False)
def command(
    target: str,
    arguments: tuple[str, ...],
    kills: int,
    kill_at: tuple[int, ...],
    seed: int,
    steps: int | None,
    workdir: str,
    exclude: tuple[str, ...],
    links: tuple[str, ...],
    resume_args: str,
    timeout: float | None,
    keep: str | None,
    settings: Settings,
) -> None:
    """Run a training script, kill it, resume it, and name the first thing that is not as it was.

    SCRIPT is run unchanged, as by `python SCRIPT ARGS`, in a copy of the working folder; or a `module:function`. The same
    command must resume by itself where a checkpoint lies. Learning rates, batches, weights, optimizer and random state are
    compared at every optimizer step with a run that was never killed.

    \b
    Exit code: 0 resumes exactly, 1 does not, 2 could not be drilled.

    \b
    Examples:
      holdfast drill train.py -- --epochs 2
      holdfast drill train.py --steps 50 --link data --resume-args=--resume
      holdfast drill train:main --kill-at 7
    """
    import shlex

    from .._drill.drill import drill
    from .._render.document import SCHEMA_VERSION, finding_document
    from .._render.plain import plain

    def tell(text: str) -> None:
        if "\n" in text:  # what a script that fails has said
            click.echo("\n".join(text.splitlines()[-20:]), err=True)
        elif not settings.quiet and sys.stderr.isatty():
            click.echo(f"{text} ...", err=True)

    report = drill(
        target, arguments, workdir=workdir, kills=kills, seed=seed, kill_at=kill_at, steps=steps,
        resume_arguments=shlex.split(resume_args), exclude=exclude, links=links, timeout=timeout, keep=keep, tell=tell,
    )  # fmt: skip
    kept = [f for f in report.findings if settings.wanted(f)]
    document: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "command": "drill",
        **plain(report.as_document()),
        "findings": [finding_document(f) for f in kept],
    }
    settings.show(document)
    code = report.exit_code
    if code != 2:
        code = int(settings.fails(kept))
    click.get_current_context().exit(code)
