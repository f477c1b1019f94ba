"""Errors that PyTorch, safetensors and numpy raise here, each made on the spot: (name, label, scene).

A scene gets an empty folder, raises, and is given back the path on which the cause can be tested (or ``None``).
"""

from __future__ import annotations

import json
import pickle
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

__all__ = ["SCENES", "Scene"]


class Scene(NamedTuple):
    """``make`` prepares and gives the path; ``fail`` raises. ``proved``: whether the files can show it."""

    name: str
    label: str
    make: Callable[[Path], Path | None]
    fail: Callable[[Path], object]
    proved: bool = False


def net(width: int = 8) -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Linear(4, width), torch.nn.Linear(width, 3))


def _saved(thing: Any, name: str = "model.pt") -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / name
        torch.save(thing() if callable(thing) else thing, path)
        return path

    return make


def _bytes(data: bytes, name: str = "model.pt") -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(data)
        return path

    return make


def _cut(make: Callable[[Path], Path], share: float) -> Callable[[Path], Path]:
    def cut(folder: Path) -> Path:
        path = make(folder)
        data = path.read_bytes()
        path.write_bytes(data[: int(len(data) * share)])
        return path

    return cut


def _into(model: Callable[[], torch.nn.Module]) -> Callable[[Path], object]:
    return lambda folder: model().load_state_dict(torch.load(folder / "model.pt"))


def _load(folder: Path) -> object:
    return torch.load(folder / "model.pt")


def _safetensors(folder: Path) -> Path:
    from safetensors.torch import save_file

    save_file(net().state_dict(), folder / "model.safetensors")
    return folder / "model.safetensors"


def _safe_load(folder: Path) -> object:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def _safe_save(thing: dict[str, torch.Tensor]) -> Callable[[Path], object]:
    def save(folder: Path) -> object:
        from safetensors.torch import save_file

        return save_file(thing, folder / "out.safetensors")

    return save


def _adam(model: torch.nn.Module) -> torch.optim.Adam:
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.zeros(1, 4)).sum().backward()
    optimizer.step()
    return optimizer


class Local:
    """Something that unpickling would have to import."""


def _legacy(folder: Path) -> Path:
    torch.save(net().state_dict(), folder / "model.pt", _use_new_zipfile_serialization=False)
    return folder / "model.pt"


def _flipped(folder: Path) -> Path:
    path = _saved(lambda: net(64).state_dict())(folder)
    data = bytearray(path.read_bytes())
    at = data.rfind(b"PK\x01\x02")
    data[at : at + 4] = b"\0\0\0\0"
    path.write_bytes(data)
    return path


def _none(folder: Path) -> None:
    return None


def _locked(folder: Path) -> object:
    return torch.save({"lock": threading.Lock()}, folder / "x.pt")


def _swap_groups(folder: Path) -> object:
    model = net()
    two = torch.optim.Adam([{"params": model[0].parameters()}, {"params": model[1].parameters()}])  # type: ignore[index]
    return two.load_state_dict(_adam(net()).state_dict())


def _wrong_order(folder: Path) -> object:
    model = net()
    state = _adam(model).state_dict()
    other = torch.optim.Adam(list(reversed(list(model.parameters()))))
    other.load_state_dict(state)
    model(torch.zeros(1, 4)).sum().backward()
    return other.step()


SCENES = (
    Scene(
        "module prefix",
        "renamed",
        _saved(lambda: {f"module.{k}": v for k, v in net().state_dict().items()}),
        _into(net),
        True,
    ),
    Scene(
        "compile prefix",
        "renamed",
        _saved(lambda: {f"_orig_mod.{k}": v for k, v in net().state_dict().items()}),
        _into(net),
        True,
    ),
    Scene(
        "a layer less",
        "missing-tensor",
        _saved(lambda: torch.nn.Sequential(torch.nn.Linear(4, 8)).state_dict()),
        _into(net),
        True,
    ),
    Scene(
        "a layer more",
        "unexpected-tensor",
        _saved(lambda: net().state_dict()),
        _into(lambda: torch.nn.Sequential(torch.nn.Linear(4, 8))),
    ),
    Scene("another width", "shape-mismatch", _saved(lambda: net(16).state_dict()), _into(net), True),
    Scene(
        "other classes",
        "shape-mismatch",
        _saved(lambda: torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Linear(8, 5)).state_dict()),
        _into(net),
        True,
    ),
    Scene(
        "whole checkpoint for weights",
        "format-mismatch",
        _saved(lambda: {"model": net().state_dict(), "optimizer": {}, "epoch": 3}),
        _into(net),
    ),
    Scene("truncated zip", "corrupt", _cut(_saved(lambda: net(64).state_dict()), 0.5), _load, True),
    Scene("truncated near its end", "corrupt", _cut(_saved(lambda: net(64).state_dict()), 0.97), _load, True),
    Scene("directory overwritten", "corrupt", _flipped, _load, True),
    Scene("legacy file cut", "corrupt", _cut(_legacy, 0.7), _load, True),
    Scene("empty file", "incomplete-save", _bytes(b""), _load, True),
    Scene("zeros", "corrupt", _bytes(bytes(4096)), _load, True),
    Scene(
        "LFS pointer",
        "corrupt",
        _bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 9\n"),
        _load,
        True,
    ),
    Scene(
        "HTML page",
        "corrupt",
        _bytes(b"<!DOCTYPE html><html><head></head><body>Sign in</body></html>"),
        _load,
        True,
    ),
    Scene("JSON error", "corrupt", _bytes(b'{"error": "quota exceeded"}'), _load),
    Scene(
        "numpy pickle of objects",
        "unsafe-pickle",
        _none,
        lambda folder: (np.save(folder / "a.npy", np.array([{}], object)), np.load(folder / "a.npy")),
    ),
    Scene("a class outside the allow-list", "unsafe-pickle", _saved(Local), _load, True),
    Scene(
        "a class of a script",
        "custom-object",
        _none,
        lambda folder: pickle.loads(b"c__main__\nNoSuchThing\n."),
    ),
    Scene(
        "a module that moved",
        "custom-object",
        _none,
        lambda folder: pickle.loads(b"cno_such_repo.models\nNet\n."),
    ),
    Scene("a lock in the state", "unserialisable", _none, _locked),
    Scene(
        "a lambda in the state",
        "unserialisable",
        _none,
        lambda folder: torch.save({"f": lambda x: x}, folder / "x.pt"),
    ),
    Scene(
        "no such file",
        "not-found",
        _saved(lambda: net().state_dict(), "model_100.pt"),
        lambda folder: torch.load(folder / "model_1000.pt"),
    ),
    Scene("a folder", "not-found", _saved(lambda: net().state_dict()), lambda folder: torch.load(folder)),
    Scene(
        "no folder to save in",
        "not-found",
        _none,
        lambda folder: torch.save({}, folder / "runs" / "x" / "model.pt"),
    ),
    Scene("groups differ in number", "optimizer-structure", _none, _swap_groups),
    Scene(
        "groups differ in size",
        "optimizer-structure",
        _none,
        lambda folder: torch.optim.Adam(list(net().parameters())[:2]).load_state_dict(
            _adam(net()).state_dict()
        ),
    ),
    Scene("moments on other weights", "optimizer-structure", _none, _wrong_order),
    Scene(
        "no optimizer in the file",
        "format-mismatch",
        _none,
        lambda folder: _adam(net()).load_state_dict(net().state_dict()),
    ),
    Scene("a module for a state dict", "format-mismatch", _none, lambda folder: net().load_state_dict(net())),  # type: ignore[arg-type]
    Scene(
        "a key of another tool",
        "format-mismatch",
        _saved(lambda: net().state_dict()),
        lambda folder: torch.load(folder / "model.pt")["state_dict"],
    ),
    Scene(
        "shared tensors",
        "unserialisable",
        _none,
        lambda folder: (lambda t: _safe_save({"a": t, "b": t})(folder))(torch.zeros(3)),
    ),
    Scene("a strided tensor", "unserialisable", _none, _safe_save({"a": torch.zeros(4, 3).t()})),
    Scene("safetensors cut", "corrupt", _cut(_safetensors, 0.8), _safe_load, True),
    Scene("safetensors header cut", "corrupt", _cut(_safetensors, 0.05), _safe_load, True),
    Scene(
        "a pickle named safetensors",
        "format-mismatch",
        _saved(lambda: net().state_dict(), "model.safetensors"),
        _safe_load,
        True,
    ),
    Scene(
        "safetensors with a lying header",
        "corrupt",
        _bytes(struct.pack("<Q", 1 << 60) + json.dumps({}).encode(), "model.safetensors"),
        _safe_load,
        True,
    ),
    Scene(
        "npz cut",
        "corrupt",
        lambda folder: (
            np.savez(folder / "a.npz", a=np.zeros(100)),
            _cut(lambda _: folder / "a.npz", 0.5)(folder),
        )[1],
        lambda folder: np.load(folder / "a.npz"),
        True,
    ),
)
