"""Devices that are not there, or on which a part was left."""

from __future__ import annotations

import re

from ...knowledge import Entry, Guess, Look
from ...surroundings import Around
from ...where import storing_or_alone


def there_or_not(look: Look) -> list[Guess]:
    """A device that is missing is missed by any program; said of a load it is the checkpoint's."""
    said = look.match[0].lower()
    if "not compiled with" in said and not look.around.loading:
        return []
    if "no cuda gpus" in said and not look.around.loading:
        return [look.entry.guess(look, confidence=0.5)] if look.around.alone else []
    return [look.entry.guess(look)]


def told_alone(look: Look) -> list[Guess]:
    """With a traceback, the functions on the way say whether it is a restore's doing; another entry looks at these."""
    return [look.entry.guess(look)] if not look.reading.frames else []


def backends(look: Look) -> list[Guess]:
    """A backend that is not there: JAX logs so at every start on a host without one, and no load is hurt by it."""
    facts = look.facts()
    if look.match["sharding"] or (facts.get("backend") and look.around.storing) or look.around.calls:
        return [look.entry.guess(look)]
    return [look.entry.guess(look, confidence=0.34)]


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


def of_two_devices(look: Look) -> list[Guess]:
    """Old wordings name the types of tensors: of two devices, or of two kinds of numbers on one."""
    a, b = look.facts().get("a", ""), look.facts().get("b", "")
    if a.startswith("torch.") and ("cuda" in a) == ("cuda" in b):
        return []
    of_state = _STATE.search(look.reading.lower) is not None
    if (
        look.reading.frames and not look.around.loading and not of_state
    ):  # a model or a batch that was not moved
        return []
    sure = 0.85 if of_state else 0.62
    return [
        look.entry.guess(look, confidence=sure),
        look.entry.guess(look, "resume-state", confidence=0.42),
        look.entry.guess(look, "optimizer-structure", confidence=0.4),
    ]


def loading_or_alone_or_step(around: Around) -> bool:
    """The optimizer's state is met for the first time in the step after a restore."""
    return around.loading or around.alone or not around.computing


_STATE = re.compile(
    r"exp_avg|buf\.mul_|momentum_buffer|state_steps|optim(?:izer)?\.step|/optim/|restor|resum|checkpoint"
)

ENTRIES = (
    Entry(
        "cuda-not-there",
        "device-mismatch",
        ("deserialize object on", "no cuda gpus are available", "orch not compiled with cuda enabled"),
        r"attempting to deserialize object on (?:a )?(?P<device>[\w ]*?device ?\d*|CUDA device|MPS|HPU"
        r"|XPU)? ?.{0,40}?but torch\.(?P<kind>\w+(?:\.\w+)*)\.(?:is_available\(\) is False"
        r"|device_count\(\) is (?P<count>\d+))"
        r"|attempting to deserialize object on (?:a )?(?P<device2>(?:CUDA|MPS|HPU|XPU)(?: device \d+)?)"
        r"|No CUDA GPUs are available|torch not compiled with CUDA enabled",
        why="the tensors were saved on a device that is not here ({device}; there are {count})",
        remedy="`torch.load(path, map_location='cpu')`, then move the model.",
        weight=0.95,
        calls=("load", "_cuda_deserialize", "default_restore_location"),
        weigh=there_or_not,
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
            "storage device not recognized",
            "supported devices include",
        ),
        r"invalid device ordinal"
        r"|don't know how to restore data location of .{0,60}\(?tagged with (?P<device>[\w:]+)"
        r"|Storage device not recognized: (?P<device2>\w+)|supported devices include .{0,60}?however got (?P<device3>\w+)"
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
        where=storing_or_alone,
        weigh=backends,
        also=("topology",),
        weight=0.9,
        example="ValueError: SingleDeviceSharding with Device=TFRT_CPU_0 was not found in jax.local_devices().",
    ),
    Entry(
        "devices-mixed-in-older-words",
        "device-mismatch",
        (
            "expected object of",
            "expected type torch.",
            "expected backend",
            "expected device",
            "a tensor was not cuda",
            "expected all tensors on same device",
            "received an invalid combination of arguments",
        ),
        r"Expected object of (?:type|backend|device type) (?P<a>[\w.]+) but (?:found|got) (?:type|backend"
        r"|device type)? ?(?P<b>[\w.]+)"
        r"|expected type (?P<a2>torch\.[\w.]+) but got (?P<b2>torch\.[\w.]+)"
        r"|expected backend (?P<a3>\w+) and dtype \w+ but got backend (?P<b3>\w+)"
        r"|expected device (?P<a4>[\w:]+) but got device (?P<b4>[\w:]+)"
        r"|A tensor was not cuda|expected all tensors on same device"
        r"|received an invalid combination of arguments - got \([^()]{0,200}?(?P<a5>torch\.cuda\.\w+Tensor)\)"
        r".{0,200}?\((?P<b5>torch\.(?!cuda)\w+Tensor) other",
        why=(
            "tensors lie on {a} and {b}; after a restore that is optimizer state (or a part of the model) that "
            "was loaded elsewhere"
        ),
        remedy=(
            "Move the model to its device before the optimizer is made and its state is loaded; or move every tensor of "
            "`optimizer.state` there."
        ),
        where=loading_or_alone_or_step,
        weigh=of_two_devices,
        weight=0.6,
        example="    exp_avg.mul_(beta1).add_(1 - beta1, grad)\nRuntimeError: expected device cpu but got device cuda:0",
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
        also=("version-mismatch", "optimizer-structure"),
        example=(
            "RuntimeError: Expected all tensors to be on the same device, but found at least two devices, cuda:1 and "
            "cpu!"
        ),
    ),
)
