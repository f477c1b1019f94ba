"""Rows on Keras's sharded weights: ``model.save_weights("model.weights.json", max_shard_size=...)`` writes an index and
several ``.weights.h5``."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import keras
from harness import Row
from keras_nets import adam, by_place, net, recurrent
from keras_rows import ROWS as KERAS
from keras_rows import row, run

SYSTEM = ("weights.json",)
_before = len(KERAS)


def shards(path: Path) -> list[Path]:
    return sorted(path.parent.glob("*.weights.h5"))


def several(path: Path) -> None:
    """The size given does make shards."""
    assert len(shards(path)) > 2, "one file only: these rows would say nothing of shards"


def without_the_last(path: Path) -> None:
    shards(path)[-1].unlink()


def one_cut(path: Path) -> None:
    shard = shards(path)[1]
    shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 2])


def of_another_save(path: Path) -> None:
    """Two shards have changed places: as after a download under wrong names."""
    first, second = shards(path)[:2]
    other = first.with_name("other")
    shutil.move(first, other)
    shutil.move(second, first)
    shutil.move(other, second)


def index_without(word: str) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        document = json.loads(path.read_text())
        kept = {name: file for name, file in document["weight_map"].items() if word not in name}
        assert len(kept) < len(document["weight_map"])
        document["weight_map"] = kept
        path.write_text(json.dumps(document))

    return edit


row("plain resume", SYSTEM, "exact", run(net), run(net), truth=by_place, edit=several)
row(
    "plain resume, weights alone",
    SYSTEM,
    "exact",
    run(net, None),
    run(net, None),
    truth=by_place,
    edit=several,
)
row("LSTM", SYSTEM, "exact", run(recurrent, None), run(recurrent, None), truth=by_place)
row("model alone from a training checkpoint", SYSTEM, "exact", run(net), run(net, None), parts=("model",))
row("layer added at end", SYSTEM, "refuse", run(net, None), run(lambda: net(adapter=True), None), ("T201",))
row(
    "layer removed at end",
    SYSTEM,
    "leftover",
    run(lambda: net(adapter=True), None),
    run(net, None),
    ("T202",),
)
row("units changed (more)", SYSTEM, "lossy", run(net, None), run(lambda: net(hidden=12), None), ("T203",))
row("more classes", SYSTEM, "lossy", run(net, None), run(lambda: net(classes=5), None), ("T203",))
row("dtype f32->f16", SYSTEM, "lossy", run(net, None), run(lambda: net(dtype="float16"), None), ("T204",))
row(
    "another model altogether",
    SYSTEM,
    "refuse",
    run(net, None),
    run(recurrent, None),
    ("T223", "T201"),
    truth=None,
)
row(
    "activation changed", SYSTEM, "indistinguishable", run(net, None), run(lambda: net(activation="tanh"), None),
    ("T218",), sealed="refuse",
)  # fmt: skip
row(
    "optimizer Adam->SGD(momentum)", SYSTEM, "refuse", run(net, adam),
    run(net, lambda: keras.optimizers.SGD(0.01, momentum=0.9)), ("O201", "O202", "O203", "O204", "O205"),
)  # fmt: skip
row("a shard is missing", SYSTEM, "refuse", run(net, None), run(net, None), hurt=without_the_last)
row("a shard is cut", SYSTEM, "refuse", run(net, None), run(net, None), hurt=one_cut)
row(
    "two shards under each other's names",
    SYSTEM,
    "refuse",
    run(net, None),
    run(net, None),
    hurt=of_another_save,
)

ROWS: list[Row] = KERAS[_before:]
del KERAS[_before:]
