"""What PyTorch's ``load_state_dict`` puts into which objects."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from ..._core.catalog import Catalog
from ..._core.errors import HoldfastError
from ..._core.words import plural
from ..._frameworks import LiveCatalog
from ..._frameworks.events import Call
from ..._frameworks.torch.live import describe
from ..._frameworks.torch.owning import holders
from ..._layouts.opening import open_path
from ..._rules.registry import told_by
from . import State
from .torch_known import LOADED, bare_names, held, note_set, own, was_set
from .torch_memory import skeleton, state_catalog
from .torch_order import of_optimizer
from .torch_sources import Sources, sources_of

if TYPE_CHECKING:
    from ..loaded import Loaded
    from ..origins import Origins

__all__ = ["afterwards", "state"]

_FILLING: weakref.WeakSet[Any] = weakref.WeakSet()
"""Modules that were made without memory, and are filled piece by piece (``assign=True``): a step on what is left out raises."""


def state(call: Call, origins: Origins, models: Sequence[Any]) -> State | None:
    """What a ``load_state_dict`` puts into which objects; ``None`` where it is given no mapping."""
    if not isinstance(call.state, Mapping):
        return None
    part, thing = next(iter(call.parts.items()))
    path = origins.of(call.state)
    if part == "model":
        found = _of_module(call, thing, origins)
    elif part == "optimizer":
        found = of_optimizer(call, thing, path, models)
    else:
        found = None
    if found is not None:
        found.described = _described
        return found
    return State(
        partial(state_catalog, {part: call.state}, path or "the state dict"), call.parts, only=part, path=path
    )


def afterwards(call: Call) -> State | None:
    """What lies in a folder that only PyTorch reads (``dcp.load``)."""
    from .torch_dcp import afterwards as told

    return told(call)


def _described(**parts: Any) -> LiveCatalog:
    """The live objects, of tensors that are split over ranks this rank's part: it is the part that a load has set."""
    return describe(parts, here=True)


# -- modules -------------------------------------------------------------------------------------------------------
def _of_module(call: Call, module: torch.nn.Module, origins: Origins) -> State:
    sources = sources_of(call.state, module, origins, filling=module in _FILLING)
    path = sources.path
    LOADED[module] = skeleton(call.state), None if sources.nothing else path
    before, bare = held(module), bare_names(module)
    assigned = call.load.assign
    lent = {id(t): t for t in before.values() if isinstance(t, torch.nn.Parameter)} if assigned else {}
    if any(tensor.device.type == "meta" for tensor in before.values()):
        _FILLING.add(module)
    beside, alike = _in_other_shards(path), {*map(bare, sources.alike)}
    earlier = frozenset(
        name
        for name, tensor in before.items()
        if module in _FILLING or name in beside or name in alike or _stays_by_right(tensor, call, path)
    )

    def after(loaded: Loaded) -> None:
        now = held(module)
        restored = {*loaded.restored}
        for name, tensor in now.items():
            if name in restored:
                note_set(tensor)
        if assigned:  # what has no memory yet is given some by the next call
            loaded.findings = [f for f in loaded.findings if f.slug != "not-writable"]
            loaded.next_step = ""
        loaded.kept = [name for name in loaded.left if name in earlier]
        loaded.left = [name for name in loaded.left if name not in earlier]
        if not beside:
            loaded.unused = loaded.unused or tuple(
                n for n, key in sources.unused.items() if bare(key) not in earlier
            )
        _nothing(call, loaded, before)
        if sources.nothing:
            _nothing_of(sources, loaded, [*own(module)])
        kept = {id(tensor) for tensor in now.values()}
        _left_behind(module, {key: tensor for key, tensor in lent.items() if key not in kept}, loaded)

    given = {key: value for key, value in call.state.items() if key not in sources.own}
    return State(
        partial(state_catalog, given, path or "the state dict"), call.parts, path=path, earlier=earlier,
        after=after, within=partial(_front, [*call.state][:64]), own=frozenset(map(bare, sources.own)),
        left_out={bare(key): spec for key, spec in sources.left_out.items()},
    )  # fmt: skip


def _stays_by_right(tensor: torch.Tensor, call: Call, path: str | None) -> bool:
    """Whether a live tensor may keep what it has in a load that does not set it: an earlier load has set it; or, in a copy from
    memory, it is none that is trained (averages of the parameters and adapters are put in and taken out again, and the rest is
    meant to stay)."""
    if was_set(tensor):
        return True
    return path is None and not call.load.strict and not tensor.requires_grad


def _in_other_shards(path: str | None) -> frozenset[str]:
    """What a checkpoint of several files holds: they are loaded one after the other, each with ``strict=False``."""
    if path is None or not path.endswith(".index.json"):
        return frozenset()
    try:
        with open_path(path) as file:
            return frozenset(file)
    except HoldfastError:
        return frozenset()


def _front(keys: Sequence[str], file: Catalog) -> str | None:
    """What stands in the file before the names of this state dict; ``None`` where they are those of a part of the model."""
    for name in file:
        if keys and name.endswith(keys[0]):
            front = name[: -len(keys[0])]
            if (not front or front.endswith("/")) and all(front + key in file for key in keys):
                return front
    return None


def _nothing(call: Call, loaded: Loaded, before: Mapping[str, torch.Tensor]) -> None:
    """``strict=False`` lets pass a state dict of which no name fits."""
    missing = getattr(call.result, "missing_keys", None)
    if call.load.strict or not before or not isinstance(missing, list):
        return
    mine = own(next(iter(call.parts.values())))
    counts = sum(
        name.endswith("num_batches_tracked") for name in mine
    )  # BatchNorm makes up for one that is not there
    if not call.state.keys().isdisjoint(mine) or len(missing) < len(mine) - counts:
        return
    given = [key for key, value in call.state.items() if isinstance(value, torch.Tensor)]
    said = f"it has `{given[0]}`, the model `{next(iter(mine))}`" if given else "it holds no tensor"
    grave = tuple(f for f in loaded.findings if f.severity == "error")
    told = told_by(
        "nothing-loaded",
        f"load_state_dict(strict=False) set none of {plural(len(before), 'tensor')}: no name of the state dict is one of the "
        f"model's ({said})",
        remedy=_with_prefix(given, [*mine])
        or "Print what the call returns (missing_keys, unexpected_keys); take the prefix off, or pick the part of the document "
        "that holds the model.",
    )
    loaded.findings = [replace(told, related=grave), *(f for f in loaded.findings if f.severity != "error")]
    loaded.left = [*before]
    loaded.restored, loaded.other, loaded.nbytes = [], {}, 0


def _with_prefix(given: Sequence[str], mine: Sequence[str]) -> str | None:
    """What to do where the names differ by what a wrapper (DataParallel, DDP, ``torch.compile``) puts in front of its own."""
    for short, long in ((given, mine), (mine, given)):
        if short and long and long[0].endswith(f".{short[0]}"):
            prefix = long[0][: -len(short[0])]
            if all(name.startswith(prefix) for name in long):
                if long is given:
                    return f"Take `{prefix}` off the names: {{k.removeprefix({prefix!r}): v for k, v in state.items()}}."
                return f"Load into the model within: model.{prefix}load_state_dict(...)."
    return None


def _nothing_of(sources: Sources, loaded: Loaded, mine: Sequence[str]) -> None:
    """A state dict that the module's own tensors have stayed in, one and all."""
    first = next(iter(sources.unused), None)
    said = f": it has `{first}`, the model `{mine[0]}`" if first is not None else ""
    grave = tuple(f for f in loaded.findings if f.severity != "note")
    told = told_by(
        "nothing-loaded",
        f"the state dict holds the model's own {plural(len(mine), 'tensor')} and none of {sources.path}{said}",
        remedy=_with_prefix([*sources.unused], mine)
        or "Load the file's own state dict, which raises and says what does not fit.",
    )
    loaded.findings = [replace(told, related=grave), *(f for f in loaded.findings if f.severity == "note")]


def _left_behind(module: torch.nn.Module, replaced: Mapping[int, torch.Tensor], loaded: Loaded) -> None:
    """Optimizers that hold what ``assign=True`` has put out of the model (torch/nn/modules/module.py,
    ``_load_from_state_dict``: it sets new parameters in place of the old ones)."""
    stale = holders(replaced.keys()) if replaced else []
    if not stale:
        return
    told = told_by(
        "foreign-variable",
        f"assign=True replaced {plural(len(replaced), 'parameter')} of the model, and {type(stale[0]).__name__}, made before, "
        "holds the old ones: its steps will not change the model, and nothing will say so",
        severity="error",
        remedy="Make the optimizer after the load, or load without assign=True.",
    )
    loaded.findings.append(told)
