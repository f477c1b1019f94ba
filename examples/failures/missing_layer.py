"""A layer is taken out of the class, and the weights of before are loaded.

People do: delete ``linear2``, and ``load_state_dict(..., strict=False)`` so that it loads.
They are told: loading weights of a layer that does not exist is an error.
True is: with ``strict=False`` it is none: ``linear2.weight`` and ``linear2.bias`` go nowhere, and only the value that
``load_state_dict`` returns says so. The default, ``strict=True``, raises RuntimeError and names both keys.
"""

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


class MyModel(nn.Module):  # the same file, a month later
    def __init__(self):
        super().__init__()
        self.linear1 = nn.Linear(16, 16)
        self.head = nn.Linear(16, 4)

    def forward(self, x):
        return self.head(torch.relu(self.linear1(x)))


model = MyModel()
model.load_state_dict(torch.load("model.pt"), strict=False)
print("loaded; output", model(torch.ones(1, 16)).detach().numpy())
