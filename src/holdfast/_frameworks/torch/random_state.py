"""PyTorch's own random generators: the CPU's and, where CUDA is in use, each device's.

A generator's state is opaque bytes (5056 for the CPU's Mersenne Twister, 16 for a CUDA device's Philox: seed and offset).
"""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["put_state", "state"]


def state() -> dict[str, Any]:
    """``cpu``: bytes; ``cuda``: bytes of each device, only where CUDA is in use."""
    found: dict[str, Any] = {"cpu": _bytes(torch.get_rng_state())}
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        found["cuda"] = [_bytes(each) for each in torch.cuda.get_rng_state_all()]
    return found


def put_state(found: dict[str, Any]) -> list[str]:
    """Put generators back; gives what could not be, each with the reason."""
    torch.set_rng_state(_tensor(found["cpu"]))
    devices = found.get("cuda")
    if not devices:
        return []
    if not torch.cuda.is_available():
        return ["torch cuda: no CUDA device here"]
    here = torch.cuda.device_count()
    for number, each in enumerate(devices[:here]):
        torch.cuda.set_rng_state(_tensor(each), number)
    return [f"torch cuda:{n}: no such device here" for n in range(here, len(devices))]


def _bytes(tensor: torch.Tensor) -> bytes:
    return bytes(tensor.cpu().numpy().tobytes())


def _tensor(data: bytes) -> torch.Tensor:
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)
