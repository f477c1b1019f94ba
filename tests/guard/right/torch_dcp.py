"""torch.distributed.checkpoint without a process group: ``get_state_dict``, ``save``, ``load``, ``async_save``."""

import warnings

import torch
import torch.distributed.checkpoint as dcp
from digest import digest, random_states
from torch import nn
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

warnings.simplefilter("ignore")
torch.manual_seed(11)
x = torch.randn(8, 4)


def made():
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    return model, torch.optim.AdamW(model.parameters(), lr=0.1)


def step(model, optimizer):
    optimizer.zero_grad()
    model(x).pow(2).sum().backward()
    optimizer.step()


model, optimizer = made()
step(model, optimizer)
weights, state = get_state_dict(model, optimizer)
dcp.save({"model": weights, "optimizer": state}, checkpoint_id="step1")

model, optimizer = made()
weights, state = get_state_dict(model, optimizer)
held = {"model": weights, "optimizer": state}
dcp.load(held, checkpoint_id="step1")
set_state_dict(model, optimizer, model_state_dict=held["model"], optim_state_dict=held["optimizer"])
step(model, optimizer)

plain = {"model": model.state_dict(), "step": 2}
dcp.save(plain, checkpoint_id="step2")
again, _ = made()
target = {"model": again.state_dict(), "step": 0}
dcp.load(target, checkpoint_id="step2")
again.load_state_dict(target["model"])
print(target["step"], digest(model.state_dict(), optimizer.state_dict(), again.state_dict()))
print(random_states())
