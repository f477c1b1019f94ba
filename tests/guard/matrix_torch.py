"""The rows of PyTorch, loaded as people write it: ``torch.load`` and ``load_state_dict``, safetensors' ``load_file`` and
``load_model``."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from harness import Case, Row
from torch_file_rows import ROWS as FILE_ROWS
from torch_rows import DAMAGE_ROWS
from torch_rows import ROWS as TORCH_ROWS
from torch_wrapped_rows import ROWS as WRAPPED_ROWS
from watched_matrix import Cell

__all__ = ["CELLS"]


def read(path: str) -> dict[str, Any]:
    """The document at ``path``, by the library's own reader."""
    place = Path(path)
    if place.is_dir():
        return _shards(place)
    if place.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    return torch.load(path, weights_only=False)


def _shards(folder: Path) -> dict[str, Any]:
    """As transformers does it (modeling_utils.py): the index says which files there are, and all are read."""
    index = next(p for p in sorted(folder.iterdir()) if p.name.endswith("index.json"))
    where = json.loads(index.read_text())["weight_map"]
    found: dict[str, Any] = {}
    for name in sorted(set(where.values())):
        found |= read(str(folder / name))
    return found


def _weights(saved: Mapping[str, Any], case: Case) -> dict[str, Any]:
    """Part of the document -> live object, as a script that knows its own file takes it out."""
    model = case.parts.get("model")
    optimizer = case.parts.get("optimizer")
    found: dict[str, Any] = {}
    if isinstance(model, Mapping):
        words = list(saved)
        found |= {f"model/{n}": saved[words[k]] for k, n in enumerate(model)}
        found |= {f"optimizer/{n}": saved[words[len(model) + k]] for k, n in enumerate(optimizer or {})}
        return found
    if "optimizer_states" in saved or "state_dict" in saved:
        found["model"] = saved["state_dict"]
        states = saved.get("optimizer_states", [])
        if isinstance(optimizer, list):
            found |= {f"optimizer/{k}": state for k, state in enumerate(states)}
        elif states:
            found["optimizer"] = states[0]
        if saved.get("lr_schedulers"):
            found["scheduler"] = saved["lr_schedulers"][0]
        return found
    if "model" in saved:
        return {part: saved[part] for part in ("model", "optimizer", "scheduler", "scaler") if part in saved}
    word = next((w for w in ("gen", "student_a") if w in saved), None)
    if word is None:
        return {"model": saved}
    other = {"gen": "gen_opt", "student_a": ""}[word]
    return {"model": saved[word]} | ({"optimizer": saved[other]} if other in saved else {})


def _into(case: Case, name: str) -> Any:
    part, _, inner = name.partition("/")
    thing = case.parts[part]
    return thing if not inner else thing[int(inner) if isinstance(thing, list) else inner]


def load(case: Case, *, strict: bool, optimizer_first: bool = False) -> None:
    """What a script does to resume."""
    saved = read(case.path)
    if not isinstance(saved, Mapping):
        raise pickle.UnpicklingError("no mapping")
    parts = _weights(saved, case)
    wanted = [n for n in parts if n.partition("/")[0] in case.parts]
    if optimizer_first:
        wanted.sort(key=lambda n: not n.startswith("optimizer"))
    for name in wanted:
        thing = _into(case, name)
        if name.startswith("model"):
            thing.load_state_dict(parts[name], strict=strict)
        else:
            thing.load_state_dict(parts[name])
    for part in case.parts:
        if not any(n.partition("/")[0] == part for n in parts):
            raise KeyError(part)


def load_model(case: Case) -> None:
    """safetensors' own way into a module."""
    from safetensors.torch import load_model as into

    into(case.parts["model"], case.path, strict=False)


def load_dcp(case: Case, *, partial: bool) -> None:
    """The same weights as a distributed checkpoint, loaded in place and put in."""
    import torch.distributed.checkpoint as dcp

    plain = getattr(torch.load, "__wrapped__", torch.load)  # the conversion is not what is watched
    saved = {"model": plain(case.path, weights_only=False)}
    folder = Path(case.path).with_suffix(".dcp")
    model = case.parts["model"]
    found = {"model": model.state_dict()}
    try:
        getattr(dcp.save, "__wrapped__", dcp.save)(saved, checkpoint_id=folder)
        dcp.load(found, checkpoint_id=folder, planner=dcp.DefaultLoadPlanner(allow_partial_load=partial))
    except dcp.CheckpointException as error:  # no Exception
        raise RuntimeError(str(error)) from error
    model.load_state_dict(found["model"], strict=not partial)


def _cells(row: Row, sealed: bool) -> list[Cell]:
    strict = Cell(row, "strict", lambda case: load(case, strict=True), sealed)
    loose = Cell(row, "strict=False", lambda case: load(case, strict=False), sealed)
    first = Cell(row, "optimizer first", lambda case: load(case, strict=False, optimizer_first=True), sealed)
    if row.system in ("torch safetensors",):
        return [strict, loose, Cell(row, "load_model", load_model, sealed)]
    if row.system == "torch weights" and row not in DAMAGE_ROWS and not sealed:
        whole = Cell(row, "dcp", lambda case: load_dcp(case, partial=False))
        part = Cell(row, "dcp partial", lambda case: load_dcp(case, partial=True))
        return [strict, loose, whole, part]
    if row.system in ("torch weights", "torch legacy", "safetensors shards", "torch shards"):
        return [strict, loose]
    return [strict, loose, first]


CELLS: list[Cell] = [
    cell
    for row in (*TORCH_ROWS, *FILE_ROWS, *WRAPPED_ROWS)
    for sealed in ((False, True) if row.sealed is not None else (False,))
    for cell in _cells(row, sealed)
]
