"""What a program ends with, as a few characters: every bit of its arrays, and where its random generators stand."""

from __future__ import annotations

import hashlib
import pickle
import random
import sys
from typing import Any


def digest(*things: Any) -> str:
    """The same for the same values, bit for bit, of tensors, variables, arrays and plain values in dicts and lists."""
    total = hashlib.sha256()
    for thing in things:
        _feed(total, thing)
    return total.hexdigest()[:16]


random.seed(0)  # so that a draw from it shows


def random_states(*, numpy: bool = False) -> str:
    """Where the generators stand; none is moved. ``numpy``: the program has seeded NumPy's, so it counts too."""
    states: list[Any] = [random.getstate()]
    if (torch := sys.modules.get("torch")) is not None:
        states.append(torch.get_rng_state().tolist())
    if numpy:
        import numpy as np

        held = np.random.get_state()
        states.append((held[1].tolist(), held[2]))
    return hashlib.sha256(pickle.dumps(states)).hexdigest()[:16]


def _feed(total: Any, thing: Any) -> None:
    if isinstance(thing, dict):
        for key in sorted(thing, key=str):
            total.update(str(key).encode())
            _feed(total, thing[key])
    elif isinstance(thing, (list, tuple)):
        for one in thing:
            _feed(total, one)
    elif hasattr(thing, "detach"):  # a tensor
        array = thing.detach().cpu().contiguous()
        total.update(f"{array.dtype} {tuple(array.shape)}".encode())
        total.update(bytes(array.reshape(-1).view(_uint8()).tolist()) if array.numel() else b"")
    elif hasattr(thing, "numpy") and callable(thing.numpy):  # a variable
        _feed(total, thing.numpy())
    elif hasattr(thing, "__array__"):
        import numpy as np

        array = np.asarray(thing)
        total.update(f"{array.dtype} {array.shape}".encode() + array.tobytes())
    else:
        total.update(repr(thing).encode())


def _uint8() -> Any:
    import torch

    return torch.uint8
