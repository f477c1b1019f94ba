"""Devices that are not there, or on which a part was left."""

from __future__ import annotations

from ..knowledge import Entry, Guess, Look, loading_where


def told_alone(look: Look) -> list[Guess]:
    """With a traceback, the functions on the way say whether it is a restore's doing; another entry looks at these."""
    return [look.entry.guess(look)] if not look.reading.frames else []


def types_or_devices(look: Look) -> list[Guess]:
    """Input and weight of different types: of devices, or of numbers."""
    a, b = look.facts().get("a", ""), look.facts().get("b", "")
    if a and not look.around.loading:  # of a model that was not moved, loaded or not
        return []
    kinds = (a.rpartition(".")[2], b.rpartition(".")[2])
    if kinds in (("FloatTensor", "FloatTensor"), ("", "")) or ("cuda" in a) != ("cuda" in b):
        return [look.entry.guess(look)]
    why = "input and weights are of different number types"
    return [
        look.entry.guess(look, "dtype-mismatch", confidence=0.82, why=why),
        look.entry.guess(look, confidence=0.4),
    ]


ENTRIES = (
    Entry(
        "cuda-not-there",
        "device-mismatch",
        ("deserialize object on", "no cuda gpus are available", "orch not compiled with cuda enabled"),
        r"attempting to deserialize object on (?:a )?(?P<device>[\w ]*?device ?\d*|CUDA device|MPS|HPU"
        r"|XPU)? ?.{0,40}?but torch\.(?P<kind>\w+)\.(?:is_available\(\) is False"
        r"|device_count\(\) is (?P<count>\d+))|No CUDA GPUs are available|torch not compiled with CUDA enabled",
        why="the tensors were saved on a device that is not here ({device}; there are {count})",
        remedy="`torch.load(path, map_location='cpu')`, then move the model.",
        weight=0.95,
        calls=("load", "_cuda_deserialize", "default_restore_location"),
        weigh=loading_where("no cuda gpus", "not compiled with"),
        example=(
            "RuntimeError: Attempting to deserialize object on CUDA device 2 but torch.cuda.device_count() is 1. "
            "Please use torch.load with map_location to map your storages to an existing device."
        ),
    ),
    Entry(
        "device-ordinal",
        "device-mismatch",
        (
            "invalid device ordinal",
            "don't know how to restore data location",
            "input type (torch.cuda",
            "weight type (torch",
            "should be the same",
            "restore data location",
        ),
        r"invalid device ordinal"
        r"|don't know how to restore data location of .{0,60}\(?tagged with (?P<device>[\w:]+)"
        r"|Input type \((?P<a>[\w.]+)\) and weight type \((?P<b>[\w.]+)\) should be the same",
        why=(
            "the checkpoint's tensors belong to a device that is not here, or were left on another than the input "
            "({a}, {b})"
        ),
        remedy="`torch.load(path, map_location='cpu')`, then `model.to(device)`.",
        weight=0.85,
        also=("version-mismatch",),
        weigh=types_or_devices,
        example="RuntimeError: don't know how to restore data location of torch.FloatStorage (tagged with xla:0)",
    ),
    Entry(
        "jax-device",
        "device-mismatch",
        (
            "was not found in jax.local_devices",
            "unknown backend",
            "unable to initialize backend",
            "was not found in jax.devices()",
        ),
        (
            r"(?P<sharding>\w*Sharding).{0,120}?was not found in jax\.(?:local_)?devices\(\)"
            r"|Unknown backend:? '?(?P<backend>\w+)|Unable to initialize backend '(?P<backend2>\w+)'"
        ),
        why="the checkpoint's arrays are to be put on a device that this process does not have",
        remedy=(
            "Pass the shardings of the present devices (`restore_args`, or a target of `jax.ShapeDtypeStruct` with "
            "shardings)."
        ),
        also=("topology",),
        weight=0.9,
        example="ValueError: SingleDeviceSharding with Device=TFRT_CPU_0 was not found in jax.local_devices().",
    ),
    Entry(
        "devices-mixed",
        "device-mismatch",
        ("expected all tensors to be on the same device",),
        (
            r"Expected all tensors to be on the same device, but found at least two devices, (?P<a>[\w:]+) and"
            r" (?P<b>[\w:]+)"
        ),
        why=(
            "tensors lie on {a} and {b}; after a restore that is optimizer state or a buffer that was left on the "
            "device it was loaded to"
        ),
        remedy=(
            "Call `model.to(device)` before the optimizer is made and loaded; `map_location` alone moves nothing "
            "afterwards."
        ),
        weight=0.6,
        weigh=told_alone,
        also=("optimizer-structure",),
        example=(
            "RuntimeError: Expected all tensors to be on the same device, but found at least two devices, cuda:1 and "
            "cpu!"
        ),
    ),
)
