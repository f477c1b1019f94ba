"""Findings as GitHub workflow commands: annotations on the files of a pull request.

Source: GitHub documentation, "Workflow commands for GitHub Actions", and actions/toolkit,
packages/core/src/command.ts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .delta_text import delta_lines
from .escape import github_data, github_property, safe
from .places import file_of

__all__ = ["of"]

_COMMAND = {"error": "error", "warning": "warning", "note": "notice"}


def of(document: Mapping[str, Any]) -> str:
    """A document as workflow commands; raises ``ValueError`` for one that holds no findings (``inspect``)."""
    command = document.get("command")
    if command == "diff":
        return delta(delta_lines(document), str(document["b"]["path"]))
    if command not in ("doctor", "verify", "scrub", "check"):
        raise ValueError(f"annotations are findings; {command or 'inspect'} has none")
    return report(document)


def report(document: Mapping[str, Any]) -> str:
    """One ``::error``, ``::warning`` or ``::notice`` a finding; then one a path that could not be looked
    at.
    """
    lines = []
    for checkpoint in document["checkpoints"]:
        for finding in checkpoint["findings"]:
            place = finding["where"]
            parts = [str(finding["message"])]
            if place["tensor"] is not None:
                parts.append(f"tensor {place['tensor']}")
            if place["offset"] is not None:
                parts.append(f"byte {place['offset']}")
            parts += [
                f"{key}: {finding['evidence'][key]}"
                for key in ("seen", "expected")
                if key in finding["evidence"]
            ]
            if finding["remedy"]:
                parts.append(str(finding["remedy"]))
            title = f"{finding['code']} {finding['slug']}"
            file = file_of(finding, checkpoint)
            lines.append(_line(_COMMAND[finding["severity"]], file, title, "\n".join(map(safe, parts))))
    for error in document.get("errors", ()):
        lines.append(_line("error", error["path"] or "", "holdfast", safe(error["message"])))
    return "".join(lines)


def delta(differences: list[tuple[str, str, str]], path: str) -> str:
    """One ``::error`` a difference, given as (code, kind, sentence)."""
    return "".join(
        _line("error", path, f"{code} {kind}".strip(), safe(text)) for code, kind, text in differences
    )


def _line(command: str, file: str, title: str, message: str) -> str:
    properties = f"file={github_property(safe(file))}," if file else ""
    return f"::{command} {properties}title={github_property(safe(title))}::{github_data(message)}\n"
