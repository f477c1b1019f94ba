"""DCGAN as in the tutorial: two networks, two optimizers, one checkpoint; weights of a custom ``apply`` init; resumed."""

import torch
from digest import digest, random_states
from torch import nn, optim

torch.manual_seed(5)


def weights_init(m):
    if m.__class__.__name__.find("Conv") != -1:
        nn.init.normal_(m.weight.data, 0.0, 0.02)


def made():
    generator = nn.Sequential(
        nn.ConvTranspose2d(8, 4, 4, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 1, 1)
    )
    critic = nn.Sequential(nn.Conv2d(1, 4, 4, bias=False), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(4, 1))
    generator.apply(weights_init)
    critic.apply(weights_init)
    return (
        generator,
        critic,
        optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999)),
        optim.Adam(critic.parameters(), lr=2e-4, betas=(0.5, 0.999)),
    )


def train(G, D, optG, optD, count):
    criterion = nn.BCEWithLogitsLoss()
    real, ones, zeros = torch.randn(8, 1, 4, 4), torch.ones(8, 1), torch.zeros(8, 1)
    for _ in range(count):
        D.zero_grad()
        fake = G(torch.randn(8, 8, 1, 1))
        loss_d = criterion(D(real), ones) + criterion(D(fake.detach()), zeros)
        loss_d.backward()
        optD.step()
        G.zero_grad()
        loss_g = criterion(D(fake), ones)
        loss_g.backward()
        optG.step()
    print(f"{loss_d.item():.17g} {loss_g.item():.17g}")


G, D, optG, optD = made()
train(G, D, optG, optD, 3)
torch.save(
    {"netG": G.state_dict(), "netD": D.state_dict(), "optG": optG.state_dict(), "optD": optD.state_dict()},
    "gan.pth",
)

G, D, optG, optD = made()
state = torch.load("gan.pth")
G.load_state_dict(state["netG"])
D.load_state_dict(state["netD"])
optG.load_state_dict(state["optG"])
optD.load_state_dict(state["optD"])
train(G, D, optG, optD, 3)
print(digest(G.state_dict(), D.state_dict(), optG.state_dict(), optD.state_dict()), random_states())
