"""Repaired: the class has the layers that its weights were trained with, and they are loaded strictly."""

import torch
from torch import nn


class MyModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear1 = nn.Linear(16, 16)
        self.linear2 = nn.Linear(16, 16)
        self.head = nn.Linear(16, 4)

    def forward(self, x):
        return self.head(torch.relu(self.linear2(torch.relu(self.linear1(x)))))


torch.save(MyModel().state_dict(), "model.pt")

model = MyModel()
model.load_state_dict(torch.load("model.pt"))
print("loaded; output", model(torch.ones(1, 16)).detach().numpy())
