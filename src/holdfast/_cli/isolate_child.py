"""The process of ``holdfast isolate``: ``python -m holdfast._cli.isolate_child``, with its orders in the environment."""

from __future__ import annotations

from typing import Any

from .._isolate.child import serve
from .factory import load_factory

__all__: list[str] = []


def _make(orders: dict[str, Any]) -> Any:
    return load_factory(orders["target"], kwargs=orders["arguments"])


if __name__ == "__main__":
    serve(_make)
