"""One renderer per output. Documents in, text out; names from files are escaped on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .page import Page

if TYPE_CHECKING:
    from .._core.finding import Report

__all__ = ["render", "Page"]


def render(
    report: Report | Mapping[str, Any],
    format: str = "text",
    *,
    page: Page | None = None,
    color: bool = False,
    width: int = 100,
    verbose: bool = False,
    quiet: bool = False,
    rules: Sequence[Any] = (),
    table: bool = False,
    fold: bool = True,
    everything: bool = False,
    most: int | None = 12,
) -> str:
    """A report, or a document of :mod:`holdfast._render.document`, as text of the format asked for.

    ``format`` is ``text``, ``json``, ``sarif`` or ``github``. ``page`` says what the output can show (else
    ``color`` and ``width`` do); ``rules`` describe the codes in SARIF; ``table``, ``fold``, ``everything``
    are of ``inspect``, ``most`` of ``diff``.
    """
    if not isinstance(report, Mapping):
        from .document import report_document

        document: Mapping[str, Any] = report_document(report)
    else:
        document = report
    if format == "json":
        from .json import dumps

        return dumps(document)
    if format == "sarif":
        from . import sarif
        from .json import dumps

        return dumps(sarif.of(document, rules=rules))
    if format == "github":
        from . import github

        return github.of(document)
    from .text import draw

    page = page or Page(color=color, width=width)
    draw(
        document, page, verbose=verbose, quiet=quiet, table=table, fold=fold, everything=everything, most=most
    )
    return page.text()
