"""``torchmetrics``: every state, also those that its ``state_dict`` leaves out because they are not persistent (the default), and
the number of updates (torchmetrics/metric.py, ``_defaults``, ``_update_count``)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .nest import Captured, Draft

__all__ = ["KIND", "against", "put", "recognises", "take"]

KIND = "torchmetrics"


def recognises(thing: Any) -> bool:
    """Whether it is a metric or a collection of them."""
    names = {
        cls.__name__ for cls in type(thing).__mro__ if cls.__module__.partition(".")[0] == "torchmetrics"
    }
    return bool(names & {"Metric", "MetricCollection"})


def take(thing: Any, draft: Draft, path: str) -> Any:
    """The states of each metric within it."""
    found = {}
    for name, metric in _metrics(thing):
        states = {key: getattr(metric, key) for key in metric._defaults}
        row = {"states": states, "updates": int(metric._update_count)}
        found[name] = draft.add(row, f"{path}/{name}" if name else path)
    return found


def against(thing: Any, captured: Captured) -> list[str]:
    """Other metrics, other states, or states of other sizes (``num_classes``)."""
    found = []
    live = dict(_metrics(thing))
    if set(live) != set(captured.about):
        return [f"it had {sorted(captured.about) or 'none'}, and has {sorted(live)}"]
    for name, metric in live.items():
        states = captured.value(captured.about[name])["states"]
        if set(states) != set(metric._defaults):
            found.append(
                f"{name or 'it'} had the states {sorted(states)}, and has {sorted(metric._defaults)}"
            )
            continue
        for key, value in states.items():
            default = metric._defaults[key]
            if (
                hasattr(default, "shape")
                and hasattr(value, "shape")
                and tuple(default.shape) != tuple(value.shape)
            ):
                found.append(
                    f"{name}{'/' if name else ''}{key} had shape {tuple(value.shape)}, and has {tuple(default.shape)}"
                )
    return found


def put(thing: Any, captured: Captured) -> Any:
    """Each state on the metric's own device; a value that was computed before is forgotten."""
    for name, metric in _metrics(thing):
        row = captured.value(captured.about[name])
        for key, value in row["states"].items():
            setattr(metric, key, _moved(value, metric.device))
        metric._update_count = row["updates"]
        metric._computed = None
    return thing


def _moved(value: Any, device: Any) -> Any:
    if isinstance(value, list):
        return [_moved(item, device) for item in value]
    return value.to(device) if hasattr(value, "to") else value


def _metrics(thing: Any) -> Iterator[tuple[str, Any]]:
    """The metrics within, by path; those of a collection that share states (compute groups) are told apart first."""
    if any(cls.__name__ == "MetricCollection" for cls in type(thing).__mro__):
        for key, metric in thing.items(keep_base=True, copy_state=True):
            yield from ((f"{key}/{name}" if name else str(key), m) for name, m in _metrics(metric))
        return
    for path, module in thing.named_modules():
        if hasattr(module, "_defaults") and hasattr(module, "_update_count"):
            yield path, module
