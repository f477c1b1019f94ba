"""Learning-rate schedules that have made all their steps: of live objects, and as a checkpoint would leave them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .._core.finding import Finding
from .._frameworks import LiveCatalog
from .fit_making import ruled
from .fitted import Fit

__all__ = ["ended", "ended_after"]


def ended(live: LiveCatalog) -> list[Finding]:
    """Live schedules at their end."""
    return list(
        _ended(live.ending, lambda name: live.settings[name].read() if name in live.settings else None)
    )


def ended_after(found: Fit, ready: Sequence[Finding]) -> list[Finding]:
    """``ready``, what was found of the live objects, with schedules as the checkpoint would leave them."""
    settled = {d.name: d.value for d in found.decisions if d.take in ("checkpoint", "given")}
    settings = found.live.settings

    def value(name: str) -> Any:
        return settled[name] if name in settled else settings[name].read() if name in settings else None

    return [*(f for f in ready if f.slug != "schedule-ended"), *_ended(found.live.ending, value)]


def _ended(names: Sequence[str], value: Callable[[str], Any]) -> Iterator[Finding]:
    for name in names:
        made, total = value(f"{name}/last_epoch"), value(f"{name}/total_steps")
        if isinstance(made, int) and isinstance(total, int) and 0 < total <= made:
            yield ruled(
                "schedule-ended",
                f"`{name}` has made all its {total:,} steps, and one more call of scheduler.step() raises",
                tensor=name,
                seen=made,
                expected=f"less than {total:,}",
            )
