"""``strict=False`` with a head of its own: by the rules this is told (T201), as nobody but the author knows it is meant."""

import torch
from digest import digest
from torch import nn

torch.manual_seed(4)
source = nn.ModuleDict({"body": nn.Linear(6, 4), "head": nn.Linear(4, 100)})
torch.save(source.state_dict(), "pretrained.pth")
model = nn.ModuleDict({"body": nn.Linear(6, 4), "head": nn.Linear(4, 5)})
state = {name: value for name, value in torch.load("pretrained.pth").items() if not name.startswith("head")}
print(model.load_state_dict(state, strict=False))
print(digest(model.state_dict()))
