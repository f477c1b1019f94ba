"""A torch tensor as numpy values: dtypes, zero-copy views, and setting it in place.

Dtype names of torch are those of :mod:`holdfast._core.dtypes` (``torch.bfloat16`` -> ``bfloat16``;
torch/csrc/utils/tensor_dtypes.cpp lists them). numpy lacks some of them; those go through integers of the same
width, without a copy.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.parameter import is_lazy as _has_no_shape

from ..._core.dtypes import DTYPES, carrier
from ..._core.errors import NotStored, UsageError
from ..._core.spec import TensorSpec
from ..._core.words import plural
from ..live import Variable, _no_memory

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "PLAIN",
    "Held",
    "dtype_name",
    "from_numpy",
    "is_lazy",
    "is_split",
    "memory_of",
    "part_here",
    "put",
    "ranks_of",
    "storage_of",
    "to_numpy",
    "values_of",
]

_NUMPY = frozenset(
    {"float64", "float32", "float16", "int64", "int32", "int16", "int8", "bool", "complex64", "complex128"}
    | {"uint64", "uint32", "uint16", "uint8"}
)
_SAME_WIDTH = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_NATIVE = sys.byteorder == "little"


_NAMES: dict[torch.dtype, str] = {}


def dtype_name(dtype: torch.dtype) -> str:
    """The table's name of a torch dtype (``torch.float8_e4m3fn`` -> ``"float8_e4m3fn"``)."""
    name = _NAMES.get(dtype)
    if name is None:
        name = _NAMES[dtype] = str(dtype).rsplit(".", 1)[-1]
    return name


PLAIN = frozenset({torch.Tensor, torch.nn.Parameter})
"""The classes of nearly all tensors: neither lazy nor wrapping anything."""


def is_lazy(tensor: Any) -> bool:
    """Whether it is a parameter or buffer of a lazy module that has no shape yet
    (torch/nn/parameter.py, ``UninitializedTensorMixin``)."""
    return type(tensor) not in PLAIN and bool(_has_no_shape(tensor))


def storage_of(tensor: Tensor) -> tuple[Any, ...] | None:
    """What two views of the same elements have in common: storage, offset, shape, strides, dtype, and whether they are
    read as they lie (a lazy ``conj()`` or negation is a view of the same memory with other values); ``None`` where a
    tensor has no storage to speak of (meta, sparse, wrapped)."""
    if tensor.layout != torch.strided or tensor.device.type == "meta" or tensor.numel() == 0:
        return None
    try:
        place = tensor.untyped_storage().data_ptr()
    except (RuntimeError, NotImplementedError):
        return None  # subclasses that wrap other tensors have no storage of their own
    if not place:
        return None
    lazy = tensor.is_conj(), tensor.is_neg()
    return place, tensor.storage_offset(), tuple(tensor.shape), tensor.stride(), tensor.dtype, lazy


def _view(tensor: Tensor) -> np.ndarray:
    """A CPU tensor's own memory as numpy, strides and all; writable."""
    name = dtype_name(tensor.dtype)
    if name in _NUMPY:
        return tensor.numpy()
    if name not in DTYPES:
        raise NotStored("numpy has no way to hold this dtype", found=name)
    kind = carrier(name)
    if name == "complex32":
        pairs = torch.view_as_real(tensor).numpy()
        return pairs.view(kind)[..., 0]
    return tensor.view(_SAME_WIDTH[kind.itemsize]).numpy().view(kind)


def to_numpy(tensor: Tensor) -> np.ndarray:
    """The values as a read-only array: zero-copy for plain CPU tensors (strided where they are), a copy
    otherwise.

    Raises :class:`NotStored` for tensors without values (meta device, lazy parameters), and for those of which this
    process holds a part.
    """
    if is_lazy(tensor):
        raise NotStored("a lazy parameter has no values before the first call of its module")
    _of_one_process(tensor)
    tensor = tensor.detach()
    if tensor.device.type == "meta":
        raise NotStored("a tensor on the meta device has a shape and no values")
    if tensor.is_quantized:
        tensor = tensor.int_repr()
    if tensor.is_conj():
        tensor = tensor.resolve_conj()
    if tensor.is_neg():
        tensor = tensor.resolve_neg()
    if tensor.device.type != "cpu":
        tensor = tensor.cpu()
    array = _view(tensor).view()
    array.flags.writeable = False
    return array


def memory_of(tensor: Tensor) -> np.ndarray | None:
    """The tensor's memory as a writable C-contiguous array; ``None`` for other devices, strides, layouts and
    views that conjugate, and for tensors of inference mode (which may not be changed outside of it).

    Autograd's version counter is moved, as an in-place operation would: whoever kept the old values for a
    backward pass gets torch's own error rather than wrong gradients.
    """
    if is_lazy(tensor) or tensor.layout != torch.strided or tensor.device.type != "cpu" or not _NATIVE:
        return None
    plain = tensor.detach()
    if not plain.is_contiguous() or plain.is_conj() or plain.is_neg() or plain.is_quantized:
        return None
    if plain.is_inference() or plain.numel() == 0 or type(plain) is not torch.Tensor:
        return None
    array = _view(plain)
    if not array.flags.c_contiguous or not array.flags.writeable:
        return None
    torch.autograd.graph.increment_version(plain)
    return array


def from_numpy(array: np.ndarray, dtype: torch.dtype) -> Tensor:
    """A CPU tensor of ``dtype`` over the values of ``array`` (the carrier of that dtype). It may share the
    array's memory: copy from it, do not keep it."""
    if not array.flags.writeable:
        array = array.copy()  # torch warns of read-only memory
    array = np.ascontiguousarray(array).reshape(array.shape)
    name = dtype_name(dtype)
    if name in _NUMPY:
        return torch.from_numpy(array)
    if name == "complex32":
        pairs = array.reshape(*array.shape, 1).view(np.float16)
        return torch.view_as_complex(torch.from_numpy(pairs))
    width = array.dtype.itemsize
    return torch.from_numpy(array.view(f"i{width}" if width > 1 else "u1")).view(dtype)


def is_split(tensor: Any) -> bool:
    """Whether it is a ``DTensor``, of which each rank of a device mesh holds its part."""
    return type(tensor) not in PLAIN and hasattr(tensor, "device_mesh") and hasattr(tensor, "to_local")


def part_here(tensor: Any) -> Any:
    """Of a tensor that is split over ranks this rank's part, which shares its memory; else the tensor itself."""
    return tensor.detach().to_local() if is_split(tensor) else tensor


def ranks_of(tensor: Any) -> int:
    """Over how many ranks a ``DTensor`` is split."""
    return int(tensor.device_mesh.size())


def _of_one_process(tensor: Tensor) -> None:
    """Raise :class:`NotStored` for a ``DTensor`` (FSDP's ``fully_shard``, tensor parallelism): gathering it is a call that all
    ranks must make together (torch/distributed/tensor/_api.py, ``full_tensor``)."""
    if not is_split(tensor):
        return
    raise NotStored(
        f"a tensor is split over {plural(ranks_of(tensor), 'rank')} (a DTensor), and this process holds its own part only",
        expected="whole tensors, in one process",
        found=f"shape {tuple(tensor.shape)}, placed as {', '.join(map(str, getattr(tensor, 'placements', ())))}",
        remedy="With torch.distributed.checkpoint.state_dict, on all ranks: to save, get_model_state_dict(model, "
        "options=StateDictOptions(full_state_dict=True, cpu_offload=True)), and save what rank 0 gets; to restore, "
        "set_model_state_dict(model, state, options=StateDictOptions(full_state_dict=True)) with the state dict of the "
        "file. Or dcp.save and dcp.load, which `holdfast run` watches on each rank.",
    )


def put(tensor: Tensor, array: np.ndarray) -> None:
    """Set all values of a live tensor in place: identity, device, strides and gradients stay.

    ``array`` has the tensor's shape and its dtype's carrier; it is not kept. Raises :class:`UsageError` where
    shape or dtype differ, or where elements that are one (``expand``) would have to become several.
    """
    _of_one_process(tensor)
    expected = carrier(dtype_name(tensor.dtype))
    if tuple(array.shape) != tuple(tensor.shape) or array.dtype != expected:
        raise UsageError(
            "the values do not fit the live tensor",
            expected=f"{expected} {tuple(tensor.shape)}",
            found=f"{array.dtype} {tuple(array.shape)}",
        )
    place = memory_of(tensor)
    if place is not None:
        place[...] = array
        return
    with torch.inference_mode(tensor.is_inference()), torch.no_grad():
        once = _once(tensor, array)
        tensor.detach()[once].copy_(from_numpy(array[once], tensor.dtype))


def _once(tensor: Tensor, array: np.ndarray) -> tuple[Any, ...]:
    """Where each element of an expanded tensor stands once: there alone it can be written to."""
    if tensor.layout != torch.strided or 0 not in tensor.stride():
        return (...,)
    once = tuple(
        slice(0, 1) if step == 0 and size > 1 else slice(None)
        for step, size in zip(tensor.stride(), tensor.shape, strict=True)
    )
    if np.broadcast_to(array[once], array.shape).tobytes() != array.tobytes():
        raise UsageError(
            "elements that share one memory in the live tensor (`expand`) differ in the checkpoint",
            remedy="Give the live tensor memory of its own: `.clone()` after `.expand()`.",
        )
    return once


class Held(Variable):
    """The variable of a tensor that stays the object it is: its functions are made when they are asked for, since a
    check of tens of thousands asks for none."""

    __slots__ = ("tensor",)

    def __init__(self, spec: TensorSpec, tensor: Tensor) -> None:
        self.spec = spec
        self.tensor = tensor

    @property
    def read(self) -> Callable[[], np.ndarray]:  # type: ignore[override]
        return partial(to_numpy, self.tensor)

    @property
    def write(self) -> Callable[[np.ndarray], None] | None:  # type: ignore[override]
        return None if self.tensor.is_meta else partial(put, self.tensor)

    @property
    def memory(self) -> Callable[[], np.ndarray | None]:  # type: ignore[override]
        return partial(memory_of, self.tensor)

    clear = None
    fresh = staticmethod(_no_memory)


def values_of(get: Callable[[], Tensor]) -> Callable[[], np.ndarray]:
    """A reader for a tensor that is looked up when it is asked for."""
    return lambda: to_numpy(get())
