"""Damage to folders: parts missing or of two saves, state files, leftovers of interrupted saves."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import damage_bases as bases
import numpy as np
from damage_bases import Base
from damage_bytes import Mutator, data_removed, head_removed, left_beside, renamed_as_download


@lru_cache(maxsize=8)
def _other_save(name: str) -> dict[str, bytes]:
    """The files of a second save of the same model, trained from another seed."""
    writers: dict[str, Callable[..., Any]] = {
        "safetensors-sharded": bases.write_safetensors_sharded,
        "torch-sharded": bases.write_torch_sharded,
        "keras-sharded": bases.write_keras_sharded,
        "tf-object": bases.write_tf_object,
    }
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        writers[name](folder, 77)
        return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def mixed(name: str) -> Mutator:
    """The data file of another save under the right name."""

    def mutate(folder: Path, base: Base) -> None:
        (folder / base.data).write_bytes(_other_save(name)[base.data])

    return mutate


def index_edited(change: Callable[[dict[str, Any]], Any]) -> Mutator:
    def mutate(folder: Path, base: Base) -> None:
        assert base.head is not None
        path = folder / base.head
        index = json.loads(path.read_text())
        change(index)
        path.write_text(json.dumps(index))

    return mutate


def _swap_file(index: dict[str, Any]) -> None:
    files = sorted(set(index["weight_map"].values()))
    name = next(n for n, f in index["weight_map"].items() if f == files[0])
    index["weight_map"][name] = files[1]


def _drop_entry(index: dict[str, Any]) -> None:
    del index["weight_map"][next(iter(index["weight_map"]))]


def _add_entry(index: dict[str, Any]) -> None:
    index["weight_map"]["head.weight"] = next(iter(index["weight_map"].values()))


def _third_shard(index: dict[str, Any]) -> None:
    index["weight_map"]["head.weight"] = "model-00003-of-00003.safetensors"


def _wrong_total(index: dict[str, Any]) -> None:
    index["metadata"]["total_size"] += 4096


def state_edited(change: Callable[[str], str]) -> Mutator:
    def mutate(folder: Path, base: Base) -> None:
        path = folder / "checkpoint"
        path.write_text(change(path.read_text()))

    return mutate


def newest_deleted(folder: Path, base: Base) -> None:
    for path in folder.glob("ckpt-4.*"):
        path.unlink()


def all_deleted(folder: Path, base: Base) -> None:
    for path in folder.glob("ckpt-*"):
        path.unlink()


def state_removed(folder: Path, base: Base) -> None:
    (folder / "checkpoint").unlink()


def data_of_older(folder: Path, base: Base) -> None:
    """The newest index beside the data of another step (values differ)."""
    (folder / base.data).write_bytes(_other_save("tf-object")["ckpt.data-00000-of-00001"])


def graph_of_hub_removed(folder: Path, base: Base) -> None:
    (folder / "export" / "saved_model.pb").unlink()


def h5_left_open(latest: bool) -> Mutator:
    """A process that is killed while it writes: half of the datasets, nothing closed."""

    def mutate(folder: Path, base: Base) -> None:
        path = folder / base.data
        options = ', libver="latest"' if latest else ""
        script = (
            "import h5py, numpy as np, os\n"
            f"f = h5py.File({str(path)!r}, 'w'{options})\n"
            "for n in range(12):\n"
            "    values = np.random.rand(64, 256).astype('f4')\n"
            "    f.create_dataset(f'layers/dense_{n}/vars/0', data=values)\n"
            "    if n == 5: f.flush()\n"
            "    if n == 9: os._exit(9)\n"
        )
        subprocess.run([sys.executable, "-c", script], check=False, timeout=60)

    return mutate


def moved(text: str) -> str:
    return re.sub(r'"(ckpt-\d)"', r'"/srv/old/run/\1"', text)


def duplicate_in_shards(folder: Path, base: Base) -> None:
    """One tensor in two shards, with different values."""
    from safetensors.numpy import load_file, save_file

    path = folder / base.data
    arrays = dict(load_file(path))
    arrays["emb.weight"] = next(iter(load_file(folder / "model-00001-of-00002.safetensors").values())) + 1
    save_file({n: np.asarray(a) for n, a in arrays.items()}, path)


def _rows() -> Iterator[tuple[str, str, str, Mutator]]:
    for name in ("safetensors-sharded", "torch-sharded", "keras-sharded"):
        yield name, "one shard missing", "part-missing/damaged", data_removed
        yield name, "index missing", "any:part-missing|tensor-missing", head_removed
    yield "safetensors-sharded", "shard of another save", "blind", mixed("safetensors-sharded")
    yield "torch-sharded", "shard of another save", "blind", mixed("torch-sharded")
    yield "keras-sharded", "shard of another save", "blind", mixed("keras-sharded")
    yield (
        "safetensors-sharded",
        "tensor mapped to another shard",
        "index-disagrees/damaged",
        index_edited(_swap_file),
    )
    yield "safetensors-sharded", "tensor not in the index", "any:index-disagrees", index_edited(_drop_entry)
    yield (
        "safetensors-sharded",
        "index names a tensor nobody has",
        "index-disagrees/damaged",
        index_edited(_add_entry),
    )
    yield (
        "safetensors-sharded",
        "index names a third shard",
        "part-missing/damaged",
        index_edited(_third_shard),
    )
    yield "safetensors-sharded", "total_size wrong", "any:index-disagrees", index_edited(_wrong_total)
    yield (
        "safetensors-sharded",
        "one tensor in two shards",
        "any:shards-mixed|index-disagrees",
        duplicate_in_shards,
    )
    for name in ("tf-object", "tf-name", "savedmodel"):
        yield name, "data file missing", "part-missing/lost", data_removed
        yield name, "index missing", "part-missing/lost", head_removed
    yield "tf-object", "data of another save", "shards-mixed/lost|damaged", mixed("tf-object")
    # The variables are a bundle of their own, and read: no error.
    yield "savedmodel", "saved_model.pb missing", "warn:part-missing/sound", graph_of_hub_removed
    yield "tf-run", "newest files deleted", "any:state-file-dangling", newest_deleted
    yield "tf-run", "all files deleted", "any:state-file-dangling", all_deleted
    yield "tf-run", "newest index missing", "any:part-missing", head_removed
    yield "tf-run", "newest data missing", "any:part-missing", data_removed
    yield "tf-run", "newest data of another save", "shards-mixed|truncated", data_of_older
    yield "tf-run", "moved (absolute paths)", "note:state-file-moved/sound", state_edited(moved)
    yield (
        "tf-run",
        "state file empty",
        "any:empty-file|malformed|state-file-dangling",
        state_edited(lambda t: ""),
    )
    yield "tf-run", "state file cut", "silent", state_edited(lambda t: t[: t.index("all_model") + 60])
    yield "tf-run", "state file absent", "silent", state_removed
    yield (
        "tf-run",
        "ckpt_temp left",
        "note:leftover/sound",
        left_beside("ckpt-5_temp/part-00000-of-00001.data-00000-of-00001"),
    )
    yield (
        "tf-run",
        ".tempstate left",
        "note:leftover/sound",
        left_beside("ckpt-5.data-00000-of-00001.tempstate1234567"),
    )
    yield (
        "tf-object",
        "ckpt_temp left",
        "note:leftover/sound",
        left_beside("ckpt_temp/part-00000-of-00001.data-00000-of-00001"),
    )
    for name, left in (
        ("safetensors", "model.safetensors.tmp"),
        ("safetensors", ".model.safetensors.tmpAbC123"),
        ("torch-train", "checkpoint.pt.tmp"),
        ("lightning", "last.ckpt.tmp"),
        ("keras-weights", "model.weights.h5.tmp"),
    ):
        yield name, f"{left} left", "note:leftover/sound", left_beside(left)
    for name in ("keras-weights", "keras-h5"):
        yield name, "killed while writing", "any:malformed|truncated|trailing-bytes", h5_left_open(False)
        yield (
            name,
            "killed while writing (libver latest)",
            "any:malformed|truncated|leftover|trailing-bytes",
            h5_left_open(True),
        )
    for name in (
        "torch-state",
        "torch-legacy",
        "keras-archive",
        "keras-h5",
        "safetensors",
        "npz",
        "lightning",
    ):
        yield name, "half download (.part)", "half-download/damaged|lost", renamed_as_download


FOLDER_ROWS = tuple(_rows())
