"""The settings of a module as plain values, and what decides its function out of its attributes.

A live module's settings and those that a file keeps go through the same functions, so that equal layers give equal mappings.
Sources: the constructors of ``torch/nn/modules/**``; flax's ``linen`` and ``nnx`` modules use the same words.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

__all__ = ["DEEPEST", "LONGEST", "module_value", "object_config"]

DEEPEST = 12
"""How deep a setting may be nested."""
LONGEST = 256
"""How many entries a list among the settings may have; a longer one is data."""


def module_value(value: Any, depth: int = 0) -> Any:
    """A setting as JSON would give it back: tuples as lists, numpy scalars as numbers, infinities as texts, named
    functions as their name. Raises :class:`TypeError` for what is no plain setting (arrays, objects)."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else repr(float(value))
    if depth > DEEPEST:
        raise TypeError("nested too deep")
    if isinstance(value, (list, tuple)):
        if len(value) > LONGEST:
            raise TypeError("a long list is data")
        return [module_value(item, depth + 1) for item in value]
    if isinstance(value, Mapping):
        if len(value) > LONGEST:
            raise TypeError("a long mapping is data")
        return {str(key): module_value(item, depth + 1) for key, item in value.items()}
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "shape", None) == () and type(value).__module__ == "numpy":
        return module_value(item(), depth + 1)
    name = getattr(value, "__name__", None)
    if callable(value) and isinstance(name, str):
        return name
    raise TypeError(f"{type(value).__name__} is no plain setting")


_TORCH_SILENT = frozenset(
    {
        "training",
        "inplace",
        "device",
        "dtype",
        "T_destination",
        "dump_patches",
        "call_super_init",
        "name",
        "names",
    }
    | {
        "prepare_data_per_node",
        "allow_zero_length_dataloader_with_multiple_devices",
        "return_indices",
        "head_dim",
    }
    | {
        "generator",
        "in_proj_bias",
        "in_proj_weight",
        "precision",
        "activation_relu_or_gelu",
        "transposed",
        "fc_in",
        "forward_hooks",
        "factory_kwargs",
    }
)

_CHANGES_BY_ITSELF = re.compile(
    r"(^|_)(steps?|epochs?|iters?|iterations?|counters?|counts?|calls?|seen|best|loss|losses|last|current|cache|cached"
    r"|log|logs|logger|logdir|path|paths|dir|file|folder|verbose|debug|seed|rank|world|device|devices|lr"
    r"|learning|version|id|uuid|time|timestamp|date|batch|workers|history|metrics?|acc|accuracy|score|hparams"
    r"|weight_decay|warmup|optimizer|scheduler|total|num_batches|output_dir|checkpoint|profiler|example)(_|$)"
)
"""Attributes of a user's own module that the program moves, or that say where and how it runs."""

_DERIVED = re.compile(r"^(fused?_|enable_nested|use_nested|mask_check|is_sparse|enable_)")


def object_config(class_name: str, attributes: Mapping[str, Any], *, known: bool = True) -> dict[str, Any]:
    """What decides the function, out of the attributes of a module object: a ``torch.nn.Module``'s ``vars(module)``,
    what a pickle keeps of it, the fields of a flax module.

    Public attributes of plain types count: numbers, texts, and lists of them; functions by their name. Tensors,
    modules, private attributes, ``training``, ``inplace``, devices and dtypes do not. With ``known=False`` (a class
    that is not torch's own) attributes whose words say that the program moves them (``step``, ``best_loss``,
    ``log_dir``) and texts that look like a path or a device do not count either.
    """
    kept: dict[str, Any] = {}
    for key, value in attributes.items():
        if not isinstance(key, str) or not _counts(key, known) or (not known and _says_where(value)):
            continue
        if type(value) in _SIMPLE:
            kept[key] = value
            continue
        try:
            plain = module_value(value)
        except TypeError:
            continue
        if plain == []:
            continue
        kept[key] = plain
    return kept


@lru_cache(maxsize=4096)
def _counts(key: str, known: bool) -> bool:
    if key.startswith("_") or key in _TORCH_SILENT or _DERIVED.match(key):
        return False
    return known or not _CHANGES_BY_ITSELF.search(key)


_SIMPLE = frozenset({bool, int, str, type(None)})


def _says_where(value: Any) -> bool:
    return isinstance(value, str) and bool(
        re.search(r"[/\\\n]|^(cpu|cuda|mps|xla|tpu|gpu)(:\d+)?$|.{65}", value)
    )
