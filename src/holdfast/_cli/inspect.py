"""``holdfast inspect PATH``: what a checkpoint holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import click

from .._core.errors import UsageError
from .options import Settings, shared

if TYPE_CHECKING:
    from .._core.catalog import Catalog
    from .._core.spec import TensorSpec

__all__ = ["command"]

_SORTS = ("order", "name", "size", "dtype", "shape")


@click.command("inspect")
@click.argument("path", metavar="PATH")
@click.option(
    "--tree/--table", "tree", default=None, help="A folded tree, or one line a tensor.  [default: tree]"
)
@click.option(
    "--filter", "filters", multiple=True, metavar="GLOB", help="Only tensors of these names (* and ?)."
)
@click.option(
    "--role", "roles", multiple=True, help="Only tensors of these roles (weight, buffer, slot, ...)."
)
@click.option("--dtype", "dtypes", multiple=True, help="Only tensors of these dtypes (float32 or f32).")
@click.option("--sort", type=click.Choice(_SORTS), help="Order of the table.  [default: as stored]")
@click.option("--no-fold", is_flag=True, help="Do not fold repeated layers.")
@click.option("--all", "everything", is_flag=True, help="All lines, however many.")
@click.option("--json", "as_json", is_flag=True, help="Same as --format json.")
@shared(depth="header", formats=("text", "json"), findings=False)
def command(
    path: str,
    tree: bool | None,
    filters: tuple[str, ...],
    roles: tuple[str, ...],
    dtypes: tuple[str, ...],
    sort: str | None,
    no_fold: bool,
    everything: bool,
    as_json: bool,
    settings: Settings,
) -> None:
    """Show what a checkpoint holds: tensors, sizes, dtypes, roles, optimizers, writer.

    Reads headers only, however large the checkpoint is; --depth full reads the values too and shows their
    range.

    \b
    Examples:
      holdfast inspect model.safetensors
      holdfast inspect ckpt-1200 --role slot --sort size
      holdfast inspect model.pt --filter 'encoder/*' --depth full
    """
    from .._layouts.opening import open_target, the_one
    from .._render.document import inspect_document

    target = the_one(path)
    with open_target(target) as catalog:
        names = _chosen(catalog, filters, roles, dtypes)
        if sort not in (None, "order"):
            names = _sorted(catalog, list(catalog) if names is None else names, str(sort))
        document = inspect_document(
            catalog,
            path=target.path,
            title=target.format.title if target.format is not None else None,
            resolved=target.note,
            names=names,
            stats=_scan(catalog, names, settings) if settings.depth == "full" else None,
        )
    shown = replace(settings, format="json") if as_json else settings
    shown.show(
        document,
        table=not tree if tree is not None else sort not in (None, "order"),
        fold=not no_fold,
        everything=everything,
    )


def _chosen(
    catalog: Catalog, filters: Sequence[str], roles: Sequence[str], dtypes: Sequence[str]
) -> list[str] | None:
    """Names that pass all filters; ``None`` where there are none to pass."""
    from .._core.spec import ROLES

    if not (filters or roles or dtypes):
        return None
    for role in roles:
        if role not in ROLES:
            raise UsageError("no such role", found=repr(role), expected=", ".join(ROLES))
    wanted = {_dtype(text) for text in dtypes}
    there = {spec.dtype for spec in catalog.values()}
    for dtype in wanted - there:
        from .._core.dtypes import known

        if not known(dtype):
            raise UsageError("no such dtype", found=repr(dtype), expected=", ".join(sorted(there)) + ", ...")

    def passes(spec: TensorSpec) -> bool:
        return (
            (
                not filters
                or any(fnmatchcase(n, g) for g in filters for n in (spec.name, spec.key, *spec.aliases))
            )
            and (not roles or spec.role in roles)
            and (not wanted or spec.dtype in wanted)
        )

    return [name for name, spec in catalog.items() if passes(spec)]


def _dtype(text: str) -> str:
    from .._core.plan_text import long_dtype

    return long_dtype(text) or text


def _sorted(catalog: Catalog, names: list[str], by: str) -> list[str]:
    keys: dict[str, Any] = {
        "name": lambda name: name,
        "size": lambda name: -catalog[name].nbytes,
        "dtype": lambda name: catalog[name].dtype,
        "shape": lambda name: (len(catalog[name].shape), catalog[name].shape),
    }
    return sorted(names, key=keys[by])


def _scan(catalog: Catalog, names: list[str] | None, settings: Settings) -> dict[str, Any]:
    import sys

    from .._examine.scan import scan_catalog
    from .progress import ByteProgress

    with ByteProgress(sys.stderr, quiet=settings.quiet, total=catalog.nbytes) as progress:
        return dict(scan_catalog(catalog, names=names, jobs=settings.jobs, progress=progress))
