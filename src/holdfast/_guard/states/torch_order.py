"""An optimizer's state, which PyTorch keeps and loads by position (torch/optim/optimizer.py, ``state_dict``): it is held against
the module whose parameters it moves, by the names and in the order in which the file lists them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from ..._compare.names import canonical
from ..._compare.scope import scope_of
from ..._core.difference_kinds import DIFFERENCES
from ..._core.dtypes import DTYPES
from ..._core.errors import HoldfastError
from ..._core.finding import Finding
from ..._core.words import plural
from ..._frameworks import live_catalog
from ..._frameworks.events import Call
from ..._frameworks.torch.owning import modules_of, parameters_of
from ..._frameworks.torch.tensors import is_lazy
from ..._layouts.opening import open_path
from ..._rules.registry import told_by
from . import State
from .torch_known import LOADED, held
from .torch_memory import skeleton, state_catalog

if TYPE_CHECKING:
    from ..loaded import Loaded

__all__ = ["of_optimizer"]

_SCHEDULED = frozenset(
    {"learning_rate", "initial_lr", "momentum", "beta_1", "beta_2", "max_momentum", "base_momentum"}
)
"""What schedulers set (torch/optim/lr_scheduler.py: OneCycleLR and CyclicLR set momenta or betas too)."""


def of_optimizer(call: Call, optimizer: Any, path: str | None, models: Sequence[Any]) -> State:
    """What an optimizer's ``load_state_dict`` is held against. ``models``: those that were loaded before."""
    groups = getattr(optimizer, "param_groups", [])
    owned = _SCHEDULED if any("initial_lr" in group for group in groups) else frozenset()
    names = [
        "param_names" in group for group in call.state.get("param_groups", ()) if isinstance(group, Mapping)
    ]
    named = any(names)
    more: dict[str, Any] = {"only": "optimizer", "path": path, "by_position": not named, "owned": owned}
    name = path or "the state dict"
    model, record, ordered = _record(optimizer, path, models)
    if model is None:
        told = _stale(optimizer, models)
        return State(
            partial(state_catalog, {"optimizer": call.state}, name), call.parts,
            after=lambda loaded: loaded.findings.extend(told), **more,
        )  # fmt: skip
    told_apart = named and all(names)  # the comparison itself holds these names against the live ones
    crossed = _crossed(optimizer, model, record) if ordered and not told_apart else []
    root = {"model_state_dict": record, "optimizer": call.state}

    def after(loaded: Loaded) -> None:
        if ordered:  # the file's own record says more than the order of model.parameters() does
            loaded.findings = [
                replace(f, severity="note") if f.slug == "optimizer-order" else f for f in loaded.findings
            ]
        loaded.findings = [*loaded.findings, *crossed]

    return State(
        partial(state_catalog, root, name), {"model": model, "optimizer": optimizer}, after=after, **more
    )


def _record(
    optimizer: Any, path: str | None, models: Sequence[Any]
) -> tuple[torch.nn.Module | None, dict[str, Any], bool]:
    """The module whose parameters the optimizer moves, its tensors as the file lists them (or as the module does), and whether
    that is a record of the order in which they were saved."""
    params = parameters_of(optimizer)
    known = [m for m in models if isinstance(m, torch.nn.Module)]
    chain = modules_of(params, known) or modules_of(params)
    if not chain:
        return None, {}, False
    for model in reversed(chain):
        loaded = LOADED.get(model)
        if loaded is not None and path in (None, loaded[1]):
            return model, loaded[0], _is_record(loaded[0], model)
    for model in chain if path is not None else ():
        found = _in_file(str(path), model)
        if found:
            return model, found, _is_record(found, model)
    model = next((m for m in reversed(chain) if m in LOADED), chain[-1])
    found = LOADED[model][0] if model in LOADED else skeleton(held(model))
    return model, found, model in LOADED and _is_record(found, model)


def _is_record(found: Mapping[str, Any], model: torch.nn.Module) -> bool:
    """Whether the order says something: formats that sort their names have none. Safetensors sorts the wider dtypes first, and
    by name within a dtype (safetensors/src/tensor.rs, ``prepare``)."""
    return not _is_sorted(found) or _is_sorted(model.state_dict())


def _is_sorted(tensors: Mapping[str, Any]) -> bool:
    by_dtype: dict[Any, list[str]] = {}
    for name, tensor in tensors.items():
        by_dtype.setdefault(getattr(tensor, "dtype", None), []).append(name)
    return all(names == sorted(names) for names in by_dtype.values())


def _in_file(path: str, model: torch.nn.Module) -> dict[str, Any]:
    """The module's tensors as the file lists them, without values; empty where it holds none."""
    try:
        with open_path(path) as stored:
            scope = scope_of(stored, live_catalog(model=model), ("model",))
    except HoldfastError:
        return {}
    found = {}
    for name, entry in scope.entries.items():
        dtype = _DTYPES.get(entry.spec.dtype)
        if dtype is not None and entry.spec.role in ("weight", "buffer"):
            found[name] = torch.empty(entry.spec.shape, dtype=dtype, device="meta")
    mine = {canonical(key) for key in model.state_dict()}
    return found if mine & {canonical(name) for name in found} else {}


_DTYPES = {name: dtype for name in DTYPES if isinstance(dtype := getattr(torch, name, None), torch.dtype)}


def _crossed(optimizer: Any, model: torch.nn.Module, record: Mapping[str, Any]) -> list[Finding]:
    """Weights of one shape that the optimizer lists in the opposite order to the file's own record."""
    places = {canonical(name): place for place, name in enumerate(record)}
    names: dict[int, str] = {}
    for own, tensor in held(model).items():
        names.setdefault(id(tensor), own)
    pairs = []
    for group in optimizer.param_groups:
        last: dict[tuple[int, ...], tuple[int, str]] = {}
        for param in group["params"]:
            name = names.get(id(param))
            place = places.get(canonical(name)) if name is not None else None
            if name is None or place is None or is_lazy(param):
                continue
            shape = tuple(param.shape)
            if shape in last and place < last[shape][0]:
                pairs.append((last[shape][1], name))
            last[shape] = (place, name)
    if not pairs:
        return []
    kind = DIFFERENCES["O209"]
    told = ", ".join(f"`{a}` before `{b}`" for a, b in pairs[:2])
    return [
        Finding(
            "O209", kind.slug, "warning",
            f"the optimizer's state is loaded by position, and this optimizer lists {told}, which the model in the checkpoint "
            f"lists the other way round: {plural(len(pairs) + 1, 'weight')} of one shape now have one another's momenta, unless "
            "the run that saved gave its optimizer the same order",
            cause="optimizer-structure", tensors=tuple(dict.fromkeys(n for pair in pairs for n in pair)),
            remedy="Make the optimizer from model.parameters() as the run that saved did; made from model.named_parameters() "
            "it stores names, which would tell.",
        )
    ]  # fmt: skip


def _stale(optimizer: Any, models: Sequence[Any]) -> list[Finding]:
    """No living module holds the optimizer's parameters: they may be those of a model that has been replaced."""
    mine = sorted(tuple(p.shape) for p in parameters_of(optimizer) if not is_lazy(p))
    for model in models:
        if not isinstance(model, torch.nn.Module):
            continue
        params = [p for p in model.parameters() if p.requires_grad and not is_lazy(p)]
        if mine and mine == sorted(tuple(p.shape) for p in params):
            return [
                told_by(
                    "foreign-variable",
                    f"{type(optimizer).__name__} holds {plural(len(mine), 'parameter')} that no model holds any more, of the "
                    f"shapes of {type(model).__name__}'s own: the model was replaced after the optimizer was made, and the "
                    "optimizer's steps will not change it",
                    severity="error",
                    remedy="Make the optimizer from the model that is trained, then load its state.",
                )
            ]
    return []
