"""Objects with ``state_dict`` and ``load_state_dict``: samplers, averages of weights, early stopping, and whatever follows that
protocol."""

from __future__ import annotations

import sys
from typing import Any

from .nest import Captured, Draft

__all__ = ["KIND", "against", "make", "put", "recognises", "take"]

KIND = "state-dict"


def recognises(thing: Any) -> bool:
    """Whether it has both."""
    words = ("state_dict", "load_state_dict")
    return not isinstance(thing, type) and all(callable(getattr(thing, word, None)) for word in words)


def take(thing: Any, draft: Draft, path: str) -> Any:
    """What ``state_dict`` gives; of a PyTorch module also the settings that no state dict has (a transform's mean)."""
    about = {"state": draft.add(thing.state_dict(), path)}
    return about | ({"settings": settings} if (settings := _settings(thing)) else {})


def against(thing: Any, captured: Captured) -> list[str]:
    """Settings of a module that are others here."""
    then, now = captured.about.get("settings", {}), _settings(thing)
    return [
        f"{key} was {then.get(key)}, and is {now.get(key)}"
        for key in sorted({*then, *now})
        if then.get(key) != now.get(key)
    ]


def put(thing: Any, captured: Captured) -> Any:
    """Handed to ``load_state_dict``."""
    thing.load_state_dict(captured.value(captured.about["state"]))
    return thing


def make(captured: Captured) -> Any:
    """The state dict itself, where no object was given."""
    return captured.value(captured.about["state"])


def _settings(thing: Any) -> dict[str, Any]:
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(thing, torch.nn.Module):
        return {}
    return {
        f"{path}.{key}" if path else key: _word(value)
        for path, module in thing.named_modules()
        for key, value in vars(module).items()
        if not key.startswith("_") and key != "training" and _word(value) is not None
    }


def _word(value: Any) -> Any:
    if isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)) and all(isinstance(item, (bool, int, float, str)) for item in value):
        return list(value)
    return None
