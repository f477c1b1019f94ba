"""A program of its own making: options, a dataclass that is pickled with the checkpoint, worker processes started by fork and by
spawn, a pool that loads and saves by the framework's own functions, ``torch.load`` patched for old files, a signal."""

import argparse
import dataclasses
import functools
import multiprocessing
import signal
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import torch
from digest import digest, random_states
from torch import nn


@dataclasses.dataclass
class Config:
    width: int = 8
    lr: float = 0.1


class Net(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.body = nn.Linear(4, config.width)
        self.head = nn.Linear(config.width, 1)

    def forward(self, x):
        return self.head(torch.tanh(self.body(x)))


def evaluate(path):
    """In a process of its own: the checkpoint into a fresh model."""
    torch.set_num_threads(1)
    held = torch.load(path, weights_only=False)
    model = Net(held["config"])
    model.load_state_dict(held["model"])
    with torch.no_grad():
        return digest(model(torch.ones(2, 4)))


def main(argv=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("--width", type=int, default=6)
    parser.add_argument("--out", default="net.pt")
    args = parser.parse_args(argv)
    torch.manual_seed(24)
    config = Config(width=args.width)
    model = Net(config)
    optimizer = torch.optim.Adagrad(model.parameters(), lr=config.lr)
    stop = []
    signal.signal(signal.SIGUSR1, lambda *_: stop.append(True))
    for step in range(10):
        optimizer.zero_grad()
        model(torch.randn(8, 4)).pow(2).mean().backward()
        optimizer.step()
        if step == 6:
            signal.raise_signal(signal.SIGUSR1)
        if stop:
            torch.save(
                {"config": config, "model": model.state_dict(), "optimizer": optimizer.state_dict()}, args.out
            )
            break
    print("stopped after", step)
    for way in ("fork", "spawn"):
        with multiprocessing.get_context(way).Pool(1) as pool:
            print(way, pool.map(evaluate, [args.out]))

    # The framework's own functions in pools.
    paths = [f"part{i}.pt" for i in range(3)]
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(torch.save, [torch.full((2,), float(i)) for i in range(3)], paths))
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as processes:
        print(digest(list(processes.map(torch.load, paths))))

    # Old files hold whole objects; many programs patch the default back.
    original = torch.load
    torch.load = functools.partial(original, weights_only=False)
    torch.save(model, "whole.pt")
    whole = torch.load("whole.pt")
    torch.load = original
    print(
        type(whole).__module__,
        whole.config,
        digest(whole.state_dict(), optimizer.state_dict()),
        random_states(),
    )
    return 3


if __name__ == "__main__":
    sys.exit(main())
