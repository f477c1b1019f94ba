"""``holdfast run SCRIPT``: an unchanged program, its saves and loads watched."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from .options import Settings, shared

__all__ = ["command"]


class _Program(click.Command):
    """What follows ``-m MODULE`` belongs to the module, as with ``python -m``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        valued = {o for p in self.params if isinstance(p, click.Option) and not p.is_flag for o in p.opts}
        at = 0
        while at < len(args) and args[at].startswith("-") and args[at] != "--":
            if args[at] in ("-m", "--module"):
                args = [*args[: at + 2], "--", *args[at + 2 :]]
                break
            at += 2 if args[at] in valued else 1
        return super().parse_args(ctx, args)


@click.command(
    "run", cls=_Program, context_settings={"allow_interspersed_args": False, "ignore_unknown_options": False}
)
@click.argument("target", metavar="SCRIPT", required=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[ARGS]...")
@click.option("--module", "-m", "module", metavar="MODULE", help="Run a module, as `python -m` does.")
@click.option("--protect", is_flag=True, help="Make every save atomic: written aside, verified, renamed.")
@click.option("--seal", is_flag=True, help="Seal every checkpoint that is saved.")
@click.option("--strict", is_flag=True, help="An error becomes an exception at the call.")
@click.option(
    "--framework-log", is_flag=True, help="The frameworks' own debug logging around saves and loads."
)
@click.option("--no-verify", is_flag=True, help="Look at structure only, not at every byte.")
@click.option("--json", "document", metavar="FILE", type=click.Path(dir_okay=False),
              help="Write everything that was watched there, as JSON.")  # fmt: skip
@shared(jobs=False, prints=False)
def command(
    target: str | None,
    arguments: tuple[str, ...],
    module: str | None,
    protect: bool,
    seal: bool,
    strict: bool,
    framework_log: bool,
    no_verify: bool,
    document: str | None,
    settings: Settings,
) -> None:
    """Run a program unchanged and watch what it saves and loads.

    Before a load: what the file is, whether it is whole, whether it fits. After it: what was really restored, and whether
    the next step will run. At a save: what it puts at risk, and whether what it wrote is there and whole. What is wrong is told
    on standard error at once, with a summary at the end; the program's own output and results stay as they are.

    \b
    Exit code: the program's own; 1 with --strict where something was wrong.

    \b
    Examples:
      holdfast run train.py --epochs 3
      holdfast run --protect --seal train.py
      holdfast run --strict -m package.train --resume
    """
    from .._core.errors import UsageError
    from .._diagnose.explaining import install_hook
    from .._guard.guard import Guard, Options
    from .._guard.program import run_program
    from .._guard.telling import summing_up, teller

    rest = list(arguments)
    if module is not None and target is not None:
        rest = [target, *rest]
    name = module or target
    if name is None:
        raise UsageError(
            "no program was named", remedy="`holdfast run SCRIPT [ARGS]...` or `holdfast run -m MODULE`."
        )
    if settings.select or settings.ignore:
        _check_codes((*settings.select, *settings.ignore))
    if document is not None:
        document = str(Path.cwd() / document)  # the program may go elsewhere
        if not Path(document).parent.is_dir():
            raise UsageError("the document cannot be written: its folder does not exist", file=document)
    options = Options(
        protect=protect, seal=seal, strict=strict, framework_log=framework_log, verify=not no_verify
    )
    tell = teller(
        sys.stderr,
        color=settings.color,
        verbose=settings.verbose,
        quiet=settings.quiet,
        wanted=settings.wanted,
    )
    undo = install_hook()
    guard = Guard(options, tell)
    code: int | None = None
    ended: list[BaseException] = []
    process = os.getpid()
    try:
        code = run_program(name, rest, module=module is not None, ended=ended.append)
    finally:
        if os.getpid() == process:  # a child that the program has forked ends here too
            guard.close(code)
            undo()
            last = ended[-1] if ended else None
            summing_up(guard, sys.stderr, [name, *rest], code, document, settings, last)
    if strict and not code and guard.worst == "error":
        code = 1
    click.get_current_context().exit(code)


def _check_codes(texts: tuple[str, ...]) -> None:
    """Raises :class:`UsageError` for a code that no rule and no kind of difference has."""
    from .._core.difference_kinds import DIFFERENCES
    from .._core.errors import UsageError
    from .._rules.registry import rules

    known = [(r.code, r.slug) for r in rules()] + [(k.code, k.slug) for k in DIFFERENCES.values()]
    for text in texts:
        if not any(code.startswith(text.upper()) or slug == text.lower() for code, slug in known):
            raise UsageError("no rule answers to that code", found=text, remedy="`holdfast rule` lists them.")
