"""Errors of real programs that have nothing to do with checkpoints: (name, what raises it)."""

from __future__ import annotations

import collections
import csv
import json
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

__all__ = ["KERAS", "PLAIN"]


def _net() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Linear(8, 3))


def _in_graph() -> object:
    x = torch.zeros(3, requires_grad=True)
    y = (x * 2).sum()
    y.backward()
    return y.backward()


def _leaf() -> object:
    x = torch.zeros(3, requires_grad=True)
    x += 1
    return x


def _worker() -> object:
    class Broken(torch.utils.data.Dataset[int]):
        def __len__(self) -> int:
            return 3

        def __getitem__(self, n: int) -> int:
            raise ValueError(f"image {n} has no label")

    return list(torch.utils.data.DataLoader(Broken()))


def _train() -> object:
    model, optimizer = _net(), None
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        loss = torch.nn.functional.cross_entropy(model(torch.zeros(2, 4)), torch.tensor([0, 7]))
        loss.backward()
        optimizer.step()
    return loss


def _recursion() -> object:
    def f(n: int) -> int:
        return f(n + 1)

    return f(0)


def _config() -> object:
    return json.loads(Path(__file__).read_text())


PLAIN: tuple[tuple[str, Callable[[], object]], ...] = (
    ("a shape bug of the model", lambda: _net()(torch.zeros(2, 5))),
    ("an index", lambda: [1, 2][5]),
    ("a key", lambda: {"a": 1}["b"]),
    ("a type", lambda: len(3)),  # type: ignore[arg-type]
    ("a missing module", lambda: __import__("no_such_module_here")),
    ("a division", lambda: 1 / 0),
    ("a file of data", lambda: Path("/no/such/dataset.csv").read_text()),
    ("a folder of images", lambda: list(Path("/no/such/images").iterdir())),
    ("a gradient", lambda: torch.zeros(1).backward()),
    ("a label out of range", _train),
    ("a matrix product", lambda: torch.zeros(2, 3) @ torch.zeros(2, 3)),
    ("devices", lambda: torch.zeros(2, device="meta") + torch.zeros(2)),
    ("a syntax error", lambda: compile("def f(:", "x.py", "exec")),
    ("a dtype in forward", lambda: torch.nn.Linear(2, 2)(torch.zeros(1, 2, dtype=torch.float64))),
    ("json", lambda: json.loads("{")),
    ("a json config that is none", _config),
    ("batches that do not stack", lambda: torch.stack([torch.zeros(2), torch.zeros(3)])),
    ("a graph used twice", _in_graph),
    ("a leaf changed in place", _leaf),
    ("a worker", _worker),
    ("recursion", _recursion),
    ("a view", lambda: torch.zeros(4, 3).t().view(12)),
    ("a broadcast", lambda: np.zeros((2, 3)) + np.zeros((4, 3))),
    ("a reshape", lambda: np.zeros(10).reshape(3, 4)),
    ("a text for a number", lambda: float("12,5")),
    ("an attribute", lambda: torch.zeros(2).no_such_thing),  # type: ignore[attr-defined]
    ("an assertion", lambda: (_ for _ in ()).throw(AssertionError("batch size must divide 8"))),
    ("an embedding index", lambda: torch.nn.Embedding(3, 2)(torch.tensor([5]))),
    ("a port", lambda: socket.create_connection(("127.0.0.1", 1), 0.2)),
    ("a program", lambda: subprocess.run([sys.executable, "-c", "raise SystemExit(3)"], check=True)),
    ("a csv", lambda: list(csv.DictReader(None))),  # type: ignore[call-overload]
    (
        "a thread",
        lambda: (
            threading.Thread(target=1).start()
            or (_ for _ in ()).throw(TypeError("'int' object is not callable"))
        ),
    ),  # type: ignore[arg-type]
    ("a namedtuple", lambda: collections.namedtuple("P", "x")(1, 2)),
    ("an unhashable key", lambda: {[]: 1}),
    ("a unicode text", lambda: b"\xff\xfe".decode("utf-8")),
    ("a lambda sent to a process", lambda: pickle.dumps(lambda x: x)),
)


def _keras() -> tuple[tuple[str, Callable[[], object]], ...]:
    import keras
    import tensorflow as tf

    def net() -> keras.Model:
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
        model.compile("sgd", "sparse_categorical_crossentropy")
        return model

    return (
        ("fit with other features", lambda: net().fit(np.zeros((8, 5)), np.zeros(8), verbose=0)),
        ("fit with other sizes", lambda: net().fit(np.zeros((8, 4)), np.zeros(7), verbose=0)),
        ("a matmul of TensorFlow", lambda: tf.matmul(tf.zeros((2, 3)), tf.zeros((2, 3)))),
        ("a cast of TensorFlow", lambda: tf.constant(1) + tf.constant(1.0)),
        ("a concat of TensorFlow", lambda: tf.concat([tf.zeros((2, 3)), tf.zeros((3, 2))], 0)),
        (
            "a dataset",
            lambda: list(
                tf.data.Dataset.from_tensor_slices([1.0]).map(
                    lambda x: tf.debugging.check_numerics(x / 0.0, "inf")
                )
            ),
        ),
    )


KERAS = _keras
