"""safetensors: ``save_file``/``load_file``, ``safe_open`` piece by piece, ``save_model``/``load_model`` tied, numpy."""

import numpy as np
import torch
from digest import digest, random_states
from safetensors import safe_open
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load, load_file, load_model, save, save_file, save_model
from torch import nn

torch.manual_seed(10)


class Language(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(20, 8)
        self.body = nn.LSTM(8, 8, batch_first=True)
        self.head = nn.Linear(8, 20, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens):
        return self.head(self.body(self.embed(tokens))[0])


plain = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2))
save_file(plain.state_dict(), "plain.safetensors", metadata={"format": "pt"})
one = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2))
one.load_state_dict(load_file("plain.safetensors"))

two = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2))
with safe_open("plain.safetensors", framework="pt") as file:
    print(file.metadata(), sorted(file.keys()))
    two.load_state_dict({name: file.get_tensor(name) for name in file.keys()})

three = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2))
three.load_state_dict(load(save(plain.state_dict())))

language = Language()
optimizer = torch.optim.Adam(language.parameters())
tokens = torch.randint(0, 20, (4, 6))
for _ in range(3):
    optimizer.zero_grad()
    nn.functional.cross_entropy(language(tokens).flatten(0, 1), tokens.flatten()).backward()
    optimizer.step()
save_model(language, "language.safetensors")
fresh = Language()
print(load_model(fresh, "language.safetensors"))
print(fresh.head.weight is fresh.embed.weight, torch.equal(fresh(tokens), language(tokens)))

torch.save(language.state_dict(), "language.pt")
other = Language()
other.load_state_dict(torch.load("language.pt"))
print(other.head.weight is other.embed.weight)

save_arrays({"mean": np.arange(4.0), "std": np.ones(4, np.float32)}, "norm.safetensors")
print(
    digest(
        load_arrays("norm.safetensors"),
        one.state_dict(),
        two.state_dict(),
        three.state_dict(),
        fresh.state_dict(),
        other.state_dict(),
    )
)
print(random_states())
