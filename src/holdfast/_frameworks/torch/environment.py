"""What of PyTorch's state decides numbers: version, devices, determinism, precision. Nothing is initialised by asking."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["environment"]


def environment() -> dict[str, Any]:
    """PyTorch's settings of this process. Devices are named only where CUDA is in use already: the first question would
    make a context of some hundred megabytes."""
    found: dict[str, Any] = {
        "version": str(torch.__version__),
        "git": torch.version.git_version,
        "cuda": torch.version.cuda,
        "hip": torch.version.hip,
        "threads": torch.get_num_threads(),
        "default_dtype": str(torch.get_default_dtype()).removeprefix("torch."),
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "cudnn_deterministic": torch.backends.cudnn.deterministic,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "cudnn_allow_tf32": torch.backends.cudnn.allow_tf32,
        "matmul_allow_tf32": torch.get_float32_matmul_precision() != "highest",
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "mkldnn": torch.backends.mkldnn.is_available(),  # type: ignore[no-untyped-call]
    }
    if torch.version.cuda is not None and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        found["cudnn"] = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
        found["devices"] = [
            {
                "name": (its := torch.cuda.get_device_properties(n)).name,
                "capability": [its.major, its.minor],
                "memory": its.total_memory,
            }
            for n in range(torch.cuda.device_count())
        ]
    return found
