"""The versions of a reader: those installed here, or those that a person names."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib import metadata

from ..._core.errors import UsageError
from .spans import parse_version

__all__ = ["PACKAGES", "installed_readers", "parse_reader"]

PACKAGES: dict[str, tuple[str, ...]] = {
    "keras": ("keras",),
    "tf_keras": ("tf_keras",),
    "tensorflow": ("tensorflow", "tensorflow-cpu", "tensorflow-macos", "tensorflow-intel", "tf-nightly"),
    "torch": ("torch",),
    "numpy": ("numpy",),
    "safetensors": ("safetensors",),
    "orbax": ("orbax-checkpoint",),
    "flax": ("flax",),
    "jax": ("jax",),
}
"""Package as rows name it -> names of its distributions. Besides these a reader may name ``python`` and ``cuda``."""


def installed_readers() -> dict[str, str]:
    """Package -> version of what is installed, ``python`` included; from the distributions' metadata, nothing is
    imported."""
    found = {"python": platform.python_version()}
    for package, names in PACKAGES.items():
        for name in names:
            try:
                found[package] = metadata.version(name)
            except metadata.PackageNotFoundError:
                continue
            break
    return found


def parse_reader(texts: Iterable[str]) -> dict[str, str]:
    """``("keras==3.15", "torch==2.5")`` as package -> version; ``cuda==8.0`` is a device's compute capability,
    ``cuda==none`` a machine without. Raises :class:`UsageError` on another form, an unknown package, or a version
    that is none."""
    known = (*PACKAGES, "python", "cuda")
    made: dict[str, str] = {}
    for text in texts:
        name, sign, version = (part.strip() for part in text.partition("=="))
        name = name.replace("-", "_").lower()
        name = next(
            (p for p, names in PACKAGES.items() if name in (p, *(n.replace("-", "_") for n in names))), name
        )
        if (
            not sign
            or name not in known
            or not (parse_version(version) or (name, version) == ("cuda", "none"))
        ):
            raise UsageError(
                "no reader of that form",
                found=text,
                expected="PACKAGE==VERSION, PACKAGE one of " + ", ".join(known),
                remedy="for instance --target keras==3.15",
            )
        made[name] = version
    return made
