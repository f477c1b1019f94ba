"""Fine-tuning: a backbone's weights into its own submodule, a new head on purpose, frozen layers, groups of their own rates."""

import torch
from digest import digest, random_states
from torch import nn

torch.manual_seed(4)


class Backbone(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.block = nn.Conv2d(6, 8, 3, padding=1)

    def forward(self, x):
        return torch.relu(self.block(torch.relu(self.norm(self.stem(x))))).mean((2, 3))


class Classifier(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.backbone = Backbone()
        self.head = nn.Linear(8, classes)

    def forward(self, x):
        return self.head(self.backbone(x))


images = torch.randn(24, 3, 8, 8)


def train(model, optimizer, labels, count):
    for _ in range(count):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
    print(f"{loss.item():.17g}")


# The first task: a hundred classes.
source = Classifier(100)
train(source, torch.optim.SGD(source.parameters(), lr=0.1), torch.randint(0, 100, (24,)), 3)
torch.save(source.state_dict(), "pretrained.pth")

# 1. Only the backbone's part of the file, by its prefix, into the backbone.
model = Classifier(5)
state = torch.load("pretrained.pth", map_location="cpu")
own = {name.removeprefix("backbone."): value for name, value in state.items() if name.startswith("backbone.")}
print(model.backbone.load_state_dict(own))

for parameter in model.backbone.stem.parameters():
    parameter.requires_grad = False
model.backbone.norm.eval()
groups = [
    {"params": [p for p in model.backbone.parameters() if p.requires_grad], "lr": 1e-3},
    {"params": model.head.parameters(), "lr": 1e-1, "weight_decay": 0.0},
]
optimizer = torch.optim.AdamW(groups, weight_decay=0.01)
labels = torch.randint(0, 5, (24,))
train(model, optimizer, labels, 3)
torch.save({"net": model.state_dict(), "opt": optimizer.state_dict()}, "tuned.pth")

# 2. Resume the fine-tuning: the same groups, the same frozen layer.
again = Classifier(5)
for parameter in again.backbone.stem.parameters():
    parameter.requires_grad = False
resumed = torch.optim.AdamW(
    [
        {"params": [p for p in again.backbone.parameters() if p.requires_grad], "lr": 1e-3},
        {"params": again.head.parameters(), "lr": 1e-1, "weight_decay": 0.0},
    ],
    weight_decay=0.01,
)
held = torch.load("tuned.pth")
again.load_state_dict(held["net"])
resumed.load_state_dict(held["opt"])
train(again, resumed, labels, 3)

# 3. All thaws: the second stage has a new optimizer over everything.
for parameter in again.parameters():
    parameter.requires_grad_(True)
second = torch.optim.SGD(again.parameters(), lr=1e-3, momentum=0.9)
train(again, second, labels, 2)
torch.save(again.state_dict(), "final.pth")
print(
    digest(model.state_dict(), again.state_dict(), resumed.state_dict(), second.state_dict()), random_states()
)
