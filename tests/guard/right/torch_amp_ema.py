"""Mixed precision on the CPU with a scaler, an average of the weights by ``swa_utils``, best and last checkpoints."""

import copy
import shutil

import torch
from digest import digest, random_states
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

torch.manual_seed(3)
x, y = torch.randn(48, 10), torch.randint(0, 3, (48,))


def made():
    model = nn.Sequential(nn.Linear(10, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    scaler = torch.amp.GradScaler("cpu")
    ema = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    return model, optimizer, scaler, ema


def save(path, **parts):
    torch.save(
        {name: part.state_dict() if hasattr(part, "state_dict") else part for name, part in parts.items()},
        path,
    )


def train(model, optimizer, scaler, ema, epochs, best):
    for epoch in epochs:
        for at in range(0, 48, 16):
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = nn.functional.cross_entropy(model(x[at : at + 16]), y[at : at + 16])
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()
            ema.update_parameters(model)
        with torch.no_grad():
            score = nn.functional.cross_entropy(ema(x), y).item()
        print(epoch, f"{score:.17g}")
        save(
            "last.pt",
            model=model,
            optimizer=optimizer,
            scaler=scaler,
            ema=ema,
            epoch=epoch,
            best=min(best, score),
        )
        if score < best:
            best = score
            shutil.copyfile("last.pt", "best.pt")
    return best


parts = made()
best = train(*parts, range(3), float("inf"))
kept = copy.deepcopy(parts[0].state_dict())

model, optimizer, scaler, ema = made()
last = torch.load("last.pt", map_location="cpu")
model.load_state_dict(last["model"])
optimizer.load_state_dict(last["optimizer"])
scaler.load_state_dict(last["scaler"])
ema.load_state_dict(last["ema"])
print(all(torch.equal(value, kept[name]) for name, value in model.state_dict().items()))
best = train(model, optimizer, scaler, ema, range(last["epoch"] + 1, 5), last["best"])

final = made()[0]
final.load_state_dict(torch.load("best.pt")["model"])
torch.optim.swa_utils.update_bn([x], ema)
ema.module.eval()
torch.save(ema.module.state_dict(), "release.pt")
final.load_state_dict(torch.load("release.pt"))
print(
    best,
    digest(
        model.state_dict(), optimizer.state_dict(), scaler.state_dict(), ema.state_dict(), final.state_dict()
    ),
)
print(random_states())
