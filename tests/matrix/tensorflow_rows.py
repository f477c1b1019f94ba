"""Rows on TensorFlow objects without Keras: ``tf.Module``, variables, lists and dicts in a ``tf.train.Checkpoint``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras_damage as damage
import numpy as np
import tensorflow as tf
from harness import Case, Row
from keras_nets import by_name, held

ROWS: list[Row] = []
SYSTEM = "tfck-module"


class Affine(tf.Module):
    """A kernel and a bias, made at once or by the first call."""

    def __init__(self, inputs: int | None, units: int, dtype: Any = tf.float32) -> None:
        super().__init__()
        self.units, self.dtype = units, dtype
        if inputs is not None:
            self.make(inputs)

    def make(self, inputs: int) -> None:
        self.kernel = tf.Variable(tf.cast(tf.random.normal((inputs, self.units)), self.dtype), name="kernel")
        self.bias = tf.Variable(tf.cast(tf.random.normal((self.units,)), self.dtype), name="bias")

    def __call__(self, x: Any) -> Any:
        if not hasattr(self, "kernel"):
            self.make(int(x.shape[-1]))
        return x @ self.kernel + self.bias


class Net(tf.Module):
    """Two parts of one shape under names of their own, a list, a dict, a table of words."""

    def __init__(
        self,
        *,
        encoder: str = "encoder",
        decoder: str = "decoder",
        hidden: int = 8,
        stacked: int = 2,
        adapter: bool = False,
        dtype: Any = tf.float32,
        rows: int = 11,
        tied: bool = False,
        lazy: bool = False,
        statistics: bool = True,
    ) -> None:
        super().__init__()
        setattr(self, encoder, Affine(None if lazy else 8, hidden, dtype))
        setattr(self, decoder, getattr(self, encoder) if tied else Affine(8, 8, dtype))
        self.stack = [Affine(8, 8, dtype) for _ in range(stacked)]
        self.heads = {"one": Affine(8, 3, dtype)}
        self.table = tf.Variable(tf.random.normal((rows, 4)), name="table")
        if statistics:
            self.mean = tf.Variable(tf.random.normal((8,)), trainable=False, name="mean")
        if adapter:
            self.adapter = Affine(8, 2, dtype)
        self.words = tf.Variable([b"a", b"bc"], name="words", trainable=False)


def root(model: Any) -> dict[str, Any]:
    """As a loop of one's own checkpoints it: the model and a step."""
    return {"model": model, "step": tf.Variable(3, dtype=tf.int64, name="step")}


def row(
    mutation: str,
    expect: str,
    saved: Callable[[], Any] = Net,
    live: Callable[[], Any] = Net,
    codes: tuple[str, ...] = (),
    *,
    was: Callable[[str], str] = lambda name: name,
    before: Callable[[Any], None] | None = None,
    hurt: Callable[[Path], None] | None = None,
    settles: bool = False,
    sealed: str | None = None,
    truth: bool = True,
    whole: bool = False,
    only: tuple[str, ...] = (),
) -> None:
    """One mutation. ``whole``: the live side is one ``tf.train.Checkpoint`` object; ``only``: the parts passed."""

    def make(folder: Path) -> Case:
        tf.random.set_seed(1)
        model = saved()
        if before is not None:
            before(model)
        parts = root(model)
        path = str(tf.train.Checkpoint(**parts).write(str(folder / "ckpt")))
        kept = held(parts)
        tf.random.set_seed(2)
        given: Mapping[str, Any] = root(live())
        given["step"].assign(0)  # type: ignore[index]
        if only:
            given = {word: given[word] for word in only}
        known = by_name(kept, given, was) if truth else {}
        if whole:
            given = {"model": tf.train.Checkpoint(**given)}
        spoil = (lambda: hurt(Path(path))) if hurt is not None else None
        return Case(path, given, known, origin=model, damage=spoil)

    ROWS.append(Row(mutation, SYSTEM, expect, make, codes, sealed, settles))


row("plain resume", "exact")
row("plain resume, one tf.train.Checkpoint passed", "exact", whole=True)
row("model alone from a training checkpoint", "exact", only=("model",))
row("attributes set in the other order", "exact", live=lambda: Net(encoder="decoder", decoder="encoder"))
row("layer added at end", "refuse", live=lambda: Net(adapter=True), codes=("T201",))
row("layer removed at end", "leftover", saved=lambda: Net(adapter=True), codes=("T202",))
row("layer added to a list", "refuse", live=lambda: Net(stacked=3), codes=("T201",))
row("layer removed from a list", "leftover", saved=lambda: Net(stacked=3), codes=("T202",))
row("units changed", "lossy", live=lambda: Net(hidden=12), codes=("T203",))
row("vocabulary grown", "lossy", live=lambda: Net(rows=15), codes=("T203",))
row(
    "attribute renamed only",
    "refuse",
    live=lambda: Net(encoder="enc"),
    codes=("T205",),
    settles=True,
    was=lambda name: name.replace("enc/", "encoder/"),
)
row("tied at save, untied at load", "refuse", saved=lambda: Net(tied=True), codes=("T201", "T208"))
row("untied at save, tied at load", "leftover", live=lambda: Net(tied=True), codes=("T202", "T207"))
row("dtype f32->f16", "lossy", live=lambda: Net(dtype=tf.float16), codes=("T204",))
row("dtype f32->bf16", "lossy", live=lambda: Net(dtype=tf.bfloat16), codes=("T204",))
row("dtype f64->f32", "lossy", saved=lambda: Net(dtype=tf.float64), codes=("T204",))
row("statistics absent", "refuse", saved=lambda: Net(statistics=False), codes=("T201",))
row(
    "variables made by the first call, not yet there",
    "leftover",
    live=lambda: Net(lazy=True),
    codes=("T202",),
)
row("another model altogether", "refuse", live=lambda: Affine(5, 7), codes=("T223", "T201"), truth=False)


def _crossed(model: Net) -> None:
    first, second = (np.array(layer.kernel) for layer in model.stack)
    model.stack[0].kernel.assign(second)
    model.stack[1].kernel.assign(first)


def _transposed(model: Net) -> None:
    model.encoder.kernel.assign(tf.transpose(model.encoder.kernel))


def _permuted(model: Net) -> None:
    model.table.assign(model.table[::-1])


def _with_nan(model: Net) -> None:
    model.heads["one"].kernel[0, 0].assign(np.nan)


row("same-shape layers of a list swapped", "indistinguishable", before=_crossed, truth=False)
row("square weight transposed", "indistinguishable", before=_transposed, truth=False)
row("vocabulary rows permuted", "indistinguishable", before=_permuted, truth=False)
row("NaN in weights", "refuse", before=_with_nan, codes=("N101",), truth=False)

_F = ("ChecksumMismatch", "Truncated", "DamagedCheckpoint", "CheckpointNotFound", "PartMissing", "F101", "F102", "F103",
      "F109", "F111", "F112", "F113", "F124", "F125", "F128")  # fmt: skip
for _mutation, _how in {
    "exponent bit flipped in tensor data": damage.flip_data,
    "4 KB block zero-filled in data": damage.zero_block,
    "one byte truncated": damage.cut_one,
    "half truncated": damage.cut_half,
    "file is 0 bytes long": damage.empty,
    "file all zero, same length": damage.zeros,
    "index: bit flipped mid": damage.flip_index,
    "index: deleted": damage.no_index,
    "one shard missing": damage.no_data,
    "data of another save": damage.other_data,
}.items():
    row(_mutation, "refuse", codes=_F, hurt=_how, truth=False)


# -- a manager's folder ---------------------------------------------------------------------------------------
def _managed(newest: bool) -> Callable[[Path], Case]:
    """A CheckpointManager's folder with two checkpoints; the newest (or all) deleted behind its back."""

    def make(folder: Path) -> Case:
        tf.random.set_seed(1)
        parts = root(Net())
        manager = tf.train.CheckpointManager(tf.train.Checkpoint(**parts), str(folder / "run"), max_to_keep=3)
        manager.save(1)
        kept = held(parts)
        parts["model"].table.assign(parts["model"].table * 2)
        manager.save(2)
        for name in ("ckpt-2",) if newest else ("ckpt-1", "ckpt-2"):
            for file in (folder / "run").glob(f"{name}.*"):
                file.unlink()
        tf.random.set_seed(2)
        given = root(Net())
        return Case(str(folder / "run"), given, by_name(kept, given) if newest else {})

    return make


# the one before stands in, and the report says so
ROWS.append(Row("`checkpoint` state file points to deleted file", SYSTEM, "warn", _managed(True), ("F114",)))
ROWS.append(
    Row(
        "`checkpoint` state file, nothing left of what it names", SYSTEM, "refuse", _managed(False), ("F114",)
    )
)
