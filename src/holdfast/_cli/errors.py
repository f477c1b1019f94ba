"""How failures are told: what, where, expected, found, next; on standard error, in a few lines."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from .._core.errors import HoldfastError
from .._core.shell import quote
from .._render.page import Page
from .._render.terminal import Terminal

__all__ = ["Failed", "complain", "complain_usage", "internal"]


class Failed(click.ClickException):
    """A failure that was expected to be possible; carries the error as its cause. Exit code 2."""

    exit_code = 2

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.__cause__ = error

    def show(self, file: Any = None) -> None:
        complain(self.__cause__ or self, file=file)


def _page() -> Page:
    return Terminal.of(sys.stderr).page()


def _write(page: Page, file: Any = None) -> None:
    click.echo(page.text(), nl=False, err=file is None, file=file, color=True)


def complain(error: BaseException, file: Any = None) -> None:
    """Tell an error on standard error."""
    page = _page()
    if isinstance(error, HoldfastError):
        page.wrapped(error.message, label=("holdfast: error:", "error"), hang=17)
        where = [
            part
            for part in (error.file, f"byte {error.offset:,}" if error.offset is not None else None)
            if part
        ]
        if error.tensor is not None:
            where.append(f"tensor {error.tensor}")
        rows = (
            ("where", ", ".join(where)),
            ("expected", error.expected),
            ("found", error.found),
            ("next", error.remedy),
        )
        for label, text in rows:
            if text:
                page.wrapped(text, indent=2, label=(label, "dim"), hang=10)
    elif isinstance(error, OSError):
        name = error.filename if isinstance(error.filename, str) else ""
        text = error.strerror or str(error) or type(error).__name__
        page.wrapped(f"{name}: {text}" if name else text, label=("holdfast: error:", "error"), hang=17)
    elif isinstance(error, MemoryError):
        page.line(("holdfast: error:", "error"), " not enough memory")
    else:
        page.wrapped(str(error), label=("holdfast: error:", "error"), hang=17)
    _write(page, file)


def complain_usage(error: click.UsageError) -> None:
    """Tell a wrong command line, and where its help is."""
    page = _page()
    page.wrapped(error.format_message(), label=("holdfast: error:", "error"), hang=17)
    command = error.ctx.command_path if error.ctx is not None else "holdfast"
    mistaken = _mistaken_for_options()
    if mistaken:
        page.wrapped(
            "a path that begins with a dash is written so:", indent=2, label=("next", "dim"), hang=10
        )
        page.line(" " * 14, (f"{command} {' '.join(map(quote, mistaken))}", "command"))
    page.line("  ", ("see       ", "dim"), (f"{command} --help", "command"))
    _write(page)


def _mistaken_for_options() -> list[str]:
    """Names of files among the arguments that begin with a dash."""
    return [word for word in sys.argv[1:] if word.startswith("-") and word != "-" and Path(word).exists()][:3]


def internal(error: Exception) -> None:
    """Tell a bug of ours."""
    page = _page()
    page.wrapped(f"{type(error).__name__}: {error}", label=("holdfast: internal error:", "error"), hang=26)
    page.wrapped(
        "This is a bug in Holdfast, not in your file; please report it. HOLDFAST_DEBUG=1 shows where it is.",
        indent=2,
        style="dim",
    )
    _write(page)


def debugging() -> bool:
    """Whether errors are to be raised with their traceback."""
    return bool(os.environ.get("HOLDFAST_DEBUG"))
