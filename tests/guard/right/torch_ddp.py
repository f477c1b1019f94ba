"""DDP of one process (gloo), as ``torchrun`` would start it: rank 0 saves ``module``'s state, a barrier, all load it."""

import os

import torch
import torch.distributed as dist
from digest import digest, random_states
from torch import nn
from torch.nn.parallel import DistributedDataParallel as DDP
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

dist.init_process_group("gloo", init_method=f"file://{os.path.abspath('meeting')}", rank=0, world_size=1)
torch.manual_seed(7)
data = TensorDataset(torch.randn(32, 5), torch.randn(32, 1))
sampler = DistributedSampler(data, shuffle=True, seed=1)
loader = DataLoader(data, batch_size=8, sampler=sampler)


def made():
    model = DDP(nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 1)))
    return model, torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)


def train(model, optimizer, epochs):
    for epoch in epochs:
        sampler.set_epoch(epoch)
        for a, b in loader:
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(a), b)
            loss.backward()
            optimizer.step()
        print(epoch, f"{loss.item():.17g}")
        if dist.get_rank() == 0:
            torch.save(
                {
                    "MODEL_STATE": model.module.state_dict(),
                    "OPT": optimizer.state_dict(),
                    "EPOCHS_RUN": epoch,
                },
                "snapshot.pt",
            )
        dist.barrier()


model, optimizer = made()
train(model, optimizer, range(2))
torch.save(model.state_dict(), "wrapped.pt")  # of the wrapper, "module." in front

model, optimizer = made()
snapshot = torch.load("snapshot.pt", map_location="cpu")
model.module.load_state_dict(snapshot["MODEL_STATE"])
optimizer.load_state_dict(snapshot["OPT"])
train(model, optimizer, range(snapshot["EPOCHS_RUN"] + 1, 4))

wrapped, _ = made()
wrapped.load_state_dict(torch.load("wrapped.pt"))
plain = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 1))
plain.load_state_dict({k.replace("module.", "", 1): v for k, v in torch.load("wrapped.pt").items()})
state = torch.load("wrapped.pt")
nn.modules.utils.consume_prefix_in_state_dict_if_present(state, "module.")
plain.load_state_dict(state)
dist.destroy_process_group()
print(
    digest(model.state_dict(), optimizer.state_dict(), wrapped.state_dict(), plain.state_dict()),
    random_states(),
)
