"""``torch.compile`` (eager backend): saved by the original module, by the wrapper, and put back in both."""

import torch
from digest import digest, random_states
from torch import nn

torch.manual_seed(8)
x = torch.randn(16, 4)


def made():
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))


model = made()
compiled = torch.compile(model, backend="eager")
optimizer = torch.optim.Adam(compiled.parameters(), lr=1e-2)


def train(net, optimizer):
    for _ in range(3):
        optimizer.zero_grad()
        net(x).pow(2).mean().backward()
        optimizer.step()


train(compiled, optimizer)
torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, "original.pt")
torch.save(compiled.state_dict(), "wrapper.pt")

fresh = torch.compile(made(), backend="eager")
fresh.load_state_dict(torch.load("wrapper.pt"))

plain = made()
plain.load_state_dict({k.removeprefix("_orig_mod."): v for k, v in torch.load("wrapper.pt").items()})

resumed = torch.compile(made(), backend="eager")
own = torch.optim.Adam(resumed.parameters(), lr=1e-2)
state = torch.load("original.pt")
resumed._orig_mod.load_state_dict(state["model"])
own.load_state_dict(state["optimizer"])
train(resumed, own)
print(
    digest(
        compiled.state_dict(), fresh.state_dict(), plain.state_dict(), resumed.state_dict(), own.state_dict()
    )
)
print(random_states())
