"""Retention: which checkpoints stay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from .._core.errors import UsageError

__all__ = ["Keep", "Kept", "dropped"]


@dataclass(frozen=True, slots=True)
class Keep:
    """What to keep: the ``last`` steps, the ``best`` ones by the metric ``by`` (``mode`` ``"min"`` or ``"max"``), and
    one for every stretch of time ``every``. A checkpoint stays if any of these wants it. The newest verified one and
    those that are pinned always stay. ``Keep()`` keeps everything.

    Raises :class:`UsageError` for values that make no sense.
    """

    last: int | None = None
    best: int = 0
    by: str | None = None
    mode: str = "min"
    every: timedelta | None = None

    def __post_init__(self) -> None:
        if self.last is not None and self.last < 1:
            raise UsageError("Keep(last=) keeps at least one checkpoint", found=self.last)
        if self.best < 0 or (self.best and not self.by):
            raise UsageError("Keep(best=) needs by=, the name of a metric", found=self.best)
        if self.mode not in ("min", "max"):
            raise UsageError("no such mode", found=self.mode, expected="min or max")
        if self.every is not None and self.every <= timedelta(0):
            raise UsageError("Keep(every=) takes a stretch of time", found=self.every)

    @property
    def everything(self) -> bool:
        """Whether nothing is ever dropped."""
        return self.last is None and not self.best and self.every is None


class Kept(NamedTuple):
    """What retention knows of one checkpoint: its folder's name, its place in the order of saving, when it was saved,
    its metrics, and whether it is pinned."""

    name: str
    order: int
    created: datetime
    metrics: Mapping[str, float]
    pinned: bool = False


def dropped(keep: Keep, checkpoints: Iterable[Kept], *, newest_verified: str | None) -> list[str]:
    """Names that may go, the oldest first. ``newest_verified`` never does."""
    known = sorted(checkpoints, key=lambda c: c.order)
    if keep.everything or not known:
        return []
    stay = {c.name for c in known if c.pinned}
    if newest_verified is not None:
        stay.add(newest_verified)
    stay |= {c.name for c in known[-(keep.last or 1) :]}
    if keep.best and keep.by:
        by = keep.by
        rated = [c for c in known if by in c.metrics and c.metrics[by] == c.metrics[by]]
        sign = 1 if keep.mode == "min" else -1
        rated.sort(key=lambda c: (sign * c.metrics[by], -c.order))
        stay |= {c.name for c in rated[: keep.best]}
    if keep.every is not None:
        last: datetime | None = None
        for c in known:
            if last is None or c.created - last >= keep.every:
                stay.add(c.name)
                last = c.created
    return [c.name for c in known if c.name not in stay]
