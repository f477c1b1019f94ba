"""PyTorch under watch: optimizer steps, what they were fed, and what they found.

Nothing of the script is changed: optimizers have hooks for all of them (``register_optimizer_step_pre_hook``), modules too
(``register_module_forward_pre_hook``), ``torch.autograd.backward`` is what ``Tensor.backward`` calls, and batches of a
``DataLoader`` pass ``_BaseDataLoaderIter.__next__`` (torch/utils/data/dataloader.py).
"""

from __future__ import annotations

import io
import weakref
from collections import deque
from importlib import import_module
from pathlib import Path
from typing import Any

from .._frameworks.patches import Patches
from .digests import array_digest, as_array, digest_of, random_digests
from .saving import Saves
from .trace import Trace

__all__ = ["watch_torch"]


def watch_torch(torch: Any, trace: Trace, saves: Saves, patches: Patches) -> None:
    """Put the watchers in place."""
    watch = _Watch(torch, trace)
    saves.pending = watch.pending
    optim = import_module("torch.optim.optimizer")  # torch.optim hides its modules
    for handle in (
        optim.register_optimizer_step_pre_hook(watch.before_step),
        optim.register_optimizer_step_post_hook(watch.after_step),
        torch.nn.modules.module.register_module_forward_pre_hook(watch.before_forward),
        torch.nn.modules.module.register_module_forward_hook(watch.after_forward, always_call=True),
    ):
        patches.later(handle.remove)
    patches.wrap(torch.autograd, "backward", watch.backward)
    _watch_loaders(torch, watch, patches)
    _watch_made(torch, watch, patches)
    _watch_files(torch, saves, patches)
    trace.finals["torch"] = watch.final


class _Watch:
    """What is known of the loop between two steps."""

    def __init__(self, torch: Any, trace: Trace) -> None:
        self.torch, self.trace = torch, trace
        self.depth = 0
        self.roots: list[Any] = []
        self.optimizers: list[Any] = []
        self.schedulers: list[Any] = []
        self.scalers: list[Any] = []
        self.fetched: dict[str, Any] | None = None
        self.entering: dict[str, Any] | None = None
        self._forget()

    def _forget(self) -> None:
        self.batches: list[dict[str, Any]] = []
        self.fed: list[str] = []
        self.losses: list[float] = []
        self.first: dict[str, str] | None = None
        self.buffers: dict[str, str] | None = None

    # -- between steps -----------------------------------------------------------------------------------------------
    def begun(self) -> None:
        """Something happened for the first time since the last step: this is the random state that it was left with."""
        if self.first is None:
            self.first = random_digests()

    def before_forward(self, module: Any, given: Any) -> None:
        if self.torch.compiler.is_compiling():
            return
        self.depth += 1
        if self.depth > 1 or not module.training or not self.torch.is_grad_enabled():
            return
        if next(module.parameters(), None) is None:
            return  # a loss function: what it is fed is no data
        if not any(known() is module for known in self.roots):
            self.roots.append(lambda: module)  # held, for the state at the end
        if self.roots[0]() is module:
            self.begun()
            if self.buffers is None:  # before the forward pass moves them
                self.buffers = {n: digest_of(b) for n, b in module.named_buffers()}
            self.fed.append(digest_of(list(given)))

    def after_forward(self, module: Any, given: Any, result: Any) -> None:
        if not self.torch.compiler.is_compiling():
            self.depth = max(0, self.depth - 1)

    def backward(self, inner: Any, tensors: Any, *args: Any, **kwargs: Any) -> Any:
        self.begun()
        if self.fetched is not None:
            self.batches.append(self.fetched)
            self.fetched = None
        loss = tensors[0] if isinstance(tensors, (list, tuple)) and tensors else tensors
        self.losses.append(float(loss.detach()) if getattr(loss, "numel", lambda: 0)() == 1 else float("nan"))
        return inner(tensors, *args, **kwargs)

    def pending(self) -> int:
        """Backward passes whose gradients no step has used yet."""
        if not self.losses:
            return 0
        grads = (p.grad for o in self.known(self.optimizers) for g in o.param_groups for p in g["params"])
        return len(self.losses) if any(g is not None and bool((g != 0).any()) for g in grads) else 0

    # -- steps -------------------------------------------------------------------------------------------------------
    def before_step(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        if not any(known() is optimizer for known in self.optimizers):
            self.optimizers.append(lambda: optimizer)
        self.begun()
        position = [known() is optimizer for known in self.optimizers].index(True)
        self.entering = {
            "optimizer": position,
            "weights": self.weights(optimizer, {}),
            "slots": self.slots(optimizer, {}),
            "slots_whole": True,  # what is not there now was not restored: nothing is restored later
            "lr": [float(group["lr"]) for group in optimizer.param_groups if "lr" in group],
            "scheduler": {
                f"{n}:{type(s).__name__}": _numbers(s) for n, s in enumerate(self.known(self.schedulers))
            },
            "scaler": {
                f"{n}": s.state_dict() for n, s in enumerate(self.known(self.scalers)) if s.is_enabled()
            },
        }

    def after_step(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        record, self.entering = self.entering, None
        if record is None:
            return
        names = {str(number): name for number, name in self.names().items()}
        for kind in (
            "weights",
            "slots",
        ):  # modules have names once they were called, for a closure within the step
            record[kind] = {_named(name, names): digest for name, digest in record[kind].items()}
        record |= {  # only now: a closure computes the loss within the step
            "buffers": self.buffers or {},
            "rng": random_digests(),
            "rng_in": self.first,
            "batches": [b["id"] for b in self.batches],
            "position": [b["at"] for b in self.batches],
            "generator": [b["generator"] for b in self.batches if b["generator"]],
            "fed": self.fed,
            "loss": self.losses,
        }
        self._forget()
        self.trace.step(record)

    def known(self, references: list[Any]) -> list[Any]:
        """Those that are still alive."""
        return [thing for thing in (reference() for reference in references) if thing is not None]

    def names(self) -> dict[int, str]:
        """Names of weights by identity, from the modules that were called."""
        found: dict[int, str] = {}
        for n, root in enumerate(self.known(self.roots)):
            for name, parameter in root.named_parameters():
                found.setdefault(id(parameter), name if n == 0 else f"{type(root).__name__}{n}.{name}")
        return found

    def weights(self, optimizer: Any, names: dict[int, str]) -> dict[str, str]:
        return {
            names.get(id(p), f"@{id(p)}@group{g}.{n}"): digest_of(p)
            for g, group in enumerate(optimizer.param_groups)
            for n, p in enumerate(group["params"])
        }

    def slots(self, optimizer: Any, names: dict[int, str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for g, group in enumerate(optimizer.param_groups):
            for name, value in group.items():
                if name not in ("params", "lr", "initial_lr"):
                    found[f"group{g}/{name}"] = digest_of(value)
            for n, p in enumerate(group["params"]):
                for slot, value in optimizer.state.get(p, {}).items():
                    found[f"{names.get(id(p), f'@{id(p)}@group{g}.{n}')}/{slot}"] = digest_of(value)
        return found

    def final(self) -> dict[str, Any]:
        """Weights, buffers and slots at the end."""
        names, found = self.names(), {}
        for optimizer in self.known(self.optimizers):
            for g, group in enumerate(optimizer.param_groups):
                for n, p in enumerate(group["params"]):
                    name = names.get(id(p), f"group{g}.{n}")
                    found[name] = p
                    found |= {
                        f"{name}/{slot}": v
                        for slot, v in optimizer.state.get(p, {}).items()
                        if isinstance(v, (self.torch.Tensor, int, float))
                    }
        for root in self.known(self.roots):
            found |= dict(root.named_buffers())
        return found


def _named(text: str, names: dict[str, str]) -> str:
    """A weight by its name, once that is known (``@identity@position`` before)."""
    if not text.startswith("@"):
        return text
    number, _, rest = text[1:].partition("@")
    position, slash, slot = rest.partition("/")
    return f"{names.get(number, position)}{slash}{slot}"


def _numbers(scheduler: Any) -> dict[str, Any]:
    """What a scheduler counts, as it stands in its own state dict."""
    try:
        state = scheduler.state_dict()
    except (AttributeError, KeyError, TypeError):
        state = vars(scheduler)
    return {k: v for k, v in state.items() if isinstance(v, (int, float)) and not isinstance(v, bool)}


def _watch_loaders(torch: Any, watch: _Watch, patches: Patches) -> None:
    base = torch.utils.data.dataloader._BaseDataLoaderIter

    def begin(inner: Any, self: Any, loader: Any, *args: Any, **kwargs: Any) -> None:
        watch.begun()
        generator = getattr(loader, "generator", None) or getattr(loader.sampler, "generator", None)
        self._drill_generator = (
            array_digest(as_array(generator.get_state())) if generator is not None else None
        )
        self._drill_ids, self._drill_at = deque(), 0
        inner(self, loader, *args, **kwargs)

    def index(inner: Any, self: Any) -> Any:
        found = inner(self)
        self._drill_ids.append(found)
        return found

    def following(inner: Any, self: Any) -> Any:
        watch.begun()
        data = inner(self)
        self._drill_at += 1
        ids = self._drill_ids.popleft() if self._drill_ids else None
        plain = isinstance(ids, (list, tuple)) and all(isinstance(i, int) for i in ids)
        watch.fetched = {
            "id": list(ids) if plain else digest_of(data),  # type: ignore[arg-type]
            "at": self._drill_at,
            "generator": self._drill_generator,
        }
        return data

    patches.wrap(base, "__init__", begin)
    patches.wrap(base, "_next_index", index)
    patches.wrap(base, "__next__", following)


def _watch_made(torch: Any, watch: _Watch, patches: Patches) -> None:
    """Schedulers and scalers are noted as they are made. Not all schedulers call their base's ``__init__``, so that each class
    with one of its own is watched; a ``__new__`` would be simpler, and CPython does not forget it (``object.__new__`` then
    refuses arguments for good)."""

    def made(inner: Any, self: Any, *args: Any, **kwargs: Any) -> None:
        inner(self, *args, **kwargs)
        if all(known() is not self for known in watch.schedulers):
            watch.schedulers.append(weakref.ref(self))

    kinds = [torch.optim.lr_scheduler.LRScheduler]
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        if "__init__" in vars(kind):
            patches.wrap(kind, "__init__", made)

    def scaler(inner: Any, self: Any, *args: Any, **kwargs: Any) -> None:
        inner(self, *args, **kwargs)
        watch.scalers.append(weakref.ref(self))

    patches.wrap(torch.amp.grad_scaler.GradScaler, "__init__", scaler)


def _watch_files(torch: Any, saves: Saves, patches: Patches) -> None:
    def save(inner: Any, thing: Any, f: Any, *args: Any, **kwargs: Any) -> Any:
        def half(path: Path) -> None:
            held = io.BytesIO()
            inner(thing, held, *args, **kwargs)
            path.write_bytes(held.getvalue())

        named = isinstance(f, (str, Path))
        return saves.save(f, lambda: inner(thing, f, *args, **kwargs), half if named else None)

    def load(inner: Any, f: Any, *args: Any, **kwargs: Any) -> Any:
        return saves.load(f, lambda: inner(f, *args, **kwargs))

    patches.wrap(torch, "save", save)
    patches.wrap(torch, "load", load)
