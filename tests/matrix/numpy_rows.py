"""Rows on nested dicts of numpy arrays, through .npz and safetensors: what holds without any framework."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from harness import Case, Row

Tree = dict[str, Any]


def tree(seed: int = 1) -> Tree:
    """Encoder, decoder of one shape, an embedding and a head."""
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    return {
        "embed": {"table": draw(11, 8)},
        "encoder": {"kernel": draw(8, 8), "bias": draw(8)},
        "decoder": {"kernel": draw(8, 8), "bias": draw(8)},
        "head": {"kernel": draw(8, 3), "bias": draw(3)},
    }


def flat(values: Tree, front: str = "") -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found |= flat(value, f"{front}{key}/")
        else:
            found[front + key] = value
    return found


def write(path: Path, values: Tree, system: str) -> str:
    if system == "npz":
        file = path / "state.npz"
        np.savez(file, **flat(values))
    else:
        from safetensors.numpy import save_file

        file = path / "state.safetensors"
        save_file({k: np.ascontiguousarray(v) for k, v in flat(values).items()}, file)
    return str(file)


Change = Callable[[Tree, Tree], None]


def row(
    system: str,
    mutation: str,
    expect: str,
    change: Change,
    codes: tuple[str, ...] = (),
    optimizer: bool = False,
) -> Row:
    def make(folder: Path) -> Case:
        saved, live = tree(1), tree(2)
        if optimizer:
            for state, seed in ((saved, 3), (live, 4)):
                state["optimizer"] = {"m": tree(seed), "v": tree(seed + 10), "step": np.asarray(seed)}
        change(saved, live)
        path = write(folder, saved, system)
        parts = {"model": {k: v for k, v in live.items() if k != "optimizer"}}
        if "optimizer" in live:
            parts["optimizer"] = live["optimizer"]
        here = flat(live)
        truth = {n: v.astype(here[n].dtype) for n, v in flat(saved).items() if n in here}
        return Case(path, parts, truth)

    return Row(mutation, system, expect, make, codes)


def nothing(saved: Tree, live: Tree) -> None:
    pass


def added(saved: Tree, live: Tree) -> None:
    live["adapter"] = {"kernel": np.ones((8, 2), np.float32)}


def removed(saved: Tree, live: Tree) -> None:
    del live["head"]


def wider(saved: Tree, live: Tree) -> None:
    live["head"] = {"kernel": np.zeros((8, 5), np.float32), "bias": np.zeros(5, np.float32)}


def fewer_classes(saved: Tree, live: Tree) -> None:
    live["head"] = {"kernel": np.zeros((8, 2), np.float32), "bias": np.zeros(2, np.float32)}


def half(saved: Tree, live: Tree) -> None:
    live["embed"]["table"] = live["embed"]["table"].astype(np.float16)


def double_saved(saved: Tree, live: Tree) -> None:
    saved["embed"]["table"] = saved["embed"]["table"].astype(np.float64)


def renamed(saved: Tree, live: Tree) -> None:
    live["classifier"] = live.pop("head")


def reordered(saved: Tree, live: Tree) -> None:
    for key in ("decoder", "encoder"):
        live[key] = live.pop(key)


def transposed(saved: Tree, live: Tree) -> None:
    saved["head"]["kernel"] = np.ascontiguousarray(saved["head"]["kernel"].T)


def crossed(saved: Tree, live: Tree) -> None:
    saved["encoder"], saved["decoder"] = saved["decoder"], saved["encoder"]


def nan(saved: Tree, live: Tree) -> None:
    saved["head"]["kernel"][0, 0] = np.nan


def other_model(saved: Tree, live: Tree) -> None:
    for key in list(live):
        if key != "optimizer":
            del live[key]
    live |= {f"stage{n}": {"conv": np.ones((3, 3, 2, n + 1), np.float32)} for n in range(4)}


def slots_missing(saved: Tree, live: Tree) -> None:
    del saved["optimizer"]


def slots_only_some(saved: Tree, live: Tree) -> None:
    del saved["optimizer"]["v"]["head"]


def no_optimizer_passed(saved: Tree, live: Tree) -> None:
    del live["optimizer"]


ROWS: list[Row] = [
    made
    for system in ("npz", "safetensors")
    for made in (
        row(system, "plain", "exact", nothing),
        row(system, "plain, with optimizer", "exact", nothing, optimizer=True),
        row(system, "weights of a training checkpoint", "exact", no_optimizer_passed, optimizer=True),
        row(system, "layer added at end", "refuse", added, ("T201",)),
        row(system, "layer removed at end", "leftover", removed, ("T202",)),
        row(system, "units changed", "lossy", wider, ("T203",)),
        row(system, "fewer classes", "lossy", fewer_classes, ("T203",)),
        row(system, "dtype f32->f16", "lossy", half, ("T204",)),
        row(system, "dtype f64->f32", "lossy", double_saved, ("T204",)),
        row(system, "layer renamed only", "refuse", renamed, ("T205", "T210")),
        row(system, "order of the layers changed", "exact", reordered),
        row(system, "transposed kernel", "refuse", transposed, ("T206", "T203")),
        row(system, "same-shape layers crossed in the file", "indistinguishable", crossed),
        row(system, "NaN in weights", "refuse", nan, ("N101",)),
        row(system, "another model altogether", "refuse", other_model, ("T223",)),
        row(system, "optimizer state absent in ckpt", "refuse", slots_missing, ("O201",), optimizer=True),
        row(system, "slots of one layer absent", "refuse", slots_only_some, ("O204", "O205"), optimizer=True),
    )
]
