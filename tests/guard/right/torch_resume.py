"""The loop of the tutorial "Saving and loading a general checkpoint": train, save, resume in new objects, go on."""

import torch
from digest import digest, random_states
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.bn = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.2)
        self.fc = nn.Linear(4 * 36, 10)

    def forward(self, x):
        return self.fc(self.drop(torch.relu(self.bn(self.conv(x)))).flatten(1))


torch.manual_seed(1)
images, labels = torch.randn(64, 1, 8, 8), torch.randint(0, 10, (64,))


def train(model, optimizer, epochs, start=0):
    criterion = nn.CrossEntropyLoss()
    for epoch in range(start, epochs):
        model.train()
        for at in range(0, 64, 16):
            optimizer.zero_grad()
            loss = criterion(model(images[at : at + 16]), labels[at : at + 16])
            loss.backward()
            optimizer.step()
        print(epoch, f"{loss.item():.17g}")
        torch.save(
            {
                "epoch": epoch,
                "model_state_dict": model.state_dict(),
                "optimizer_state_dict": optimizer.state_dict(),
                "loss": loss,
            },
            "checkpoint.pt",
        )


model = Net()
train(model, torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9), 3)

model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
checkpoint = torch.load("checkpoint.pt", weights_only=True)
model.load_state_dict(checkpoint["model_state_dict"])
optimizer.load_state_dict(checkpoint["optimizer_state_dict"])
train(model, optimizer, 5, start=checkpoint["epoch"] + 1)

model.eval()
with torch.no_grad():
    print("accuracy", (model(images).argmax(1) == labels).float().mean().item())
print(digest(model.state_dict(), optimizer.state_dict()), random_states())
