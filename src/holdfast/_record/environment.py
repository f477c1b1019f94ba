"""What a state was made with: interpreter, libraries, devices, settings that change numbers, code and command line.

Environment variables are kept by an allow-list of those that change numbers; nothing else of the environment is.
"""

from __future__ import annotations

import os
import platform
import socket
import sys
from functools import cache, lru_cache
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from .code_state import code_state
from .secrets import without_secret_arguments

__all__ = ["VARIABLES", "environment"]

_FRAMEWORKS = ("torch", "tensorflow", "keras", "jax")

_LIBRARIES: dict[str, tuple[str, ...]] = {
    **{
        name: (name,)
        for name in (
            "numpy", "scipy", "torch", "torchvision", "torchaudio", "keras", "jax", "jaxlib", "flax", "optax", "h5py",
            "safetensors", "transformers", "tokenizers", "datasets", "accelerate", "peft", "lightning", "torchmetrics",
            "timm", "diffusers", "deepspeed", "bitsandbytes", "triton", "xformers", "pandas", "albumentations",
            "sentencepiece", "grain",
        )
    },
    "tensorflow": ("tensorflow", "tensorflow-cpu", "tensorflow-macos", "tensorflow-rocm"),
    "tf_keras": ("tf-keras",),
    "ml_dtypes": ("ml-dtypes",),
    "orbax": ("orbax-checkpoint",),
    "pytorch_lightning": ("pytorch-lightning",),
    "flash_attn": ("flash-attn",),
    "sklearn": ("scikit-learn",),
    "PIL": ("pillow", "pillow-simd"),
    "cv2": ("opencv-python", "opencv-python-headless", "opencv-contrib-python"),
    "tensorflow_text": ("tensorflow-text",),
    "tensorflow_datasets": ("tensorflow-datasets",),
}  # fmt: skip
"""Module -> the distributions that have it, of libraries whose version can change what a model computes or is fed."""

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
    learned is left out; ``incomplete`` names it where a question failed. What cannot change while a program runs (the
    processor, versions) is asked once, and so is git: the code that runs is that of the program's start, not what was
    edited since.
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
        "cpu": dict(_cpu()),
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
    code = _code_at_first()
    if code is not None:
        found["code"] = dict(code)
    if missing:
        found["incomplete"] = missing
    return found


@lru_cache(maxsize=1)
def _code_at_first() -> dict[str, Any] | None:
    return code_state()


def _libraries() -> dict[str, str]:
    """Versions of the known libraries that are imported."""
    return {
        name: version
        for module, names in _LIBRARIES.items()
        if module in sys.modules
        for name in names
        if (version := _version(name)) is not None
    }


@cache
def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


@lru_cache(maxsize=1)
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
