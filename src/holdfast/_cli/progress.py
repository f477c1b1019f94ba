"""How far a long look has come; the bar itself stands with the renderers."""

from __future__ import annotations

from .._render.progress import DELAY, ByteProgress

__all__ = ["DELAY", "ByteProgress"]
