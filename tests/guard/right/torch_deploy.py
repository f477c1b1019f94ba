"""What comes after training: dynamic quantisation, half precision, a scripted module, a whole pickled module, pruning, meta."""

import copy
import io
import warnings

import torch
from digest import digest, random_states
from torch import nn
from torch.nn.utils import prune

warnings.simplefilter("ignore")
torch.manual_seed(13)
x = torch.randn(8, 6)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(6, 8)
        self.fc2 = nn.Linear(8, 3)

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x)))


model = Net().eval()
torch.save(model.state_dict(), "float.pt")

# Half precision: made from the float weights, saved and loaded as half.
half = Net().half()
half.load_state_dict({name: value.half() for name, value in torch.load("float.pt").items()})
torch.save(half.state_dict(), "half.pt")
again = Net().to(torch.float16)
again.load_state_dict(torch.load("half.pt"))

# Dynamic quantisation: the quantised state dict into a quantised model.
quantised = torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)
torch.save(quantised.state_dict(), "quantised.pt")
other = torch.ao.quantization.quantize_dynamic(Net().eval(), {nn.Linear}, dtype=torch.qint8)
other.load_state_dict(torch.load("quantised.pt", weights_only=False))
print(torch.equal(other(x), quantised(x)))

# Scripted, and pickled whole.
torch.jit.save(torch.jit.script(model), "scripted.pt")
print(torch.equal(torch.jit.load("scripted.pt")(x), model(x)))
torch.save(model, "whole.pt")
whole = torch.load("whole.pt", weights_only=False)
print(torch.equal(whole(x), model(x)))

# A buffer in memory, and an exact copy.
buffer = io.BytesIO()
torch.save(model.state_dict(), buffer)
buffer.seek(0)
twin = Net()
twin.load_state_dict(torch.load(buffer))
copied = copy.deepcopy(model)

# Pruning, made permanent, saved and loaded.
prune.l1_unstructured(copied.fc1, "weight", amount=0.3)
prune.remove(copied.fc1, "weight")
torch.save(copied.state_dict(), "pruned.pt")
twin.load_state_dict(torch.load("pruned.pt"))

# Weights on no device, assigned from the file (as large models are made).
with torch.device("meta"):
    empty = Net()
empty.load_state_dict(torch.load("float.pt", mmap=True), assign=True)
print(torch.equal(empty(x), model(x)))
print(digest(half.state_dict(), again.state_dict(), twin.state_dict(), empty.state_dict()), random_states())
