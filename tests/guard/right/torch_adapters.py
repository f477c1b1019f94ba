"""Parts of a model from files of their own: adapters over a base (LoRA by hand), lists of heads; EMA swapped in
for evaluation, a lower learning rate on purpose, the optimizer before the model, a fresh optimizer for a second stage."""

import torch
from digest import digest, random_states
from torch import nn

torch.manual_seed(23)
x = torch.randn(16, 8)


class Lora(nn.Module):
    def __init__(self, base, rank=2):
        super().__init__()
        self.base = base
        self.lora_a = nn.Parameter(torch.randn(rank, base.in_features) * 0.01)
        self.lora_b = nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, x):
        return self.base(x) + x @ self.lora_a.T @ self.lora_b.T


def made():
    return nn.Sequential(Lora(nn.Linear(8, 8)), nn.ReLU(), Lora(nn.Linear(8, 2)))


def base_of(model):
    return {name: value for name, value in model.state_dict().items() if "lora" not in name}


def adapter_of(model):
    return {name: value for name, value in model.state_dict().items() if "lora" in name}


def train(model, optimizer, count=3):
    for _ in range(count):
        optimizer.zero_grad()
        model(x).pow(2).mean().backward()
        optimizer.step()


model = made()
torch.save(nn.ModuleList([model[0].base, model[2].base]).state_dict(), "base.pt")
for name, parameter in model.named_parameters():
    parameter.requires_grad = "lora" in name
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.1)
train(model, optimizer)
torch.save(adapter_of(model), "adapter.pt")
torch.save(optimizer.state_dict(), "optimizer.pt")

# The base by its own modules, then the adapter over it: what the adapter has not was restored before.
again = made()
bases = nn.ModuleList([again[0].base, again[2].base])
bases.load_state_dict(torch.load("base.pt"))
found = again.load_state_dict(torch.load("adapter.pt"), strict=False)
print(len(found.missing_keys), found.unexpected_keys)
for name, parameter in again.named_parameters():
    parameter.requires_grad = "lora" in name
moved = torch.optim.AdamW([p for p in again.parameters() if p.requires_grad], lr=0.1)
moved.load_state_dict(torch.load("optimizer.pt"))
train(again, moved)

# The optimizer first, the model after it.
third = made()
own = torch.optim.SGD(third.parameters(), lr=0.1, momentum=0.9)
train(third, own)
torch.save({"o": own.state_dict(), "m": third.state_dict()}, "both.pt")
fourth = made()
other = torch.optim.SGD(fourth.parameters(), lr=0.1, momentum=0.9)
held = torch.load("both.pt")
other.load_state_dict(held["o"])
fourth.load_state_dict(held["m"])
for group in other.param_groups:  # on purpose
    group["lr"] = 0.01
train(fourth, other)

# The average swapped in for evaluation, and out again, each epoch.
shadow = {name: value.clone() for name, value in fourth.state_dict().items()}
for _ in range(5):
    train(fourth, other, 1)
    for name, value in fourth.state_dict().items():
        shadow[name].mul_(0.9).add_(value, alpha=0.1)
    kept = {name: value.clone() for name, value in fourth.state_dict().items()}
    fourth.load_state_dict(shadow)
    print(f"{fourth(x).pow(2).mean().item():.17g}")
    fourth.load_state_dict(kept)

# A second stage with another optimizer, from the weights alone.
fifth = made()
fifth.load_state_dict(torch.load("both.pt")["m"])
train(fifth, torch.optim.Adam(fifth.parameters()))

# Second-order, sparse and several optimizers in a list.
embedding = nn.EmbeddingBag(10, 4, sparse=True)
line = nn.Linear(4, 1)
several = [torch.optim.SparseAdam(embedding.parameters()), torch.optim.LBFGS(line.parameters(), max_iter=3)]


def closure():
    for one in several:
        one.zero_grad()
    loss = line(embedding(torch.tensor([[1, 2], [3, 4]]))).pow(2).mean()
    loss.backward()
    return loss


several[1].step(closure)
several[0].step()
torch.save([one.state_dict() for one in several], "several.pt")
for one, state in zip(several, torch.load("several.pt"), strict=True):
    one.load_state_dict(state)
several[1].step(closure)
several[0].step()
parts = (model, again, third, fourth, fifth, embedding, line)
print(digest([p.state_dict() for p in parts], moved.state_dict(), other.state_dict()), random_states())
