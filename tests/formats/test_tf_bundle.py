"""The bundle reader: real files of many versions compared value by value, and damage of every kind made by
script.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

import holdfast
from holdfast._core.errors import ChecksumMismatch, DamagedCheckpoint, LimitExceeded, PartMissing, Truncated
from holdfast._formats.registry import format_named, recognise
from holdfast._formats.tensorflow.bundle import open_bundle
from holdfast._formats.tensorflow.catalog import BundleCatalog
from holdfast._formats.tensorflow.entries import Slice
from holdfast._formats.tensorflow.table import Table
from holdfast._storage import open_local
from shared import FILES, ZOO, file_cases, needs_files, needs_shared, same_bits, truth_of, zoo_cases
from tf_writer import entry, header, sliced_items, table, write_bundle

ZOO_FORMATS = ("tf_checkpoint_v2", "tf_checkpoint_v2_object", "tf_savedmodel")
RNG = np.random.default_rng(7)
ARRAYS = {
    "a/kernel": RNG.standard_normal((5, 3)).astype(np.float32),
    "a/bias": RNG.standard_normal(3),
    "b/c": RNG.integers(-9, 9, (2, 2, 2)),
    "b/flags": np.array([True, False]),
    "empty": np.zeros((0, 4), np.float32),
    "z": np.array(3 + 4j, np.complex64),
}


def opened(path: Path | str) -> BundleCatalog:
    source, store, _ = open_local(path)
    return open_bundle(source, store)


def failed(catalog: BundleCatalog) -> list:
    return [fault for check in catalog.checks() if (fault := check.run(lambda n: None)) is not None]


def slugs(catalog: BundleCatalog) -> list[str]:
    return [fault.slug for fault in catalog.faults]


# -- real files
# --------------------------------------------------------------------------------------------------
@needs_shared
@pytest.mark.parametrize("case", zoo_cases(*ZOO_FORMATS), ids=lambda case: case["id"])
def test_zoo_case_bit_for_bit(case):
    truth, values = truth_of(case)
    folder = ZOO / case["folder"]
    mains = sorted(folder.rglob("saved_model.pb")) or sorted(folder.rglob("*.index"))
    catalogs = []
    for main in mains:
        source, store, _ = open_local(main)
        form = recognise(source)
        assert form is not None and form.name == ("savedmodel" if main.suffix == ".pb" else "tf-bundle")
        catalogs.append(form.read(source, store))
    assert not [fault for catalog in catalogs for fault in catalog.faults]
    assert not [fault for catalog in catalogs for fault in failed(catalog)]
    assert not [clash for catalog in catalogs for clash in catalog.clashes]
    for name, told in truth["names"].items():
        key = name.removeprefix("older:")
        found = [catalog.read(key) for catalog in catalogs if key in catalog]
        assert found, name
        if name in values:
            assert any(same_bits(array, told, values[name]) for array in found), name


@needs_shared
def test_zoo_names_owners_and_steps():
    right = total = 0
    for case in zoo_cases(*ZOO_FORMATS):
        folder = ZOO / case["folder"]
        truth = json.loads((folder / "truth.json").read_text())
        main = (sorted(folder.rglob("saved_model.pb")) or sorted(folder.rglob("*.index")))[-1]
        source, store, _ = open_local(main)
        catalog = recognise(source).read(source, store)
        for name, keys in (truth.get("stored_as") or {}).items():
            if name.startswith("optimizer/") and not catalog.optimizers:
                continue  # the file holds no optimizer; the truth found its step under the same bits
            total += 1
            right += any(catalog[key].name == name.removesuffix(":0") for key in keys if key in catalog)
        for spec in catalog.values():
            if spec.role in ("slot", "average"):
                assert spec.owner in catalog and catalog[spec.owner].role == "weight", (case["id"], spec.name)
                assert catalog[spec.owner].shape == spec.shape
                assert spec.optimizer or spec.role == "average"
        if truth.get("step") is not None:
            assert catalog.attributes["step"] == truth["step"], case["id"]
        told = truth.get("hyperparameters") or {}
        told = (told.get("inner_optimizer") or {}).get("config", told)
        for optimizer in catalog.optimizers:
            if isinstance(told.get("learning_rate"), float) and isinstance(optimizer.learning_rate, float):
                assert optimizer.learning_rate == pytest.approx(told["learning_rate"])
            if isinstance(told.get("name"), str):
                assert (optimizer.class_name or optimizer.class_likely).lower() == told["name"].lower()
    assert right / total > 0.98, (right, total)


@needs_files
@pytest.mark.parametrize(
    "case", file_cases("tf-bundle", "savedmodel"), ids=lambda case: case["paths"][0].split("/")[1]
)
def test_public_file(case):
    truth = json.loads((FILES / case["truth"]["all"]).read_text())
    tensors = truth.get("tensors", truth)
    folder = (FILES / case["paths"][0]).parent
    while folder.parent.name not in ("tf-bundle", "savedmodel"):
        folder = folder.parent
    seen = 0
    for main in sorted(folder.rglob("saved_model.pb")) or sorted(folder.rglob("*.index")):
        source, store, _ = open_local(main)
        form = recognise(source)
        assert form is not None and form.name in ("tf-bundle", "savedmodel")
        catalog = form.read(source, store)
        assert ("part-missing" in slugs(catalog)) == bool(case["broken"])
        assert not failed(catalog)
        for spec in list(catalog.values()):
            told = tensors.get(spec.key) or tensors.get(f"{main.stem}::{spec.key}")
            assert told is not None, spec.key
            seen += 1
            assert list(spec.shape) == list(told["shape"]) and spec.dtype == told["dtype"]
            if "sha256" in told and spec.dtype != "string":
                assert (
                    hashlib.sha256(np.ascontiguousarray(catalog.read(spec.key)).tobytes()).hexdigest()
                    == told["sha256"]
                )
            elif "sha256" in told and spec.shape == ():
                assert hashlib.sha256(catalog.read(spec.key).item()).hexdigest() == told["sha256"]
            elif "read_error" in told:
                with pytest.raises(PartMissing):
                    catalog.read(spec.key)
    assert seen == case["truth"]["n_tensors"]


# -- what is written is read
# ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("endian", [0, 1])
@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("shards", [1, 3])
def test_round_trip(tmp_path, shards, compress, endian):
    write_bundle(tmp_path / "m-3", ARRAYS, shards=shards, compress=compress, endian=endian)
    catalog = opened(tmp_path / "m-3.index")
    assert sorted(catalog) == sorted(ARRAYS) and not catalog.faults and not failed(catalog)
    for name, array in ARRAYS.items():
        got = catalog.read(name)
        assert got.dtype == array.dtype and got.shape == array.shape and np.array_equal(got, array)
        assert not got.flags.writeable
    assert len(catalog.files) == 1 + shards


def test_plain_tensors_are_not_copied(tmp_path):
    write_bundle(tmp_path / "m", {"w": np.arange(1024, dtype=np.float32)})
    catalog = holdfast.open(tmp_path / "m.index")
    first, second = catalog.read("w"), catalog.read("w")
    assert np.shares_memory(first, second)


def sliced(
    tmp_path: Path, pieces: list[Slice], stored: list[Slice] | None = None
) -> tuple[BundleCatalog, np.ndarray]:
    array = np.arange(24, dtype=np.int32).reshape(6, 4)
    items, data = sliced_items("net/emb", array, pieces, stored)
    items[b""] = header()
    (tmp_path / "p.index").write_bytes(table(sorted(items.items())))
    (tmp_path / "p.data-00000-of-00001").write_bytes(data)
    return opened(tmp_path / "p.index"), array


def test_slices_are_put_together(tmp_path):
    pieces = [Slice((0, 0), (2, -1)), Slice((2, 0), (4, 3)), Slice((2, 3), (4, 1))]
    catalog, array = sliced(tmp_path, pieces)
    assert not catalog.faults and not failed(catalog)
    assert np.array_equal(catalog.read("net/emb"), array)
    spec = catalog["net/emb"]
    assert [(s.extent.start, s.extent.length) for s in spec.stored] == [
        ((0, 0), (2, 4)),
        ((2, 0), (4, 3)),
        ((2, 3), (4, 1)),
    ]
    assert spec.nbytes == array.nbytes and [s.nbytes for s in spec.stored] == [32, 48, 16]


@pytest.mark.parametrize(
    ("pieces", "stored"),
    [
        ([Slice((0, 0), (2, -1)), Slice((3, 0), (3, -1))], None),  # a row in none
        ([Slice((0, 0), (4, -1)), Slice((3, 0), (3, -1))], None),  # a row in two
        ([Slice((0, 0), (3, -1)), Slice((2, 0), (3, -1))], None),  # one in two, one in none
        ([Slice((0, 0), (2, -1)), Slice((2, 0), (4, -1))], [Slice((0, 0), (2, -1))]),  # one not stored
        ([Slice((0, 0), (6, 4))], [Slice((0, 0), (6, 4)), Slice((0, 0), (1, 1))]),  # one not listed
    ],
)
def test_slices_that_do_not_cover(tmp_path, pieces, stored):
    catalog, _ = sliced(tmp_path, pieces, stored)
    assert "slice-coverage" in slugs(catalog)
    if stored is None or len(stored) < len(pieces):
        with pytest.raises(DamagedCheckpoint):
            catalog.read("net/emb")


# -- damage
# -----------------------------------------------------------------------------------------------------------
@pytest.fixture
def bundle(tmp_path):
    places = write_bundle(tmp_path / "m-3", ARRAYS, shards=2)
    return tmp_path, places


def test_missing_shard_takes_its_tensors_along(bundle):
    folder, places = bundle
    (folder / "m-3.data-00001-of-00002").unlink()
    catalog = opened(folder / "m-3.index")
    (fault,) = catalog.faults
    gone = {name for name, (shard, _, _) in places.items() if shard == 1}
    assert fault.slug == "part-missing" and set(fault.tensors) == gone
    assert fault.file.endswith("m-3.data-00001-of-00002") and set(catalog) == set(ARRAYS)
    for name in ARRAYS:
        if name in gone:
            with pytest.raises(PartMissing):
                catalog.read(name)
        else:
            assert np.array_equal(catalog.read(name), ARRAYS[name])


def test_short_shard(bundle):
    folder, places = bundle
    shard = folder / "m-3.data-00000-of-00002"
    raw = shard.read_bytes()
    shard.write_bytes(raw[:-1])
    catalog = opened(folder / "m-3.index")
    last = max((n for n in places if places[n][0] == 0), key=lambda n: places[n][1] + places[n][2])
    (fault,) = catalog.faults
    assert fault.slug == "truncated" and fault.tensors == (last,) and fault.offset == len(raw) - 1
    with pytest.raises(Truncated):
        catalog.read(last)


def test_trailing_bytes_and_padding(tmp_path):
    write_bundle(tmp_path / "m", {"w": np.arange(4, dtype=np.float32)})
    shard = tmp_path / "m.data-00000-of-00001"
    shard.write_bytes(shard.read_bytes() + b"junk")
    assert slugs(opened(tmp_path / "m.index")) == ["trailing-bytes"]


def test_aligned_bundle_has_no_holes(tmp_path):
    one, two = np.arange(5, dtype=np.float32), np.arange(3, dtype=np.float64)
    items = {
        b"": header(),
        b"one": entry("float32", (5,), 0, 0, one.tobytes()),
        b"two": entry("float64", (3,), 0, 64, two.tobytes()),
    }
    (tmp_path / "m.index").write_bytes(table(sorted(items.items())))
    data = one.tobytes().ljust(64, b"\0") + two.tobytes()
    for padded in (data, data.ljust(128, b"\0")):
        (tmp_path / "m.data-00000-of-00001").write_bytes(padded)
        catalog = opened(tmp_path / "m.index")
        assert not catalog.faults and np.array_equal(catalog.read("two"), two)


def test_overlap_and_hole(tmp_path):
    raw = np.arange(4, dtype=np.float32).tobytes()
    for second, slug in ((8, "overlap"), (77, "hole")):
        items = {
            b"": header(),
            b"a": entry("float32", (4,), 0, 0, raw),
            b"b": entry("float32", (4,), 0, second, raw),
        }
        items[b"c"] = entry("float32", (4,), 0, second + 16, raw)
        (tmp_path / "m.index").write_bytes(table(sorted(items.items())))
        (tmp_path / "m.data-00000-of-00001").write_bytes(bytes(second + 32))
        assert slug in slugs(opened(tmp_path / "m.index"))


def test_every_flip_is_found(bundle):
    folder, _ = bundle
    files = sorted(folder.iterdir())
    rng = np.random.default_rng(3)
    for _ in range(120):
        path = files[rng.integers(len(files))]
        whole = path.read_bytes()
        if not whole:
            continue
        bit = int(rng.integers(len(whole) * 8))
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        try:
            catalog = opened(folder / "m-3.index")
            assert catalog.faults or failed(catalog), (path.name, bit)
        except DamagedCheckpoint:
            pass
        path.write_bytes(whole)


def test_a_flip_names_its_tensor(bundle):
    folder, places = bundle
    shard, offset, _ = places["a/kernel"]
    path = folder / f"m-3.data-0000{shard}-of-00002"
    raw = bytearray(path.read_bytes())
    raw[offset + 9] ^= 4
    path.write_bytes(raw)
    (fault,) = failed(opened(folder / "m-3.index"))
    assert (fault.slug, fault.tensor, fault.offset, fault.file) == ("checksum", "a/kernel", offset, str(path))


def test_mixed_shards_fail_as_one_file(tmp_path):
    for name, seed in (("x", 1), ("y", 2)):
        rng = np.random.default_rng(seed)
        write_bundle(tmp_path / name, {f"v{i}": rng.standard_normal(8) for i in range(6)}, shards=2)
    (tmp_path / "x.data-00001-of-00002").write_bytes((tmp_path / "y.data-00001-of-00002").read_bytes())
    catalog = opened(tmp_path / "x.index")
    assert not catalog.faults
    assert {fault.file for fault in failed(catalog)} == {str(tmp_path / "x.data-00001-of-00002")}
    assert len(failed(catalog)) == 3


def test_damaged_block_leaves_the_others(tmp_path):
    write_bundle(tmp_path / "m", {f"v{i:02d}": np.full(3, i, np.int32) for i in range(20)})
    index = tmp_path / "m.index"
    raw = bytearray(index.read_bytes())
    raw[Table(open_local(index)[0]).blocks[2].offset + 9] ^= 1
    index.write_bytes(raw)
    catalog = opened(index)
    assert slugs(catalog)[0] == "checksum" and 12 <= len(catalog) < 20
    assert np.array_equal(catalog.read("v00"), np.full(3, 0, np.int32))


@pytest.mark.parametrize("keep", [0, 7, 47, 48, 100])
def test_cut_index(bundle, keep):
    folder, _ = bundle
    index = folder / "m-3.index"
    index.write_bytes(index.read_bytes()[:keep])
    with pytest.raises(DamagedCheckpoint) as caught:
        opened(index)
    assert caught.value.file == str(index)


def test_wrong_crc_of_the_only_block(tmp_path):
    write_bundle(tmp_path / "m", {"w": np.zeros(2)})
    index = tmp_path / "m.index"
    raw = bytearray(index.read_bytes())
    raw[5] ^= 1
    index.write_bytes(raw)
    with pytest.raises(ChecksumMismatch):
        opened(index)


# -- hostile
# -----------------------------------------------------------------------------------------------------------
def written(tmp_path: Path, items: dict[bytes, bytes], data: bytes = b"") -> BundleCatalog:
    (tmp_path / "h.index").write_bytes(table(sorted(items.items())))
    (tmp_path / "h.data-00000-of-00001").write_bytes(data)
    return opened(tmp_path / "h.index")


def test_absurd_shapes_and_places(tmp_path):
    catalog = written(
        tmp_path,
        {
            b"": header(),
            b"big": entry("float32", (1 << 40, 1 << 20), 0, 0, b"1234"),
            b"far": entry("float32", (1,), 0, 1 << 60, b"1234"),
            b"texts": entry("string", (1 << 50,), 0, 0, b"1234"),
            b"shard": entry("float32", (1,), 77, 0, b"1234"),
        },
        b"1234",
    )
    for name in catalog:
        with pytest.raises(DamagedCheckpoint):
            catalog.read(name)


def test_absurd_shard_count(tmp_path):
    with pytest.raises(LimitExceeded):
        written(tmp_path, {b"": header(1 << 40)})
    assert "part-missing" in slugs(written(tmp_path, {b"": header(100_000)}))


def test_slices_of_an_absurd_tensor_allocate_nothing(tmp_path):
    piece = Slice((0,), (1 << 50,))
    items = {b"": header(), b"w": entry("float32", (1 << 50,), 0, 0, b"", (piece,))}
    catalog = written(tmp_path, items)
    with pytest.raises(DamagedCheckpoint):
        catalog.read("w")


def test_names_that_are_no_text(tmp_path):
    catalog = written(
        tmp_path, {b"": header(), b"a\xff\xfe\x1b[31m": entry("float32", (1,), 0, 0, b"1234")}, b"1234"
    )
    (name,) = catalog
    assert name.encode("utf-8") and catalog.read(name).shape == (1,)


def test_other_tables_are_not_taken(tmp_path):
    other = tmp_path / "other"
    other.write_bytes(table([(b"key", b"value")]))
    source, _, _ = open_local(other)
    assert not format_named("tf-bundle").recognise(source)
