"""Short texts for values, and what names of the optimizer's values say."""

from __future__ import annotations

from typing import Any

__all__ = ["apart", "batch", "changed", "is_count", "is_slot", "said", "some"]


def some(names: list[str], most: int = 3) -> str:
    """The first few of many names."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def said(value: Any) -> str:
    """A number, or a list or mapping of them."""
    if isinstance(value, list):
        return ", ".join(said(v) for v in value)
    if isinstance(value, dict):
        if len(value) == 1:
            return said(next(iter(value.values())))
        return ", ".join(f"{k} {said(v)}" for k, v in value.items())
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def changed(was: dict[str, Any], now: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What differs of two nests, by the innermost names."""
    a: dict[str, Any] = {}
    b: dict[str, Any] = {}
    for name in [n for n in was if n in now]:
        if isinstance(was[name], dict):
            for one, other in zip((a, b), changed(was[name], now[name]), strict=True):
                one.update(other)
        elif was[name] != now[name]:
            a[name], b[name] = was[name], now[name]
    return a, b


def batch(now: Any, was: Any) -> str:
    """Which batch it was, and should have been."""

    def of(batches: Any) -> str:
        first = batches[0] if batches else []
        if not isinstance(first, list):
            return str(first)
        return f"[{', '.join(map(str, first[:4]))}{', …' if len(first) > 4 else ''}]"

    return f"batch {of(now)} where it was {of(was)}"


def apart(names: list[str]) -> tuple[list[str], list[str]]:
    """Optimizer values, and gathered gradients among them."""
    return [n for n in names if not gathers(n)], [n for n in names if gathers(n)]


def gathers(name: str) -> bool:
    """Whether it holds accumulated gradients, or the place within the accumulation (Keras, ``optax.MultiSteps``)."""
    low = name.lower()
    return any(word in low for word in ("acc_grad", "gradient_accumulator", "accumulated_grad", "mini_step"))


def is_count(name: str) -> bool:
    """Whether it counts steps."""
    return name.rpartition("/")[2] in ("iteration", "iterations", "count", "step")


def is_slot(name: str) -> bool:
    """Whether it looks like optimizer state, in a nest of the loop's own."""
    low = name.lower()
    return any(word in low for word in ("opt", "/mu", "/nu", "momentum", "velocity", "count", "/m/", "/v/"))
