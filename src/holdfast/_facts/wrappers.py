"""What wrappers put into tensor names: segments and containers, each with who does it and where that is
written.

A *segment* may stand at any depth (``module.encoder.weight``, ``encoder.module.weight``): the wrapped module
is an attribute of the wrapper, and any submodule can be wrapped. A *container* stands in front of a whole
tree of names: people save ``{"model_state_dict": model.state_dict(), ...}``, and loaders put their own level
on top.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

__all__ = [
    "ADAPTER_PARTS",
    "AVERAGING",
    "CONTAINERS",
    "DECORATIONS",
    "SEGMENTS",
    "WRAPPERS",
    "Wrapper",
    "adapter_free",
    "any_adapter",
    "wrapper_of",
]


class Wrapper(NamedTuple):
    """One wrapper: the name segments it adds, whether at any depth, who adds them, and the source of that."""

    segments: tuple[str, ...]
    anywhere: bool
    origin: str
    source: str

    @property
    def text(self) -> str:
        """As it stands in a torch name: ``_orig_mod.``."""
        return ".".join(self.segments) + "."


WRAPPERS: tuple[Wrapper, ...] = (
    Wrapper(("module",), True, "DataParallel or DistributedDataParallel", "torch/nn/parallel/distributed.py"),
    Wrapper(("_orig_mod",), True, "torch.compile", "torch/_dynamo/eval_frame.py, OptimizedModule"),
    Wrapper(
        ("_fsdp_wrapped_module",),
        True,
        "FullyShardedDataParallel",
        "torch/distributed/fsdp/_common_utils.py, FSDP_WRAPPED_MODULE",
    ),
    Wrapper(
        ("_fpw_module",),
        True,
        "FSDP of PyTorch 1.11-1.12",
        "torch/distributed/fsdp/flatten_params_wrapper.py",
    ),
    Wrapper(
        ("_checkpoint_wrapped_module",),
        True,
        "activation checkpointing",
        "torch/distributed/algorithms/_checkpoint/checkpoint_wrapper.py, _CHECKPOINT_WRAPPED_MODULE",
    ),
    Wrapper(("_forward_module",), True, "Lightning Fabric", "lightning/fabric/wrappers.py, _FabricModule"),
    Wrapper(("_original_module",), True, "Lightning Fabric", "lightning/fabric/wrappers.py, _FabricModule"),
    Wrapper(("_module",), True, "Opacus GradSampleModule", "opacus/grad_sample/grad_sample_module.py"),
    Wrapper(
        ("base_model", "model"), False, "PEFT", "peft/peft_model.py, PeftModel and tuners/tuners_utils.py"
    ),
    Wrapper(("_model",), False, "a wrapper's own attribute", "convention"),
    Wrapper(
        ("model",), False, "a LightningModule's or trainer's `self.model`", "convention of Lightning modules"
    ),
    Wrapper(("net",), False, "a wrapper's `self.net`", "convention"),
    Wrapper(("network",), False, "a wrapper's `self.network`", "convention"),
    Wrapper(("backbone",), False, "a wrapper's `self.backbone`", "convention"),
    Wrapper(
        ("state_dict",),
        False,
        "a checkpoint's `state_dict` entry",
        "lightning/pytorch/trainer/connectors/checkpoint_connector.py",
    ),
    Wrapper(
        ("model_state_dict",),
        False,
        "a checkpoint's `model_state_dict` entry",
        "PyTorch's tutorial on saving checkpoints",
    ),
    Wrapper(("model_state",), False, "a checkpoint's `model_state` entry", "convention"),
    Wrapper(
        ("params",),
        False,
        "a flax parameter tree",
        "flax/training/train_state.py and linen variable collections",
    ),
    Wrapper(("params_ema",), False, "a checkpoint's `params_ema` entry", "basicsr/models/base_model.py"),
    Wrapper(("variables",), False, "a checkpoint's `variables` entry", "tensorflow/python/module/module.py"),
    Wrapper(("weights",), False, "a checkpoint's `weights` entry", "convention"),
    Wrapper(
        ("model_weights",),
        False,
        "the weights group of a whole-model HDF5 file",
        "keras/src/legacy/saving/legacy_h5_format.py",
    ),
    Wrapper(("layers",), False, "the layers group of Keras 3 weights", "keras/src/saving/saving_lib.py"),
    Wrapper(
        ("_layer_checkpoint_dependencies",),
        False,
        "the layers group of Keras 2.12-2.13 weights",
        "keras/saving/saving_lib.py 2.13",
    ),
)

AVERAGING = Wrapper(
    ("module",), True, "AveragedModel, which holds an average of the weights", "torch/optim/swa_utils.py"
)
"""The same segment as DataParallel's, told apart by what the tensors are."""

ADAPTER_PARTS: frozenset[str] = frozenset(
    {"lora_A", "lora_B", "lora_embedding_A", "lora_embedding_B", "lora_magnitude_vector", "lora_E", "ranknum"}
    | {"hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "lokr_w1", "lokr_w2", "ia3_l", "vera_lambda_b"}
    | {"vera_lambda_d", "oft_r", "modules_to_save"}
)
"""Containers in which PEFT keeps one module or parameter per adapter, under the adapter's name
(peft/tuners/*/layer.py, ``adapter_layer_names``; peft/utils/other.py, ``ModulesToSaveWrapper``)."""


_ADAPTED_WORDS = ("base_layer", *sorted(ADAPTER_PARTS))
_ADAPTED = re.compile(rf"(?:^|\.)(?:{'|'.join(_ADAPTED_WORDS)})(?:\.|$)")
_ADAPTED_LINES = re.compile(_ADAPTED.pattern, re.MULTILINE)


def adapter_free(name: str) -> str | None:
    """A live PEFT tensor's name as its files spell it: without the adapter's name
    (peft/utils/save_and_load.py, ``get_peft_model_state_dict``), without ``modules_to_save``, and a wrapped layer's own
    weights without ``base_layer``, as the base model has them. ``None`` where nothing of that is in it."""
    if _ADAPTED.search(name) is None:
        return None
    kept: list[str] = []
    parts = name.split(".")
    at = 0
    while at < len(parts):
        part = parts[at]
        if part in ADAPTER_PARTS and at + 1 < len(parts):
            kept += [] if part == "modules_to_save" else [part]
            at += 2  # the adapter's name
            continue
        if part != "base_layer":
            kept.append(part)
        at += 1
    spelled = ".".join(kept)
    return None if spelled == name else spelled


def any_adapter(names: Iterable[str]) -> bool:
    """Whether :func:`adapter_free` has something to say of any of these names."""
    text = "\n".join(names)
    return any(word in text for word in _ADAPTED_WORDS) and _ADAPTED_LINES.search(text) is not None


SEGMENTS: frozenset[str] = frozenset(w.segments[0] for w in WRAPPERS if w.anywhere)
"""Segments that mean a wrapper at any depth."""

CONTAINERS: frozenset[tuple[str, ...]] = frozenset(w.segments for w in WRAPPERS if not w.anywhere)
"""Leading segments that may be a container or a wrapper's attribute."""

DECORATIONS: tuple[str, ...] = ("/.ATTRIBUTES/VARIABLE_VALUE", ":0")
"""Endings that say nothing: TensorFlow's attribute of a variable (tensorflow/python/trackable/base.py,
VARIABLE_VALUE_KEY) and the output number of a graph tensor."""


@lru_cache(maxsize=4096)
def wrapper_of(segments: tuple[str, ...]) -> Wrapper | None:
    """The wrapper that adds exactly these segments; for several in a row, the outermost known one."""
    for wrapper in WRAPPERS:
        if wrapper.segments == segments:
            return wrapper
    rest = list(segments)
    first: Wrapper | None = None
    while rest:
        for wrapper in WRAPPERS:
            if tuple(rest[: len(wrapper.segments)]) == wrapper.segments:
                first = first or wrapper
                del rest[: len(wrapper.segments)]
                break
        else:
            return None
    return first
