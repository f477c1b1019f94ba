"""Real checkpoints of every format, written by the installed frameworks, for the damage matrix.

Each writer fills an empty folder and says what a person would name in it, which file holds the values, and
the bytes of one large weight. The models are small but real: trained some steps, two normalisation layers,
an embedding, convolutions, and Adam beside them.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Base:
    """``main``: what a person names ("." for the folder); ``data``: the file that holds the values;
    ``needle``: the bytes of one large float32 weight in it; ``head``: the file whose structure is flipped."""

    main: str
    data: str
    needle: bytes
    head: str | None = None


@dataclass(frozen=True)
class Writer:
    write: Callable[[Path], Base]
    modules: tuple[str, ...]

    @property
    def missing(self) -> str | None:
        return next((m for m in self.modules if importlib.util.find_spec(m) is None), None)


BASES: dict[str, Writer] = {}


def base(name: str, *modules: str) -> Callable[[Callable[[Path], Base]], Callable[[Path], Base]]:
    def register(write: Callable[[Path], Base]) -> Callable[[Path], Base]:
        BASES[name] = Writer(write, modules)
        return write

    return register


# --- PyTorch -----------------------------------------------------------------------------------------------


def torch_net(seed: int = 3) -> Any:
    import torch
    from torch import nn

    torch.manual_seed(seed)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.emb = nn.Embedding(150, 64)
            self.conv = nn.Conv1d(64, 80, 3)
            self.bn1 = nn.BatchNorm1d(80)
            self.fc1 = nn.Linear(80, 256)
            self.bn2 = nn.BatchNorm1d(256)
            self.fc2 = nn.Linear(256, 100)

        def forward(self, x: Any) -> Any:
            h = self.bn1(self.conv(self.emb(x).transpose(1, 2))).relu().mean(2)
            return self.fc2(self.bn2(self.fc1(h)).relu())

    return Net()


def torch_steps(net: Any, optimizer: Any, steps: int = 4, vocabulary: int = 150) -> None:
    import torch

    for _ in range(steps):
        loss = torch.nn.functional.cross_entropy(
            net(torch.randint(0, vocabulary, (64, 12))), torch.randint(0, 100, (64,))
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@lru_cache(maxsize=4)
def _torch_trained(seed: int) -> tuple[Any, Any, Any]:
    import torch

    net = torch_net(seed)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    torch_steps(net, optimizer)
    scheduler.step()
    return net, optimizer, scheduler


def torch_checkpoint(seed: int = 3) -> dict[str, Any]:
    """A training checkpoint as people write it; every call gives a copy of its own."""
    import copy

    net, optimizer, scheduler = _torch_trained(seed)
    made = {
        "epoch": 4,
        "model_state_dict": net.state_dict(),
        "optimizer_state_dict": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "loss": 4.25,
    }
    return copy.deepcopy(made)


def _needle(seed: int = 3) -> bytes:
    return _torch_trained(seed)[0].fc1.weight.detach().numpy().tobytes()


def torch_arrays(seed: int = 3) -> dict[str, np.ndarray]:
    return {n: t.numpy().copy() for n, t in torch_checkpoint(seed)["model_state_dict"].items()}


@base("torch-state", "torch")
def write_torch_state(folder: Path) -> Base:
    import torch

    torch.save(torch_checkpoint()["model_state_dict"], folder / "model.pt")
    return Base("model.pt", "model.pt", _needle())


@base("torch-train", "torch")
def write_torch_train(folder: Path) -> Base:
    import torch

    torch.save(torch_checkpoint(), folder / "checkpoint.pt")
    return Base("checkpoint.pt", "checkpoint.pt", _needle())


@base("torch-legacy", "torch")
def write_torch_legacy(folder: Path) -> Base:
    import torch

    torch.save(torch_checkpoint(), folder / "old.pth", _use_new_zipfile_serialization=False)
    return Base("old.pth", "old.pth", _needle())


@base("torch-sharded", "torch")
def write_torch_sharded(folder: Path, seed: int = 3) -> Base:
    import torch

    state = torch_checkpoint(seed)["model_state_dict"]
    names = list(state)
    half = names.index("fc1.weight")
    _shards(
        folder,
        "pytorch_model",
        ".bin",
        [names[:half], names[half:]],
        {n: t.numel() * t.element_size() for n, t in state.items()},
        lambda some, path: torch.save({n: state[n] for n in some}, path),
    )
    return Base(
        "pytorch_model.bin.index.json",
        "pytorch_model-00002-of-00002.bin",
        _needle(seed),
        "pytorch_model.bin.index.json",
    )


def _shards(
    folder: Path,
    stem: str,
    ending: str,
    parts: list[list[str]],
    sizes: dict[str, int],
    save: Callable[[list[str], Path], Any],
) -> None:
    weight_map = {}
    for number, names in enumerate(parts, 1):
        shard = f"{stem}-{number:05}-of-{len(parts):05}{ending}"
        save(names, folder / shard)
        weight_map.update(dict.fromkeys(names, shard))
    index = {"metadata": {"total_size": sum(sizes.values())}, "weight_map": weight_map}
    (folder / f"{stem}{ending}.index.json").write_text(json.dumps(index, indent=2))


@base("lightning", "torch", "lightning")
def write_lightning(folder: Path) -> Base:
    import logging
    import warnings

    import lightning
    import torch

    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = torch_net(5)

        def training_step(self, batch: Any, _: int) -> Any:
            return torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), lr=1e-3)

    module = Module()
    data = torch.utils.data.TensorDataset(torch.randint(0, 150, (256, 12)), torch.randint(0, 100, (256,)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = lightning.Trainer(
            max_epochs=1,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder,
        )
        trainer.fit(module, torch.utils.data.DataLoader(data, 64))
        trainer.save_checkpoint(folder / "last.ckpt")
    return Base("last.ckpt", "last.ckpt", module.net.fc1.weight.detach().numpy().tobytes())


# --- arrays ------------------------------------------------------------------------------------------------


@base("safetensors", "torch", "safetensors")
def write_safetensors(folder: Path) -> Base:
    from safetensors.numpy import save_file

    save_file(torch_arrays(), folder / "model.safetensors", metadata={"format": "pt"})
    return Base("model.safetensors", "model.safetensors", _needle())


@base("safetensors-sharded", "torch", "safetensors")
def write_safetensors_sharded(folder: Path, seed: int = 3) -> Base:
    from safetensors.numpy import save_file

    state = torch_arrays(seed)
    names = list(state)
    half = names.index("fc1.weight")
    _shards(
        folder,
        "model",
        ".safetensors",
        [names[:half], names[half:]],
        {n: a.nbytes for n, a in state.items()},
        lambda some, path: save_file({n: state[n] for n in some}, path),
    )
    return Base(
        "model.safetensors.index.json",
        "model-00002-of-00002.safetensors",
        _needle(seed),
        "model.safetensors.index.json",
    )


@base("npz", "torch")
def write_npz(folder: Path) -> Base:
    np.savez(folder / "weights.npz", **torch_arrays())
    return Base("weights.npz", "weights.npz", _needle())


# --- Keras and TensorFlow ----------------------------------------------------------------------------------


def keras_net(seed: int = 4, **compiled: Any) -> Any:
    import keras

    keras.utils.set_random_seed(seed)
    x = keras.Input((12,), dtype="int32")
    h = keras.layers.Embedding(150, 64, name="emb")(x)
    h = keras.layers.Conv1D(80, 3, name="conv")(h)
    h = keras.layers.BatchNormalization(name="bn1")(h)
    h = keras.layers.GlobalAveragePooling1D()(keras.layers.ReLU()(h))
    h = keras.layers.Dense(256, name="fc1")(h)
    h = keras.layers.BatchNormalization(name="bn2")(h)
    y = keras.layers.Dense(100, name="fc2")(keras.layers.ReLU()(h))
    model = keras.Model(x, y, name="net")
    model.compile(**{"optimizer": keras.optimizers.Adam(1e-3), **compiled}, loss=_loss())
    return model


def _loss() -> Any:
    import keras

    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def keras_steps(model: Any, steps: int = 4, vocabulary: int = 150) -> Any:
    rng = np.random.default_rng(1)
    for _ in range(steps):
        model.train_on_batch(rng.integers(0, vocabulary, (64, 12)), rng.integers(0, 100, (64,)))
    return model


def keras_moved(model: Any, steps: int = 2) -> Any:
    """Steps of the optimizer on random gradients: quick, and the state is real."""
    import tensorflow as tf

    rng = np.random.default_rng(2)
    for _ in range(steps):
        gradients = [
            tf.constant(rng.normal(scale=0.1, size=v.shape).astype(np.float32))
            for v in model.trainable_variables
        ]
        model.optimizer.apply(gradients, model.trainable_variables)
    return model


def keras_trained(seed: int = 4) -> Any:
    return _keras_trained(seed)


@lru_cache(maxsize=4)
def _keras_trained(seed: int) -> Any:
    return keras_steps(keras_net(seed))


def keras_needle(model: Any) -> bytes:
    return np.ascontiguousarray(model.get_layer("fc1").kernel.numpy()).tobytes()


@base("keras-archive", "keras", "tensorflow")
def write_keras(folder: Path) -> Base:
    keras_trained().save(folder / "model.keras")
    return Base("model.keras", "model.keras", keras_needle(keras_trained()))


@base("keras-weights", "keras", "tensorflow")
def write_keras_weights(folder: Path) -> Base:
    keras_trained().save_weights(folder / "model.weights.h5")
    return Base("model.weights.h5", "model.weights.h5", keras_needle(keras_trained()))


@base("keras-h5", "keras", "tensorflow")
def write_keras_h5(folder: Path) -> Base:
    import contextlib
    import io
    import logging

    logging.getLogger("absl").setLevel(logging.ERROR)
    with contextlib.redirect_stderr(io.StringIO()):
        keras_trained().save(folder / "model.h5")
    return Base("model.h5", "model.h5", keras_needle(keras_trained()))


@base("keras-sharded", "keras", "tensorflow")
def write_keras_sharded(folder: Path, seed: int = 4) -> Base:
    model = keras_trained(seed)
    model.save_weights(folder / "model.weights.json", max_shard_size=0.0005)
    needle = keras_needle(model)
    data = next(p.name for p in sorted(folder.glob("*.h5")) if needle in p.read_bytes())
    return Base("model.weights.json", data, needle, "model.weights.json")


@base("tf-object", "keras", "tensorflow")
def write_tf_object(folder: Path, seed: int = 4) -> Base:
    import tensorflow as tf

    model = keras_trained(seed)
    tf.train.Checkpoint(model=model, optimizer=model.optimizer).write(str(folder / "ckpt"))
    return Base("ckpt", "ckpt.data-00000-of-00001", keras_needle(model), "ckpt.index")


@base("tf-run", "keras", "tensorflow")
def write_tf_run(folder: Path) -> Base:
    import tensorflow as tf

    model = keras_trained()
    step = tf.Variable(0, dtype=tf.int64)
    manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(model=model, optimizer=model.optimizer, step=step), str(folder), max_to_keep=3
    )
    for _ in range(4):
        step.assign_add(1)
        manager.save()
    return Base(".", "ckpt-4.data-00000-of-00001", keras_needle(model), "ckpt-4.index")


@base("tf-name", "tensorflow")
def write_tf_name(folder: Path) -> Base:
    import tensorflow as tf

    v1 = tf.compat.v1
    rng = np.random.default_rng(6)
    kernel = rng.normal(scale=0.05, size=(96, 256)).astype(np.float32)
    with tf.Graph().as_default(), v1.Session() as session:
        with v1.variable_scope("dense"):
            w = v1.get_variable("kernel", initializer=kernel, use_resource=False)
            b = v1.get_variable("bias", shape=[256], initializer=v1.zeros_initializer(), use_resource=False)
        with v1.variable_scope("out"):
            o = v1.get_variable("kernel", shape=[256, 60], use_resource=False)
        x = tf.constant(rng.normal(size=(32, 96)).astype(np.float32))
        loss = tf.reduce_mean((tf.nn.relu(x @ w + b) @ o - 1.0) ** 2)
        step = v1.train.get_or_create_global_step()
        train = v1.train.AdamOptimizer(1e-3).minimize(loss, global_step=step)
        session.run(v1.global_variables_initializer())
        for _ in range(4):
            session.run(train)
        v1.train.Saver().save(session, str(folder / "model.ckpt"), global_step=4, write_meta_graph=False)
        needle = np.ascontiguousarray(session.run(w)).tobytes()
    return Base("model.ckpt-4", "model.ckpt-4.data-00000-of-00001", needle, "model.ckpt-4.index")


@base("savedmodel", "keras", "tensorflow")
def write_savedmodel(folder: Path) -> Base:
    import tensorflow as tf

    module = tf.Module()
    rng = np.random.default_rng(8)
    module.kernel = tf.Variable(rng.normal(scale=0.05, size=(96, 256)).astype(np.float32), name="kernel")
    module.bias = tf.Variable(np.zeros(256, np.float32), name="bias")
    module.out = tf.Variable(rng.normal(scale=0.05, size=(256, 100)).astype(np.float32), name="out")
    module.__call__ = None  # type: ignore[assignment]
    call = tf.function(
        lambda x: (x @ module.kernel + module.bias) @ module.out, input_signature=[tf.TensorSpec([None, 96])]
    )
    tf.saved_model.save(module, str(folder / "export"), signatures={"serving_default": call})
    return Base(
        "export",
        "export/variables/variables.data-00000-of-00001",
        np.ascontiguousarray(module.kernel.numpy()).tobytes(),
        "export/variables/variables.index",
    )
