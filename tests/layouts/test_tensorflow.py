"""Folders of TensorFlow: parts, state files, moved and dangling paths, SavedModels, leftovers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from holdfast._core.errors import DamagedCheckpoint
from holdfast._formats.registry import format_named
from holdfast._layouts.state_file import read_state_file, state_faults
from holdfast._layouts.tensorflow import find_bundles, leftovers, locate, part_of
from holdfast._storage import BytesSource, LocalFolder
from shared import ZOO, needs_shared
from tf_writer import write_bundle

ARRAYS = {"w": np.arange(4, dtype=np.float32), "b": np.zeros(2)}


def state(text: str) -> object:
    return read_state_file(BytesSource(text.encode(), "checkpoint"))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    for step in (9, 10):
        write_bundle(tmp_path / f"model.ckpt-{step}", ARRAYS, shards=2)
    (tmp_path / "checkpoint").write_text(
        'model_checkpoint_path: "model.ckpt-10"\nall_model_checkpoint_paths: "model.ckpt-9"\n'
        'all_model_checkpoint_paths: "model.ckpt-10"\n'
    )
    return tmp_path


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("m.index", "m"),
        ("m.data-00000-of-00002", "m"),
        ("a.b.data-00001-of-00002", "a.b"),
        ("checkpoint", None),
        ("m.data-0-of-2", None),
        ("m.data-00000-of-00001.tempstate12", None),
        (".index", None),
    ],
)
def test_part_of(name, prefix):
    assert part_of(name) == prefix


def test_bundles_of_a_folder(run):
    first, second = find_bundles(LocalFolder(run))
    assert (first.prefix, second.prefix) == ("model.ckpt-10", "model.ckpt-9")
    assert first.index == "model.ckpt-10.index" and len(first.present) == 2 and first.missing == ()
    (run / "model.ckpt-9.data-00001-of-00002").unlink()
    (run / "model.ckpt-10.index").unlink()
    first, second = find_bundles(LocalFolder(run))
    assert first.index is None and first.missing == ("model.ckpt-10.index",)
    assert second.missing == ("model.ckpt-9.data-00001-of-00002",)


def test_index_alone_tells_its_shards(run):
    for shard in run.glob("model.ckpt-9.data*"):
        shard.unlink()
    bundle = find_bundles(LocalFolder(run))[1]
    assert len(bundle.missing) == 2 and bundle.present == ()


def test_state_file_text_format():
    found = state(
        '# a comment\nmodel_checkpoint_path: "a\\"b\\303\\244\\n"\nall_model_checkpoint_paths: \'x\'\n'
        "all_model_checkpoint_timestamps: 1.5e9\nlast_preserved_timestamp: 3\n\n"
    )
    assert found == ('a"bä\n', ("x",), (1.5e9,))


@pytest.mark.parametrize(
    "text", ["", "\x93hello", "model_checkpoint_path: ckpt", 'other: "x"', 'model_checkpoint_path "x"']
)
def test_other_things_called_checkpoint(text):
    with pytest.raises(DamagedCheckpoint):
        state(text)


def test_state_file_faults(run):
    store = LocalFolder(run, str(run))
    assert not state_faults(store, state(f'model_checkpoint_path: "{run}/model.ckpt-10"'))
    (moved,) = state_faults(store, state('model_checkpoint_path: "/gone/run/model.ckpt-10"'))
    assert moved.slug == "state-file-moved" and moved.attributes["latest"]
    (gone,) = state_faults(store, state('model_checkpoint_path: "model.ckpt-11"'))
    assert gone.slug == "state-file-dangling" and gone.seen == "model.ckpt-11" and gone.attributes["latest"]
    (older,) = state_faults(
        store,
        state('model_checkpoint_path: "model.ckpt-10"\nall_model_checkpoint_paths: "../../etc/model.ckpt-7"'),
    )
    assert older.slug == "state-file-dangling" and not older.attributes["latest"]


@pytest.mark.parametrize(
    "typed", ["model.ckpt-9", "model.ckpt-9.index", "model.ckpt-9.data-00001-of-00002", "checkpoint", ""]
)
def test_what_a_name_means(run, typed):
    found = locate(LocalFolder(run), typed)
    prefixes = [item.prefix for item in found]
    assert prefixes == (["model.ckpt-9"] if "9" in typed else ["model.ckpt-10", "model.ckpt-9"])
    assert found[0].main == f"{found[0].prefix}.index" and found[0].format == "tf-bundle"
    assert len(found[0].parts) == 3 and not found[0].faults


def test_a_folder_above(run):
    assert [f.prefix for f in locate(LocalFolder(run.parent), run.name)] == ["model.ckpt-10", "model.ckpt-9"]
    assert locate(LocalFolder(run), "nothing") == []


def test_leftovers(run):
    folder = run / "model.ckpt-10_temp"
    folder.mkdir()
    (folder / "part-00000-of-00001.data-00000-of-00001").write_bytes(b"1234")
    (run / "model.ckpt-9.index.tempstate77").write_bytes(b"12")
    (run / "my_temp").mkdir()
    (run / "my_temp" / "notes.txt").write_text("mine")
    found = {fault.attributes["prefix"]: fault.attributes["bytes"] for fault in leftovers(LocalFolder(run))}
    assert found == {"model.ckpt-10": 4, "model.ckpt-9": 2}
    first, second = locate(LocalFolder(run))
    assert [f.slug for f in first.faults] == ["leftover"] == [f.slug for f in second.faults]


@needs_shared
def test_saved_model_folder():
    folder = ZOO / "tensorflow-2.13.1" / "saved_model_keras" / "sm"
    (found,) = locate(LocalFolder(folder))
    assert (found.format, found.main) == ("savedmodel", "saved_model.pb")
    assert set(found.parts) >= {"variables/variables.index", "keras_metadata.pb"}
    assert locate(LocalFolder(folder), "saved_model.pb") == [found]
    (inside,) = locate(LocalFolder(folder), "variables")
    assert (inside.format, inside.main) == ("tf-bundle", "variables.index")


@needs_shared
def test_saved_model_without_its_variables(tmp_path):
    folder = ZOO / "tensorflow-2.13.1" / "saved_model_keras" / "sm"
    (tmp_path / "saved_model.pb").write_bytes((folder / "saved_model.pb").read_bytes())
    store = LocalFolder(tmp_path)
    catalog = format_named("savedmodel").read(store.open("saved_model.pb"), store)
    assert len(catalog) == 0 and [fault.slug for fault in catalog.faults] == ["part-missing"]
