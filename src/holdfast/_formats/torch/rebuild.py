"""What torch's rebuild functions would make of their arguments, as descriptions of tensors.

Each function here stands for the one of torch that a pickle names (the table at the end): it gives the parts
that the call makes, or raises ``ValueError``, ``IndexError``, ``TypeError``, ``KeyError`` or ``OverflowError``
for arguments that make no sense. Format facts: torch/_utils.py (``_rebuild_*``), torch/_tensor.py
(``__reduce_ex__``, ``_rebuild_from_type_v2``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..pickles.arrays import NumpyArray
from ..pickles.nodes import Global, Made, as_text, class_of, mapping_of
from .views import Part, Tensor, copy_of, flag_of, sizes_of

if TYPE_CHECKING:
    from .tensors import Reader

__all__ = ["REBUILD"]

_INTEGERS = {"qint8": "int8", "quint8": "uint8", "qint32": "int32", "quint4x2": "uint8", "quint2x4": "uint8"}


def _tensor(reader: Reader, args: tuple[Any, ...]) -> list[Part] | None:
    return reader.strided(args[0], args[1], args[2], args[3], None, None)


def _tensor_v2(reader: Reader, args: tuple[Any, ...]) -> list[Part] | None:
    found = reader.strided(args[0], args[1], args[2], args[3], args[4], None)
    if len(args) > 6 and found:
        _metadata(found[0][1], args[6])
    return found


def _tensor_v3(reader: Reader, args: tuple[Any, ...]) -> list[Part] | None:
    dtype = reader.dtype(args[6])
    if dtype is None:
        raise ValueError
    found = reader.strided(args[0], args[1], args[2], args[3], args[4], dtype)
    if len(args) > 7 and found:
        _metadata(found[0][1], args[7])
    return found


def _metadata(tensor: Tensor | NumpyArray, node: Any) -> None:
    """``{'conj': True, 'neg': True}``: the view's lazy bits (torch/_utils.py ``get_tensor_metadata``)."""
    words = mapping_of(node) or {}
    if isinstance(tensor, Tensor):
        tensor.conj, tensor.neg = bool(words.get("conj")), bool(words.get("neg"))


def _parameter(reader: Reader, args: tuple[Any, ...]) -> list[Part] | None:
    inner = reader.parts(args[0])
    if not inner:
        return inner
    made: list[Part] = []
    for suffix, part in inner:
        if isinstance(part, Tensor):
            copy = copy_of(part)
            copy.cls = "Parameter"
            copy.requires_grad = flag_of(args[1]) if len(args) > 1 else None
            if len(args) > 3:
                copy.attached = args[3]
            made.append((suffix, copy))
        else:
            made.append((suffix, part))
    return made


def _from_type_v2(reader: Reader, args: tuple[Any, ...]) -> list[Part] | None:
    func, kind, inner_args = args[0], args[1], args[2]
    state = args[3] if len(args) > 3 else None
    inner = reader.made(Made(func, inner_args, "REDUCE", 0))  # of no memo: this node is ours
    if not inner:
        return inner
    found = class_of(kind)
    made: list[Part] = []
    for index, (suffix, part) in enumerate(inner):
        if isinstance(part, Tensor):
            part = copy_of(part)
            if found is not None and found.text != "torch.Tensor":
                part.cls = found.name if found.module.startswith("torch") else found.text
            if index == 0:
                part.attached = state
        made.append((suffix, part))
    return made


def _sparse(reader: Reader, args: tuple[Any, ...]) -> list[Part] | None:
    layout, data = args[0], args[1]
    name = as_text(layout.args[0]) if isinstance(layout, Made) and layout.args else None
    if name is None and isinstance(layout, Global):
        name = layout.text
    words = {
        "torch.sparse_coo": ("indices", "values"),
        "torch.sparse_csr": ("crow_indices", "col_indices", "values"),
        "torch.sparse_bsr": ("crow_indices", "col_indices", "values"),
        "torch.sparse_csc": ("ccol_indices", "row_indices", "values"),
        "torch.sparse_bsc": ("ccol_indices", "row_indices", "values"),
    }.get(name or "")
    if words is None or name is None:
        raise ValueError
    whole = sizes_of(data[len(words)])
    made: list[Part] = []
    for word, node in zip(words, data, strict=False):
        for suffix, part in reader.parts(node) or ():
            if isinstance(part, Tensor):
                part = copy_of(part)
                part.extra = {"sparse": name[6:], "part": word, "dense_shape": list(whole or ())}
                if word == "values" and len(data) > len(words) + 1 and isinstance(data[len(words) + 1], bool):
                    part.extra["is_coalesced"] = data[len(words) + 1]
            made.append((f".{word}{suffix}", part))
    return made


def _quantised(reader: Reader, args: tuple[Any, ...]) -> list[Part] | None:
    found = reader.strided(args[0], args[1], args[2], args[3], args[5] if len(args) > 5 else None, None)
    params = args[4]
    if not found or not isinstance(params, tuple) or not params or not isinstance(params[0], Global):
        raise ValueError
    tensor = found[0][1]
    assert isinstance(tensor, Tensor)
    scheme = params[0].name
    extra: dict[str, Any] = {"quantised": tensor.dtype, "qscheme": scheme}
    tensor.extra = extra
    tensor.dtype = _INTEGERS.get(tensor.dtype, tensor.dtype)
    made: list[Part] = [(".int_repr", tensor)]
    if scheme.startswith("per_channel"):
        extra["axis"] = params[3]
        for word, node in (("scales", params[1]), ("zero_points", params[2])):
            for suffix, part in reader.parts(node) or ():
                if isinstance(part, Tensor):
                    part = copy_of(part)
                    part.extra = {"part": word}
                made.append((f".{word}{suffix}", part))
            if isinstance(node, (list, tuple)):  # torch 1.4 and 1.5 pickled them as plain lists
                dtype = np.dtype("<f8" if word == "scales" else "<i8")
                data = np.array(list(node), dtype).tobytes()
                made.append((f".{word}", NumpyArray((len(node),), dtype, False, data)))
    else:
        extra["scale"], extra["zero_point"] = params[1], params[2]
    return made


def _nested(reader: Reader, args: tuple[Any, ...]) -> list[Part] | None:
    """``(buffer, sizes, strides, offsets)``; sizes and strides are tensors themselves, so the parts need
    their values.

    Listed as one buffer here; the catalog cuts it into ``nested.0``, ``nested.1`` when it has read the
    sizes.
    """
    buffer = reader.tensor(args[0])
    if buffer is None:
        raise ValueError
    buffer = copy_of(buffer)
    buffer.extra = {"nested": (reader.tensor(args[1]), reader.tensor(args[2]), args[3])}
    return [(".nested", buffer)]


def _meta(reader: Reader, args: tuple[Any, ...]) -> list[Part] | None:
    return _without_bytes(reader, args[0], args[1], args[2], args[3] if len(args) > 3 else None, "meta")


def _wrapper(reader: Reader, args: tuple[Any, ...]) -> list[Part] | None:
    found = _without_bytes(
        reader, args[1], args[2], args[3], args[7] if len(args) > 7 else None, "wrapper subclass"
    )
    kind = class_of(args[0])
    if found and kind is not None and isinstance(found[0][1], Tensor):
        found[0][1].cls = kind.name
    return found


def _without_bytes(
    reader: Reader, dtype: Any, size: Any, stride: Any, grad: Any, what: str
) -> list[Part] | None:
    name, shape, steps = reader.dtype(dtype), sizes_of(size), sizes_of(stride)
    if name is None or shape is None:
        raise ValueError
    tensor = Tensor(None, 0, shape, steps or (), name, flag_of(grad))
    tensor.extra = {"without_bytes": what}
    tensor.problem = (
        "not-stored",
        f"a tensor that the file only describes ({what}): its values are not in it",
    )
    return [("", tensor)]


def _device(reader: Reader, args: tuple[Any, ...]) -> list[Part] | None:
    """XLA and other devices that hand their values over as a CPU tensor or numpy array."""
    inner = reader.parts(args[0])
    device = as_text(args[2]) if len(args) > 2 else None
    made: list[Part] = []
    for suffix, part in inner or ():
        if isinstance(part, Tensor):
            part = copy_of(part)
            part.extra = {"device": device}
            part.requires_grad = flag_of(args[3]) if len(args) > 3 else None
        made.append((suffix, part))
    return made or None


REBUILD: dict[tuple[str, str], Callable[[Reader, tuple[Any, ...]], list[Part] | None]] = {
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor_v2,
    ("torch._utils", "_rebuild_tensor_v3"): _tensor_v3,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _parameter,
    ("torch._tensor", "_rebuild_from_type_v2"): _from_type_v2,
    ("torch._tensor", "_rebuild_from_type"): _from_type_v2,
    ("torch.tensor", "_rebuild_from_type"): _from_type_v2,
    ("torch._utils", "_rebuild_sparse_tensor"): _sparse,
    ("torch._utils", "_rebuild_sparse_csr_tensor"): _sparse,
    ("torch._utils", "_rebuild_qtensor"): _quantised,
    ("torch._utils", "_rebuild_nested_tensor"): _nested,
    ("torch._utils", "_rebuild_meta_tensor_no_storage"): _meta,
    ("torch._utils", "_rebuild_wrapper_subclass"): _wrapper,
    ("torch._utils", "_rebuild_device_tensor_from_numpy"): _device,
    ("torch._utils", "_rebuild_device_tensor_from_cpu_tensor"): _device,
    ("torch._utils", "_rebuild_xla_tensor"): _device,
    ("torch._utils", "_rebuild_mlc_tensor"): _device,
    ("torch._utils", "_rebuild_ort_tensor"): _device,
}
