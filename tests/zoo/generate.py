"""Write the small zoo of our own: checkpoints by the frameworks that are installed, with the values they read back.

``python tests/zoo/generate.py [FOLDER]`` writes into this folder (or FOLDER): one folder a case with the files as written,
``truth.json`` (``names[name] = {shape, dtype[, npz_encoding][, npz_key]}``) and ``truth.npz``; ``INDEX.jsonl`` lists them.
The result is committed, so that a clean clone tests every format without any framework. Values are small and seeded.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import numpy as np

Truth = dict[str, Any]
CASES: list[tuple[str, str, Callable[[Path], Truth], str]] = []


def case(name: str, kind: str, special: str) -> Callable[[Callable[[Path], Truth]], Callable[[Path], Truth]]:
    """Register a writer: it fills a folder and returns name -> array (numpy), or a dict with ``names`` and extras."""

    def register(write: Callable[[Path], Truth]) -> Callable[[Path], Truth]:
        CASES.append((name, kind, write, special))
        return write

    return register


def _random(seed: int = 7) -> np.random.Generator:
    return np.random.default_rng(seed)


# -- numpy and safetensors ---------------------------------------------------------------------------------------------
def _arrays() -> dict[str, np.ndarray]:
    make = _random()
    return {
        "encoder/kernel": make.normal(size=(5, 4)).astype("f4"),
        "encoder/bias": make.normal(size=4).astype("f4"),
        "half": make.normal(size=(2, 3)).astype("f2"),
        "double": make.normal(size=3),
        "counts": np.arange(6, dtype="i8").reshape(2, 3),
        "bytes": np.arange(7, dtype="u1"),
        "flags": np.array([True, False, True]),
        "scalar": np.array(3.5, dtype="f4"),
        "empty": np.zeros((0, 4), dtype="f4"),
        "complex": (make.normal(size=2) + 1j).astype("c8"),
    }


@case("npz", "npz", "numpy.savez: floats, ints, bool, scalar, empty, complex, Fortran order")
def npz(folder: Path) -> Truth:
    arrays = {**_arrays(), "fortran": np.asfortranarray(_random(1).normal(size=(3, 2)))}
    np.savez(folder / "w.npz", **arrays)
    with np.load(folder / "w.npz") as back:
        return {n: back[n] for n in back.files}


@case("npz_compressed", "npz", "numpy.savez_compressed")
def npz_compressed(folder: Path) -> Truth:
    np.savez_compressed(folder / "w.npz", **_arrays())
    with np.load(folder / "w.npz") as back:
        return {n: back[n] for n in back.files}


@case("npy", "npy", "one big-endian array")
def npy(folder: Path) -> Truth:
    np.save(folder / "z.npy", _random(2).normal(size=(3, 4)).astype(">f4"))
    return {"z": np.load(folder / "z.npy")}


@case("safetensors", "safetensors", "numpy writer with metadata")
def safetensors_plain(folder: Path) -> Truth:
    from safetensors.numpy import load_file, save_file

    arrays = {n: a for n, a in _arrays().items() if n != "complex"}
    save_file(arrays, folder / "m.safetensors", metadata={"format": "np", "note": "straße"})
    return load_file(folder / "m.safetensors")


@case(
    "safetensors_sharded", "safetensors_sharded", "two shards and an index, as the Hugging Face hub has them"
)
def safetensors_sharded(folder: Path) -> Truth:
    from safetensors.numpy import load_file, save_file

    arrays = _arrays()
    arrays.pop("complex")
    names = sorted(arrays)
    shards = {
        "model-00001-of-00002.safetensors": {n: arrays[n] for n in names[::2]},
        "model-00002-of-00002.safetensors": {n: arrays[n] for n in names[1::2]},
    }
    weight_map = {}
    for file, part in shards.items():
        save_file(part, folder / file)
        weight_map.update(dict.fromkeys(part, file))
    total = sum(a.nbytes for a in arrays.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2, sort_keys=True))
    return {n: a for file in shards for n, a in load_file(folder / file).items()}


# -- PyTorch -----------------------------------------------------------------------------------------------------------
def _flatten(value: Any, path: str, out: dict[str, Any]) -> None:
    import torch

    if isinstance(value, torch.Tensor):
        out[path] = value
    elif isinstance(value, dict):
        for key, item in value.items():
            _flatten(item, f"{path}/{key}" if path else str(key), out)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _flatten(item, f"{path}/{index}", out)


def _torch_truth(value: Any) -> Truth:
    import torch

    tensors: dict[str, torch.Tensor] = {}
    _flatten(value, "", tensors)
    names, arrays = {}, {}
    for name, tensor in tensors.items():
        entry: dict[str, Any] = {
            "dtype": str(tensor.dtype).removeprefix("torch."),
            "shape": list(tensor.shape),
        }
        tensor = tensor.detach().resolve_conj().resolve_neg().contiguous()
        if tensor.dtype in (torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2):
            entry["npz_encoding"] = "bits"
            tensor = tensor.view({1: torch.uint8, 2: torch.int16}[tensor.element_size()])
            array = tensor.numpy()
            arrays[name] = array.view(f"u{array.itemsize}")
        else:
            arrays[name] = tensor.numpy()
        names[name] = entry
    return {"names": names, "arrays": arrays}


def _net() -> Any:
    import torch
    from torch import nn

    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 4), nn.Linear(4, 4)
    )


@case("torch_state_dict", "torch_zip", "a plain state dict")
def torch_state_dict(folder: Path) -> Truth:
    import torch

    torch.save(_net().state_dict(), folder / "model.pt")
    return _torch_truth(torch.load(folder / "model.pt", weights_only=True))


def _train() -> dict[str, Any]:
    import torch

    net = _net()
    groups = [{"params": net[3].parameters(), "lr": 0.01}, {"params": net[0].parameters()}]
    optimizer = torch.optim.AdamW(groups, lr=0.005, weight_decay=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)
    for _ in range(3):
        optimizer.zero_grad()
        net(torch.randn(4, 2, 4, 4)).square().mean().backward()
        optimizer.step()
        scheduler.step()
    return {
        "epoch": 3,
        "model_state_dict": net.state_dict(),
        "optimizer_state_dict": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "rng_state": torch.get_rng_state()[:64].clone(),
    }


@case("torch_train", "torch_zip", "training checkpoint: AdamW with two groups, StepLR, RNG state")
def torch_train(folder: Path) -> Truth:
    import torch

    torch.save(_train(), folder / "ckpt.pt")
    return _torch_truth(torch.load(folder / "ckpt.pt", weights_only=True))


@case(
    "torch_views",
    "torch_zip",
    "tied, transposed, strided, expanded tensors, a slice that drags its storage along",
)
def torch_views(folder: Path) -> Truth:
    import torch

    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    value = {
        "a": base,
        "tied": base,
        "t": base.t(),
        "strided": base[::2, 1::2],
        "row": base[1],
        "expanded": torch.ones(3, 1).expand(3, 5),
        "small": torch.arange(3000)[:2],
        "bf16": base.bfloat16(),
        "f8": base.to(torch.float8_e4m3fn),
        "c": torch.view_as_complex(base.clone().reshape(12, 2)).conj(),
    }
    torch.save(value, folder / "v.pt")
    return _torch_truth(torch.load(folder / "v.pt", weights_only=True))


@case("torch_legacy", "torch_legacy", "training checkpoint in the stream of torch before 1.6")
def torch_legacy(folder: Path) -> Truth:
    import torch

    torch.save(_train(), folder / "ckpt.pt", _use_new_zipfile_serialization=False)
    return _torch_truth(torch.load(folder / "ckpt.pt", weights_only=True))


@case("torch_sharded", "torch_sharded_index", "two .bin shards and their index")
def torch_sharded(folder: Path) -> Truth:
    import torch

    state = _net().state_dict()
    names = list(state)
    weight_map = {}
    for number, part in enumerate((names[:5], names[5:]), 1):
        file = f"pytorch_model-0000{number}-of-00002.bin"
        torch.save({n: state[n].clone() for n in part}, folder / file)
        weight_map.update(dict.fromkeys(part, file))
    total = sum(t.numel() * t.element_size() for t in state.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=2, sort_keys=True))
    return _torch_truth(state)


# -- TensorFlow and Keras ----------------------------------------------------------------------------------------------
def _bundle_truth(prefix: Path) -> Truth:
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(prefix))
    names, arrays = {}, {}
    for name in sorted(reader.get_variable_to_shape_map()):
        value = reader.get_tensor(name)
        value = np.asarray(value, dtype=object if isinstance(value, bytes) else None)
        entry: dict[str, Any] = {
            "dtype": reader.get_variable_to_dtype_map()[name].name,
            "shape": list(value.shape),
        }
        if value.dtype == object:
            entry["npz_encoding"] = "hex"
            value = np.array([bytes(v).hex().encode() for v in value.reshape(-1)], dtype="S")
        elif value.dtype.kind == "V" or value.dtype.name == "bfloat16":
            entry["npz_encoding"] = "bits"
            value = value.view(f"u{value.dtype.itemsize}")
        names[name] = entry
        arrays[name] = value
    return {"names": names, "arrays": arrays}


def _keras_model(name: str) -> Any:
    import keras

    keras.utils.set_random_seed(5)
    inputs = keras.Input((6,), name="x")
    hidden = keras.layers.Dense(5, name="encoder")(inputs)
    hidden = keras.layers.BatchNormalization(name="bn")(hidden)
    hidden = keras.Sequential(
        [keras.layers.Dense(4, name="inner_a"), keras.layers.Dense(4, name="inner_b")], name="inner"
    )(hidden)
    model = keras.Model(inputs, keras.layers.Dense(2, name="head")(hidden), name=name)
    model.compile(optimizer=keras.optimizers.Adam(0.003, name="adam"), loss="mse")
    make = _random(4)
    model.fit(
        make.normal(size=(16, 6)).astype("f4"),
        make.normal(size=(16, 2)).astype("f4"),
        epochs=1,
        batch_size=8,
        verbose=0,
    )
    return model


def _keras_truth(model: Any) -> Truth:
    arrays = {
        v.path: np.asarray(v)
        for v in model.variables
        if "seed" not in v.path and not v.path.startswith(("adam", "loss", "mean", "compile"))
    }
    arrays.update({f"optimizer/{v.path}": np.asarray(v) for v in model.optimizer.variables})
    return arrays


@case(
    "tf_object", "tf_checkpoint_v2_object", "tf.train.Checkpoint of a Keras 3 model, its optimizer and a step"
)
def tf_object(folder: Path) -> Truth:
    import tensorflow as tf

    model = _keras_model("net")
    step = tf.Variable(16, dtype=tf.int64)
    path = tf.train.Checkpoint(model=model, optimizer=model.optimizer, step=step).save(str(folder / "ckpt"))
    _neutral_state_file(folder)
    return _bundle_truth(Path(path))


@case(
    "tf_module",
    "tf_checkpoint_v2_object",
    "tf.Module: dtypes, strings, scalar, empty, list and dict attributes",
)
def tf_module(folder: Path) -> Truth:
    import tensorflow as tf

    module = tf.Module()
    module.w = tf.Variable(_random(6).normal(size=(3, 4)).astype("f4"))
    module.parts = [tf.Variable([1, 2, 3], dtype=tf.int32), tf.Variable(True)]
    module.table = {
        "a/b": tf.Variable(tf.cast([1.5, -2.0], tf.bfloat16)),
        "s": tf.Variable(["straße", b"\x00\xff"]),
    }
    module.empty = tf.Variable(tf.zeros([0, 2], tf.float64))
    tf.train.Checkpoint(module=module).write(str(folder / "ckpt"))
    return _bundle_truth(folder / "ckpt")


@case(
    "tf_saver",
    "tf_checkpoint_v2",
    "name-based Saver, sharded, with a partitioned variable and Momentum slots",
)
def tf_saver(folder: Path) -> Truth:
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default():
        v1.disable_resource_variables()
        with v1.variable_scope("net"):
            kernel = v1.get_variable("kernel", initializer=_random(8).normal(size=(4, 3)).astype("f4"))
            parts = v1.get_variable(
                "table",
                shape=[6, 2],
                initializer=v1.glorot_uniform_initializer(1),
                partitioner=v1.fixed_size_partitioner(3),
            )
        step = v1.train.get_or_create_global_step()
        loss = tf.reduce_sum(kernel**2) + tf.reduce_sum(tf.convert_to_tensor(parts) ** 2)
        train = v1.train.MomentumOptimizer(0.1, 0.9).minimize(loss, global_step=step)
        saver = v1.train.Saver(sharded=True)
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            session.run(train)
            path = saver.save(session, str(folder / "model.ckpt"), global_step=step, write_meta_graph=False)
        v1.enable_resource_variables()
    _neutral_state_file(folder)
    return _bundle_truth(Path(path))


@case("tf_saved_model", "tf_savedmodel", "a plain tf.Module as SavedModel")
def tf_saved_model(folder: Path) -> Truth:
    import tensorflow as tf

    module = tf.Module()
    module.w = tf.Variable(_random(9).normal(size=(3, 2)).astype("f4"), name="w")
    module.count = tf.Variable(4, dtype=tf.int64, name="count")
    tf.saved_model.save(module, str(folder / "sm"))
    return _bundle_truth(folder / "sm" / "variables" / "variables")


def _neutral_state_file(folder: Path) -> None:
    """Paths relative to the folder, as TensorFlow writes them when it can; no path of the writing machine."""
    state = folder / "checkpoint"
    text = state.read_text().replace(str(folder.resolve()) + "/", "").replace(str(folder) + "/", "")
    state.write_text("\n".join(line for line in text.splitlines() if "timestamp" not in line) + "\n")


@case(
    "keras_archive",
    "keras_v3",
    "functional model with a nested Sequential and BatchNormalization, Adam after 2 steps",
)
def keras_archive(folder: Path) -> Truth:
    model = _keras_model("net")
    model.save(folder / "m.keras")
    return _keras_truth(model)


@case("keras_h5", "keras_h5_model", "the same in legacy HDF5")
def keras_h5(folder: Path) -> Truth:
    import h5py

    _keras_model("net").save(folder / "m.h5")
    arrays: dict[str, np.ndarray] = {}
    with h5py.File(folder / "m.h5") as file:
        file.visititems(lambda n, o: arrays.__setitem__(n, o[()]) if isinstance(o, h5py.Dataset) else None)
    return arrays


@case("keras_weights_h5", "keras_weights_h5_v3", "the same as .weights.h5")
def keras_weights_h5(folder: Path) -> Truth:
    import h5py

    _keras_model("net").save_weights(folder / "m.weights.h5")
    arrays: dict[str, np.ndarray] = {}
    with h5py.File(folder / "m.weights.h5") as file:
        file.visititems(lambda n, o: arrays.__setitem__(n, o[()]) if isinstance(o, h5py.Dataset) else None)
    return arrays


def write(folder: Path, only: str = "") -> None:
    """Write all cases (or those whose name contains ``only``) and the index."""
    lines = []
    for name, kind, make, special in CASES:
        target = folder / name
        if only in name:
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir(parents=True)
            made = make(target)
            names = made.get("names") if isinstance(made.get("names"), dict) and "arrays" in made else None
            arrays = made["arrays"] if names is not None else made
            if names is None:
                names = {n: {"dtype": str(a.dtype), "shape": list(a.shape)} for n, a in arrays.items()}
            stored = {}
            for index, entry_name in enumerate(names):
                names[entry_name]["npz_key"] = f"t{index:04d}"
                stored[f"t{index:04d}"] = arrays[entry_name]
            np.savez(target / "truth.npz", **stored)
            (target / "truth.json").write_text(json.dumps({"names": names}, indent=1, sort_keys=True))
        files = sorted(
            str(p.relative_to(target))
            for p in target.rglob("*")
            if p.is_file() and not p.name.startswith("truth.")
        )
        lines.append(
            json.dumps(
                {
                    "id": f"own/{name}",
                    "format": kind,
                    "folder": name,
                    "what_is_special": special,
                    "files": files,
                }
            )
        )
    (folder / "INDEX.jsonl").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent, *sys.argv[2:3])
