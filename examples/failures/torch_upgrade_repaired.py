"""Repaired: the checkpoint holds tensors and plain values; every release can load it, and nothing in it is run."""

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

plain = {"args": vars(args), "best": float(np.min(losses))}
torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), **plain}, "checkpoint.pt")

checkpoint = torch.load("checkpoint.pt")
model.load_state_dict(checkpoint["model"])
optimizer.load_state_dict(checkpoint["optimizer"])
print("goes on from", checkpoint["best"])
