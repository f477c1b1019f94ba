"""Which text view draws which document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._core.shell import quote
from .page import Page

__all__ = ["draw"]


def draw(
    document: Mapping[str, Any],
    page: Page,
    *,
    verbose: bool = False,
    quiet: bool = False,
    table: bool = False,
    fold: bool = True,
    everything: bool = False,
    most: int | None = 12,
) -> None:
    """Draw a document of :mod:`holdfast._render.document` onto ``page``."""
    command = document.get("command", "inspect")
    if command == "inspect":
        from . import inspect_text

        limit = None if everything else inspect_text.LINES
        inspect_text.draw(document, page, table=table, fold=fold, limit=limit, verbose=verbose)
    elif command == "diff":
        from . import delta_text

        delta_text.draw(document, page, verbose=verbose, quiet=quiet, most=most)
    elif command == "history":
        from . import history_text

        history_text.draw(document, page, quiet=quiet, verbose=verbose)
    elif command == "audit":
        from . import audit_text

        audit_text.draw(document, page, verbose=verbose, quiet=quiet)
    elif command == "diagnose":
        from . import diagnosis_text

        diagnosis_text.draw(document, page, verbose=verbose, quiet=quiet)
    elif command == "drill":
        from . import drill_text

        drill_text.draw(document, page, verbose=verbose, quiet=quiet)
    elif command == "isolate":
        from . import isolate_text

        isolate_text.draw(document, page, verbose=verbose, quiet=quiet)
    elif command == "seal":
        for entry in document["seals"]:
            page.line(
                ("✔", "good"), " ", (entry["path"], "path"), "  ", ("sealed", "good"), " in ", entry["seal"]
            )
        if document["seals"] and not quiet:
            page.wrapped("Proves every byte from now on:", indent=2, style="dim")
            page.line("    ", (f"holdfast verify {quote(document['seals'][0]['path'])}", "command"))
    else:
        from . import report_text

        report_text.draw(document, page, verbose=verbose, quiet=quiet)
