"""One row: what a file asks of the version that reads it."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["Need", "Outcome"]

Outcome = Literal["loads-with-losses", "does-not-load"]


class Need(NamedTuple):
    """A kind of file and a span of readers that do not get all of it.

    ``formats``: names of formats. ``trait``: a word of :data:`TRAITS` that must hold of the catalog. ``writer``: span
    of the writer's version (a file that does not tell its writer only fits the empty span). ``readers`` and
    ``versions``: packages and the span of their versions for which the row holds. ``text``: what happens, a clause
    that goes on after "reader VERSION"; ``remedy``: the way. ``lost``: for losses, what is lost.
    """

    key: str
    formats: tuple[str, ...]
    trait: str
    writer: str
    readers: tuple[str, ...]
    versions: str
    outcome: Outcome
    text: str
    remedy: str
    source: str
    lost: str = ""
