"""A PyTorch run on digits that resumes exactly, as people write them, without Holdfast; ``--plant`` spoils one thing.

Dropout, BatchNorm, gradient accumulation, a schedule, a loss scale, shuffled epochs, the best checkpoint beside the last one.
"""

import argparse
import os
import random

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--plant", default="")
parser.add_argument("--steps", type=int, default=26)
parser.add_argument("--resume", action="store_true")
options = parser.parse_args()
plant, STEPS, GATHER, BATCH, SAVE = options.plant, options.steps, 2, 32, 4

torch.set_num_threads(1)
if plant != "unseeded":
    random.seed(1)
    np.random.seed(2)
    torch.manual_seed(3)
digits = load_digits()
X = torch.tensor(digits.data[:512] / 16, dtype=torch.float32)
Y = torch.tensor(digits.target[:512])
XV, YV = torch.tensor(digits.data[1500:] / 16, dtype=torch.float32), torch.tensor(digits.target[1500:])

model = nn.Sequential(nn.Linear(64, 48), nn.BatchNorm1d(48), nn.ReLU(), nn.Dropout(0.3), nn.Linear(48, 10))
optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
rate = (lambda step: 1.0) if plant == "lr" else (lambda step: 0.9**step)
scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=3)


class Epochs(torch.utils.data.Sampler):
    """Each epoch's own order, from a place within it."""

    epoch = start = 0

    def __iter__(self):
        if plant in (
            "rng",
            "dropout-seed",
        ):  # an order drawn from the global generators, where they are to be kept
            order = np.random.RandomState(self.epoch).permutation(len(X))
        else:
            order = torch.randperm(len(X), generator=torch.Generator().manual_seed(self.epoch)).numpy()
        yield from order[self.start * BATCH :].tolist()

    def __len__(self):
        return len(X) - self.start * BATCH


class Noisy(torch.utils.data.Dataset):
    """Digits with noise from NumPy's generator."""

    def __len__(self):
        return len(X)

    def __getitem__(self, index):
        return X[index] + 0.01 * float(np.random.rand()) * random.random(), Y[index]


sampler = Epochs()
own = None if plant == "drawn" else torch.Generator()  # else making an iterator draws from the global one
loader = torch.utils.data.DataLoader(Noisy(), batch_size=BATCH, sampler=sampler, generator=own)
step = batch = 0
best = float("inf")


def save(path):
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "scaler": scaler.state_dict(),
        "at": (step, sampler.epoch, batch),
        "best": best,
        "rng": (random.getstate(), np.random.get_state(), torch.get_rng_state()),
    }
    if plant == "torn":
        torch.save(state, path)
        return
    torch.save(state, path + ".tmp")
    os.replace(path + ".tmp", path)


def load(path):
    global step, batch, best
    state = torch.load(path, weights_only=False)
    weights = state["model"]
    if plant == "buffers":
        weights = {k: v for k, v in weights.items() if "running" not in k}
    model.load_state_dict(weights, strict=False)
    if plant != "optimizer":
        optimizer.load_state_dict(state["optimizer"])
    if plant != "scheduler":
        scheduler.load_state_dict(state["scheduler"])
    if plant == "scheduler":
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
    if plant == "lr":
        for group in optimizer.param_groups:
            group["lr"] = 4e-3
    if plant != "scaler":
        scaler.load_state_dict(state["scaler"])
    step, sampler.epoch, batch = state["at"]
    sampler.start = 0 if plant == "sampler" else batch
    if plant == "length":
        step = 0
    if plant != "best":
        best = state["best"]
    python, numpy, pytorch = state["rng"]
    if plant != "rng":
        random.setstate(python)
        np.random.set_state(numpy)
        if plant != "dropout-seed":
            torch.set_rng_state(pytorch)


def evaluate():
    model.eval()
    with torch.no_grad():
        loss = nn.functional.cross_entropy(model(XV), YV).item()
    model.train()
    return loss if plant != "best" else loss + 10 * (step > 6)  # the best one comes early


resumed = False
if plant == "anew" and not options.resume:
    pass
elif os.path.exists("last.pt"):
    load("last.pt")
    resumed = True

model.train()
while step < STEPS:
    for x, y in loader:
        loss = nn.functional.cross_entropy(model(x), y) / GATHER
        scaler.scale(loss).backward()
        batch += 1
        if batch % GATHER == 0:
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
            if not (plant == "scheduler-stuck" and resumed):
                scheduler.step()
            step += 1
        elif plant != "accumulation":
            continue
        if plant == "lr" and step == 3:
            for group in optimizer.param_groups:
                group["lr"] = 5e-4
            scheduler.base_lrs = [5e-4]
        due = batch % 7 == 0 if plant == "accumulation" else step % SAVE == 0
        if step % 6 == 0 and batch % GATHER == 0:
            value = evaluate()
            if value < best:
                best = value
                save("best.pt")
        if due:
            save("last.pt")
        if step == STEPS:
            break
    else:
        sampler.epoch += 1
        sampler.start = batch = 0
