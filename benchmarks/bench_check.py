"""What ``holdfast.check`` costs on a model of 20,000 tensors, against building that model in its framework.

    python benchmarks/bench_check.py [LAYERS] [--rounds N] [--only torch torch-64 torch-adam keras jax] [--profile FILE]

LAYERS dense layers (10,000) with a kernel and a bias each. Each model is measured in a process of its own: it is
built some rounds, saved as the framework saves it, and checked against each file; the best round of each counts, in
processor time, which a neighbour's load hardly changes (all of it is one thread, but for the odd kernel). Tiny
layers (2 x 2) are the worst case: there is nothing to build but the objects. ``live`` is the describing of the live model
alone, ``open`` the opening of the file alone. An Adam that has made a step, with its state in the file, makes 80,000
tensors of it (``+ Adam``); building is then the model, the optimizer and one step.

Target: every check costs less than building.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _timing import environment, folder, installed, verdict

import holdfast

NEEDS = {
    "torch": ("torch", "safetensors"),
    "torch-64": ("torch", "safetensors"),
    "torch-adam": ("torch",),
    "keras": ("tensorflow", "keras"),
    "jax": ("jax", "safetensors"),
}
Parts = dict[str, Any]
Made = tuple[Callable[[], Parts], dict[str, Callable[[Parts, Path], Path]]]
"""How to build the live parts, and how to save them: format -> a function that gives the path to check."""


def _torch(layers: int, width: int, adam: bool = False) -> Made:
    import safetensors.torch
    import torch

    def build() -> Parts:
        model = torch.nn.Sequential(*(torch.nn.Linear(width, width) for _ in range(layers)))
        if not adam:
            return {"model": model}
        optimizer = torch.optim.Adam(model.parameters())
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        optimizer.zero_grad()
        return {"model": model, "optimizer": optimizer}

    def pickled(parts: Parts, place: Path) -> Path:
        states = {name: part.state_dict() for name, part in parts.items()}
        torch.save(states if adam else states["model"], place / "m.pt")
        return place / "m.pt"

    def tensors(parts: Parts, place: Path) -> Path:
        safetensors.torch.save_file(parts["model"].state_dict(), place / "m.safetensors")
        return place / "m.safetensors"

    return build, {"torch zip": pickled} if adam else {"torch zip": pickled, "safetensors": tensors}


def _keras(layers: int, width: int) -> Made:
    import keras
    import tensorflow as tf

    def build() -> Parts:  # side by side: Keras itself cannot build ten thousand one behind the other
        given = keras.Input((width,))
        return {"model": keras.Model(given, [keras.layers.Dense(width)(given) for _ in range(layers)])}

    def h5(parts: Parts, place: Path) -> Path:
        parts["model"].save_weights(place / "m.weights.h5")
        return place / "m.weights.h5"

    def bundle(parts: Parts, place: Path) -> Path:
        tf.train.Checkpoint(model=parts["model"]).write(str(place / "ckpt"))
        return place / "ckpt"

    return build, {".weights.h5": h5, "TF bundle": bundle}


def _jax(layers: int, width: int) -> Made:
    import jax
    import numpy as np
    import safetensors.flax

    def build() -> Parts:
        keys = jax.random.split(jax.random.key(0), layers)
        zeros = np.zeros(width, "f4")
        return {
            "model": {
                f"dense_{i}": {
                    "kernel": jax.random.normal(keys[i], (width, width)),
                    "bias": jax.numpy.asarray(zeros),
                }
                for i in range(layers)
            }
        }

    def tensors(parts: Parts, place: Path) -> Path:
        flat = {
            f"{name}.{word}": leaf for name, layer in parts["model"].items() for word, leaf in layer.items()
        }
        safetensors.flax.save_file(flat, place / "m.safetensors")
        return place / "m.safetensors"

    return build, {"safetensors": tensors}


MAKERS: dict[str, Callable[[int], Made]] = {
    "torch": lambda layers: _torch(layers, 2),
    "torch-64": lambda layers: _torch(layers, 64),
    "torch-adam": lambda layers: _torch(layers, 16, adam=True),
    "keras": lambda layers: _keras(layers, 2),
    "jax": lambda layers: _jax(layers, 2),
}


def _best(rounds: int, action: Callable[[], Any]) -> float:
    times = []
    for _ in range(rounds):
        start = time.process_time()
        action()
        times.append(time.process_time() - start)
    return min(times)


def measure(name: str, layers: int, rounds: int, profile: str | None) -> dict[str, float]:
    """Processor seconds: ``build``, ``live`` and ``check FORMAT``, ``open FORMAT`` of each format, in this process."""
    from holdfast._frameworks import live_catalog

    build, formats = MAKERS[name](layers)
    MAKERS[name](10)[0]()  # what the framework does once
    found = {"build": _best(rounds, build)}
    parts = build()
    found["live"] = _best(rounds, lambda: live_catalog(**parts))
    with folder() as place:
        for format_, save in formats.items():
            path = save(parts, place)
            report = holdfast.check(path, **parts)
            wrong = [f.message for f in report.findings if f.severity == "error"]
            assert not wrong, (format_, wrong[:3])
            found[f"open {format_}"] = _best(rounds, lambda path=path: holdfast.open(path).close())
            found[f"check {format_}"] = _best(rounds, lambda path=path: holdfast.check(path, **parts))
            if profile is not None:
                _profile(path, parts, f"{profile}.{format_.strip('.').replace(' ', '-')}")
    return found


def _profile(path: Path, parts: Parts, file: str) -> None:
    import cProfile

    profiler = cProfile.Profile()
    profiler.runcall(holdfast.check, path, **parts)
    profiler.dump_stats(file)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("layers", type=int, nargs="?", default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=list(MAKERS), default=list(MAKERS))
    parser.add_argument("--profile", help="write cProfile statistics of one check each to FILE.FORMAT")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(measure(given.only[0], given.layers, given.rounds, given.profile)))
        return 0
    targets = []
    for name in given.only:
        if not installed(*NEEDS[name]):
            print(f"{name}: skipped, {' or '.join(NEEDS[name])} is not installed")
            continue
        command = [sys.executable, __file__, str(given.layers), "--rounds", str(given.rounds), "--child"]
        command += ["--only", name] + (["--profile", f"{given.profile}.{name}"] if given.profile else [])
        env = {**environment(), "TF_CPP_MIN_LOG_LEVEL": "2", "KERAS_BACKEND": "tensorflow"}
        done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
        if done.returncode:
            raise SystemExit(done.stderr[-4000:])
        seconds = json.loads(done.stdout.splitlines()[-1])
        build = seconds["build"]
        print(f"{name}: build {build:.3f} s; of that: " + ", ".join(
            f"{what} {took / build:.2f}x" for what, took in seconds.items() if what != "build"
        ))  # fmt: skip
        targets += [
            (f"{name}, {what}, against building", took / build, lambda ratio: ratio < 1, "< 1")
            for what, took in seconds.items()
            if what.startswith("check")
        ]
    return verdict(targets)


if __name__ == "__main__":
    raise SystemExit(main())
