"""Which file an annotation belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["file_of"]


def file_of(finding: Mapping[str, Any], checkpoint: Mapping[str, Any]) -> str:
    """The file that a finding names, else the checkpoint; for live objects the file of the factory that made them
    (``src.train:make``: ``src/train.py``), as far as its name tells."""
    named = finding["where"]["file"]
    if named:
        return str(named)
    path = str(checkpoint["path"])
    if checkpoint["format"] != "live":
        return path
    module = path.rpartition(":")[0]
    return module if module.endswith(".py") or not module else module.replace(".", "/") + ".py"
