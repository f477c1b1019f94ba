"""Catalogs, reports and documents built by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from holdfast._core.catalog import Catalog
from holdfast._core.finding import CheckpointReport, Finding, Place
from holdfast._core.spec import OptimizerSpec, ParamGroup, Stored, TensorSpec


class Made(Catalog):
    """A catalog of specs, all zeros."""

    format = "torch-zip"

    def read(self, name: str) -> np.ndarray:
        return np.zeros(self[name].shape, np.float32)


def transformer(layers: int = 24, width: int = 64, **more: Any) -> Made:
    """A language model with equal layers, tied embeddings, an AdamW and a few attributes."""
    specs = [TensorSpec("model.embed.weight", (1000, width), "float32", shares="s0")]
    for i in range(layers):
        for part in ("q", "k", "v", "out"):
            specs.append(TensorSpec(f"model.layers.{i}.attn.{part}.weight", (width, width), "float32"))
        specs.append(TensorSpec(f"model.layers.{i}.norm.weight", (width,), "float32"))
        specs.append(TensorSpec(f"model.layers.{i}.norm.running_mean", (width,), "float32", role="buffer"))
    specs.append(TensorSpec("head.weight", (1000, width), "float32", shares="s0"))
    specs.append(TensorSpec("head.bias", (1000,), "bfloat16", stored=(Stored("run/model.pt", 4096, 2000),)))
    specs.append(
        TensorSpec(
            "optimizer/state/0/exp_avg", (1000, width), "float32", role="slot", owner="model.embed.weight"
        )
    )
    specs.append(TensorSpec("optimizer/state/0/step", (), "float32", role="counter"))
    group = ParamGroup(
        owners=("model.embed.weight",),
        configured={"initial_lr": 1e-3, "betas": (0.9, 0.999), "lr": 1e-3},
        current={"lr": 3.1e-4, "weight_decay": 0.01, "eps": float("nan")},
    )
    optimizer = OptimizerSpec(
        "optimizer", class_likely="AdamW", groups=(group,), slots=("exp_avg",), step=1200
    )
    attributes = {"writer": "PyTorch >= 2.1", "epoch": 3, "blob": b"\xff\x00", "loss": float("inf"), **more}
    return Made(specs, files=["run/model.pt"], attributes=attributes, optimizers=[optimizer])


def finding(**changes: Any) -> Finding:
    given: dict[str, Any] = {
        "code": "F102",
        "slug": "checksum",
        "severity": "error",
        "message": "The bytes of encoder/kernel contradict the CRC-32C that was saved with them.",
        "where": Place("run/ckpt-3.data-00000-of-00001", 40960, "encoder/kernel"),
        "evidence": {"seen": "0x8f3c1a22", "expected": "0x11d0aa37"},
        "cause": "corrupt",
        "remedy": "Fetch the file again, or fall back to an older checkpoint: `holdfast doctor run`",
        "tensors": ("encoder/kernel", "encoder/bias", "a", "b", "c"),
    }
    return Finding(**{**given, **changes})


def checkpoint(*findings: Finding, **changes: Any) -> CheckpointReport:
    given: dict[str, Any] = {
        "path": "run/ckpt-3",
        "format": "tf-bundle",
        "verdict": "damaged" if findings else "sound",
        "proof": "checksums",
        "findings": findings,
        "writer": "TensorFlow 2.15",
        "tensors": 24,
        "nbytes": 1_234_567,
        "bytes_proved": 1_200_000,
        "bytes_total": 1_234_567,
        "loads": tuple(f"t{i}" for i in range(22)) if findings else None,
        "lost": ("encoder/kernel", "encoder/bias") if findings else None,
        "not_looked_at": ("whether the optimizer fits a model",),
    }
    return CheckpointReport(**{**given, **changes})


EVIL = 'w\x1b[31m\x1b]0;owned\x07\n::error::forged\u202eevil\u200b[bold red]x[/]\x9b2J\udcff%0A<script>,:"'
