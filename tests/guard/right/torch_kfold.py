"""Cross-validation and a sweep: many models made anew in one process, each saved, the best of each loaded and scored."""

import itertools

import torch
from digest import digest, random_states
from torch import nn

torch.manual_seed(12)
x, y = torch.randn(60, 5), torch.randn(60, 1)


def fit(model, optimizer, rows, epochs, path):
    best = float("inf")
    for _ in range(epochs):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
        if loss.item() < best:
            best = loss.item()
            torch.save(model.state_dict(), path)
    return best


states = []
for fold in range(5):
    rows = [i for i in range(60) if i % 5 != fold]
    model = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 1))
    fit(model, torch.optim.Adam(model.parameters()), rows, 4, f"fold{fold}.pt")
    model.load_state_dict(torch.load(f"fold{fold}.pt"))
    with torch.no_grad():
        print(fold, f"{nn.functional.mse_loss(model(x), y).item():.17g}")
    states.append(model.state_dict())

mean = {name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]}
soup = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 1))
soup.load_state_dict(mean)

results = {}
for width, rate in itertools.product((4, 8), (0.1, 0.01)):
    model = nn.Sequential(nn.Linear(5, width), nn.ReLU(), nn.Linear(width, 1))
    results[width, rate] = fit(
        model, torch.optim.SGD(model.parameters(), lr=rate), list(range(60)), 3, f"w{width}_lr{rate}.pt"
    )
width, rate = min(results, key=results.get)
best = nn.Sequential(nn.Linear(5, width), nn.ReLU(), nn.Linear(width, 1))
best.load_state_dict(torch.load(f"w{width}_lr{rate}.pt"))
print(width, rate, digest(soup.state_dict(), best.state_dict(), states), random_states())
