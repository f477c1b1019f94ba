"""DataLoader with worker processes, a dataset that reads tensors saved one a file, normalization kept in a buffer."""

import os

import torch
from digest import digest, random_states
from torch import nn
from torch.utils.data import DataLoader, Dataset

torch.manual_seed(9)


class Files(Dataset):
    def __init__(self, root):
        self.paths = sorted(os.path.join(root, name) for name in os.listdir(root))

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        item = torch.load(self.paths[index])
        return item["x"], item["y"]


class Model(nn.Module):
    def __init__(self, mean, std):
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.register_buffer("scratch", torch.zeros(3), persistent=False)
        self.fc = nn.Linear(6, 1)

    def forward(self, x):
        return self.fc((x - self.mean) / self.std)


if __name__ == "__main__":
    os.makedirs("data", exist_ok=True)
    for index in range(24):
        torch.save({"x": torch.randn(6), "y": torch.randn(1)}, f"data/{index:03}.pt")
    loader = DataLoader(Files("data"), batch_size=6, shuffle=True, num_workers=2)
    together = torch.stack([x for x, _ in Files("data")])
    model = Model(together.mean(0), together.std(0))
    optimizer = torch.optim.RMSprop(model.parameters(), lr=0.01)
    for epoch in range(2):
        for x, y in loader:
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
        print(epoch, f"{loss.item():.17g}")
    torch.save(model.state_dict(), "model.pt")
    again = Model(torch.zeros(6), torch.ones(6))
    again.load_state_dict(torch.load("model.pt"))
    print(digest(model.state_dict(), again.state_dict(), optimizer.state_dict()), random_states())
