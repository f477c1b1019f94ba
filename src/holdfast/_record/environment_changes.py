"""What differs between the environment of a record and this one, and whether it can change numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["Change", "environment_changes", "flattened"]


class Change(NamedTuple):
    """One setting: then and now (``None``: not there), and whether it can change what a model computes."""

    name: str
    then: Any
    now: Any
    matters: bool
    why: str = ""


_MATTERS: tuple[tuple[str, str], ...] = (
    ("libraries.", "another version may compute in another order, or otherwise"),
    ("cpu.name", "kernels are chosen by the processor"),
    ("cpu.features", "kernels are chosen by the instruction sets"),
    ("driver", "the driver compiles kernels"),
    ("platform.machine", "another processor"),
    ("torch.", "a setting of PyTorch that chooses kernels or precision"),
    ("tensorflow.", "a setting of TensorFlow that chooses kernels or precision"),
    ("keras.", "a setting of Keras that decides number types or layouts"),
    ("jax.", "a setting of JAX that chooses kernels or precision"),
    ("variables.", "an environment variable that changes numbers"),
)
_HARMLESS = (
    "threads", "interop", "memory", "functions_eagerly", "prng", "partitionable", "version_hash", "deterministic",
    "benchmark", "debug", "build", "count", "libraries.h5py", "libraries.safetensors", "libraries.scikit-learn",
    "libraries.pandas", "libraries.pillow", "variables.PYTHONHASHSEED", "variables.OMP_NUM_THREADS",
    "variables.MKL_NUM_THREADS", "variables.OPENBLAS_NUM_THREADS", "variables.RANK", "variables.LOCAL_RANK",
    "variables.WORLD_SIZE", "variables.CUDA_LAUNCH_BLOCKING", "variables.CUDA_VISIBLE_DEVICES",
)  # fmt: skip
"""Numbers moved by less than 8e-8 with these, or not at all (thread counts were measured)."""
_SILENT = ("command", "code", "host", "incomplete", "platform.release", "platform.libc", "cpu.count")


def environment_changes(then: Mapping[str, Any] | None, now: Mapping[str, Any]) -> tuple[Change, ...]:
    """All differences between two environments (see :func:`holdfast._record.environment.environment`), those that matter
    first. A library that only one of them has loaded counts only where the record has it."""
    if not then:
        return ()
    was, here = flattened(then), flattened(now)
    found = []
    for name in dict.fromkeys((*was, *here)):
        before, after = was.get(name), here.get(name)
        if before == after or any(name == s or name.startswith(f"{s}.") for s in _SILENT):
            continue
        if not name.startswith("variables.") and (name not in was or name not in here):
            continue  # not loaded in one of the two processes, or not told by another version of Holdfast
        why = next((text for front, text in _MATTERS if name.startswith(front)), "")
        matters = bool(why) and not any(word in name for word in _HARMLESS)
        found.append(Change(name, before, after, matters, why if matters else ""))
    return tuple(sorted(found, key=lambda c: not c.matters))


def flattened(value: Mapping[str, Any], front: str = "") -> dict[str, Any]:
    """Nested settings by one name each (``trainer.seed``)."""
    found: dict[str, Any] = {}
    for key, item in value.items():
        name = f"{front}{key}"
        if isinstance(item, Mapping):
            found |= flattened(item, f"{name}.")
        else:
            found[name] = list(item) if isinstance(item, tuple) else item
    return found
