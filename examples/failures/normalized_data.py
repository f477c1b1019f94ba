"""The training data is normalized, saved, and loaded again for new data to be compared with.

People do: ``np.save`` of the normalized data; later ``np.load``, and each new batch is normalized by its own statistics.
They are told: what ``np.load`` gives is not normalized, so normalize again.
True is: it is, bit for bit as saved. What is lost is the mean and the scale it was normalized with: they are in no file,
and a small batch's own are others. The predictions on new data are wrong, and nothing says so.
"""

import numpy as np
import torch

rng = np.random.default_rng(0)
raw = rng.normal(loc=[5, -2, 40, 0.5], scale=[2, 1, 15, 0.1], size=(1000, 4)).astype("float32")
target = raw @ np.array([[0.5], [1.0], [0.05], [3.0]], "float32")

data = (raw - raw.mean(axis=0)) / raw.std(axis=0)
np.save("train_data.npy", data)

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
loaded = np.load("train_data.npy")
loaded = (loaded - loaded.mean(axis=0)) / loaded.std(axis=0)  # changes next to nothing
batch, wanted = raw[:8], target[:8]
batch = (batch - batch.mean(axis=0)) / batch.std(axis=0)  # the mistake
error = torch.nn.functional.mse_loss(model(torch.from_numpy(batch)), torch.from_numpy(wanted))
print(f"training loss {loss.item():.4f}, on eight rows of the same data {error.item():.4f}")
