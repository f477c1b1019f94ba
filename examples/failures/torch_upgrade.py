"""PyTorch is upgraded, and a checkpoint of the old release is loaded.

People do: ``torch.load`` of a file with the weights, the optimizer, the arguments of the run and its best loss.
They are told: between two releases a checkpoint may fail in silence.
True is: no such failure was found; even the format of before 1.6, written here, still loads, bit for bit. What did change is
loud: since 2.6 ``torch.load`` makes tensors and plain values only, and refuses the Namespace and numpy's float.
"""

import argparse

import numpy as np
import torch

args = argparse.Namespace(learning_rate=1e-3, width=32)
model = torch.nn.Sequential(torch.nn.Linear(16, args.width), torch.nn.ReLU(), torch.nn.Linear(args.width, 10))
optimizer = torch.optim.Adam(model.parameters(), lr=args.learning_rate)
losses = []
for _ in range(3):
    loss = model(torch.randn(8, 16)).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())

old = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "args": args, "best": np.min(losses)}
torch.save(old, "checkpoint.pt", _use_new_zipfile_serialization=False)

checkpoint = torch.load("checkpoint.pt")
model.load_state_dict(checkpoint["model"])
optimizer.load_state_dict(checkpoint["optimizer"])
print("goes on from", checkpoint["best"])
