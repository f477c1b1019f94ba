"""What a file is that is no checkpoint. The tests themselves lie with the formats (a shard may be junk
too)."""

from __future__ import annotations

from .._formats.junk import UNFINISHED, classify, copied_as_text, unfinished

__all__ = ["UNFINISHED", "classify", "copied_as_text", "unfinished"]
