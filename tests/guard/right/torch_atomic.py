"""Careful programs: written aside and renamed, resumed with the generators' states, saved in a thread."""

import os
import random
import tempfile
import threading

import numpy as np
import torch
from digest import digest, random_states
from torch import nn

torch.manual_seed(16)
random.seed(16)
np.random.seed(16)


def atomic(state, path):
    handle, aside = tempfile.mkstemp(dir=os.path.dirname(path) or ".", suffix=".tmp")
    with os.fdopen(handle, "wb") as out:
        torch.save(state, out)
        out.flush()
        os.fsync(out.fileno())
    os.replace(aside, path)


def made():
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 1))
    return model, torch.optim.Adam(model.parameters(), lr=random.choice([0.1]))


def train(model, optimizer, count):
    for _ in range(count):
        optimizer.zero_grad()
        loss = model(torch.from_numpy(np.random.randn(16, 4).astype(np.float32))).pow(2).mean()
        loss.backward()
        optimizer.step()
    print(f"{loss.item():.17g}", random.random())


model, optimizer = made()
train(model, optimizer, 4)
atomic(
    {
        "model": model.state_dict(), "optimizer": optimizer.state_dict(), "torch": torch.get_rng_state(),
        "numpy": np.random.get_state(), "python": random.getstate(), "args": {"lr": 0.1, "name": "run"},
    },
    "state.pt",
)  # fmt: skip
train(model, optimizer, 4)
first = digest(model.state_dict())

model, optimizer = made()
state = torch.load("state.pt", weights_only=False)
model.load_state_dict(state["model"])
optimizer.load_state_dict(state["optimizer"])
torch.set_rng_state(state["torch"])
np.random.set_state(state["numpy"])
random.setstate(state["python"])
train(model, optimizer, 4)
print(first == digest(model.state_dict()))

# A copy is saved in a thread while training goes on.
copied = {name: value.clone() for name, value in model.state_dict().items()}
thread = threading.Thread(target=torch.save, args=(copied, "background.pt"))
thread.start()
train(model, optimizer, 3)
thread.join()
back = made()[0]
back.load_state_dict(torch.load("background.pt"))

# Nothing there yet: the usual guard of a resume.
for path in ("missing.pt", "state.pt"):
    if os.path.exists(path):
        model.load_state_dict(torch.load(path, weights_only=False)["model"])
    else:
        print("starts anew")
try:
    torch.load("missing.pt")
except FileNotFoundError as error:
    print(type(error).__name__)
print(digest(model.state_dict(), optimizer.state_dict(), back.state_dict()), random_states(numpy=True))
