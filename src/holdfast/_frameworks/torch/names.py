"""The bare model under its wrappers, and the names its tensors bear without them.

Wrappers keep the wrapped module under one attribute, and their ``state_dict`` puts that attribute's name in
front (``module.0.weight``). Which class uses which attribute stands in :data:`ATTRIBUTES`; the sources are the
rows of :mod:`holdfast._facts.wrappers`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch

__all__ = ["ATTRIBUTES", "Names", "inner_attribute"]

ATTRIBUTES: dict[str, str] = {
    "DataParallel": "module",
    "DistributedDataParallel": "module",
    "DistributedDataParallelCPU": "module",
    "OptimizedModule": "_orig_mod",
    "FullyShardedDataParallel": "_fsdp_wrapped_module",
    "CheckpointWrapper": "_checkpoint_wrapped_module",
    "OffloadWrapper": "_checkpoint_wrapped_module",
    "AveragedModel": "module",
    "_FabricModule": "_forward_module",
    "GradSampleModule": "_module",
    "DeepSpeedEngine": "module",
    "PeftModel": "base_model",
    "BaseTuner": "model",
}
"""Class name (anywhere in the method resolution order) -> the attribute that holds the wrapped module."""


def inner_attribute(module: Any) -> str | None:
    """The attribute under which a wrapper holds the module it wraps; ``None`` for anything else."""
    cls: type = type(module)
    for attribute in _of_class(cls):
        if isinstance(module._modules.get(attribute), torch.nn.Module):
            return attribute
    return None


@lru_cache(maxsize=4096)
def _of_class(cls: type) -> tuple[str, ...]:
    return tuple(ATTRIBUTES[base.__name__] for base in cls.__mro__ if base.__name__ in ATTRIBUTES)


class Names:
    """Every module of a tree by its path with wrappers (``module.encoder.``) and without (``encoder.``).

    ``wrappers``: class names of the wrappers around the whole, outermost first. ``modules``: bare path
    (without the last dot) -> module, in the order of registration, a shared module under each of its paths.
    """

    def __init__(self, root: torch.nn.Module) -> None:
        self.wrappers: list[str] = []
        self.inside: dict[str, str] = {}  # bare path -> class name of a wrapper within the model
        self.modules: dict[str, torch.nn.Module] = {}
        self._bare: dict[str, str] = {}
        self._all: dict[int, torch.nn.Module] = {}
        self._walk(root, "", "", ())

    def _walk(self, module: torch.nn.Module, raw: str, bare: str, above: tuple[int, ...]) -> None:
        if id(module) in above:
            return  # a module that holds itself: its tensors are listed once
        self._bare[raw] = bare
        self._all.setdefault(id(module), module)
        inner = inner_attribute(module)
        if inner is None:
            self.modules.setdefault(bare[:-1], module)
        elif bare:
            self.inside[bare[:-1]] = type(module).__name__
        else:
            self.wrappers.append(type(module).__name__)
        above = (*above, id(module))
        for name, child in module._modules.items():
            if child is None:
                continue
            under = bare if name == inner else f"{bare}{name}."
            if child._modules:
                self._walk(child, f"{raw}{name}.", under, above)
            else:  # the same in brief for what holds no module, and so wraps none
                self._bare[f"{raw}{name}."] = under
                self._all.setdefault(id(child), child)
                self.modules.setdefault(under[:-1], child)

    @property
    def plain(self) -> bool:
        """Whether every name is the key of ``state_dict`` itself, as no wrapper is anywhere."""
        return not self.wrappers and not self.inside

    def tensors(self) -> tuple[dict[int, str], list[torch.nn.Parameter]]:
        """Every parameter's and buffer's id -> which of the two it is; and all parameters in the order of ``parameters()``,
        each once."""
        kinds: dict[int, str] = {}
        listed: list[torch.nn.Parameter] = []
        for module in self._all.values():
            for tensor in module._parameters.values():
                if tensor is not None and kinds.get(id(tensor)) != "parameter":
                    kinds[id(tensor)] = "parameter"
                    listed.append(tensor)
            for buffer in module._buffers.values():
                if buffer is not None:
                    kinds.setdefault(id(buffer), "buffer")
        return kinds, listed

    def around(self, name: str) -> list[str]:
        """The wrappers around a tensor of that bare name: those of the whole, or those within the model."""
        if self.wrappers or not self.inside:
            return list(self.wrappers)
        parts = name.split(".")
        paths = (".".join(parts[:count]) for count in range(1, len(parts)))
        return [self.inside[path] for path in paths if path in self.inside]

    def bare(self, key: str) -> str:
        """A tensor's key of ``state_dict`` without what wrappers put in; as it is where its module is not
        known (hooks may rename)."""
        cut = len(key)
        while cut > 0:
            cut = key.rfind(".", 0, cut)
            raw = key[: cut + 1]
            if raw in self._bare:
                return self._bare[raw] + key[cut + 1 :]
        return self._bare.get("", "") + key
