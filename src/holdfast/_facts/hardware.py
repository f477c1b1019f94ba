"""Facts on devices: which number types a GPU computes, cuDNN's packed layouts, memory formats.

Compute capabilities: NVIDIA CUDA C++ Programming Guide, "Compute Capabilities" (arithmetic instructions, tensor
cores). Memory formats: ``torch/csrc/utils/tensor_memoryformats``, ``c10/core/MemoryFormat.h``. cuDNN layouts of Keras:
``tf_keras/src/saving/legacy/hdf5_format.py`` (``_convert_rnn_weights``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["DEVICE_TYPES", "DeviceType", "bias_form", "memory_format", "since_capability"]


class DeviceType(NamedTuple):
    """From which compute capability a number type has arithmetic of its own, and what happens before it."""

    dtypes: tuple[str, ...]
    since: tuple[int, int]
    before: str


DEVICE_TYPES: tuple[DeviceType, ...] = (
    DeviceType(("float16",), (5, 3), "kept as storage only, computed in float32"),
    DeviceType(("bfloat16",), (8, 0), "emulated and slow, or refused by kernels"),
    DeviceType(
        ("tf32",), (8, 0), "the setting is ignored: products are full float32, and metrics differ at 1e-3"
    ),
    DeviceType(("float8_e4m3fn", "float8_e5m2"), (8, 9), "stored and cast only; scaled_mm raises"),
    DeviceType(("float8_e8m0fnu", "float4_e2m1fn", "float4_e2m1fn_x2"), (10, 0), "stored and cast only"),
)
"""Number types of which GPUs differ; ``tf32`` is a mode of float32 products."""


def since_capability(dtype: str, capability: tuple[int, ...]) -> DeviceType | None:
    """The row of a number type that a GPU of that compute capability has no arithmetic for; ``None`` where it has, or
    where the type is no matter of capability."""
    row = next((r for r in DEVICE_TYPES if dtype in r.dtypes), None)
    return row if row is not None and tuple(capability) < row.since else None


_FORMS = {
    ("gru", (3,)): "GRU(reset_after=False)",
    ("gru", (2, 3)): "GRU(reset_after=True)",
    ("gru", (6,)): "CuDNNGRU",
    ("lstm", (4,)): "LSTM",
    ("lstm", (8,)): "CuDNNLSTM",
}


def bias_form(kernel: Sequence[int], bias: Sequence[int]) -> str | None:
    """What a Keras recurrent layer's bias says of its layout: given the shapes of ``recurrent_kernel`` ``(u, g*u)``
    and ``bias``, one of ``GRU(reset_after=False)`` ``(3u,)``, ``GRU(reset_after=True)`` ``(2, 3u)``, ``CuDNNGRU``
    ``(6u,)``, ``LSTM`` ``(4u,)``, ``CuDNNLSTM`` ``(8u,)``; ``None`` for other shapes."""
    if len(kernel) != 2 or not bias or kernel[0] == 0 or kernel[1] % kernel[0] or bias[-1] % kernel[0]:
        return None
    units = kernel[0]
    cell = {3: "gru", 4: "lstm"}.get(kernel[1] // units)
    return _FORMS.get((cell or "", (*bias[:-1], bias[-1] // units)))


def memory_format(shape: Sequence[int], stride: Sequence[int]) -> str | None:
    """``contiguous``, ``channels_last`` or ``channels_last_3d`` by sizes and strides in elements; ``None`` for other
    layouts. A tensor that is both (one channel, one pixel) counts as contiguous."""
    if len(shape) != len(stride):
        return None
    orders: list[tuple[str, list[int]]] = [("contiguous", list(range(len(shape))))]
    if len(shape) == 4:
        orders.append(("channels_last", [0, 2, 3, 1]))
    if len(shape) == 5:
        orders.append(("channels_last_3d", [0, 2, 3, 4, 1]))
    for name, order in orders:
        step, fits = 1, True
        for axis in reversed(order):
            fits = fits and (shape[axis] == 1 or stride[axis] == step)
            step *= shape[axis]
        if fits:
            return name
    return None
