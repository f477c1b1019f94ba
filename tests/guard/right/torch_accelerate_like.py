"""The patterns of larger libraries, by hand: sharded safetensors with an index, loaded shard by shard into submodules; sources
merged into one model; one encoder's weights copied to many; a checkpoint pruned to the last three."""

import copy
import glob
import json
import os

import torch
from digest import digest, random_states
from safetensors.torch import load_file, save_file
from torch import nn

torch.manual_seed(15)


def made():
    return nn.ModuleDict(
        {
            "embed": nn.Embedding(12, 8),
            "layers": nn.ModuleList([nn.Linear(8, 8) for _ in range(4)]),
            "out": nn.Linear(8, 12),
        }
    )


model = made()
state = model.state_dict()
names = list(state)
shards = [names[: len(names) // 2], names[len(names) // 2 :]]
index = {"metadata": {"total_size": sum(v.numel() * 4 for v in state.values())}, "weight_map": {}}
for number, part in enumerate(shards, 1):
    file = f"model-{number:05}-of-00002.safetensors"
    save_file({name: state[name] for name in part}, file, metadata={"format": "pt"})
    index["weight_map"].update(dict.fromkeys(part, file))
with open("model.safetensors.index.json", "w") as out:
    json.dump(index, out)

# Shard by shard, gathered and loaded at once.
gathered = {}
for file in sorted(set(index["weight_map"].values())):
    gathered.update(load_file(file))
whole = made()
print(whole.load_state_dict(gathered))

# Into submodules, one load each.
parts = made()
parts["embed"].load_state_dict({"weight": gathered["embed.weight"]})
parts["out"].load_state_dict({k.removeprefix("out."): v for k, v in gathered.items() if k.startswith("out.")})
for number, layer in enumerate(parts["layers"]):
    front = f"layers.{number}."
    layer.load_state_dict({k.removeprefix(front): v for k, v in gathered.items() if k.startswith(front)})

# By copying in place, as conversion scripts do.
copied = made()
with torch.no_grad():
    for name, parameter in copied.named_parameters():
        parameter.copy_(gathered[name])

# One trained layer is the start of all.
for layer in copied["layers"]:
    layer.load_state_dict(copied["layers"][0].state_dict())

# Names of another library, renamed.
theirs = {name.replace("layers.", "h.").replace("embed.", "wte."): value for name, value in state.items()}
torch.save(theirs, "theirs.bin")
converted = made()
converted.load_state_dict(
    {k.replace("h.", "layers.").replace("wte.", "embed."): v for k, v in torch.load("theirs.bin").items()}
)

# The last three are kept.
for step in range(6):
    for parameter in converted.parameters():
        parameter.data.mul_(0.99)
    torch.save(converted.state_dict(), f"step-{step}.pt")
    for old in sorted(glob.glob("step-*.pt"))[:-3]:
        os.remove(old)
latest = max(glob.glob("step-*.pt"))
resumed = copy.deepcopy(converted)
resumed.load_state_dict(torch.load(latest))
print(
    latest,
    digest(
        whole.state_dict(),
        parts.state_dict(),
        copied.state_dict(),
        converted.state_dict(),
        resumed.state_dict(),
    ),
)
print(random_states())
