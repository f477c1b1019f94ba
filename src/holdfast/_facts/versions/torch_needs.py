"""PyTorch's files, and the pickles in them, under other versions of PyTorch, numpy and Python.

What loads with PyTorch 2.13 was tried on files of 1.0 to 2.13; the other borders come from the sources named.
"""

from __future__ import annotations

from .need import Need

__all__ = ["TORCH_NEEDS"]

_ZIP = ("torch-zip", "torch-sharded")
_ANY = ("torch-zip", "torch-legacy", "torch-sharded")
_TORCH, _NUMPY, _PYTHON = ("torch",), ("numpy",), ("python",)
_TRUST = (
    "torch.load(path, weights_only=False) if you trust the file, torch.serialization.add_safe_globals([...]) for its "
    "classes, or let holdfast restore it, which runs nothing of it."
)
_ALL = (*_ANY, "torch-dcp", "safetensors", "safetensors-sharded")

TORCH_NEEDS: tuple[Need, ...] = (
    Need(
        "zip-in-old-torch", _ZIP, "zip-3", "", _TORCH, "<1.6", "does-not-load",
        "does not read the zip container that torch.save writes since 1.6",
        "Save again under 1.6 or newer with torch.save(..., _use_new_zipfile_serialization=False).",
        "caffe2/serialize/inline_container.cc (kMaxSupportedFileFormatVersion), release notes of 1.6",
    ),
    Need(
        "first-zip", _ZIP, "zip-1", "", _TORCH, ">=1.6", "does-not-load",
        "does not find the storages of the trial zip container of PyTorch 1.4 (PytorchStreamReader failed locating "
        "file data/...)",
        "Load it with PyTorch 1.4 or 1.5 and save again, or let holdfast restore or convert it.",
        "torch/serialization.py of 1.4; tried with PyTorch 2.13",
    ),
    Need(
        "weights-only-globals", _ANY, "refused-globals", "", _TORCH, ">=2.6", "does-not-load",
        "torch.load refuses the file: weights_only=True is the default since 2.6 and takes no other globals",
        _TRUST, "torch/_weights_only_unpickler.py; tried with PyTorch 2.13",
    ),
    Need(
        "weights-only-protocol", _ANY, "protocol-4", "", _TORCH, ">=2.6", "does-not-load",
        "torch.load refuses the file: its default weights_only=True knows the opcodes of pickle protocol 2 only",
        "torch.load(path, weights_only=False) if you trust the file; save with the default pickle_protocol.",
        "torch/_weights_only_unpickler.py; tried with PyTorch 2.13",
    ),
    Need(
        "csr-rebuild", _ANY, "csr-rebuild", "", _TORCH, ">=2", "does-not-load",
        "has no torch._utils._rebuild_sparse_csr_tensor, which compressed sparse tensors of 1.9 to 1.13 ask for",
        "Load it with PyTorch 1.13 and save the dense or coordinate form.",
        "torch/_utils.py of 1.13 and 2.0; tried with PyTorch 2.13 (AttributeError, weights_only or not)",
    ),
    Need(
        "numpy-core", (*_ANY, "npy", "npz"), "numpy-new-core", "", _NUMPY, "<1.26", "does-not-load",
        "has no numpy._core, which the pickle names",
        'pip install "numpy>=1.26"', "numpy 1.26 and 2.0 release notes; numpy/_core stubs",
    ),
    Need(
        "protocol-5", _ANY, "protocol-5", "", _PYTHON, "<3.8", "does-not-load",
        "does not know pickle protocol 5", "Python 3.8 or newer", "PEP 574",
    ),
    Need(
        "npy-3", ("npy", "npz"), "npy-3", "", _NUMPY, "<1.17", "does-not-load",
        "does not know version 3.0 of the npy header (field names beyond latin-1)",
        'pip install "numpy>=1.17"', "numpy/lib/format.py",
    ),
    Need(
        "npy-2", ("npy", "npz"), "npy-2", "", _NUMPY, "<1.9", "does-not-load",
        "does not know version 2.0 of the npy header", 'pip install "numpy>=1.9"', "numpy/lib/format.py",
    ),
    *(
        Need(
            f"torch-{trait}", _ALL, trait, "", _TORCH, f"<{since}", "does-not-load",
            f"has no {what}, which came with {since}", f'pip install "torch>={since}"', source,
        )
        for trait, what, since, source in (
            ("float8", "torch.float8_e4m3fn and float8_e5m2", "2.1", "release notes of 2.1"),
            ("float8-fnuz", "torch.float8_e4m3fnuz and float8_e5m2fnuz", "2.2", "release notes of 2.2"),
            ("wide-unsigned", "torch.uint16, uint32 and uint64", "2.3", "release notes of 2.3"),
            ("float8-scales", "torch.float8_e8m0fnu", "2.7", "release notes of 2.7"),
            ("float4", "torch.float4_e2m1fn_x2", "2.8", "release notes of 2.8"),
        )
    ),
    *(
        Need(
            f"safetensors-{trait}", ("safetensors", "safetensors-sharded"), trait, "", ("safetensors",), f"<{since}",
            "does-not-load", f"refuses the whole file: it does not know {what}, which came with {since}",
            f'pip install "safetensors>={since}"',
            "safetensors/src/tensor.rs (Dtype); tried with safetensors 0.3.3, 0.4.0, 0.4.1, 0.5.3, 0.6.2, 0.7.0, 0.8.0",
        )
        for trait, what, since in (
            ("float8", "F8_E4M3 and F8_E5M2", "0.4.1"),
            ("float8-scales", "F8_E8M0", "0.6"),
            ("float4", "F4", "0.6"),
            ("complex64", "C64", "0.7"),
            ("float8-fnuz", "F8_E4M3FNUZ and F8_E5M2FNUZ", "0.8"),
        )
    ),
)  # fmt: skip
