"""Retention: which checkpoints stay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from ..._core.errors import UsageError

__all__ = ["Keep", "Kept", "dropped"]


@dataclass(frozen=True, slots=True)
class Keep:
    """What to keep: the ``last`` steps, the ``best`` ones by the metric ``by`` (``mode`` ``"min"`` or ``"max"``), and
    one for every stretch of time ``every``. A checkpoint stays if any of these wants it. The newest verified one and
    those that are pinned always stay. ``Keep()`` keeps everything. All of this holds for each variant of the model by
    itself: nothing that one variant saves drops another's newest.

    ``full_every``: frozen tensors lie in a file that all steps share, and what damages it damages all of them; this many
    saves share one at most. ``None``: it is only written anew where they changed.

    Raises :class:`UsageError` for values that make no sense.
    """

    last: int | None = None
    best: int = 0
    by: str | None = None
    mode: str = "min"
    every: timedelta | None = None
    full_every: int | None = None

    def __post_init__(self) -> None:
        counts = {"last": self.last, "best": self.best, "full_every": self.full_every}
        for name, value in counts.items():
            if (value is not None or name == "best") and (
                not isinstance(value, int) or isinstance(value, bool)
            ):
                raise UsageError(f"Keep({name}=) is a number of checkpoints", found=repr(value))
        if self.every is not None and not isinstance(self.every, timedelta):
            raise UsageError(
                "Keep(every=) is a stretch of time, not a number of steps", expected="such as timedelta(hours=1)",
                found=repr(self.every),
            )  # fmt: skip
        if self.last is not None and self.last < 1:
            raise UsageError("Keep(last=) keeps at least one checkpoint", found=self.last)
        if self.best < 0 or (self.best and not self.by):
            raise UsageError("Keep(best=) needs by=, the name of a metric", found=self.best)
        if self.mode not in ("min", "max"):
            raise UsageError("no such mode", found=self.mode, expected="min or max")
        if self.every is not None and self.every <= timedelta(0):
            raise UsageError("Keep(every=) takes a stretch of time", found=self.every)
        if self.full_every is not None and self.full_every < 1:
            raise UsageError("Keep(full_every=) counts saves, from 1", found=self.full_every)

    @property
    def everything(self) -> bool:
        """Whether nothing is ever dropped."""
        return self.last is None and not self.best and self.every is None


class Kept(NamedTuple):
    """What retention knows of one checkpoint: its folder's name, its place in the order of saving, when it was saved,
    its metrics, whether it is pinned, and the variant of the model that it holds."""

    name: str
    order: int
    created: datetime
    metrics: Mapping[str, float]
    pinned: bool = False
    variant: str = ""


def dropped(keep: Keep, checkpoints: Iterable[Kept], *, newest_verified: str | None) -> list[str]:
    """Names that may go, the oldest first. ``newest_verified`` never does; each variant is looked at by itself."""
    known = sorted(checkpoints, key=lambda c: c.order)
    if keep.everything:
        return []
    variants: dict[str, list[Kept]] = {}
    for c in known:
        variants.setdefault(c.variant, []).append(c)
    stay = {name for group in variants.values() for name in _staying(keep, group, newest_verified)}
    return [c.name for c in known if c.name not in stay]


def _staying(keep: Keep, known: list[Kept], newest_verified: str | None) -> set[str]:
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
    return stay
