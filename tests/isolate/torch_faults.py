"""Things to be saved with PyTorch: each fault planted once, and those that are right."""

from __future__ import annotations

import collections
import dataclasses
import functools
import os
import socket
import sys
import threading
import time
import types
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn


class Fault(NamedTuple):
    """``make`` gives what is saved; ``path`` and ``what`` are what is to be named (all of them)."""

    make: Callable[[], Any]
    paths: tuple[str, ...]
    what: str
    phase: str = "save"


class Config:
    """A plain object."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


class RaisingState(Config):
    """Its state cannot be had."""

    def __getstate__(self) -> dict[str, Any]:
        raise ValueError("not now")


class Exits(Config):
    """Saving it ends the program."""

    def __reduce__(self) -> Any:
        raise SystemExit(5)


class Unreadable(Config):
    """Written, and not read back."""

    def __setstate__(self, state: Any) -> None:
        raise KeyError("version")


class TwoArguments(Exception):
    """Written by its args, and rebuilt from them."""

    def __init__(self, first: str, second: int) -> None:
        super().__init__(first)
        self.second = second


class Slotted:
    """Attributes in slots."""

    __slots__ = ("a", "f")

    def __init__(self) -> None:
        self.a = 1
        self.f = lambda: 0


class Link(Config):
    """One of a chain."""


class Net(nn.Module):
    """A small model."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2)])
        self.heads = nn.ModuleDict({"a": nn.Linear(2, 2)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


class Hangs(Config):
    """Its state is never there."""

    def __getstate__(self) -> dict[str, Any]:
        while True:
            time.sleep(60)


class Crashes(Config):
    """Saving it takes the process with it."""

    def __reduce__(self) -> Any:
        os.abort()


def _hooked() -> nn.Module:
    model = Net()
    model.layers[2].register_forward_hook(lambda *_: None)
    return model


def _local() -> Any:
    class Local:
        pass

    return {"step": 3, "best": [Local()]}


def _chain() -> dict[str, Any]:
    last = None
    for _ in range(3000):
        last = Link(next=last)
    return {"history": last, "step": 1}


def _redefined() -> dict[str, Any]:
    module = types.ModuleType("redefined_here")
    sys.modules["redefined_here"] = module
    first = type("Thing", (), {"__module__": "redefined_here"})
    module.Thing = type("Thing", (), {"__module__": "redefined_here"})  # type: ignore[attr-defined]
    return {"thing": first(), "step": 1}


def _parametrized() -> nn.Module:
    model = Net()
    nn.utils.parametrizations.weight_norm(model.layers[0])
    return model


def _attribute() -> dict[str, Any]:
    weight = nn.Parameter(torch.ones(2))
    weight.initialiser = lambda w: w  # type: ignore[attr-defined]
    return {"weights": [torch.ones(1), weight]}


def _meta() -> nn.Module:
    model = Net()
    model.heads["a"] = nn.Linear(2, 2, device="meta")
    return model


def _fresh() -> dict[str, Any]:
    made = type("MadeHere", (), {"__module__": __name__})
    sys.modules[__name__].MadeHere = made  # type: ignore[attr-defined]
    return {"thing": made(), "step": 1}


def _shared() -> dict[str, Any]:
    both = Config(f=lambda: 0)
    return {"a": both, "b": [both]}


def _schedule() -> dict[str, Any]:
    model = Net()
    optimizer = torch.optim.Adam(model.parameters())
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 1.0)
    return {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "scheduler": scheduler}


def _two() -> dict[str, Any]:
    return {
        "config": Config(lr=0.1, lock=threading.Lock(), log=lambda line: None),
        "model": Net().state_dict(),
    }


_STARTED = iter(torch.utils.data.DataLoader(list(range(3))))
_KEPT = Config()
_OPEN = Path(__file__).open(encoding="utf-8")  # noqa: SIM115 - an open file is the fault

FAULTS: dict[str, Fault] = {
    "lambda in a config": Fault(
        lambda: {"config": Config(lr=0.1, on_epoch_end=lambda e: e), "w": torch.ones(2)},
        ('checkpoint["config"].on_epoch_end',), "a lambda",
    ),
    "hook": Fault(_hooked, ("model.layers[2]._forward_hooks[",), "a lambda"),
    "local class": Fault(_local, ('type(checkpoint["best"][0])',), "the class Local, defined inside _local()"),
    "lock": Fault(lambda: {"a": {"b": (1, threading.Lock())}}, ('checkpoint["a"]["b"][1]',), "a lock"),
    "event": Fault(lambda: {"a": Config(stop=threading.Event())}, ('checkpoint["a"].stop',), "an Event of threading"),
    "generator": Fault(lambda: {"data": (n for n in range(3)), "w": torch.ones(1)}, ('checkpoint["data"]',), "a generator"),
    "open file": Fault(lambda: {"log": Config(file=_OPEN)}, ('checkpoint["log"].file',), "an open file"),
    "socket": Fault(lambda: {"s": socket.socket()}, ('checkpoint["s"]',), "a socket"),
    "module": Fault(lambda: {"config": Config(np=np)}, ('checkpoint["config"].np',), "the module numpy"),
    "weak reference": Fault(lambda: {"owner": weakref.ref(_KEPT)}, ('checkpoint["owner"]',), "a weak reference"),
    "__getstate__ raises": Fault(
        lambda: {"x": [1, RaisingState(a=1)]}, ('checkpoint["x"][1]',), "a RaisingState whose `__getstate__`"
    ),
    "__reduce__ exits": Fault(lambda: {"x": Exits()}, ('checkpoint["x"]',), "an Exits whose `__reduce__`"),
    "chain": Fault(_chain, ('checkpoint["history"]',), "a nest of Link that goes too deep"),
    "redefined class": Fault(_redefined, ('type(checkpoint["thing"])',), "the class redefined_here.Thing"),
    "parametrized": Fault(_parametrized, ("model.layers[0]",), "with parametrizations"),
    "iterator of a DataLoader": Fault(lambda: {"it": _STARTED}, ('checkpoint["it"]',), "an iterator of a DataLoader"),
    "TorchScript": Fault(lambda: {"m": torch.jit.script(nn.Linear(2, 2))}, ('checkpoint["m"]',), "a TorchScript module"),
    "attribute of a parameter": Fault(_attribute, ('checkpoint["weights"][1].initialiser',), "a lambda"),
    "scheduler": Fault(_schedule, ('checkpoint["scheduler"].lr_lambdas[0]',), "a lambda"),
    "shared": Fault(_shared, ('checkpoint["a"].f',), "a lambda"),
    "default_factory": Fault(
        lambda: {"seen": collections.defaultdict(lambda: 0, a=1)}, ('checkpoint["seen"].default_factory',), "a lambda"
    ),
    "partial": Fault(
        lambda: {"f": functools.partial(lambda x: x, 1)}, ('checkpoint["f"].func',), "a lambda"
    ),
    "slots": Fault(lambda: [Slotted()], ("checkpoint[0].f",), "a lambda"),
    "two at once": Fault(_two, ('checkpoint["config"].lock', 'checkpoint["config"].log'), ""),
    "__setstate__ raises": Fault(
        lambda: {"x": Unreadable(a=1), "y": 2}, ('checkpoint["x"]',), "an Unreadable whose `__setstate__`", "load"
    ),
    "exception": Fault(lambda: {"error": TwoArguments("a", 1)}, ('checkpoint["error"]',), "TwoArguments", "load"),
    "one of each phase": Fault(
        lambda: {"error": TwoArguments("a", 1), "f": lambda: 0}, ('checkpoint["f"]', 'checkpoint["error"]'), ""
    ),
    "meta": Fault(_meta, ('model.heads["a"].weight', 'model.heads["a"].bias'), "a tensor on the meta device", "values"),
    "not in a fresh process": Fault(_fresh, ('checkpoint["thing"]',), "torch_faults.MadeHere", "load afresh"),
}  # fmt: skip


@dataclasses.dataclass
class Settings:
    """A dataclass at the top of a module."""

    width: int = 3
    names: tuple[str, ...] = ("a", "b")


class Marked(torch.Tensor):
    """A subclass at the top of a module."""


def _trained() -> dict[str, Any]:
    model = Net()
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3, "loss": 0.5}


def _cycle() -> dict[str, Any]:
    held: dict[str, Any] = {"w": torch.ones(2)}
    held["self"] = [held]
    return held


RIGHT: dict[str, Callable[[], Any]] = {
    "state dicts": _trained,
    "whole model": Net,
    "model and optimizer": lambda: (model := Net(), torch.optim.SGD(model.parameters(), lr=0.1)),
    "plain things": lambda: {
        "a": collections.OrderedDict(x=1), "b": collections.defaultdict(list, y=[1]), "c": np.arange(3), "d": 1j,
        "e": {1, 2}, "f": Settings(), "g": np.array(["x", None], dtype=object), "h": range(3), "i": torch.float16,
    },
    "tensors": lambda: [torch.ones(2).as_subclass(Marked), torch.eye(3).to_sparse(), torch.empty(0), torch.tensor(True)],
    "a cycle": _cycle,
    "views of one storage": lambda: {"a": (whole := torch.arange(10.0))[:5], "b": whole[5:]},
}  # fmt: skip


def hanging() -> dict[str, Any]:
    """Saving it never ends."""
    return {"model": Net().state_dict(), "x": [1, Hangs()]}


def crashing() -> dict[str, Any]:
    """Saving it ends the process; and there is a lambda."""
    return {"model": Net().state_dict(), "x": [1, Crashes()], "f": lambda: 0}


def right() -> dict[str, Any]:
    """Nothing is wrong."""
    return _trained()


def failing() -> Any:
    """A factory that fails."""
    raise RuntimeError("no data here")
