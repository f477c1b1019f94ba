"""Lazy PyTorch modules, built by one forward pass that leaves no trace."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["build"]


def build(model: torch.nn.Module, given: Any) -> None:
    """One forward pass without gradients and in evaluation mode, so that no statistics move; generators and
    training flags are put back. ``given``: a tensor, a tuple of arguments, or a dict of keyword arguments."""
    training = [(module, module.training) for module in model.modules()]
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    with torch.random.fork_rng(devices=devices), torch.no_grad():
        model.eval()
        try:
            if isinstance(given, dict):
                model(**given)
            elif isinstance(given, (tuple, list)):
                model(*given)
            else:
                model(given)
        finally:
            for module, flag in training:
                module.training = flag
