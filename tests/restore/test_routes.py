"""Which way a tensor takes: large plain tensors go straight into live memory, and proving that reads none of them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from holdfast._core.errors import DamagedCheckpoint
from holdfast._integrity.files import Names
from holdfast._integrity.places import stored_run
from holdfast._layouts.resolve import resolve
from holdfast._restore.routes import _copied, same_file
from holdfast._storage import LocalFile
from holdfast._storage.local import placing

SIZE = 1 << 20


def written(folder: Path, form: str, values: np.ndarray) -> Path:
    if form == "safetensors":
        safetensors = pytest.importorskip("safetensors.numpy")
        safetensors.save_file({"w": values}, folder / "m.safetensors")
        return folder / "m.safetensors"
    torch = pytest.importorskip("torch")
    torch.save({"w": torch.from_numpy(values)}, folder / "m.pt")
    return folder / "m.pt"


@pytest.mark.parametrize("form", ["safetensors", "torch"])
def test_a_large_plain_tensor_is_placed_without_reading_it(form, tmp_path, monkeypatch):
    values = np.arange(SIZE, dtype=np.float32)
    (target,) = resolve(os.fspath(written(tmp_path, form, values)))
    with target.format.read(target.store.open(target.main), target.store) as catalog:
        read: list[int] = []
        whole = LocalFile._read
        monkeypatch.setattr(
            LocalFile, "_read", lambda self, offset, n: (read.append(n), whole(self, offset, n))[1]
        )
        place = stored_run(catalog, catalog["w"], Names(target, catalog), target.store.open)
        assert place is not None
        source, offset, length = place
        assert sum(read) < 4096
        assert source.read(offset, length) == values.tobytes()
        source.close()


def test_views_are_mapped_only_while_places_are_asked_for(tmp_path):
    (tmp_path / "f").write_bytes(bytes(range(256)) * 64)
    source = LocalFile(tmp_path / "f")
    with placing():
        mapped = source.view(256, 512)
    copied = source.view(256, 512)
    assert type(mapped.obj) is not type(copied.obj) is bytes
    assert mapped == copied


def test_another_file_under_the_name_is_an_error(tmp_path):
    values = np.arange(SIZE, dtype=np.float32)
    path = written(tmp_path, "safetensors", values)
    (target,) = resolve(os.fspath(path))
    with target.format.read(target.store.open(target.main), target.store) as catalog:
        place = stored_run(catalog, catalog["w"], Names(target, catalog), target.store.open)
        assert place is not None
        source, offset, length = place
        same_file(catalog, [("w", source, offset, length)])
        other = tmp_path / "other.safetensors"
        other.write_bytes(path.read_bytes().replace(values[SIZE // 2 :][:64].tobytes(), bytes(256)))
        replaced = LocalFile(other)
        with pytest.raises(DamagedCheckpoint, match="replaced or changed"):
            same_file(catalog, [("w", replaced, offset, length)])
        replaced.close()
        source.close()


def test_a_lost_page_is_told_by_the_kernel(tmp_path):
    (tmp_path / "f").write_bytes(bytes(1 << 16))
    source = LocalFile(tmp_path / "f")
    with placing():
        view = source.view(0, 1 << 16)
    assert _copied(view[:4096]) == bytes(4096)
    os.truncate(tmp_path / "f", 4096)
    assert _copied(view[8192:12288]) is None
    source.close()
