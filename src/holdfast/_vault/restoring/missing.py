"""What an exact resume lacks, told once the rest is restored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..._core.fault import Fault
from ..._record.environment_changes import flattened
from ..._record.schema import Record
from ..._record.stateful import Captured

if TYPE_CHECKING:
    from .putting_back import Wanted

__all__ = ["missing"]

_POSITIONS = (
    "epoch",
    "batch",
    "position",
    "offset",
    "samples",
    "seen",
    "cursor",
    "index",
    "sampler",
    "loader",
    "data",
)
_STEPS = ("step", "global_step", "iteration", "iterations")
_SHOWN = 5
_NO_PARTS = frozenset({"model", "optimizer"})


def missing(
    record: Record | None,
    saved: Mapping[str, Mapping[str, Captured]],
    wanted: Wanted,
    passed: Iterable[str],
    extra: Mapping[str, Any],
    path: str,
) -> list[Fault]:
    """Faults of the R rules. ``passed``: the words of live objects that were given; where no optimizer is among them training
    does not go on, and only what was asked for and is not there is told."""
    found = list(_asked(saved, wanted))
    if wanted.resume:
        found += _position(saved, wanted, extra)
        found += _left_out(record, saved, wanted, frozenset(passed))
        found += _steps(record, extra)
        found += _configured(record, wanted.config)
        how = (getattr(record, "resume", None) or {}).get("accumulating")
        if how:
            text = (
                f"saved in the middle of a gradient accumulation ({how}): what had been gathered is not in it"
            )
            found.append(Fault("mid-accumulation", text, seen=how))
    return [_at(fault, path) for fault in found]


def _asked(saved: Mapping[str, Mapping[str, Captured]], wanted: Wanted) -> Iterable[Fault]:
    """Passed, and not in the checkpoint."""
    for part, things in wanted.given.parts().items():
        for name in things:
            if name in saved.get(part, {}) or (part, name) not in wanted.asked:
                continue
            text = f"{part} `{name}` was passed, and the checkpoint holds no state of it: it stays as it is"
            slug = "data-position" if part == "data" else "state-left-out"
            yield Fault(
                slug,
                text,
                seen=name,
                expected=sorted(saved.get(part, {})),
                attributes={"severity": "warning"},
            )


def _position(
    saved: Mapping[str, Mapping[str, Captured]], wanted: Wanted, extra: Mapping[str, Any]
) -> Iterable[Fault]:
    held = saved.get("data", {})
    if not held and not wanted.given.data and not _says_where(extra):
        yield Fault(
            "data-position", "the checkpoint does not say where the data stood: it was saved without data="
        )
    left = [
        name
        for name, state in held.items()
        if "@" not in name
        and name not in wanted.given.data
        and state.kind != "plain"  # a number is in the outcome
    ]
    if left:
        text = f"the checkpoint says where {_names(left)} stood, and no data= was passed to put that into"
        yield Fault("data-position", text, seen=left)


def _says_where(extra: Mapping[str, Any]) -> bool:
    """Whether the run keeps its position among its own values."""
    words = [str(key).lower() for key in extra]
    words += [str(key).lower() for value in extra.values() if isinstance(value, Mapping) for key in value]
    return any(word in one for one in words for word in _POSITIONS)


def _left_out(
    record: Record | None, saved: Mapping[str, Mapping[str, Captured]], wanted: Wanted, passed: frozenset[str]
) -> Iterable[Fault]:
    """In the checkpoint, and not passed."""
    parts = [
        p for p in (getattr(record, "resume", None) or {}).get("parts", ()) if p not in passed | _NO_PARTS
    ]
    if parts:
        text = f"the checkpoint holds the state of {_names(parts)}, and {_which(parts)} not passed: {_its(parts)} anew"
        yield Fault("state-left-out", text, seen=parts, expected=sorted(passed))
    metrics = [n for n in saved.get("metrics", {}) if "@" not in n and n not in wanted.given.metrics]
    if metrics:
        text = f"the checkpoint holds what {_names(metrics)} had counted so far, and no metrics= was passed"
        yield Fault("state-left-out", text, seen=metrics, attributes={"severity": "note"})


def _steps(record: Record | None, extra: Mapping[str, Any]) -> Iterable[Fault]:
    step = record.attributes.get("step") if record is not None else None
    if not isinstance(step, int):
        return
    counts = {o.step for o in record.optimizers if o.step is not None} if record is not None else set()
    if counts == {step + 1}:
        text = (
            f"it was saved as step {step}, and the optimizer has made {step + 1} updates: "
            f"a loop that begins at outcome.step does one of them twice"
        )
        yield Fault("step-disagrees", text, seen=step, expected=step + 1)
    for word in _STEPS:
        value = extra.get(word)
        if isinstance(value, int) and not isinstance(value, bool) and abs(value - step) == 1:
            text = f"it was saved as step {step}, and extra says {word} {value}"
            yield Fault("step-disagrees", text, seen=step, expected=value)


def _configured(record: Record | None, config: Any) -> Iterable[Fault]:
    """What the run was configured with, and is now. That it resumes is no difference of its own."""
    then = (getattr(record, "environment", None) or {}).get("config")
    if not isinstance(then, Mapping) or not isinstance(config, Mapping):
        return
    was, now = flattened(then), flattened(config)
    changed = [
        name
        for name in dict.fromkeys((*was, *now))
        if was.get(name) != now.get(name) and "resume" not in name.lower()
    ]
    if changed:
        shown = "; ".join(f"{name} {_was_and_is(name, was, now)}" for name in changed[:_SHOWN])
        more = f"; and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
        yield Fault(
            "other-configuration", f"the run is configured otherwise than the checkpoint's was: {shown}{more}",
            seen={name: now.get(name) for name in changed}, expected={name: was.get(name) for name in changed},
        )  # fmt: skip


def _was_and_is(name: str, was: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    if name not in was:
        return f"was not there and is {now[name]!r}"
    return f"was {was[name]!r} and is {now[name]!r}" if name in now else f"was {was[name]!r} and is gone"


def _at(fault: Fault, path: str) -> Fault:
    return Fault(
        fault.slug, fault.message, path, seen=fault.seen, expected=fault.expected, attributes=fault.attributes
    )


def _names(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names[:5]) + (
        f" and {len(names) - 5} more" if len(names) > 5 else ""
    )


def _which(names: list[str]) -> str:
    return "it was" if len(names) == 1 else "they were"


def _its(names: list[str]) -> str:
    return "that begins" if len(names) == 1 else "these begin"
