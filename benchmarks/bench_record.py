"""What recording costs beside a save: metrics, environment, code, random state; probe and data contract.

    python benchmarks/bench_record.py [--small] [--rounds N]

The state is that of ``bench_save.py`` (1.81 GB, PyTorch with Adam's moments). Blocking saves into a vault in memory
(/dev/shm, where a save is shortest) take turns: as they are, and with probe and contract recorded too. The time that is spent
on recording is taken inside the saves, because the noise between two saves is larger than it: ``stall`` is what
training waits for, ``writer`` what the writing thread asks (environment, code). One copy of the state (memcpy) is taken in
the same run.

Targets: what every save records adds at most 2 % to the save's time, and at most a tenth of a copy of the state to the
stall. The first save of a process asks for versions and git, and is told apart. Probe and contract are stated: they cost what
a forward pass of the probe's batch costs, and what reading the honest batches once does.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from _timing import folder, verdict
from bench_save import flat, state_of

import holdfast
from holdfast._vault.saving import background

SAMPLES = 50_000
"""Of 28 x 28 bytes, for the contract."""


@contextmanager
def recording_timed(found: dict[str, list[float]]) -> Iterator[None]:
    """Seconds that each save spends on recording, in ``stall`` and in ``writer``."""
    real = background.record_beside

    def timed(*given: Any, **named: Any) -> Any:
        begin = time.perf_counter()
        sections, ask = real(*given, **named)
        found["stall"].append(time.perf_counter() - begin)

        def timed_ask() -> None:
            begin = time.perf_counter()
            ask()
            found["writer"].append(time.perf_counter() - begin)

        return sections, timed_ask

    background.record_beside = timed
    try:
        yield
    finally:
        background.record_beside = real


def memcpy(state: Any) -> float:
    """Seconds of one copy of the state into memory that is there already; the median of five."""
    arrays = list(flat(state).values())
    copies = [np.zeros_like(array) for array in arrays]
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        for copy, array in zip(copies, arrays, strict=True):
            np.copyto(copy, array)
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def model_of(state: Any, width: int) -> tuple[Any, Any]:
    """A model that can be run, with the weights' memory shared, and its optimizer."""
    import torch

    class Layer(torch.nn.Module):
        def __init__(self, arrays: dict[str, np.ndarray]) -> None:
            super().__init__()
            for name, array in arrays.items():
                self.register_parameter(name, torch.nn.Parameter(torch.from_numpy(array)))

        def forward(self, x: Any) -> Any:
            x = x @ self.q + x @ self.k + x @ self.v + x @ self.o
            return torch.nn.functional.layer_norm(x @ self.up @ self.down + self.n0, (x.shape[-1],))

    layers = sorted({name.partition("_")[0] for name in state["weights"]}, key=lambda n: int(n[5:]))
    model = torch.nn.Sequential(
        *(
            Layer({n.partition("_")[2]: a for n, a in state["weights"].items() if n.startswith(f"{one}_")})
            for one in layers
        )
    )
    optimizer = torch.optim.Adam(model.parameters())
    for name, parameter in model.named_parameters():
        number, _, word = name.partition(".")
        key = f"{layers[int(number)]}_{word}"
        optimizer.state[parameter] = {
            "step": torch.tensor(7.0),
            "exp_avg": torch.from_numpy(state["m"][key]),
            "exp_avg_sq": torch.from_numpy(state["v"][key]),
        }
    return model, optimizer


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--small", action="store_true", help="28 MB in place of 1.81 GB; figures without targets"
    )
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    options.layers, options.width = (3, 256) if options.small else (12, 1024)
    state = state_of(options)
    nbytes = sum(array.nbytes for array in flat(state).values())
    copy = memcpy(state)
    model, optimizer = model_of(state, options.width)
    noise = np.random.default_rng(1)
    images = noise.integers(0, 256, (SAMPLES, 28, 28), np.uint8)
    begin = time.perf_counter()
    contract = holdfast.DataContract.from_batches(images[n : n + 500] for n in range(0, SAMPLES, 500))
    learning = time.perf_counter() - begin
    metrics = {f"metric_{n}": holdfast.Metric(f"metric_{n}", float(n), kind="evaluation") for n in range(20)}
    batch = noise.standard_normal((32, options.width), np.float32)
    with folder("/dev/shm") as place:
        plain, whole = (
            holdfast.Vault(place / "plain", holdfast.Keep(last=1)),
            holdfast.Vault(place / "whole", holdfast.Keep(last=1)),
        )
        whole.record(probe=batch, contract=contract, config={"width": options.width})
        first: dict[str, list[float]] = {"stall": [], "writer": []}
        with recording_timed(first):
            plain.save(0, model=model, optimizer=optimizer, metrics=metrics, blocking=True)
            whole.save(0, model=model, optimizer=optimizer, metrics=metrics, blocking=True)
        found: dict[str, dict[str, list[float]]] = {}
        for step in range(1, options.rounds + 1):
            for name, vault in (("plain", plain), ("whole", whole)):
                rows = found.setdefault(name, {"stall": [], "writer": [], "total": []})
                begin = time.perf_counter()
                with recording_timed(rows):
                    vault.save(step, model=model, optimizer=optimizer, metrics=metrics, blocking=True)
                rows["total"].append(time.perf_counter() - begin)
        plain.close()
        whole.close()
    middle = {name: {k: statistics.median(v) for k, v in rows.items()} for name, rows in found.items()}
    mine, probed = middle["plain"], middle["whole"]
    total = mine["total"] - mine["stall"] - mine["writer"]
    begin = time.perf_counter()
    import torch

    with torch.no_grad():
        for _ in range(5):
            model(torch.from_numpy(batch))
    forward = (time.perf_counter() - begin) / 5
    print(f"{nbytes / 1e6:.0f} MB, memcpy {copy:.3f} s, a save {mine['total']:.3f} s")
    print(f"  recorded with every save: {mine['stall'] * 1e3:.2f} ms of stall ({mine['stall'] / copy:.4f} copies), "
          f"{mine['writer'] * 1e3:.2f} ms of the writer")  # fmt: skip
    print(f"  the first save of a process: {first['stall'][0] * 1e3:.1f} ms of stall, "
          f"{first['writer'][0] * 1e3:.0f} ms of the writer (versions, git)")  # fmt: skip
    print(f"  with probe (32 x {options.width}) and contract: {probed['stall'] * 1e3:.1f} ms of stall "
          f"({probed['stall'] / copy:.2f} copies; a forward pass alone takes {forward * 1e3:.1f} ms)")  # fmt: skip
    print(f"  learning the contract of {SAMPLES:,} images of 28 x 28: {learning:.2f} s, "
          f"{SAMPLES * 784 / 1e6 / learning:.0f} MB/s")  # fmt: skip
    if options.small:
        return 0
    added = (mine["stall"] + mine["writer"]) / total
    return verdict(
        [
            ("recording / the rest of a save", added, lambda x: x <= 0.02, "<= 0.02"),
            ("stall of recording / memcpy of the state", mine["stall"] / copy, lambda x: x <= 0.1, "<= 0.1"),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
