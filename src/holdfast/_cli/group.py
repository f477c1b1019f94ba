"""The command group: which commands there are, and that a bare path means ``doctor``."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import click

from .._core.errors import HoldfastError, UsageError
from .errors import Failed, debugging

__all__ = ["main", "COMMANDS", "LATER"]

COMMANDS = {
    "doctor": "Is it whole, what is wrong, what still loads?",
    "inspect": "Show what a checkpoint holds.",
    "verify": "Check every byte that carries a checksum or a seal.",
    "seal": "Write a checkpoint's digests beside it, for verify.",
    "diff": "Compare two checkpoints, of any formats.",
    "run": "Run a program, and watch what it saves and loads.",
    "diagnose": "What does this error mean, and what is to be done?",
    "check": "Will it load into this model, and will the next step run?",
    "audit": "Does it measure as it was logged, and if not, why?",
    "drill": "Killed and resumed, does it go on exactly?",
    "isolate": "Which part of it is it that cannot be saved?",
    "history": "List a vault's checkpoints.",
    "scrub": "Verify a vault's steps, the longest unchecked first.",
    "rule": "Explain a finding's code, or list all of them.",
}
LATER = ("restore", "convert", "heal")


class Group(click.Group):
    """Finds commands by name, imports only the one that is typed, and turns our errors into exit code 2."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command = import_module(f"{__package__}.{name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in COMMANDS and args[0] not in ("--help", "-h", "--version", "-V"):
            if args[0] in LATER:
                there = f"; a file of that name is ./{args[0]}" if Path(args[0]).exists() else ""
                raise Failed(
                    UsageError(
                        f"this version has no command '{args[0]}' yet{there}",
                        expected=", ".join(COMMANDS),
                        remedy="`holdfast --help` says what each of them does.",
                    )
                )
            args = ["doctor", *args]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise
        except (HoldfastError, OSError, MemoryError) as error:
            if debugging():
                raise
            raise Failed(error) from error


@click.group(
    cls=Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=True,
    epilog="A path may be a file, a TensorFlow prefix, a shard, an index, or a folder. "
    "`holdfast PATH...` is `holdfast doctor PATH...`; write a path that is named like a command as ./NAME.",
)
@click.version_option(None, "-V", "--version", package_name="holdfast", message="holdfast %(version)s")
def main() -> None:
    """Tell what a checkpoint is, whether it is whole, and what is wrong with it.

    No framework is needed, and nothing that a file contains is run.
    """
