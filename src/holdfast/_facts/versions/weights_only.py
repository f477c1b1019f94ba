"""Which globals ``torch.load(weights_only=True)`` takes without being told to.

Source: ``torch/_weights_only_unpickler.py`` (``_get_allowed_globals``, ``_tensor_rebuild_functions``) of PyTorch
2.13; a test holds this list against the installed one.
"""

from __future__ import annotations

import re

__all__ = ["takes"]

_PLAIN = frozenset(
    [
        "collections.OrderedDict",
        "collections.Counter",
        "torch.nn.parameter.Parameter",
        "torch.serialization._get_layout",
        "torch.Size",
        "torch.Tensor",
        "torch.device",
        "_codecs.encode",
        "builtins.bytearray",
        "builtins.set",
        "builtins.complex",
        "torch._tensor._rebuild_from_type_v2",
        "torch.storage.TypedStorage",
        "torch.storage.UntypedStorage",
        "torch.per_tensor_affine",
        "torch.per_tensor_symmetric",
        "torch.per_channel_affine",
        "torch.per_channel_symmetric",
        "torch.per_channel_affine_float_qparams",
        "torch._utils._rebuild_tensor",
        "torch._utils._rebuild_tensor_v2",
        "torch._utils._rebuild_tensor_v3",
        "torch._utils._rebuild_parameter",
        "torch._utils._rebuild_parameter_with_state",
        "torch._utils._rebuild_qtensor",
        "torch._utils._rebuild_sparse_tensor",
        "torch._utils._rebuild_meta_tensor_no_storage",
        "torch._utils._rebuild_nested_tensor",
        "torch._utils._rebuild_wrapper_subclass",
        "torch._utils._rebuild_device_tensor_from_numpy",
        "torch._utils._rebuild_device_tensor_from_cpu_tensor",
    ]
)

# Python 2's homes of the same things (pickle's own NAME_MAPPING and IMPORT_MAPPING).
_MOVED = {"__builtin__": "builtins", "copy_reg": "copyreg"}

_STORAGE = re.compile(r"torch(\.cuda|\.sparse|\.cuda\.sparse)?\.[A-Z][A-Za-z0-9]*(Storage|Tensor)")
_DTYPE = re.compile(
    r"torch\.(float8_e\w+|float4_e\w+|float|float16|float32|float64|half|double|bfloat16|int|short|long|"
    r"u?int[1-8]|u?int16|u?int32|u?int64|bool|complex32|complex64|complex128|chalf|cfloat|cdouble|q?u?int8|"
    r"qint32|quint4x2|quint2x4|bits\w+)"
)


def takes(name: str) -> bool:
    """Whether a global, as ``module.name``, is on the list."""
    home, _, rest = name.partition(".")
    name = f"{_MOVED.get(home, home)}.{rest}"
    return name in _PLAIN or bool(_STORAGE.fullmatch(name) or _DTYPE.fullmatch(name))
