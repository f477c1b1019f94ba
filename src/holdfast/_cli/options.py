"""Options that commands share, and the settings they come to with ``[tool.holdfast]`` of pyproject.toml."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from .._core.errors import UsageError
from .._core.finding import SEVERITIES, Finding, severity_rank
from .._core.shell import quote
from .._render.page import Page
from .._render.terminal import Terminal

__all__ = ["Settings", "shared", "DEPTHS", "FORMATS", "FAIL_ON"]

FORMATS = ("text", "json", "sarif", "github")
FAIL_ON = (*SEVERITIES, "never")
DEPTHS = ("header", "structure", "full")

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Settings:
    """What command line, configuration and defaults come to."""

    format: str = "text"
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    fail_on: str = "error"
    depth: str = "full"
    jobs: int | None = None
    color: bool | None = None
    output: str | None = None
    quiet: bool = False
    verbose: bool = False

    def page(self) -> Page:
        """An empty page for the place where the output goes."""
        if self.output not in (None, "-"):
            return Terminal(bool(self.color), 100, True, False).page()
        return Terminal.of(sys.stdout, self.color).page()

    def write(self, text: str) -> None:
        """Put the output where ``--output`` says: standard output, or a file that appears whole or not at
        all.
        """
        if self.output in (None, "-"):
            encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
            with _naming("standard output"):
                sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
                sys.stdout.flush()
            return
        assert self.output is not None
        target = Path(self.output)
        if not target.parent.is_dir():
            raise UsageError(
                "the output cannot be written: its folder does not exist",
                file=self.output,
                remedy=f"`mkdir -p {quote(str(target.parent))}`",
            )
        if (
            target.exists() and not target.is_file()
        ):  # /dev/stdout, a pipe: it is written to, and never replaced
            with _naming(self.output), target.open("w", encoding="utf-8") as file:
                file.write(text)
            return
        target = target.resolve()  # a link stays a link
        beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            with _naming(self.output):
                beside.write_text(text, encoding="utf-8")
                beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)

    def show(self, document: Mapping[str, Any], **how: Any) -> None:
        """Render a document of :mod:`holdfast._render.document` as asked for, and put it out. ``how``: what :func:`render` takes
        beside."""
        from .._render import render

        if self.format == "sarif":
            from .._rules.registry import rules

            how["rules"] = rules()
        self.write(
            render(document, self.format, page=self.page(), quiet=self.quiet, verbose=self.verbose, **how)
        )

    def fails(self, findings: Iterable[Finding]) -> bool:
        """Whether any finding is at or above ``fail_on``."""
        if self.fail_on == "never":
            return False
        limit = severity_rank(self.fail_on)
        return any(severity_rank(finding.severity) <= limit for finding in findings)

    def wanted(self, finding: Finding) -> bool:
        """Whether ``--select`` and ``--ignore`` let a finding through (codes, beginnings of codes, or
        slugs).
        """
        return self.wanted_code(finding.code, finding.slug)

    def wanted_code(self, code: str, slug: str) -> bool:
        """The same by code and slug: of two that match the longer counts, ``ignore`` at a tie."""
        wanted, refused = _longest(code, slug, self.select), _longest(code, slug, self.ignore)
        return (not self.select or wanted > 0) and (not refused or wanted > refused)


@contextmanager
def _naming(place: str) -> Iterator[None]:
    """An error of the system while writing bears the name of what was written: a full disk does not say it."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), place) from error


def _longest(code: str, slug: str, patterns: tuple[str, ...]) -> int:
    return max((len(p) for p in patterns if code.startswith(p.upper()) or slug == p.lower()), default=0)


def _words(ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word.strip() for text in value for word in text.split(",") if word.strip())


def shared(
    *,
    depth: str | None = None,
    formats: tuple[str, ...] = FORMATS,
    findings: bool = True,
    jobs: bool = True,
    prints: bool = True,
) -> Callable[[Command], Command]:
    """Give a command the options of the house; it is called with ``settings=`` in their place.

    ``depth`` is the command's own default (``None``: it has no such option); ``formats`` those it can print. ``prints=False``:
    what it prints, where, and its exit code are not its own (``run``).
    """

    def decorate(command: Command) -> Command:
        def run(**given: Any) -> Any:
            settings = _settings(given, depth, formats)
            rest = {name: value for name, value in given.items() if name not in _OWN}
            return command(settings=settings, **rest)

        run.__name__, run.__doc__ = command.__name__, command.__doc__
        made: Any = run
        own = getattr(command, "__click_params__", [])
        made.__click_params__ = list(own)
        for option in reversed(list(_options(depth, formats, findings, jobs, prints))):
            made = option(made)
        # The command's own parameters come first in its help.
        made.__click_params__ = made.__click_params__[len(own) :] + made.__click_params__[: len(own)]
        return made

    return decorate


_OWN = ("format", "select", "ignore", "fail_on", "depth", "jobs", "color", "output", "quiet", "verbose")


def _options(
    depth: str | None, formats: tuple[str, ...], findings: bool, jobs: bool, prints: bool
) -> Iterable[Callable[..., Any]]:
    if prints:
        yield click.option("--format", type=click.Choice(formats), help="How to print it.  [default: text]")
    if findings:
        yield click.option(
            "--select",
            multiple=True,
            metavar="CODE,…",
            callback=_words,
            help="Only these codes, families or slugs.",
        )
        yield click.option(
            "--ignore", multiple=True, metavar="CODE,…", callback=_words, help="All but these."
        )
        if prints:
            yield click.option(
                "--fail-on", type=click.Choice(FAIL_ON), help="When to exit with 1.  [default: error]"
            )
    if depth is not None:
        yield click.option(
            "--depth", type=click.Choice(DEPTHS), help=f"How much to look at.  [default: {depth}]"
        )
    if jobs:
        yield click.option(
            "--jobs", "-j", type=click.IntRange(min=1), help="Threads.  [default: as many as help]"
        )
    yield click.option("--color/--no-color", default=None, help="Colour, or none.  [default: on a terminal]")
    if prints:
        yield click.option(
            "--output",
            "-o",
            type=click.Path(dir_okay=False, allow_dash=True),
            metavar="FILE",
            help="Write there.",
        )
    yield click.option("--quiet", "-q", is_flag=True, help="Only what matters.")
    yield click.option("--verbose", "-v", is_flag=True, help="Everything there is to say.")


def _settings(given: dict[str, Any], depth: str | None, formats: tuple[str, ...]) -> Settings:
    from .config import configuration

    if given["quiet"] and given["verbose"]:
        raise UsageError("--quiet and --verbose exclude each other")
    config = configuration()
    format = given.get("format") or config.get("format", "text")
    if format not in formats:  # a configured format that this command does not have
        format = "text"
    return Settings(
        format=format,
        select=given.get("select") or tuple(config.get("select", ())),
        ignore=given.get("ignore") or tuple(config.get("ignore", ())),
        fail_on=given.get("fail_on") or config.get("fail-on", "error"),
        depth=given.get("depth") or (config.get("depth") if depth != "header" else None) or depth or "full",
        jobs=given.get("jobs"),
        color=given["color"],
        output=given.get("output"),
        quiet=given["quiet"],
        verbose=given["verbose"],
    )
