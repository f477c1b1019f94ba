"""What a state was made with: interpreter, libraries, devices, settings that change numbers, code and command line.

Environment variables are kept by an allow-list of those that change numbers; nothing else of the environment is.
"""

from __future__ import annotations

import os
import platform
import socket
import sys
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from .code_state import code_state
from .secrets import without_secret_arguments

__all__ = ["VARIABLES", "environment"]

_FRAMEWORKS = ("torch", "tensorflow", "keras", "jax")

_LIBRARIES = (
    "numpy", "scipy", "torch", "torchvision", "torchaudio", "tensorflow", "tensorflow-cpu", "keras",
    "tf-keras", "jax", "jaxlib", "flax",
    "optax", "orbax-checkpoint", "ml-dtypes", "h5py", "safetensors", "transformers", "tokenizers", "datasets",
    "accelerate", "peft", "lightning", "pytorch-lightning", "torchmetrics", "timm", "diffusers", "deepspeed",
    "bitsandbytes", "triton", "flash-attn", "xformers", "pandas", "scikit-learn", "pillow", "opencv-python",
    "albumentations", "sentencepiece", "tensorflow-text", "tensorflow-datasets", "grain",
)  # fmt: skip
"""Distributions whose version can change what a model computes or what it is fed; told of those that are imported."""

VARIABLES = (
    "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "CUDA_LAUNCH_BLOCKING", "CUBLAS_WORKSPACE_CONFIG",
    "NVIDIA_TF32_OVERRIDE", "HIP_VISIBLE_DEVICES", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS",
    "MKL_CBWR", "PYTHONHASHSEED", "KERAS_BACKEND", "TF_DETERMINISTIC_OPS", "TF_CUDNN_DETERMINISTIC",
    "TF_ENABLE_ONEDNN_OPTS", "TF_USE_LEGACY_KERAS", "TF_XLA_FLAGS", "XLA_FLAGS", "JAX_PLATFORMS", "JAX_ENABLE_X64",
    "JAX_DEFAULT_MATMUL_PRECISION", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "TORCHINDUCTOR_MAX_AUTOTUNE",
    "ATEN_CPU_CAPABILITY", "DNNL_MAX_CPU_ISA", "ONEDNN_MAX_CPU_ISA", "WORLD_SIZE", "RANK", "LOCAL_RANK",
)  # fmt: skip
"""Environment variables that are kept: they change numbers or say which device computed, and none holds a secret."""

_CPU_FLAGS = frozenset(
    {
        "fma", "avx", "avx2", "avx512f", "avx512_bf16", "avx512_fp16", "avx512_vnni", "amx_bf16", "amx_int8", "amx_tile",
        "asimd", "bf16", "sve", "sve2", "i8mm",
    }
)  # fmt: skip
"""Instruction sets for which the kernels of the frameworks have code of their own, with sums in another order."""


def environment() -> dict[str, Any]:
    """The environment of this process, as JSON-able values.

    ``python``, ``platform``, ``cpu``, ``host``, ``libraries`` (versions of what is imported), one section for each
    framework that is loaded, ``driver``, ``variables``, ``command``, ``code`` (see :func:`code_state`). What cannot be
    learned is left out; ``incomplete`` names it where a question failed.
    """
    missing: list[str] = []
    found: dict[str, Any] = {
        "python": {"version": platform.python_version(), "implementation": platform.python_implementation()},
        "platform": {
            "system": platform.system(),
            "release": platform.release(),
            "machine": platform.machine(),
            "libc": " ".join(platform.libc_ver()).strip(),
        },
        "cpu": _cpu(),
        "host": socket.gethostname(),
        "libraries": _libraries(),
    }
    for name in _FRAMEWORKS:
        if name not in sys.modules:
            continue
        try:
            found[name] = import_module(f"holdfast._frameworks.{name}.environment").environment()
        except Exception as error:  # noqa: BLE001 - another version of the framework must not hinder a save
            missing.append(f"{name}: {type(error).__name__}: {error}")
    driver = _driver()
    if driver is not None:
        found["driver"] = driver
    variables = {name: os.environ[name] for name in VARIABLES if name in os.environ}
    if variables:
        found["variables"] = variables
    found["command"] = without_secret_arguments(getattr(sys, "orig_argv", sys.argv))
    code = code_state()
    if code is not None:
        found["code"] = code
    if missing:
        found["incomplete"] = missing
    return found


def _libraries() -> dict[str, str]:
    """Versions of the known distributions of which a module is loaded."""
    loaded = {name.partition(".")[0] for name in list(sys.modules)}
    names = metadata.packages_distributions()
    wanted = {
        distribution.lower().replace("_", "-")
        for module in loaded
        for distribution in names.get(module, ())
        if distribution.lower().replace("_", "-") in _LIBRARIES
    }
    found = {}
    for name in sorted(wanted):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _cpu() -> dict[str, Any]:
    """The processor's name and the instruction sets that change sums (man 5 proc, ``/proc/cpuinfo``)."""
    found: dict[str, Any] = {"count": os.cpu_count()}
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8", "replace")
    except OSError:
        name = platform.processor()
        return {**found, "name": name} if name else found
    for line in text.partition("\n\n")[0].splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            found["name"] = value.strip()
        elif key.strip() in ("flags", "Features"):
            found["features"] = sorted(_CPU_FLAGS & set(value.split()))
    return found


def _driver() -> str | None:
    """NVIDIA's kernel driver, as it tells of itself."""
    try:
        return Path("/proc/driver/nvidia/version").read_text("utf-8", "replace").splitlines()[0].strip()
    except (OSError, IndexError):
        return None
