"""A glance at a PyTorch tensor: its version counter, and some of its elements where they lie in host memory.

The counter (torch/csrc/autograd/variable.h, ``version_counter``) counts in-place writes; fused optimizers, ``.data`` and numpy
views pass it by, so the elements are looked at too.
"""

from __future__ import annotations

from typing import Any

import torch

from ..sampling import Glance, of_array
from .tensors import PLAIN

__all__ = ["glance"]

_RAW = {1: torch.uint8, 2: torch.int16}
_NUMPY = frozenset(
    {torch.float32, torch.float64, torch.float16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8,
     torch.bool, torch.complex64, torch.complex128}
)  # fmt: skip


def glance(value: Any) -> Glance | None:
    """A glance at a tensor; ``None`` where neither its writes are counted nor its values lie at hand."""
    if not isinstance(value, torch.Tensor):
        return None
    try:
        version = value._version
    except RuntimeError:  # made in inference mode
        version = None
    sample = _sample(value) if type(value) in PLAIN else None  # a subclass may hold its values elsewhere
    return None if version is None and sample is None else Glance(version, sample)


def _sample(value: torch.Tensor) -> bytes | None:
    try:
        held = value.detach()
        if held.dtype not in _NUMPY:
            raw = _RAW.get(held.element_size())
            if raw is None:
                return None
            held = held.view(raw)
        return of_array(held.numpy())
    except (RuntimeError, TypeError):  # another device, a layout, a lazy conjugate: numpy has no view of it
        return None
