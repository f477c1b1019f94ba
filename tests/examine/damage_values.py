"""Damage to values and structure, made through the framework or its file library, so that checksums agree."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import damage_bases as bases
import numpy as np
from damage_bases import Base
from damage_bytes import Mutator

Edit = Callable[[np.ndarray], np.ndarray]


def _set(at: Any, value: float) -> Edit:
    def edit(array: np.ndarray) -> np.ndarray:
        array = array.copy()
        array[at] = value
        return array

    return edit


def _sparse(array: np.ndarray) -> np.ndarray:
    return np.where(np.random.default_rng(0).random(array.shape) < 0.6, 0, array).astype(array.dtype)


VALUES: dict[str, tuple[str, Edit, str]] = {
    "NaN in weights": ("kernel", _set((3, 4), np.nan), "nan/damaged"),
    "NaN in a bias": ("bias", _set(2, np.nan), "nan/damaged"),
    "NaN in BatchNorm statistics": ("variance", _set(3, np.nan), "nan/damaged"),
    "NaN in a slot": ("moment", _set((1, 1), np.nan), "nan/damaged"),
    "infinite weight": ("kernel", _set((7, 7), -np.inf), "infinite/damaged"),
    "negative variance": ("variance", _set(5, -0.3), "negative-variance/damaged"),
    "negative second moment": ("square", _set((5, 5), -0.02), "negative-variance/damaged"),
    "one absurd value": ("kernel", _set((9, 9), 3.1e36), "absurd-values/damaged"),
    "weights exploded": ("kernel", lambda a: (a * 1e34).astype(a.dtype), "warn:exploded|dead-tensor/sound"),
    "dead kernel": ("kernel", np.zeros_like, "warn:dead-tensor/sound"),
    "rows pruned": ("kernel", _set(slice(10, 14), 0.0), "silent"),
    "columns pruned": ("kernel", _set((slice(None), slice(8, 24)), 0.0), "silent"),
    "pruned to 40 %": ("kernel", _sparse, "silent"),
    "bias zero": ("bias", np.zeros_like, "silent"),
    "moment of unseen rows zero": ("moment", _set(slice(0, 32), 0.0), "silent"),
}
"""What is done to which tensor of the checkpoint, and what the doctor should say."""

_ALL = ("kernel", "bias", "variance", "moment", "square")
HANDLES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("torch-train", "torch-legacy", "lightning", "tf-object"), _ALL),
    **dict.fromkeys(("keras-archive", "keras-weights", "keras-h5"), _ALL),
    **dict.fromkeys(("torch-state", "safetensors", "npz"), _ALL[:3]),
}
"""The tensors that each base has."""


def _torch_parts(made: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The state dict and the optimizer's of a checkpoint, Lightning's or hand-written."""
    if "optimizer_states" in made:
        return made["state_dict"], made["optimizer_states"][0]
    return made.get("model_state_dict", made), made.get("optimizer_state_dict", {})


def edit_torch(change: Callable[[dict[str, Any], dict[str, Any]], Any]) -> Mutator:
    """Load, change ``(weights, optimizer)`` in place, save in the same way."""

    def mutate(folder: Path, base: Base) -> None:
        import torch

        path = folder / base.data
        zipped = zipfile.is_zipfile(path)
        made = torch.load(path, weights_only=False)
        change(*_torch_parts(made))
        torch.save(made, path, _use_new_zipfile_serialization=zipped)

    return mutate


def edit_arrays(change: Callable[[dict[str, np.ndarray]], Any]) -> Mutator:
    def mutate(folder: Path, base: Base) -> None:
        path = folder / base.data
        if path.suffix == ".npz":
            with np.load(path) as stored:
                arrays = dict(stored)
            change(arrays)
            np.savez(path, **arrays)
        else:
            from safetensors.numpy import load_file, save_file

            arrays = {n: a.copy() for n, a in load_file(path).items()}
            change(arrays)
            save_file({n: np.asarray(a) for n, a in arrays.items()}, path, metadata={"format": "pt"})

    return mutate


def edit_h5(change: Callable[[Any], Any]) -> Mutator:
    """Change an HDF5 file, or the one inside a ``.keras`` (zipped again with right checksums)."""

    def mutate(folder: Path, base: Base) -> None:
        import h5py

        path = folder / base.data
        if path.suffix != ".keras":
            with h5py.File(path, "r+") as file:
                change(file)
            return
        with zipfile.ZipFile(path) as archive:
            members = {n: archive.read(n) for n in archive.namelist()}
        inner = io.BytesIO(members["model.weights.h5"])
        with h5py.File(inner, "r+") as file:
            change(file)
        members["model.weights.h5"] = inner.getvalue()
        with zipfile.ZipFile(path, "w") as archive:
            for name, raw in members.items():
                archive.writestr(name, raw)

    return mutate


def dataset_of(file: Any, array: np.ndarray) -> str:
    """The path of the dataset that holds these values."""
    import h5py

    found: list[str] = []

    def look(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.shape == array.shape and np.array_equal(item[()], array):
            found.append(name)

    file.visititems(look)
    return found[0]


def handle_of_keras(model: Any, handle: str) -> Any:
    kernel = model.get_layer("fc1").kernel
    if handle == "kernel":
        return kernel
    if handle == "bias":
        return model.get_layer("fc1").bias
    if handle == "variance":
        return model.get_layer("bn2").moving_variance
    index = [id(v) for v in model.trainable_variables].index(id(kernel))
    return (model.optimizer._momentums if handle == "moment" else model.optimizer._velocities)[index]


_TORCH_WEIGHTS = {"kernel": "fc1.weight", "bias": "fc1.bias", "variance": "bn2.running_var"}
_SLOTS = {"moment": "exp_avg", "square": "exp_avg_sq"}


def edit_value(base_name: str, handle: str, edit: Edit) -> Mutator:
    """A mutator that gives one tensor of a base new values."""

    def in_torch(weights: dict[str, Any], optimizer: dict[str, Any]) -> None:
        import torch

        if handle in _SLOTS:
            shape = next(t for n, t in weights.items() if n.endswith("fc1.weight")).shape
            state = next(s for s in optimizer["state"].values() if s["exp_avg"].shape == shape)
            name, holder = _SLOTS[handle], state
        else:
            name = next(n for n in weights if n.endswith(_TORCH_WEIGHTS[handle]))
            holder = weights
        holder[name] = torch.from_numpy(edit(holder[name].numpy()))

    def in_arrays(arrays: dict[str, np.ndarray]) -> None:
        name = _TORCH_WEIGHTS[handle]
        arrays[name] = edit(arrays[name])

    def in_keras(folder: Path, base: Base) -> None:
        variable = handle_of_keras(bases.keras_trained(), handle)
        before = variable.numpy().copy()
        variable.assign(edit(before))
        try:
            bases.BASES[base_name].write(folder)
        finally:
            variable.assign(before)

    if base_name.startswith(("torch", "lightning")):
        return edit_torch(in_torch)
    return edit_arrays(in_arrays) if base_name in ("safetensors", "npz") else in_keras


def edit_bundle(change: Callable[[dict[str, Any]], Any]) -> Mutator:
    """Write a TF bundle anew with other tensors (the object graph stays what it was)."""

    def mutate(folder: Path, base: Base) -> None:
        import tensorflow as tf

        prefix = str(folder / base.main)
        reader = tf.train.load_checkpoint(prefix)
        tensors = {n: reader.get_tensor(n) for n in reader.get_variable_to_shape_map()}
        change(tensors)
        names = list(tensors)
        tf.raw_ops.SaveV2(
            prefix=prefix,
            tensor_names=names,
            shape_and_slices=[""] * len(names),
            tensors=[tf.constant(tensors[n]) for n in names],
        )

    return mutate


def bundle_key(tensors: dict[str, Any], handle: str) -> str:
    """The key of a handle's tensor in a bundle, by its values."""
    array = handle_of_keras(bases.keras_trained(), handle).numpy()
    return next(
        n for n, t in tensors.items() if np.shape(t) == array.shape and np.array_equal(np.asarray(t), array)
    )


# --- structure, by framework: mutation -> (change, expectation) --------------------------------------------


def _drop(*endings: str) -> Callable[[dict[str, Any]], None]:
    def change(weights: dict[str, Any]) -> None:
        for name in [n for n in weights if n.endswith(endings)]:
            del weights[name]

    return change


def _weights(change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any], dict[str, Any]], Any]:
    return lambda weights, optimizer: change(weights)


def _state(optimizer: dict[str, Any]) -> dict[str, Any]:
    return next(s for s in optimizer["state"].values() if tuple(s["exp_avg"].shape) == (256, 80))


def _slot_shape(weights: dict[str, Any], optimizer: dict[str, Any]) -> None:
    state = _state(optimizer)
    state["exp_avg"] = state["exp_avg"][:200].clone()


def _weight_resized(weights: dict[str, Any], optimizer: dict[str, Any]) -> None:
    name = next(n for n in weights if n.endswith("fc2.weight"))
    weights[name] = weights[name][:10].clone()


def _slot_gone(weights: dict[str, Any], optimizer: dict[str, Any]) -> None:
    del _state(optimizer)["exp_avg_sq"]


def _state_gone(weights: dict[str, Any], optimizer: dict[str, Any]) -> None:
    key = next(k for k, s in optimizer["state"].items() if tuple(s["exp_avg"].shape) == (256, 80))
    del optimizer["state"][key]


def _slots_as(kind: str) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    def change(weights: dict[str, Any], optimizer: dict[str, Any]) -> None:
        import torch

        for state in optimizer["state"].values():
            state["exp_avg"] = state["exp_avg"].to(getattr(torch, kind))

    return change


def _torn(weights: dict[str, Any], optimizer: dict[str, Any]) -> None:
    for state in list(optimizer["state"].values())[:4]:
        state["step"] = state["step"] - 1


def _clash(weights: dict[str, Any], optimizer: dict[str, Any]) -> None:
    weights["extra"] = {"scale": weights[next(iter(weights))].clone()}
    weights["extra/scale"] = weights[next(iter(weights))].clone() + 1


def _both_names(weights: dict[str, Any]) -> None:
    for name in list(weights):
        weights["module." + name] = weights[name] + 1


def _view(weights: dict[str, Any]) -> None:
    import torch

    weights["kept.weight"] = torch.randn(2000, 64)[:3]


def _order_slipped(weights: dict[str, Any], optimizer: dict[str, Any]) -> None:
    states = optimizer["state"]
    keys = list(states)
    optimizer["state"] = dict(zip(keys, [states[k] for k in (*keys[1:], keys[0])], strict=True))


TORCH: dict[str, tuple[Callable[[dict[str, Any], dict[str, Any]], Any], str]] = {
    "one running_var absent": (_weights(_drop("bn2.running_var")), "warn:statistics-missing/sound"),
    "statistics of a layer absent": (
        _weights(_drop("bn2.running_var", "bn2.running_mean")),
        "warn:statistics-missing/sound",
    ),
    "statistics and counter of a layer absent": (
        _weights(_drop("bn2.running_var", "bn2.running_mean", "bn2.num_batches_tracked")),
        "warn:statistics-missing/sound",
    ),
    "plain and wrapped names": (_weights(_both_names), "warn:name-variants/sound"),
    "view with its whole storage": (_weights(_view), "note:view-whole-storage/sound"),
    "two tensors, one name": (_clash, "name-clash/damaged"),
}
TORCH_OPTIMIZER: dict[str, tuple[Callable[[dict[str, Any], dict[str, Any]], Any], str]] = {
    "slot of another shape": (_slot_shape, "slot-shape/damaged"),
    "weight resized, slots kept": (_weight_resized, "slot-shape/damaged"),
    # The order in which weights are given to an optimizer is the user's own: nothing in the file tells.
    "slots slipped by one": (_order_slipped, "silent"),
    "one slot absent": (_slot_gone, "warn:slots-missing/sound"),
    "all slots of a weight absent": (_state_gone, "note:slots-missing/sound"),
    "slots as integers": (_slots_as("int64"), "warn:slot-dtype/sound"),
    "slots in float16": (_slots_as("float16"), "note:slot-dtype/sound"),
    "torn in the middle of a step": (_torn, "warn:steps-disagree/sound"),
    "optimizer state absent": (lambda w, o: o.clear(), "silent"),
}
ARRAYS: dict[str, tuple[Callable[[dict[str, np.ndarray]], Any], str]] = {
    "one running_var absent": (_drop("bn2.running_var"), "warn:statistics-missing/sound"),
    "statistics of a layer absent": (
        _drop("bn2.running_var", "bn2.running_mean"),
        "warn:statistics-missing/sound",
    ),
    "plain and wrapped names": (_both_names, "warn:name-variants/sound"),
}


def _values(handle: str) -> np.ndarray:
    return np.asarray(handle_of_keras(bases.keras_trained(), handle).numpy())


def _h5_delete(*handles: str) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        for handle in handles:
            del file[dataset_of(file, _values(handle))]

    return change


def _h5_resize(handle: str) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        path = dataset_of(file, _values(handle))
        values = file[path][()][:-7]
        attributes = dict(file[path].attrs)
        del file[path]
        made = file.create_dataset(path, data=values)
        made.attrs.update(attributes)

    return change


def _h5_integers(file: Any) -> None:
    path = dataset_of(file, _values("moment"))
    values = file[path][()].astype(np.int32)
    attributes = dict(file[path].attrs)
    del file[path]
    file.create_dataset(path, data=values).attrs.update(attributes)


def _h5_second_half_absent(file: Any) -> None:
    """What a save leaves that the disk had no room for: the file closes cleanly, the last layers are bare."""
    for handle in ("bias", "kernel"):
        del file[dataset_of(file, _values(handle))]
    for part in ("optimizer", "optimizer_weights"):
        if part in file:
            del file[part]


H5: dict[str, tuple[Callable[[Any], Any], str]] = {
    "kernel absent": (
        _h5_delete("kernel"),
        "part-missing|malformed|slot-without-weight|tensor-missing/damaged",
    ),
    "one moving_variance absent": (
        _h5_delete("variance"),
        "any:statistics-missing|tensor-missing|negative-variance",
    ),
    "one slot absent": (_h5_delete("square"), "any:slots-missing|tensor-missing|malformed"),
    "slot of another shape": (_h5_resize("moment"), "any:slot-shape|malformed"),
    "weight of another shape than its slots": (_h5_resize("kernel"), "any:slot-shape|malformed"),
    "slot as integers": (_h5_integers, "warn:slot-dtype/sound"),
    "disk full: last layers absent": (_h5_second_half_absent, "any:tensor-missing|part-missing|malformed"),
}


def _bundle(handle: str, change: Callable[[dict[str, Any], str], Any]) -> Callable[[dict[str, Any]], None]:
    return lambda tensors: change(tensors, bundle_key(tensors, handle))


def _pop(tensors: dict[str, Any], key: str) -> None:
    del tensors[key]


def _cut_rows(tensors: dict[str, Any], key: str) -> None:
    tensors[key] = tensors[key][:-7]


def _integers(tensors: dict[str, Any], key: str) -> None:
    tensors[key] = tensors[key].astype(np.int32)


BUNDLE: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "kernel absent": (
        _bundle("kernel", _pop),
        "any:tensor-missing|part-missing|slot-without-weight|malformed",
    ),
    "one moving_variance absent": (_bundle("variance", _pop), "any:statistics-missing|tensor-missing"),
    "one slot absent": (_bundle("square", _pop), "any:slots-missing|tensor-missing"),
    "slot of another shape": (_bundle("moment", _cut_rows), "slot-shape/damaged"),
    "slot as integers": (_bundle("moment", _integers), "warn:slot-dtype/sound"),
}
