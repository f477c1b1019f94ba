"""A ``torch.nn.Module`` run on a batch in inference mode, watched, and held in a mode.

Flags are set directly, not by ``eval()``: libraries that merge weights there (loralib) would change the model. Hooks are those
of ``register_forward_hook`` (torch/nn/modules/module.py, ``_call_impl``), and are removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch

from ..._core.errors import UsageError

__all__ = ["can_force", "flags", "forced", "put_flags", "run", "watched"]

_MOST_OUTPUTS = 16


def run(
    model: Any,
    batch: Any,
    tell: Callable[..., None],
    apply: Callable[..., Any] | None,
    settings: dict[str, Any],
) -> Any:
    """Outputs for ``batch``: one array, a tuple of positional or a dict of keyword arguments. Statistics that a layer moves
    even in inference mode are put back; what draws even then draws alike each time. ``settings`` stays as it is: the
    record of the architecture has them. Raises :class:`UsageError` where the model changes its parameters."""
    model = getattr(
        model, "_orig_mod", model
    )  # torch.compile keeps no layers apart: the module that it was made of
    paths = {module: path for path, module in model.named_modules()}
    buffers = [(b, b.detach().clone()) for b in model.buffers()]
    versions = [(name, p, p._version) for name, p in model.named_parameters()]
    before = flags(model)
    hooks = []

    def done(module: torch.nn.Module, _: Any, output: Any) -> None:
        from ..probing import as_numpy

        for name, tensor in list(_tensors(output, ""))[:_MOST_OUTPUTS]:
            kind = str(tensor.dtype).removeprefix("torch.")
            tell(paths[module], type(module).__name__, name, as_numpy(tensor), kind)

    try:
        for module in paths:
            module.training = False
            if not isinstance(module, torch.jit.ScriptModule):
                hooks.append(module.register_forward_hook(done))
        _begin_draws_anew()
        with torch.no_grad(), _without_autocast():
            given = _as_given(model, batch)
            if apply is not None:
                return apply(model, given)
            if isinstance(given, dict):
                return model(**given)
            return model(*given) if isinstance(given, (tuple, list)) else model(given)
    finally:
        for hook in hooks:
            hook.remove()
        put_flags(model, before)
        with torch.no_grad():
            for buffer, value in buffers:
                if buffer.shape == value.shape and not torch.equal(buffer, value):
                    buffer.copy_(value)
        moved = [name for name, p, version in versions if p._version != version]
        if moved:
            raise UsageError(
                "the model changes its own parameters when it is called", found=", ".join(moved[:3])
            )


def _begin_draws_anew() -> None:
    """A fixed seed for the generators that there are; whoever calls puts them back. Not ``torch.manual_seed``: for devices
    that are not initialised it would be carried out later, when nobody puts anything back (torch/cuda/random.py)."""
    torch.default_generator.manual_seed(0)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(0)


@contextmanager
def _without_autocast() -> Iterator[None]:
    with torch.autocast("cpu", enabled=False):
        if torch.cuda.is_available():
            with torch.autocast("cuda", enabled=False):
                yield
        else:
            yield


def _as_given(model: Any, batch: Any) -> Any:
    """The batch on the model's device, floating-point numbers in the model's type where that is a narrow one."""
    some = next((p for p in model.parameters() if p.is_floating_point()), None)
    device = some.device if some is not None else torch.device("cpu")

    def put(value: Any) -> Any:
        tensor = value if isinstance(value, torch.Tensor) else torch.from_numpy(np.ascontiguousarray(value))
        tensor = tensor.to(device)
        if tensor.is_floating_point() and some is not None and some.dtype != tensor.dtype:
            tensor = tensor.to(some.dtype)
        return tensor

    if isinstance(batch, Mapping):
        return {name: put(value) for name, value in batch.items()}
    return tuple(map(put, batch)) if isinstance(batch, (tuple, list)) else put(batch)


def _tensors(output: Any, path: str) -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(output, torch.Tensor):
        yield path, output
    elif isinstance(output, Mapping):
        for key, item in output.items():
            yield from _tensors(item, f"{path}.{key}" if path else str(key))
    elif isinstance(output, (tuple, list)):
        for n, item in enumerate(output):
            yield from _tensors(item, f"{path}.{n}" if path else str(n))


class Flags(NamedTuple):
    """Training flags of modules, number types of parameters, and the buffers themselves (``model.half()`` changes the types
    of the one and replaces the others)."""

    training: list[tuple[Any, bool]]
    dtypes: list[tuple[torch.Tensor, torch.dtype]]
    buffers: list[tuple[Any, str, torch.Tensor | None]]


def flags(model: Any) -> Flags:
    """What :func:`put_flags` sets."""
    return Flags(
        [(module, module.training) for module in model.modules()],
        [(p, p.dtype) for p in model.parameters()],
        [(module, name, buffer) for module in model.modules() for name, buffer in module._buffers.items()],
    )


def put_flags(model: Any, held: Flags) -> None:
    """Set flags, types and buffers as they were."""
    for module, flag in held.training:
        module.training = flag
    for tensor, dtype in held.dtypes:
        if tensor.dtype != dtype:
            tensor.data = tensor.data.to(dtype)
    for module, name, buffer in held.buffers:
        if module._buffers.get(name) is not buffer:
            module._buffers[name] = buffer


def can_force(model: Any) -> bool:
    """Whether a mode can be forced: of any module."""
    return isinstance(model, torch.nn.Module)


@contextmanager
def forced(model: Any, training: bool) -> Iterator[Callable[[], bool]]:
    """``train()`` and ``eval()`` have no effect meanwhile: objects' own attributes stand before the class's methods."""
    modules = list(model.modules())
    before = flags(model)
    shadowed = {word: [m.__dict__.get(word) for m in modules] for word in ("train", "eval")}
    for module in modules:
        module.__dict__["train"] = lambda mode=True, module=module: module
        module.__dict__["eval"] = lambda module=module: module
        module.training = training
    try:
        yield lambda: True
    finally:
        for word, olds in shadowed.items():
            for module, old in zip(modules, olds, strict=True):
                if old is None:
                    module.__dict__.pop(word, None)
                else:
                    module.__dict__[word] = old
        put_flags(model, before)


@contextmanager
def watched(model: Any, see: Callable[..., None]) -> Iterator[None]:
    """``see`` is told of every call of the model itself; in training mode is one of which any module that acts otherwise
    there is."""

    def called(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        from ..probing import as_numpy

        given = {**{str(n): a for n, a in enumerate(args)}, **kwargs}
        fields = {name: as_numpy(value) for name, value in given.items() if isinstance(value, torch.Tensor)}
        acting = [m for m in model.modules() if _acts(m)]
        see(fields, any(m.training for m in acting) if acting else model.training)

    hook = model.register_forward_pre_hook(called, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()


def _acts(module: Any) -> bool:
    """Whether a module computes otherwise in training mode: dropout with a rate, normalisation by batch statistics."""
    if isinstance(module, torch.nn.modules.dropout._DropoutNd):
        return module.p > 0
    if isinstance(module, torch.nn.modules.batchnorm._NormBase):
        return bool(module.track_running_stats)
    return isinstance(getattr(module, "dropout", None), float) and module.dropout > 0
