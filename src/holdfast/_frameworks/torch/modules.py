"""A ``torch.nn.Module``'s parameters and persistent buffers as variables, as its ``state_dict()`` names them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from ..._core.dtypes import nbytes_of
from ..._core.errors import NotReadable
from ..._core.fault import Fault
from ..._core.modules import ModuleSpec
from ..._core.spec import Role, SpecDraft, TensorSpec
from ..._core.words import plural
from ..._facts.wrappers import adapter_free, any_adapter
from ..live import Setting, Variable
from .layers import module_specs
from .names import Names
from .tensors import PLAIN, Held, dtype_name, from_numpy, is_lazy, storage_of, to_numpy, values_of

__all__ = ["CONTAINERS", "Model", "describe_model"]

CONTAINERS = ("model", "model_state_dict", "state_dict", "model_state", "module", "net")
"""Keys under which people put a model's state dict in a checkpoint (PyTorch's tutorial on saving, Lightning,
DeepSpeed, timm)."""

_NONE: Mapping[str, Any] = MappingProxyType({})
_CONVOLUTIONS = (torch.nn.Linear, torch.nn.Bilinear, torch.nn.modules.conv._ConvNd)


@dataclass(slots=True)
class Model:
    """One model described.

    ``parameters``: live parameter's id -> the name it bears (the first, where tied); ``listed``: the parameters
    themselves in ``parameters()`` order; ``modules()``: what it is made of; ``versions``: module path -> state dict
    version, as ``_metadata`` of a state dict has it.
    """

    prefix: str
    variables: list[Variable] = field(default_factory=list)
    settings: list[Setting] = field(default_factory=list)
    modules: Callable[[], list[ModuleSpec]] = list
    unbuilt: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    parameters: dict[int, str] = field(default_factory=dict)
    listed: list[torch.nn.Parameter] = field(default_factory=list)
    wrappers: list[str] = field(default_factory=list)
    average: bool = False


def _state(module: torch.nn.Module) -> Mapping[str, Any]:
    """``state_dict`` with the live objects themselves."""
    try:
        return module.state_dict(keep_vars=True)
    except TypeError:  # an override that takes no options gives what it gives
        return module.state_dict()


def describe_model(
    module: torch.nn.Module, part: str, prefix: str, owners: Mapping[str, str] | None = None, order: int = 0
) -> Model:
    """Describe a module and everything below it.

    ``prefix`` stands before every name (``"gen/"``; empty for the only model). ``owners`` are the names of the
    main model's weights by bare name, for averaged copies. Non-persistent buffers are not listed, as no save
    has them. Nothing is called but ``state_dict``.
    """
    names = Names(module)
    made = Model(
        prefix, wrappers=names.wrappers, average="AveragedModel" in names.wrappers or owners is not None
    )
    live, made.listed = names.tensors()
    sizes: dict[tuple[Any, torch.dtype], tuple[tuple[int, ...], str, int]] = {}
    layouts = _layouts(names)
    heads = _heads(prefix, part)
    state = _state(module)
    adapted = any_adapter(state)
    groups = _shared(state)
    lazy: dict[str, None] = {}
    others = partial(_other_names, heads, len(prefix))
    unwrapped, average = names.plain, made.average
    variables, parameters, strided = made.variables, made.parameters, torch.strided
    for key, value in state.items():
        bare = key if unwrapped else names.bare(key)
        plain = type(value) in PLAIN
        if not plain and not isinstance(value, torch.Tensor):
            _extra(made, module, key, prefix, value, part)
            continue
        kind = live.get(id(value))
        if kind == "parameter":
            parameters.setdefault(id(value), prefix + bare)
        if not plain and is_lazy(value):
            lazy.setdefault(bare.rpartition(".")[0])
            continue
        dense = value.layout is strided
        spec = SpecDraft()
        spec.role = (
            "weight" if kind == "parameter" or (kind is None and value.is_floating_point()) else "buffer"
        )
        spec.owner = None
        if average:
            spec.role, spec.owner = _averaged(spec.role, bare, value, owners or {})
        spec.name = prefix + bare
        spec.key = prefix + key
        size = value.shape, value.dtype
        spec.shape, spec.dtype, spec.nbytes = sizes.get(size) or sizes.setdefault(size, _size(*size))
        if unwrapped and not adapted:
            spec.aliases = others
        else:
            inner = (bare,) if key == bare else (key, bare)
            spelled = tuple(filter(None, map(adapter_free, inner))) if adapted else ()
            spec.aliases = (
                *[head + word for word in (*inner, *spelled) for head in heads],
                *inner[:-1],
                *spelled,
            )
        spec.slot = spec.optimizer = spec.extent = None
        spec.path = spec.stored = ()
        spec.dialect = "torch"
        spec.layout = layouts.get(bare)
        spec.trainable = value.requires_grad if kind == "parameter" else False
        spec.order = order + len(variables)
        spec.shares = groups.get(key)
        if unwrapped and dense and value.is_cpu and value.is_contiguous():
            spec.attributes = _NONE
        else:
            spec.attributes = _attributes(value, names, bare)
        if kind is not None and dense and not value.is_quantized:
            variables.append(Held(spec.done(), value))
        else:
            variables.append(_variable(spec.done(), value, module, key))
    made.unbuilt = [prefix + path for path in lazy]
    made.modules = partial(module_specs, names, prefix)
    _notice(made, [v.spec.name for v in made.variables if v.spec.attributes.get("device") == "meta"])
    return made


def _size(shape: torch.Size, dtype: torch.dtype) -> tuple[tuple[int, ...], str, int]:
    """Shape, dtype and bytes of a tensor; a model's thousands have a few dozen of these."""
    sizes, name = tuple(shape), dtype_name(dtype)
    return sizes, name, nbytes_of(sizes, name)


def _notice(made: Model, without: list[str]) -> None:
    if without:
        made.faults.append(
            Fault(
                "not-writable",
                f"{plural(len(without), 'tensor')} of the model {'is' if len(without) == 1 else 'are'} on the meta "
                "device, which has shapes and no memory: nothing can be restored into it, nor trained",
                tensor=without[0],
                tensors=tuple(without),
                attributes={"remedy": "Give the model memory first: model.to_empty(device='cpu')."},
            )
        )
    if made.unbuilt:
        made.faults.append(
            Fault(
                "not-built",
                f"{plural(len(made.unbuilt), 'lazy module')} without parameters ({', '.join(made.unbuilt[:3])}): "
                "the shapes come with the first call",
                tensor=made.unbuilt[0],
                tensors=tuple(made.unbuilt),
                attributes={"remedy": "Call the model once on a batch of the right shape."},
            )
        )


def _other_names(heads: tuple[str, ...], start: int, spec: TensorSpec) -> tuple[str, ...]:
    """What stands for a tensor in the files in which people keep a model: its bare name below each of these."""
    bare = spec.name[start:]
    return tuple([head + bare for head in heads])


def _heads(prefix: str, part: str) -> tuple[str, ...]:
    """What stands before a tensor's name in the files in which people keep it."""
    if prefix:
        word = prefix[:-1]
        return (f"{word}/", f"{word}_state_dict/")
    return tuple(f"{word}/" for word in (CONTAINERS if part == "model" else (part, f"{part}_state_dict")))


def _averaged(
    role: Role, bare: str, value: torch.Tensor, owners: Mapping[str, str]
) -> tuple[Role, str | None]:
    """An averaged copy's tensor (torch/optim/swa_utils.py, ``AveragedModel``)."""
    if bare == "n_averaged":
        return "counter", None
    if role == "buffer" and not value.is_floating_point():
        return "buffer", None
    return "average", owners.get(bare)


def _shared(state: Mapping[str, Any]) -> dict[str, str]:
    """Key -> an identifier that all keys of the same elements share."""
    keys = [
        k for k, v in state.items() if type(v) in PLAIN or (isinstance(v, torch.Tensor) and not is_lazy(v))
    ]
    places = [_address(state[key]) for key in keys]
    if len(set(places)) == len(places):
        return {}
    objects: dict[int, list[str]] = {}
    for key, place in zip(keys, places, strict=True):
        objects.setdefault(place, []).append(key)
    seen: dict[Any, list[str]] = {}
    for keys in objects.values():
        if len(keys) > 1:
            for key in keys:
                seen.setdefault(storage_of(state[key]) or id(state[key]), []).append(key)
    return {key: f"memory:{keys[0]}" for keys in seen.values() if len(keys) > 1 for key in keys}


def _address(value: torch.Tensor) -> int:
    """Where its first element lies; the object's own identity where it has no memory."""
    try:
        return value.data_ptr() or id(value)
    except RuntimeError:
        return id(value)  # sparse tensors and wrapper subclasses have no memory of their own


def _layouts(names: Names) -> dict[str, str]:
    """Kernel layouts: output channels first, also in transposed convolutions, which the one permutation a
    rank covers (:mod:`holdfast._facts.kernel_layouts`)."""
    return {
        f"{path}.weight" if path else "weight": "oi"
        for path, module in names.modules.items()
        if isinstance(module, _CONVOLUTIONS)
    }


def _attributes(value: torch.Tensor, names: Names, bare: str) -> Mapping[str, Any]:
    made: dict[str, Any] = {}
    if not value.is_cpu:
        made["device"] = str(value.device)
    wrappers = names.around(bare)
    if wrappers:
        made["wrappers"] = wrappers
    if value.layout != torch.strided:
        made["sparse"] = str(value.layout).rsplit(".", 1)[-1]
    elif not value.is_contiguous():
        made["stride"] = list(value.stride())
    return made or _NONE


def _variable(spec: TensorSpec, value: torch.Tensor, module: torch.nn.Module, key: str) -> Variable:
    """The variable of what is no plain tensor of the module's own."""
    if value.layout != torch.strided:

        def refuse() -> np.ndarray:
            raise NotReadable("sparse parameters are described, not read", tensor=spec.name)

        return Variable(spec, refuse, None)
    if value.is_quantized:
        return _quantised(spec, value)
    return Variable(spec, values_of(lambda: _state(module)[key]), _through(module, key))


def _quantised(spec: TensorSpec, value: torch.Tensor) -> Variable:
    """The integers of a quantised tensor, named as our readers name them; they are read only."""
    scheme = str(value.qscheme()).rsplit(".", 1)[-1]
    attributes = {**spec.attributes, "quantised": spec.dtype, "qscheme": scheme}
    if scheme.startswith("per_tensor"):
        attributes |= {"scale": value.q_scale(), "zero_point": value.q_zero_point()}
    spec = spec.with_(
        name=f"{spec.name}.int_repr",
        key=f"{spec.key}.int_repr",
        dtype=dtype_name(value.int_repr().dtype),
        aliases=tuple(f"{alias}.int_repr" for alias in spec.aliases),
        attributes=attributes,
    )
    return Variable(spec, partial(to_numpy, value), None)


def _through(module: torch.nn.Module, key: str) -> Callable[[np.ndarray], None]:
    """Set what ``state_dict`` makes only when asked (hooks, packed weights) as it would be loaded."""

    def write(array: np.ndarray) -> None:
        value = _state(module)[key]
        module.load_state_dict({key: from_numpy(array, value.dtype).clone()}, strict=False)

    return write


def _extra(made: Model, module: torch.nn.Module, key: str, prefix: str, value: Any, part: str) -> None:
    """``_extra_state`` of a module (torch/nn/modules/module.py, ``get_extra_state``) as a setting."""
    path, _, word = key.rpartition(".")
    if word != "_extra_state":
        return
    owner = module.get_submodule(path)
    made.settings.append(
        Setting(
            prefix + key,
            "other",
            owner.get_extra_state,
            owner.set_extra_state,
            part,
            aliases=tuple(f"{word}/{key}" for word in CONTAINERS) if not prefix else (),
            key=word,
        )
    )
