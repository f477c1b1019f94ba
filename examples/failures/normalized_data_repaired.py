"""Repaired: the mean and the scale are saved with the weights, and every batch is normalized with them."""

import numpy as np
import torch

rng = np.random.default_rng(0)
raw = rng.normal(loc=[5, -2, 40, 0.5], scale=[2, 1, 15, 0.1], size=(1000, 4)).astype("float32")
target = raw @ np.array([[0.5], [1.0], [0.05], [3.0]], "float32")

mean, scale = raw.mean(axis=0), raw.std(axis=0)
data = (raw - mean) / scale
np.savez("train_data.npz", data=data, mean=mean, scale=scale)

model = torch.nn.Linear(4, 1)
optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
for _ in range(200):
    loss = torch.nn.functional.mse_loss(model(torch.from_numpy(data)), torch.from_numpy(target))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
torch.save(model.state_dict(), "model.pt")

model = torch.nn.Linear(4, 1)
model.load_state_dict(torch.load("model.pt"))
stored = np.load("train_data.npz")
batch, wanted = (raw[:8] - stored["mean"]) / stored["scale"], target[:8]
error = torch.nn.functional.mse_loss(model(torch.from_numpy(batch)), torch.from_numpy(wanted))
print(f"training loss {loss.item():.4f}, on eight rows of the same data {error.item():.4f}")
