"""Documents as JSON text: ASCII only (safe on any terminal and in any log), never a bare NaN or Infinity."""

from __future__ import annotations

import json
from typing import Any

from .plain import plain

__all__ = ["dumps"]


def dumps(document: Any) -> str:
    """The document, indented by two, with a newline at the end."""
    return json.dumps(plain_if_needed(document), indent=2, allow_nan=False) + "\n"


def plain_if_needed(document: Any) -> Any:
    """Documents are plain already; what a third party made is cleaned."""
    try:
        json.dumps(document, allow_nan=False)
    except (TypeError, ValueError):
        return plain(document)
    return document
