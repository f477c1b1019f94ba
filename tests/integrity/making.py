"""Small checkpoints of every format that a writer is at hand for, and their targets."""

from __future__ import annotations

import importlib.util
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from holdfast._formats.registry import recognise
from holdfast._layouts.target import Target
from holdfast._storage import LocalFolder

MAKERS: dict[str, Callable[[Path], Path]] = {}


def maker(name: str, *modules: str) -> Callable[[Callable[[Path], Path]], Callable[[Path], Path]]:
    """Register a writer of a format; left out where its framework is not installed."""

    def register(make: Callable[[Path], Path]) -> Callable[[Path], Path]:
        if all(importlib.util.find_spec(module) is not None for module in modules):
            MAKERS[name] = make
        return make

    return register


def arrays(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "encoder.weight": rng.standard_normal((48, 64), dtype=np.float32),
        "encoder.bias": rng.standard_normal(64, dtype=np.float32),
        "head.weight": rng.standard_normal((64, 33)).astype(np.float16),
        "steps": np.array(17, np.int64),
    }


@maker("safetensors", "safetensors")
def make_safetensors(folder: Path) -> Path:
    from safetensors.numpy import save_file

    save_file(arrays(), folder / "model.safetensors", metadata={"format": "np"})
    return folder / "model.safetensors"


@maker("safetensors-sharded", "safetensors")
def make_sharded(folder: Path) -> Path:
    import json

    from safetensors.numpy import save_file

    values, weight_map = arrays(), {}
    for n, names in enumerate((["encoder.weight", "encoder.bias"], ["head.weight", "steps"]), 1):
        shard = f"model-{n:05}-of-00002.safetensors"
        save_file({name: values[name] for name in names}, folder / shard)
        weight_map.update(dict.fromkeys(names, shard))
    total = sum(v.nbytes for v in values.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder / "model.safetensors.index.json"


@maker("npz")
def make_npz(folder: Path) -> Path:
    np.savez(folder / "arrays.npz", **arrays())
    return folder / "arrays.npz"


@maker("npz-deflated")
def make_npz_deflated(folder: Path) -> Path:
    np.savez_compressed(folder / "small.npz", **arrays())
    return folder / "small.npz"


@maker("npy")
def make_npy(folder: Path) -> Path:
    np.save(folder / "one.npy", arrays()["encoder.weight"])
    return folder / "one.npy"


@maker("npy-foreign-order")
def make_npy_big(folder: Path) -> Path:
    np.save(folder / "big.npy", np.asfortranarray(arrays()["encoder.weight"].astype(">f4")))
    return folder / "big.npy"


@maker("torch-zip", "torch")
def make_torch(folder: Path) -> Path:
    import torch

    weights = {name: torch.from_numpy(value.copy()) for name, value in arrays().items()}
    weights["tied"] = weights["encoder.weight"]
    weights["turned"] = weights["encoder.weight"].t()
    torch.save({"model": weights, "epoch": 3}, folder / "model.pt")
    return folder / "model.pt"


@maker("torch-legacy", "torch")
def make_torch_legacy(folder: Path) -> Path:
    import torch

    weights = {name: torch.from_numpy(value.copy()) for name, value in arrays().items()}
    torch.save(weights, folder / "old.pth", _use_new_zipfile_serialization=False)
    return folder / "old.pth"


@maker("keras-h5", "h5py")
def make_h5(folder: Path) -> Path:
    import h5py

    with h5py.File(folder / "model.weights.h5", "w") as file:
        for n, value in enumerate((arrays()["encoder.weight"], arrays()["encoder.bias"])):
            file[f"layers/dense/vars/{n}"] = value
        file["layers/dense"].attrs["name"] = "dense"
        file.create_dataset(
            "layers/dense_1/vars/0", data=arrays()["head.weight"], chunks=(16, 33), compression="gzip"
        )
    return folder / "model.weights.h5"


@maker("tf-bundle", "tensorflow")
def make_tf(folder: Path) -> Path:
    tf = _tensorflow()
    values = {name.replace(".", "/"): tf.Variable(value) for name, value in arrays().items()}
    values["words"] = tf.Variable(["a", "longer text"])
    tf.train.Checkpoint(**{name.replace("/", "_"): value for name, value in values.items()}).write(
        os.fspath(folder / "model.ckpt-17")
    )
    return folder / "model.ckpt-17"


@maker("keras", "keras", "tensorflow")
def make_keras(folder: Path) -> Path:
    _tensorflow()
    import keras

    model = keras.Sequential(
        [keras.Input((8,)), keras.layers.Dense(16, name="a"), keras.layers.Dense(4, name="b")]
    )
    model.compile("adam", "mse")
    model.save(folder / "model.keras")
    return folder / "model.keras"


def _tensorflow():
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tensorflow as tf
    return tf


def target_of(path: Path) -> Target | None:
    """The target of a checkpoint without asking the resolver; ``None`` where no reader opens it."""
    main = path if path.exists() else path.with_name(path.name + ".index")
    store = LocalFolder(main.parent, os.fspath(main.parent))
    source = store.open(main.name)
    try:
        format = recognise(source)
    finally:
        source.close()
    if format is None or format.open is None:
        return None
    return Target(os.fspath(path), store, main.name, format)


if __name__ == "__main__":
    print(*MAKERS, file=sys.stderr)
