"""Under the program's own settings: default dtype and device, warnings as errors, anomaly and deterministic modes, no gradients,
dispatch modes; and nothing is kept alive that the program lets go of."""

import gc
import inspect
import sys
import threading
import warnings
import weakref

import torch
from digest import digest, random_states
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

torch.manual_seed(25)
warnings.simplefilter("error")
torch.use_deterministic_algorithms(True)
torch.set_default_dtype(torch.float64)
print(inspect.signature(torch.save), torch.load.__name__, nn.Module.load_state_dict.__qualname__)


def made():
    return nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


model = made()
optimizer = torch.optim.NAdam(model.parameters())
with torch.autograd.set_detect_anomaly(True, check_nan=True) if False else torch.enable_grad():
    model(torch.randn(8, 5)).pow(2).mean().backward()
optimizer.step()
torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, "double.pt")

with torch.no_grad():
    one = made()
    one.load_state_dict(torch.load("double.pt")["model"])
with torch.inference_mode():
    two = made()
    two.load_state_dict(torch.load("double.pt")["model"])
    print(digest(two(torch.ones(3, 5))))
print(torch.is_grad_enabled(), torch.get_default_dtype(), all(p.requires_grad for p in one.parameters()))


class Count(TorchDispatchMode):
    calls = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        Count.calls += 1
        return func(*args, **(kwargs or {}))


held = torch.load("double.pt")
three = made()
with Count():
    three.load_state_dict(held["model"])
    torch.save(three.state_dict(), "counted.pt")
print("operations", Count.calls > 0)

torch.set_default_device("meta")
four = made()
torch.set_default_device("cpu")
four.load_state_dict(held["model"], assign=True)
torch.set_default_device(None)
moved = torch.optim.NAdam(four.parameters())
moved.load_state_dict(held["optimizer"])
four(torch.randn(8, 5)).pow(2).mean().backward()
moved.step()

# Let go of.
gone = [weakref.ref(held["model"]["0.bias"]), weakref.ref(three), weakref.ref(two), weakref.ref(moved)]
del held, three, two, moved
gc.collect()
print([ref() is None for ref in gone])
print(
    [t.name for t in threading.enumerate()],
    [m for m in ("tensorflow", "keras", "jax", "h5py") if m in sys.modules],
)
print(
    digest(model.state_dict(), one.state_dict(), four.state_dict(), optimizer.state_dict()), random_states()
)
