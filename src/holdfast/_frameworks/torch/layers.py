"""The modules of a live torch model: class, what decides the function, digest of user-written code."""

from __future__ import annotations

from ..._core.modules import ModuleSpec
from ..module_specs import object_spec
from .names import Names, inner_attribute

__all__ = ["module_specs"]


def module_specs(names: Names, prefix: str) -> list[ModuleSpec]:
    """Every module once, by its path without wrappers, in the order of registration; wrappers are none."""
    made: list[ModuleSpec] = []
    seen: set[int] = set()
    for path, module in names.modules.items():
        while (inner := inner_attribute(module)) is not None:
            module = getattr(module, inner)
        if id(module) in seen:
            continue
        seen.add(id(module))
        full = prefix + path if path else prefix.rstrip("/")
        made.append(object_spec(full, module, vars(module), len(made), library=("torch",)))
    return made
