"""``holdfast check [CKPT] module:factory``: will it load, what will be wrong, will the next step run?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .._core.errors import UsageError
from .options import Settings, shared

if TYPE_CHECKING:
    from .._core.plan import Plan

__all__ = ["command"]


@click.command("check")
@click.argument("arguments", nargs=-1, required=True, metavar="[CKPT] MODULE:FACTORY")
@click.option(
    "--arg",
    "given",
    multiple=True,
    metavar="NAME=VALUE",
    help="An argument for the factory; may be repeated.",
)
@click.option("--allow", multiple=True, metavar="EDIT", help="An edit taken as given; may be repeated.")
@click.option("--plan", metavar="FILE", help="A plan (TOML) taken as given.")
@click.option(
    "--write-plan", metavar="FILE", help="Write the plan that settles the differences (TOML; - prints it)."
)
@click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="NAME==VERSION",
    help="Another reader than the one installed here, such as keras==3.15.0.",
)
@shared(depth="structure", jobs=False)
def command(
    arguments: tuple[str, ...],
    given: tuple[str, ...],
    allow: tuple[str, ...],
    plan: str | None,
    write_plan: str | None,
    targets: tuple[str, ...],
    settings: Settings,
) -> None:
    """Hold a checkpoint against a live model: will it load, what will be wrong, will the next step run?

    MODULE:FACTORY names a function of your own code (train:make, or path/to/train.py:make) that returns the
    model, a (model, optimizer, scheduler, scaler) tuple or a dict of these. Without CKPT, the live objects alone
    are examined. Nothing is built, loaded or changed.

    \b
    Examples:
      holdfast check ckpt-1200.pt train:make
      holdfast check model.keras train.py:make --arg width=64
      holdfast check train:make
      holdfast check old.pt train:make --allow 'keep-live:head.*' --write-plan plan.toml
    """
    from .._examine.check import check
    from .._render.document import report_document
    from .factory import keywords, load_factory, parts_of
    from .reports import known_codes

    known_codes(settings)
    path, factory = _split(arguments)
    if path is None:
        _needs_checkpoint(allow, plan, write_plan, targets)
    reader = _targets(targets)
    wanted = _read_plan(plan) if plan is not None else None
    parts = parts_of(load_factory(factory, kwargs=keywords(given)))
    report = check(
        path,
        allow=allow,
        plan=wanted,
        depth=settings.depth,
        target=reader,
        title=factory,
        **parts,
    )
    kept = tuple(
        replace(c, findings=tuple(f for f in c.findings if settings.wanted(f))) for c in report.checkpoints
    )
    report = replace(report, checkpoints=kept)
    if write_plan is not None:
        _write_plan(report.checkpoints[0].attributes.get("plan", ()), path, factory, write_plan, settings)
    if write_plan != "-":
        settings.show(report_document(report))
    click.get_current_context().exit(int(settings.fails(report.findings)))


def _split(arguments: tuple[str, ...]) -> tuple[str | None, str]:
    """The checkpoint, where one is named, and the factory."""
    from .factory import is_factory

    if len(arguments) > 2:
        raise UsageError("one checkpoint and one factory", found=f"{len(arguments)} arguments")
    *paths, factory = arguments
    if not is_factory(factory):
        hint = None
        if Path(factory).exists():
            hint = "`holdfast doctor` examines a checkpoint alone."
            if paths and is_factory(paths[0]):
                hint = f"The checkpoint comes first: holdfast check {factory} {paths[0]}"
        elif factory.endswith("()") and is_factory(factory[:-2]):
            hint = f"Without the brackets: {factory[:-2]}; arguments are given as --arg NAME=VALUE."
        raise UsageError(
            "the last argument names no factory", expected="MODULE:FACTORY, such as train:make",
            found=factory, remedy=hint,
        )  # fmt: skip
    return (paths[0] if paths else None), factory


def _targets(texts: Sequence[str]) -> dict[str, str] | None:
    """The reader that is named, package -> version; :class:`UsageError` for an unknown one."""
    if not texts:
        return None
    from .._facts.versions import parse_reader

    return parse_reader(texts)


def _needs_checkpoint(
    allow: Sequence[str], plan: str | None, write_plan: str | None, targets: Sequence[str]
) -> None:
    """Options that say something of a checkpoint must not be passed over in silence where there is none."""
    given = {"--allow": allow, "--plan": plan, "--write-plan": write_plan, "--target": targets}
    useless = [option for option, value in given.items() if value]
    if useless:
        raise UsageError(
            f"{useless[0]} speaks of a checkpoint, and none is named",
            expected="holdfast check CKPT MODULE:FACTORY",
        )


def _read_plan(file: str) -> Plan:
    """The plan in a file, as TOML or one edit a line."""
    from .._core.errors import PlanError
    from .._examine.fit import as_plan

    try:
        return as_plan(plan=Path(file).read_text("utf-8"))
    except PlanError as error:
        error.file = error.file or file
        raise
    except UnicodeDecodeError as error:
        raise PlanError("this is no plan: the file is not text", file=file, offset=error.start) from error


def _write_plan(edits: Sequence[str], path: str | None, factory: str, place: str, settings: Settings) -> None:
    from .._core.plan import Plan

    plan = replace(Plan.parse(list(edits)), source=path or "", target=factory)
    if place != "-" and place == settings.output:
        raise UsageError("--write-plan and --output name one file", file=place)
    (settings if place == "-" else replace(settings, output=place)).write(plan.to_toml())
