"""Which globals of a pickle are harmless, which are dangerous, and how the rest is reported.

The allow-list is what plain checkpoints are made of: containers, numbers, tensors, arrays, and the classes of
``torch.nn`` and ``torch.optim`` themselves. Everything else is kept as an opaque node and reported once;
names that run commands, import, or look up attributes are marked dangerous.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..._core.dtypes import DTYPES
from ..._core.fault import Fault
from .nodes import Global

__all__ = ["allowed", "dangerous", "global_faults"]

_PLAIN = {
    "collections": {"OrderedDict", "defaultdict", "Counter", "deque"},
    "builtins": {
        *(
            "set",
            "frozenset",
            "list",
            "dict",
            "tuple",
            "bytearray",
            "bytes",
            "complex",
            "int",
            "float",
            "str",
        ),
        *(
            "bool",
            "slice",
            "range",
            "object",
            "long",
            "unicode",
            "xrange",
            "NoneType",
            "Ellipsis",
            "NotImplemented",
        ),
    },
    "copyreg": {"_reconstructor"},
    "_codecs": {"encode"},
    "datetime": {"datetime", "date", "time", "timedelta", "timezone"},
    "decimal": {"Decimal"},
    "fractions": {"Fraction"},
    "uuid": {"UUID"},
    "pathlib": {"Path", "PurePath", "PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"},
    "pathlib._local": {"Path", "PurePath", "PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath"},
    "argparse": {"Namespace"},
    "types": {"SimpleNamespace"},
    "random": {"Random"},
    "numpy": {"ndarray", "dtype", "matrix", "bool_", "recarray"},
    "numpy.core.multiarray": {"_reconstruct", "scalar"},
    "numpy.core.numeric": {"_frombuffer"},
    "jax._src.array": {"_reconstruct_array"},
    "jax._src.device_array": {"reconstruct_device_array"},
    "ml_dtypes": {"bfloat16", "float8_e4m3fn", "float8_e5m2"},
    "numpy.random._pickle": {"__randomstate_ctor", "__generator_ctor", "__bit_generator_ctor"},
    "torch": {
        "Size",
        "device",
        "Tensor",
        "Generator",
        "memory_format",
        "qscheme",
        "dtype",
        "layout",
        "finfo",
        "iinfo",
    },
    "torch._utils": {
        *("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_parameter"),
        *("_rebuild_parameter_with_state", "_rebuild_sparse_tensor", "_rebuild_sparse_csr_tensor"),
        *("_rebuild_nested_tensor", "_rebuild_qtensor", "_rebuild_meta_tensor_no_storage"),
        *("_rebuild_wrapper_subclass", "_rebuild_device_tensor_from_numpy", "_rebuild_xla_tensor"),
        *("_rebuild_device_tensor_from_cpu_tensor", "_rebuild_mlc_tensor", "_rebuild_ort_tensor"),
    },
    "torch._tensor": {"_rebuild_from_type", "_rebuild_from_type_v2"},
    "torch.tensor": {"_rebuild_from_type"},
    "torch.nn.parameter": {"Parameter", "Buffer", "UninitializedParameter", "UninitializedBuffer"},
    "torch.serialization": {"_get_layout"},
    "torch.storage": {
        "UntypedStorage",
        "_UntypedStorage",
        "TypedStorage",
        "_TypedStorage",
        "_load_from_bytes",
    },
    "torch.nn.backends.thnn": {"_get_thnn_function_backend"},
    "torch.distributed.tensor": {"DTensor"},
    "torch.distributed._tensor": {"DTensor"},
    "torch.distributed._tensor.api": {"DTensor"},
}
# Python 2 names and moved modules: the same things under another address.
_ALIASES = {
    "__builtin__": "builtins",
    "copy_reg": "copyreg",
    "numpy._core.multiarray": "numpy.core.multiarray",
    "numpy._core.numeric": "numpy.core.numeric",
}
_STORAGE = re.compile(
    r"(Double|Float|Half|BFloat16|Long|Int|Short|Char|Byte|Bool|Complex(Double|Float)|Q(U?Int8|Int32|UInt(4x2|2x4)))"
    r"(Storage|Tensor)"
)
_CLASS = re.compile(r"[A-Z][A-Za-z0-9_]*")
_TORCH_CLASSES = (
    "torch.nn.modules.",
    "torch.optim.",
    "torch.nn.parallel.",
    "torch.ao.nn.",
    "torch.nn.quantized.",
)
_TORCH_WORDS = {
    *("per_tensor_affine", "per_channel_affine", "per_tensor_symmetric", "per_channel_symmetric"),
    *("per_channel_affine_float_qparams", "strided", "sparse_coo", "sparse_csr", "sparse_csc", "sparse_bsr"),
    *(
        "sparse_bsc",
        "jagged",
        "_mkldnn",
        "contiguous_format",
        "channels_last",
        "channels_last_3d",
        "preserve_format",
    ),
    *("float", "double", "half", "int", "long", "short", "cfloat", "cdouble", "chalf"),
}

_DANGEROUS_MODULES = frozenset(
    """
    os posix nt posixpath ntpath subprocess _posixsubprocess sys shutil socket pty runpy importlib
    imp ctypes _ctypes pickle _pickle cPickle marshal code codeop webbrowser operator _operator
    commands popen2 platform multiprocessing threading _thread signal urllib urllib2 requests http
    httplib ftplib smtplib telnetlib ssl asyncio pip setuptools distutils pkgutil zipimport tempfile
    glob fileinput pdb bdb timeit trace cProfile profile inspect linecache gc atexit ensurepip venv
    doctest unittest nose pytest dill cloudpickle shelve resource fcntl mmap winreg _winreg msvcrt
    builtins.__import__ weakref
    """.split()  # noqa: SIM905 (a column of names reads better than a column of quotes)
)
_DANGEROUS_NAMES = {
    "builtins": {
        *(
            "eval",
            "exec",
            "compile",
            "getattr",
            "setattr",
            "delattr",
            "hasattr",
            "open",
            "__import__",
            "globals",
        ),
        *(
            "locals",
            "vars",
            "dir",
            "input",
            "raw_input",
            "breakpoint",
            "execfile",
            "apply",
            "file",
            "reload",
            "map",
        ),
        *("filter", "memoryview", "super", "classmethod", "staticmethod", "property", "exit", "quit", "help"),
    },
    "types": {"CodeType", "FunctionType", "LambdaType", "MethodType", "ModuleType", "GenericAlias"},
    "functools": {"partial", "reduce"},
    "io": {"open", "open_code", "FileIO"},
    "_io": {"open", "open_code", "FileIO"},
    "codecs": {"open", "decode"},
    "torch": {"load", "save", "compile"},
    "torch.serialization": {"load"},
    "numpy": {"load", "loadtxt", "fromfile", "memmap", "save", "savez"},
    "copyreg": {"__newobj__", "add_extension"},
}
_DANGEROUS_PREFIXES = (
    *("torch.hub", "torch.jit", "torch.utils.cpp_extension", "torch._inductor", "torch.multiprocessing"),
    *(
        "torch.package",
        "torch.utils.model_zoo",
        "numpy.testing",
        "numpy.distutils",
        "numpy.f2py",
        "numpy.lib.npyio",
    ),
)


def allowed(module: str, name: str) -> bool:
    """Whether a global is on the allow-list.

    A name with a dot is never allowed: protocol 4 walks it attribute by attribute (Lib/pickle.py
    ``find_class``), which reaches any module that an allowed one happens to import.
    """
    home = _ALIASES.get(module, module)
    if name in _PLAIN.get(home, ()):
        return True
    if not name.isidentifier():
        return False
    if home in ("torch", "torch.cuda", "torch.sparse", "torch.cuda.sparse") and _STORAGE.fullmatch(name):
        return True
    if home == "torch":
        return name in DTYPES or name in _TORCH_WORDS
    if home == "numpy.dtypes":
        return name.endswith("DType")
    return module.startswith(_TORCH_CLASSES) and _CLASS.fullmatch(name) is not None


def dangerous(module: str, name: str) -> bool:
    """Whether importing or calling the global could run commands, touch files or reach other code.

    ``False`` is no promise: an unknown class may do anything. It only means that the name is none that
    attackers use.
    """
    home = _ALIASES.get(module, module)
    if home.split(".", 1)[0] in _DANGEROUS_MODULES or home.startswith(_DANGEROUS_PREFIXES):
        return True
    if name.split(".", 1)[0] in _DANGEROUS_NAMES.get(home, ()):
        return True
    # "x.os.system" through attributes, and dunder look-ups such as "dict.__class__.__bases__".
    parts = name.split(".")
    return len(parts) > 1 and any(part in _DANGEROUS_MODULES or part.startswith("__") for part in parts)


def global_faults(found: Iterable[Global], file: str, base: int = 0) -> list[Fault]:
    """One fault ``pickle-global`` per global outside the allow-list; ``position`` is its opcode's offset in
    ``file``.
    """
    faults = []
    for item in found:
        if allowed(item.module, item.name):
            continue
        bad = dangerous(item.module, item.name)
        text = f"{item.module}.{item.name}"
        faults.append(
            Fault(
                "pickle-global",
                f"loading this pickle would run {text}, which can execute commands or reach other code"
                if bad
                else f"loading this pickle would import {text}, which is not on the allow-list",
                file=file,
                offset=base + item.offset,
                seen=text,
                attributes={
                    "module": item.module,
                    "name": item.name,
                    "position": base + item.offset,
                    "dangerous": bad,
                },
            )
        )
    return faults
