"""Programs of two ranks (gloo, on the CPU) under ``holdfast run``: tensors that are split over them, and checkpoints that all
write together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("torch.distributed.fsdp", reason="distributed training is not in this build")

BEGIN = """
import os, sys
import torch, torch.distributed as dist, torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions, get_model_state_dict, get_state_dict, set_model_state_dict, set_state_dict)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
dist.init_process_group("gloo", init_method="file://" + os.path.abspath("meeting"), rank=rank, world_size=size)
mesh = init_device_mesh("cpu", (size,))


def made(seed, rate=0.01, word="head"):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5))
    model.add_module(word, nn.Linear(5, 3))
    fully_shard(model, mesh=mesh)
    return model, torch.optim.AdamW(model.parameters(), lr=rate)

def stepped(model, optimizer):
    model(torch.randn(4, 6)).square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()

model, optimizer = made(1)
stepped(model, optimizer)
weights, state = get_state_dict(model, optimizer)
dcp.save({"model": weights, "optim": state}, checkpoint_id="together")
whole = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
if rank == 0:
    torch.save(whole, "whole.pt")
dist.barrier()
"""
END = "\ndist.barrier()\ndist.destroy_process_group()\n"


def ran(folder: Path, program: str, *, ranks: int = 2) -> list[dict[str, Any]]:
    """What was told on each rank."""
    (folder / "train.py").write_text(BEGIN + program + END)
    processes = []
    for rank in range(ranks):
        env = {
            **os.environ, "RANK": str(rank), "WORLD_SIZE": str(ranks), "LOCAL_RANK": str(rank), "MASTER_ADDR": "localhost",
            "MASTER_PORT": str(os.getpid()), "OMP_NUM_THREADS": "1", "TMPDIR": str(folder),
        }  # fmt: skip
        command = [sys.executable, "-m", "holdfast", "run", "--json", f"told{rank}.json", "train.py"]
        processes.append(
            subprocess.Popen(
                command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
        )
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * ranks, outputs[0]
    return [json.loads((folder / f"told{rank}.json").read_text()) for rank in range(ranks)]


def told(document: dict[str, Any]) -> list[str]:
    return [f["code"] for call in document["calls"] for f in call["findings"] if f["severity"] != "note"]


def sentences(document: dict[str, Any], api: str) -> list[str]:
    return [call["sentence"] for call in document["calls"] if call["api"] == api]


RESUMED = """
model, optimizer = made(2)
weights, state = get_state_dict(model, optimizer)
dcp.load({"model": weights, "optim": state}, checkpoint_id="together")
set_state_dict(model, optimizer, model_state_dict=weights, optim_state_dict=state)
stepped(model, optimizer)
whole = torch.load("whole.pt")
model, optimizer = made(3)
set_model_state_dict(model, whole, options=StateDictOptions(full_state_dict=True))
model, optimizer = made(4)
given = torch.load("whole.pt") if rank == 0 else {}
set_model_state_dict(model, given, options=StateDictOptions(full_state_dict=True, broadcast_from_rank0=True))
"""

ASTRAY = """
model, optimizer = made(2, rate=0.5, word="top")
weights, state = get_state_dict(model, optimizer)
dcp.load({"model": weights}, checkpoint_id="together", planner=dcp.DefaultLoadPlanner(allow_partial_load=True))
model, optimizer = made(3, rate=0.5)
weights, state = get_state_dict(model, optimizer)
found = {"model": weights, "optim": state}
dcp.load(found, checkpoint_id="together")
set_state_dict(model, optimizer, model_state_dict=found["model"], optim_state_dict=found["optim"])
torch.save(get_model_state_dict(model), "each.pt")
"""

ALONE = """
import holdfast
from holdfast import NotStored, RestoreRefused, Vault

def refused(call, how):
    try:
        call()
    except how as error:
        assert "DTensor" in str(error) and "set_model_state_dict" in str(error), error
    else:
        raise SystemExit("it was taken")

refused(lambda: holdfast.restore("whole.pt", model=model), RestoreRefused)
refused(lambda: Vault("vault").save(1, model=model, blocking=True), NotStored)
before = {name: tensor.full_tensor().clone() for name, tensor in model.state_dict().items() if hasattr(tensor, "full_tensor")}
assert all(torch.equal(model.state_dict()[name].full_tensor(), tensor) for name, tensor in before.items())
assert holdfast.restore("whole.pt", model=nn.ModuleDict({"0": nn.Linear(6, 5), "1": nn.BatchNorm1d(5), "head": nn.Linear(5, 3)}))
"""


@pytest.mark.long
def test_a_right_resume_of_split_tensors(tmp_path: Path) -> None:
    for document in ran(tmp_path, RESUMED):
        assert told(document) == []
        assert all("restored all 9 tensors" in s for s in sentences(document, "Module.load_state_dict"))
        assert "restored all 27 tensors" in sentences(document, "dcp.load")[0]
        assert "restored all 18 tensors" in sentences(document, "Optimizer.load_state_dict")[0]


@pytest.mark.long
def test_what_goes_wrong_with_split_tensors_is_told(tmp_path: Path) -> None:
    for document in ran(tmp_path, ASTRAY):
        partly, rightly = sentences(document, "dcp.load")
        assert "restored 7 of 9 tensors" in partly
        assert "`model.top.weight`" in partly
        assert "restored all 27 tensors" in rightly
        codes = told(document)
        assert "O207" in codes  # the rate
        assert "S144" in codes  # every rank over one file
        assert {"T205", "T210", "T201"} & {*codes}


@pytest.mark.long
def test_what_one_process_cannot_hold_is_refused_with_the_way_out(tmp_path: Path) -> None:
    ran(tmp_path, ALONE, ranks=1)
