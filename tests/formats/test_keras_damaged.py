"""Damaged, unfinished and hostile Keras and HDF5 files, made here by script."""

from __future__ import annotations

import io
import json
import random
import threading
import zipfile

import h5py
import numpy as np
import pytest

from holdfast._core.errors import DamagedCheckpoint, HoldfastError, NotStored, Truncated
from holdfast._formats.hdf5.file import H5File
from holdfast._formats.registry import recognise
from holdfast._storage import BytesSource, LocalFolder

from .keras_cases import opened

CONFIG = {
    "module": "keras",
    "class_name": "Sequential",
    "config": {
        "name": "s",
        "layers": [
            {"class_name": "Dense", "config": {"name": "a", "use_bias": True}},
            {"class_name": "Dense", "config": {"name": "b", "use_bias": False}},
        ],
    },
    "compile_config": {
        "optimizer": {"class_name": "SGD", "config": {"name": "sgd", "momentum": 0.9}},
        "loss": "mse",
    },
}
METADATA = {"keras_version": "3.8.0", "date_saved": "2025-01-01@00:00:00"}
VALUES = {
    "layers/dense/vars/0": np.arange(12, dtype="f4").reshape(3, 4),
    "layers/dense/vars/1": np.arange(4, dtype="f4"),
    "layers/dense_1/vars/0": np.arange(8, dtype="f4").reshape(4, 2),
    "optimizer/vars/0": np.int64(7),
    "optimizer/vars/1": np.float32(0.25),
    "optimizer/vars/2": np.ones((3, 4), "f4"),
    "optimizer/vars/3": np.ones(4, "f4"),
    "optimizer/vars/4": np.ones((4, 2), "f4"),
}


def weights(values=VALUES, **how) -> bytes:
    """A weights file as bytes."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", **how) as file:
        file.create_group("vars").attrs["name"] = "s"
        for key, value in values.items():
            file[key] = value
        file["layers/dense/vars"].attrs["name"] = "a"
    return buffer.getvalue()


def archive(config=CONFIG, metadata=METADATA, body=None, leave=()) -> bytes:
    """A ``.keras`` file as bytes."""
    buffer = io.BytesIO()
    members = {
        "metadata.json": json.dumps(metadata).encode(),
        "config.json": config if isinstance(config, bytes) else json.dumps(config).encode(),
        "model.weights.h5": weights() if body is None else body,
    }
    with zipfile.ZipFile(buffer, "w") as zipped:
        for name, data in members.items():
            if name not in leave:
                zipped.writestr(name, data)
    return buffer.getvalue()


def catalog_of(data: bytes, store="."):
    source = BytesSource(data, "case")
    found = recognise(source)
    assert found is not None
    return found.read(source, LocalFolder(store))


def slugs(catalog) -> set[str]:
    return {fault.slug for fault in catalog.faults}


def test_sound_archive():
    with catalog_of(archive()) as catalog:
        assert catalog.format == "keras-archive"
        assert catalog.read("s/a/kernel").tobytes() == VALUES["layers/dense/vars/0"].tobytes()
        assert catalog["optimizer/sgd/s_a_bias_momentum"].owner == "s/a/bias"
        assert catalog["model.weights.h5:layers/dense_1/vars/0"].name == "s/b/kernel"
        assert (catalog.optimizers[0].step, catalog.optimizers[0].learning_rate) == (7, 0.25)
        assert catalog.optimizers[0].groups[0].configured["momentum"] == 0.9
        assert catalog.attributes["keras_version"] == "3.8.0"
        assert catalog.attributes["loss"] == "mse"
        assert not slugs(catalog)


def test_stored_offsets_point_at_the_bytes():
    data = archive()
    with catalog_of(data) as catalog:
        for spec in catalog.values():
            run = spec.stored[0]
            assert data[run.offset : run.offset + run.nbytes] == np.asarray(catalog.read(spec.name)).tobytes()


def test_plain_reads_copy_nothing(tmp_path):
    (tmp_path / "m.weights.h5").write_bytes(weights())
    with opened(tmp_path / "m.weights.h5") as catalog:
        array = catalog.read("layers/dense/vars/0")
        assert not array.flags.owndata and not array.flags.writeable


@pytest.mark.parametrize("part", [0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
@pytest.mark.parametrize("make", [weights, archive])
def test_cut_off(make, part):
    whole = make()
    data = whole[: int(len(whole) * part)]
    try:
        with catalog_of(data) as catalog:
            assert "truncated" in slugs(catalog)
            for name in catalog:
                spec = catalog[name]
                if spec.stored[0].offset is not None and spec.stored[0].offset + spec.nbytes > len(data):
                    with pytest.raises(Truncated):
                        catalog.read(name)
    except DamagedCheckpoint as error:
        assert error.file and isinstance(error, Truncated)


def test_left_open_by_its_writer():
    data = bytearray(weights(libver="latest"))
    assert data[8] == 3
    data[11] |= 1
    assert "leftover" in slugs(catalog_of(bytes(data)))


def test_trailing_bytes():
    assert "trailing-bytes" in slugs(catalog_of(weights() + b"x" * 100))


def test_user_block():
    with catalog_of(weights(userblock_size=512)) as catalog:
        assert not slugs(catalog)
        assert catalog.read("layers/dense/vars/1").tolist() == [0, 1, 2, 3]


def test_newest_layout():
    with catalog_of(weights(libver="latest")) as catalog:
        assert not slugs(catalog)
        assert all(np.array_equal(catalog.read(key), value) for key, value in VALUES.items())


def test_every_kind_of_dataset():
    buffer = io.BytesIO()
    values = {
        "big-endian": np.arange(3, dtype=">i4"),
        "bool": np.array([True, False]),
        "complex": np.array([1 + 2j]),
        "half": np.arange(3, dtype="f2"),
        "struct": np.array([(1, 2.0)], dtype=[("x", "i4"), ("y", "f8")]),
        "empty": np.zeros((0, 3), "f4"),
        "u8": np.arange(3, dtype="u8"),
    }
    with h5py.File(buffer, "w") as file:
        for key, value in values.items():
            file[key] = value
        file["texts"] = ["a", "bc"]
        file["bytes"] = np.array([b"a", b"bc"])
        file.create_dataset(
            "packed", data=np.arange(1000.0).reshape(20, 50), chunks=(7, 13), compression="gzip", shuffle=True
        )
    with catalog_of(buffer.getvalue()) as catalog:
        assert catalog.format == "hdf5" and not slugs(catalog)
        for key, value in values.items():
            array = catalog.read(key)
            assert array.dtype == value.dtype.newbyteorder("<") and np.array_equal(array, value), key
        assert catalog.read("texts").tolist() == [b"a", b"bc"] == catalog.read("bytes").tolist()
        packed = np.arange(1000.0)
        assert np.array_equal(catalog.read("packed").reshape(-1), packed)
        assert np.array_equal(np.concatenate(list(catalog.pieces("packed", 400))), packed)


def test_what_is_not_in_the_file_is_told(tmp_path):
    path = tmp_path / "odd.h5"
    with h5py.File(path, "w") as file:
        file["vars/0"] = np.arange(3.0)
        file["outside"] = h5py.ExternalLink("/etc/passwd", "/x")
        file["inside"] = h5py.SoftLink("/vars/0")
        file["round/again"] = file["/"]
        file.create_dataset("never", (5,), "f4")
        file.create_dataset("a/huge", (1 << 40, 1 << 20), "f4", chunks=(1024, 1024))
        file.create_dataset("a/elsewhere", (4,), "f4", external=[("/etc/passwd", 0, 16)])
        file["a/reference"] = file.ref
        file.create_dataset("z/lzf", data=np.zeros(100), compression="lzf")
        layout = h5py.VirtualLayout((3,), "f8")
        layout[:] = h5py.VirtualSource("other.h5", "x", (3,))
        file.create_virtual_dataset("z/virtual", layout)
    with opened(path) as catalog:
        assert catalog.read("vars/0").tolist() == [0, 1, 2]
        assert slugs(catalog) == {"not-stored", "malformed", "not-readable"}
        for name in ("never", "a/huge", "a/elsewhere", "a/reference", "z/lzf", "z/virtual"):
            with pytest.raises(NotStored):
                catalog.read(name)
        assert "outside" not in catalog


def test_forms_that_are_not_read_say_so(tmp_path):
    path = tmp_path / "dense.h5"
    with h5py.File(path, "w", libver="latest") as file:
        for i in range(50):
            file[f"g/{i}"] = np.arange(3.0)
        file["x"] = np.arange(3.0)
    with opened(path) as catalog:
        assert catalog.read("x").tolist() == [0, 1, 2]
        assert "not-readable" in slugs(catalog)


def test_fletcher32_finds_every_flip():
    buffer = io.BytesIO()
    values = np.random.default_rng(0).normal(size=(40, 11)).astype("f4")
    with h5py.File(buffer, "w") as file:
        file.create_dataset("x", data=values, chunks=(7, 11), fletcher32=True)
    data = buffer.getvalue()
    with catalog_of(data) as catalog:
        assert [check.run(lambda n: None) for check in catalog.checks()] == [None]
        places = [c.address + at for c in catalog._datasets["x"].index for at in range(0, c.size, 37)]
    for place in places:
        flipped = bytearray(data)
        flipped[place] ^= 1 << place % 8
        with catalog_of(bytes(flipped)) as catalog:
            faults = [check.run(lambda n: None) for check in catalog.checks()]
            assert [f.slug for f in faults] == ["checksum"] and faults[0].tensor == "x"
            with pytest.raises(DamagedCheckpoint):
                catalog.read("x")


def test_archive_finds_every_flip_in_its_members():
    data = archive()
    with zipfile.ZipFile(io.BytesIO(data)) as zipped:
        spans = [(i.header_offset + 30 + len(i.filename), i.file_size) for i in zipped.infolist()]
    rng = random.Random(1)
    for start, size in spans:
        for place in [start + rng.randrange(size) for _ in range(40)]:
            flipped = bytearray(data)
            flipped[place] ^= 1 << rng.randrange(8)
            try:
                with catalog_of(bytes(flipped)) as catalog:
                    found = [f for c in catalog.checks() if (f := c.run(lambda n: None)) is not None]
                assert [f.slug for f in found] == ["checksum"]
            except DamagedCheckpoint:
                pass  # so broken that it does not even open


@pytest.mark.parametrize(
    ("config", "slug"),
    [
        (b"{", "malformed"),
        (b"[" * 100_000, "limit"),
        (b"[1, 2]", None),
        (b'{"class_name": 3, "config": []}', None),
        (
            json.dumps(
                {"class_name": "Sequential", "config": {"layers": [{"class_name": "Dense", "config": 7}] * 3}}
            ).encode(),
            None,
        ),
    ],
)
def test_broken_configuration_leaves_the_tensors(config, slug):
    with catalog_of(archive(config)) as catalog:
        assert len(catalog) == len(VALUES)
        assert catalog.read("layers/dense/vars/1").tolist() == [0, 1, 2, 3]
        assert slugs(catalog) == ({slug} if slug else set())


def test_missing_members():
    with catalog_of(archive(leave=("config.json",))) as catalog:
        assert slugs(catalog) == {"part-missing"} and len(catalog) == len(VALUES)
    with catalog_of(archive(leave=("model.weights.h5",))) as catalog:
        assert slugs(catalog) == {"part-missing"} and len(catalog) == 0


def test_custom_and_lambda_objects_are_told():
    config = json.loads(json.dumps(CONFIG))
    config["config"]["layers"] += [
        {
            "module": "keras.layers",
            "class_name": "Lambda",
            "config": {"name": "f", "function": {"class_name": "__lambda__"}},
        },
        {"module": None, "class_name": "Mine", "config": {"name": "m"}, "registered_name": "pkg>Mine"},
        {"module": "evil.code", "class_name": "Thing", "config": {}, "registered_name": "Thing"},
    ]
    with catalog_of(archive(config)) as catalog:
        seen = {(f.slug, f.seen) for f in catalog.faults}
    assert {
        ("lambda-layer", "f"),
        ("custom-object", "pkg>Mine"),
        ("custom-object", "evil.code.Thing"),
    } <= seen


def sharded(folder, **change):
    keys = list(VALUES)
    parts = {"m_00000.weights.h5": keys[:3], "m_00001.weights.h5": keys[3:]}
    for name, inside in parts.items():
        with h5py.File(folder / name, "w") as file:
            for key in inside:
                file[key] = VALUES[key]
    index = {
        "metadata": {"total_size": sum(v.nbytes for v in VALUES.values())},
        "weight_map": {
            "/layers/dense/vars": ["m_00000.weights.h5"],
            "/layers/dense_1/vars": "m_00000.weights.h5",
            "/optimizer/vars": ["m_00001.weights.h5"],
        },
    }
    index["weight_map"].update(change)
    (folder / "m.weights.json").write_text(json.dumps(index))
    return folder / "m.weights.json"


def test_shards(tmp_path):
    with opened(sharded(tmp_path)) as catalog:
        assert catalog.format == "keras-weights-sharded" and not slugs(catalog)
        assert all(np.array_equal(catalog.read(k), v) for k, v in VALUES.items())
        assert len(catalog.files) == 3


def test_missing_shard(tmp_path):
    index = sharded(tmp_path)
    (tmp_path / "m_00001.weights.h5").unlink()
    with opened(index) as catalog:
        (fault,) = [f for f in catalog.faults if f.slug == "part-missing"]
        assert fault.tensors == ("optimizer/vars",) and "m_00001" in fault.file
        assert catalog.read("layers/dense/vars/1").tolist() == [0, 1, 2, 3]
        with pytest.raises(HoldfastError):
            catalog.read("optimizer/vars")


def test_index_that_disagrees(tmp_path):
    index = sharded(
        tmp_path, **{"/layers/dense_1/vars": ["m_00001.weights.h5"], "/gone/vars": ["m_00000.weights.h5"]}
    )
    with opened(index) as catalog:
        assert slugs(catalog) == {"index-disagrees"}


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "..\\x", "C:\\x"])
def test_shard_names_stay_in_the_folder(tmp_path, name):
    with opened(sharded(tmp_path, **{"/optimizer/vars": [name]})) as catalog:
        assert slugs(catalog) & {"part-missing", "truncated"}
        assert not any("passwd" in file for file in catalog.files)


def test_many_threads_read_the_same(tmp_path):
    with catalog_of(archive()) as catalog:
        wrong = []

        def work():
            for _ in range(50):
                for key, value in VALUES.items():
                    if not np.array_equal(catalog.read(key), value):
                        wrong.append(key)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong


class Counting(BytesSource):
    """Counts the bytes that were asked for."""

    asked = 0

    def _read(self, offset, length):
        self.asked += length
        return super()._read(offset, length)

    def view(self, offset, length):
        self.asked += length
        return super().view(offset, length)


def test_opening_reads_no_data():
    source = Counting(weights({**VALUES, "layers/big/vars/0": np.zeros((2000, 1000), "f4")}), "big")
    found = recognise(source)
    assert found is not None
    with found.read(source, LocalFolder(".")) as catalog:
        assert catalog["layers/big/vars/0"].nbytes == 8_000_000
        assert source.asked < 200_000


@pytest.mark.parametrize("make", [weights, archive, lambda: weights(libver="latest")])
@pytest.mark.parametrize("seed", range(4))
def test_fuzz(make, seed):
    whole = make()
    for number in range(60):
        rng = random.Random(1000 * seed + number)
        data = bytearray(whole)
        kind = rng.randrange(4)
        if kind == 0:
            for _ in range(rng.choice([1, 2, 8])):
                data[rng.randrange(len(data))] = rng.randrange(256)
        elif kind == 1:
            del data[rng.randrange(len(data)) :]
        elif kind == 2:
            place = rng.randrange(len(data) - 8)
            data[place : place + 8] = rng.choice([b"\xff" * 8, (1 << 40).to_bytes(8, "little"), bytes(8)])
        else:
            data[rng.randrange(min(len(data), 4096))] ^= 1 << rng.randrange(8)
        source = BytesSource(bytes(data), "fuzzed")
        found = recognise(source)
        if found is None:
            continue
        try:
            with found.read(source, LocalFolder(".")) as catalog:
                for check in catalog.checks():
                    check.run(lambda n: None)
                for name in catalog:
                    try:
                        catalog.read(name)
                    except HoldfastError as error:
                        assert str(error)
        except HoldfastError as error:
            assert error.file


def test_repeated_strings_do_not_outgrow_the_file():
    """Many references to one long text in the heap: a small file that would become gigabytes."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["x"] = ["y" * 60_000] + [""] * 5000
    data = bytearray(buffer.getvalue())
    found = H5File(BytesSource(bytes(data), "x")).datasets["x"]
    first = bytes(data[found.offset : found.offset + 16])
    data[found.offset : found.offset + 16 * 5001] = first * 5001
    file = H5File(BytesSource(bytes(data), "x"))
    with pytest.raises(DamagedCheckpoint):
        file.read(file.datasets["x"])
