"""Whether a background save of ``torch.distributed.checkpoint`` writes a copy, or the program's own memory.

``async_save`` hands its state to a stager that is to copy it. Tensors that lie on the CPU already were handed on as they are by
older versions (pytorch issue 144657), and are by a stager of one's own that copies nothing: what the next step does to them is
written. The thread that writes calls ``state_dict_saver.save`` with what was staged
(torch/distributed/checkpoint/_async_thread_executor.py).
"""

from __future__ import annotations

import threading
from typing import Any

import torch

from ..patches import Patches
from ..sampling import Glance, glance, named_leaves

__all__ = ["Staging"]

_MOST = 100_000


class Staging:
    """The background saves under way, and what their states looked like at the call."""

    def __init__(self) -> None:
        self._open: list[_Begun] = []
        self._lock = threading.Lock()

    def watch(self, saver: Any, patches: Patches) -> None:
        """Look at each save of ``state_dict_saver`` that a background thread makes."""

        def save(inner: Any, state_dict: Any, *args: Any, **kwargs: Any) -> Any:
            result = inner(state_dict, *args, **kwargs)
            staged = {place: None for _, tensor in named_leaves(state_dict) if (place := _memory(tensor))}
            with self._lock:
                begun = [one for one in self._open if not one.places.keys().isdisjoint(staged)]
            for one in begun:
                one.written(staged)
            return result

        patches.wrap(saver, "save", save)

    def begin(self, state: Any, moved: list[str]) -> _Begun:
        """Before ``async_save``: ``moved`` gets the names of tensors that were written out of the program's own memory and held
        something else by then. To be given to :meth:`ended`."""
        begun = _Begun(state, moved)
        with self._lock:
            self._open.append(begun)
        return begun

    def ended(self, begun: _Begun) -> None:
        """Its save is done."""
        with self._lock:
            if begun in self._open:
                self._open.remove(begun)


class _Begun:
    """One state at the call. Its tensors are kept until its save has ended: they are what is written, or small beside it."""

    def __init__(self, state: Any, moved: list[str]) -> None:
        self.moved = moved
        self.places: dict[int, tuple[str, Any, Glance]] = {}
        for name, tensor in named_leaves(state):
            place = _memory(tensor)
            seen = glance(tensor) if place else None
            if seen is not None:
                self.places.setdefault(place, (name, tensor, seen))
            if len(self.places) >= _MOST:
                break

    def written(self, staged: dict[int, None]) -> None:
        """What lies at these places has been written by now."""
        for place in staged:
            if place in self.places:
                name, tensor, before = self.places[place]
                after = glance(tensor)
                if after is not None and after.sample != before.sample:
                    self.moved.append(name)


def _memory(tensor: Any) -> int:
    """Where a plain tensor on the CPU has its values; 0 for others, which are staged by being copied."""
    if type(tensor) not in (torch.Tensor, torch.nn.Parameter) or tensor.device.type != "cpu":
        return 0
    return 0 if tensor.layout is not torch.strided else int(tensor.data_ptr())
