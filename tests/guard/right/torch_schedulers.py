"""Each of three schedulers with its optimizer, in a checkpoint of one, resumed half way; warm-up chained with a cosine."""

import torch
from digest import digest, random_states
from torch import nn
from torch.optim import lr_scheduler as schedulers

torch.manual_seed(2)
x, y = torch.randn(32, 6), torch.randn(32, 1)
KINDS = {
    "onecycle": lambda o: schedulers.OneCycleLR(o, max_lr=0.1, total_steps=12),
    "cosine": lambda o: schedulers.CosineAnnealingLR(o, T_max=12),
    "plateau": lambda o: schedulers.ReduceLROnPlateau(o, patience=1),
    "warmup": lambda o: schedulers.SequentialLR(
        o,
        [schedulers.LinearLR(o, 0.1, total_iters=3), schedulers.CosineAnnealingLR(o, T_max=9)],
        milestones=[3],
    ),
    "lambda": lambda o: schedulers.LambdaLR(o, lambda step: 0.9**step),
}


def made(kind):
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    return model, optimizer, KINDS[kind](optimizer)


def steps(model, optimizer, scheduler, count):
    for _ in range(count):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        if isinstance(scheduler, schedulers.ReduceLROnPlateau):
            scheduler.step(loss)
        else:
            scheduler.step()
    print(f"{loss.item():.17g}", optimizer.param_groups[0]["lr"])


for kind in KINDS:
    model, optimizer, scheduler = made(kind)
    steps(model, optimizer, scheduler, 6)
    torch.save(
        {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "scheduler": scheduler.state_dict(),
        },
        f"{kind}.pt",
    )
    model, optimizer, scheduler = made(kind)
    state = torch.load(f"{kind}.pt")
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    scheduler.load_state_dict(state["scheduler"])
    steps(model, optimizer, scheduler, 6)
    print(kind, digest(model.state_dict(), optimizer.state_dict(), scheduler.state_dict()))
print(random_states())
