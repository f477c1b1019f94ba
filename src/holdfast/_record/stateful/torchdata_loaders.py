"""``torchdata.stateful_dataloader.StatefulDataLoader``.

Facts (torchdata/stateful_dataloader/stateful_dataloader.py): a state is taken up by the next iterator, and making that draws
from PyTorch's global generator. ``state_dict()`` of a loader without iterator makes it, and the next ``iter()`` gives that
one. So the iterator is made while the state is put back, and the random generators, which are put back afterwards, are where
the uninterrupted run has them.
"""

from __future__ import annotations

from typing import Any

from .nest import Captured, Draft

__all__ = ["KIND", "against", "make", "put", "recognises", "take"]

KIND = "torchdata"
_SNAPSHOT, _MAIN, _WORKERS = "_snapshot", "_main_snapshot", "_num_workers"


def recognises(thing: Any) -> bool:
    """Whether it is one."""
    return any(
        cls.__name__ == "StatefulDataLoader" and cls.__module__.startswith("torchdata.")
        for cls in type(thing).__mro__
    )


def take(thing: Any, draft: Draft, path: str) -> Any:
    """Its state; the iterator of the first epoch is made where there is none."""
    return draft.add(thing.state_dict(), path)


def against(thing: Any, captured: Captured) -> list[str]:
    """Another number of workers: the state of each is its own."""
    then, now = _workers(captured.state), int(thing.num_workers)
    return [] if then is None or then == now else [f"it was saved with num_workers={then}, and has {now}"]


def put(thing: Any, captured: Captured) -> Any:
    """The state back, and the iterator made."""
    thing.load_state_dict(captured.state)
    thing.state_dict()
    return thing


def _workers(state: Any) -> int | None:
    if not isinstance(state, dict):
        return None
    if _SNAPSHOT not in state:
        return 0 if state else None
    main = state[_SNAPSHOT].get(_MAIN) if isinstance(state[_SNAPSHOT], dict) else None
    return int(main[_WORKERS]) if isinstance(main, dict) and _WORKERS in main else None


def make(captured: Captured) -> Any:
    """The state itself, where no object was given."""
    return captured.state
