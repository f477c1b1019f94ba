"""Attacks on memory and time: crowds of tiny tensors, bombs, work that repeats, files that are no files.

Each is built here, taken through public functions in a cage (see :mod:`cage`), and held to the cage's time and to
twice its size plus 64 MB, crowds of tensors that have bytes of their own to fourteen times. ``make test`` takes each through the
examination and one function more, the six in turns; ``make test-long`` through all, and with five times as many.
"""

from __future__ import annotations

import io
import json
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from cage import WAYS, cage
from test_named_attacks import safetensors, torch_zip

from tf_writer import entry, field, header, table, varint, write_bundle

Builder = Callable[[Path, int], Path]


def saved(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def bundle(folder: Path, items: dict[bytes, bytes], data: bytes, **options: int) -> Path:
    """A TensorFlow bundle of one shard out of index entries."""
    (folder / "m.data-00000-of-00001").write_bytes(data)
    return saved(
        folder / "m.index",
        table(sorted({b"": header(), **items}.items()), per_block=options.get("per_block", 64)),
    )


# -- crowds of tiny tensors ------------------------------------------------------------------------------
def many_in_safetensors(folder: Path, times: int) -> Path:
    count = 20_000 * times
    entries = {
        f"layers.{i}.w": {"dtype": "U8", "shape": [1], "data_offsets": [i, i + 1]} for i in range(count)
    }
    return saved(folder / "m.safetensors", safetensors(entries, bytes(count)))


def many_in_tf_index(folder: Path, times: int) -> Path:
    items = {b"v/%07d" % i: entry("uint8", (1,), 0, i, b"\0", crc=0) for i in range(15_000 * times)}
    return bundle(folder, items, bytes(len(items)))


def many_empty_in_tf_index(folder: Path, times: int) -> Path:
    items = {b"v/%07d" % i: field(1, 4) + field(2, field(2, b"")) for i in range(100_000 * times)}
    return bundle(folder, items, b"")


def many_in_npz(folder: Path, times: int) -> Path:
    text = b"{'descr':'|u1','fortran_order':False,'shape':(1,)}\n"
    head = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text
    with zipfile.ZipFile(folder / "m.npz", "w") as archive:
        for i in range(5_000 * times):
            archive.writestr(f"w{i}.npy", head + b"\1")
    return folder / "m.npz"


def many_in_torch(folder: Path, times: int) -> Path:
    """One storage, tens of thousands of one-element tensors on it."""
    out = [
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nq\0(X\x07\0\0\0storagectorch\nFloatStorage\n"
        b"X\x01\0\0\x000X\x03\0\0\0cpuK\x04tQq\1K\1\x85q\2)q\3ccollections\nOrderedDict\n)Rq\4}("
    ]
    for i in range(12_000 * times):
        name = b"w%d" % i
        out.append(b"X" + struct.pack("<I", len(name)) + name + b"h\0(h\1K\0h\2h\2\x89h\4tR")
    return saved(folder / "m.pt", torch_zip(b"".join(out) + b"u.", {"0": bytes(16)}))


def many_records_in_torch(folder: Path, times: int) -> Path:
    """Every tensor has a record of its own, as small as a zip's can be."""
    out = [
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nq\0ccollections\nOrderedDict\n)Rq\4ctorch\nByteStorage\nq\5}("
    ]
    count = 16_000 * times
    for i in range(count):
        name = b"%x" % i
        key = b"X" + struct.pack("<I", len(name)) + name
        storage = b"(X\x07\0\0\0storageh\5" + key + b"X\x03\0\0\0cpuK\1tQ"
        out.append(key + b"h\0(" + storage + b"K\0K\1\x85K\1\x85\x89h\4tR")
    return saved(folder / "m.pt", torch_zip(b"".join(out) + b"u.", {f"{i:x}": b"\1" for i in range(count)}))


def many_values_in_a_pickle(folder: Path, times: int) -> Path:
    return saved(folder / "m.pt", torch_zip(b"\x80\x02](" + b"}" * (2_000_000 * times) + b"e."))


def many_tuples_in_a_pickle(folder: Path, times: int) -> Path:
    return saved(folder / "m.pt", torch_zip(b"\x80\x02](" + b"K\1\x85" * (1_000_000 * times) + b"e."))


def many_groups_in_h5(folder: Path, times: int) -> Path:
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "m.weights.h5", "w") as file:
        file["layers/dense/vars/0"] = np.ones(3, "f4")
        for i in range(4_000 * times):
            file.create_group(f"layers/g{i}")
    return folder / "m.weights.h5"


def many_hard_links_in_h5(folder: Path, times: int) -> Path:
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "m.weights.h5", "w") as file:
        file["layers/dense/vars/0"] = np.ones(1_000_000, "f4")
        group = file.create_group("layers/dense_1/vars")
        for i in range(3_000 * times):
            group[str(i)] = file["layers/dense/vars/0"]
    return folder / "m.weights.h5"


def fan_of_groups_in_h5(folder: Path, times: int) -> Path:
    """Each group links the next twice: 2**30 paths."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "m.weights.h5", "w") as file:
        group = file.create_group("layers")
        for _ in range(30):
            below = group.create_group("a")
            group["b"] = below
            group = below
        group["0"] = np.ones(3)
    return folder / "m.weights.h5"


# -- large texts -----------------------------------------------------------------------------------------
def long_names(folder: Path, times: int) -> Path:
    entries = {
        "n" * 200_000 + str(i): {"dtype": "U8", "shape": [1], "data_offsets": [i, i + 1]}
        for i in range(20 * times)
    }
    return saved(folder / "m.safetensors", safetensors(entries, bytes(len(entries))))


def long_names_in_a_pickle(folder: Path, times: int) -> Path:
    """A deep nest of dicts with long keys: the names of what lies within add up to the square."""
    key = b"X" + struct.pack("<I", 2_000) + b"k" * 2_000
    return saved(
        folder / "m.pt",
        torch_zip(b"\x80\x02" + (b"}" + key) * 400 * times + b"K\1" + b"s" * 400 * times + b"."),
    )


def huge_metadata(folder: Path, times: int) -> Path:
    words = {f"key{i}": "value" * 4 for i in range(100_000 * times)}
    entries = {"__metadata__": words, "w": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}
    return saved(folder / "m.safetensors", safetensors(entries, b"\1"))


def huge_metadata_value(folder: Path, times: int) -> Path:
    entries = {
        "__metadata__": {"config": "x" * (15_000_000 * times)},
        "w": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
    }
    return saved(folder / "m.safetensors", safetensors(entries, b"\1"))


def keras_zip(folder: Path, config: bytes, h5: bytes = b"", method: int = zipfile.ZIP_STORED) -> Path:
    path = folder / "m.keras"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("metadata.json", '{"keras_version": "3.8.0"}')
        archive.writestr("config.json", config)
        archive.writestr("model.weights.h5", h5)
    return path


def small_h5() -> bytes:
    h5py = pytest.importorskip("h5py")
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        file["layers/dense/vars/0"] = np.ones((2, 3), "f4")
    return out.getvalue()


def honest_looking_config(folder: Path, times: int) -> Path:
    layer = {
        "module": "keras.layers",
        "class_name": "Dense",
        "config": {"name": "d", "units": 3, "dtype": "f"},
    }
    layers = [{**layer, "config": {**layer["config"], "name": f"dense_{i}"}} for i in range(60_000 * times)]
    config = {"module": "keras", "class_name": "Sequential", "config": {"name": "s", "layers": layers}}
    return keras_zip(folder, json.dumps(config).encode(), small_h5())


def crowded_config(folder: Path, times: int) -> Path:
    return keras_zip(
        folder, b'{"class_name":"Sequential","config":[' + b"[]," * 2_000_000 + b"0]}", small_h5()
    )


def deep_config(folder: Path, times: int) -> Path:
    config = b'{"class_name":"Sequential","config":' + b'{"layers":[' * 900 + b"]}" * 900 + b"}"
    return keras_zip(folder, config, small_h5())


def crowded_index_json(folder: Path, times: int) -> Path:
    text = b'{"weight_map":{"w":"a.safetensors"},"x":[' + b"[]," * 2_000_000 + b"0]}"
    return saved(folder / "model.safetensors.index.json", text)


def many_names_in_index_json(folder: Path, times: int) -> Path:
    names = {f"layers.{i}.w": f"model-{i}.safetensors" for i in range(15_000 * times)}
    return saved(
        folder / "model.safetensors.index.json", json.dumps({"metadata": {}, "weight_map": names}).encode()
    )


def crowded_weights_json(folder: Path, times: int) -> Path:
    text = (
        b'{"metadata":{},"weight_map":{"/layers/dense/vars":"m_00000.weights.h5"},"x":[' + b"[]," * 2_000_000
    )
    return saved(folder / "m.weights.json", text + b"0]}")


def crowded_seal(folder: Path, times: int) -> Path:
    path = saved(
        folder / "m.safetensors",
        safetensors({"w": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}, b"\1"),
    )
    saved(
        folder / "m.safetensors.holdfast.json",
        b'{"schema_version":1,"kind":"seal","x":[' + b"[]," * (3_000_000 * times) + b"0]}",
    )
    return path


def long_seal(folder: Path, times: int) -> Path:
    path = saved(
        folder / "m.safetensors",
        safetensors({"w": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}, b"\1"),
    )
    saved(
        folder / "m.safetensors.holdfast.json",
        b'{"schema_version":1,"kind":"seal","x":"' + b"y" * (50 << 20) + b'"}',
    )
    return path


def endless_state_file(folder: Path, times: int) -> Path:
    line = b'all_model_checkpoint_paths: "ckpt-%d"\n'
    saved(
        folder / "checkpoint",
        b'model_checkpoint_path: "ckpt-1"\n' + b"".join(line % i for i in range(60_000 * times)),
    )
    write_bundle(folder / "ckpt-1", {"w": np.ones(3, np.float32)})
    return folder


def state_file_of_hashes(folder: Path, times: int) -> Path:
    """Comments that a careless expression can split in 2**60 ways before it gives up."""
    saved(folder / "checkpoint", b"#" * 60 + b"\n" + b"# # " * 40 + b"!")
    write_bundle(folder / "ckpt-1", {"w": np.ones(3, np.float32)})
    return folder


# -- bombs -----------------------------------------------------------------------------------------------
def bomb_of_zeros(folder: Path, length: int, name: str, beginning: bytes, others: dict[str, bytes]) -> Path:
    path = folder / name.split("|")[0]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for other, data in others.items():
            archive.writestr(other, data)
        with archive.open(name.split("|")[1], "w") as member:
            member.write(beginning)
            for _ in range(length >> 20):
                member.write(bytes(1 << 20))
    return path


def npz_bomb(folder: Path, times: int) -> Path:
    count = (300 * times) << 20
    head = b"{'descr':'<f4','fortran_order':False,'shape':(%d,)}" % (count // 4)
    head = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head) + 1) + head + b"\n"
    return bomb_of_zeros(folder, count, "m.npz|w.npy", head, {})


def npz_fortran_bomb(folder: Path, times: int) -> Path:
    rows = (300 * times) << 10
    head = b"{'descr':'>f4','fortran_order':True,'shape':(%d, 256)}" % rows
    head = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head) + 1) + head + b"\n"
    return bomb_of_zeros(folder, rows << 10, "m.npz|w.npy", head, {})


def keras_config_bomb(folder: Path, times: int) -> Path:
    others = {"metadata.json": b"{}", "model.weights.h5": small_h5()}
    return bomb_of_zeros(folder, 60 << 20, "m.keras|config.json", b"{", others)


def keras_config_list_bomb(folder: Path, times: int) -> Path:
    return keras_zip(folder, b"[" + b"[]," * 12_000_000 + b"0]", small_h5(), zipfile.ZIP_DEFLATED)


def keras_weights_bomb(folder: Path, times: int) -> Path:
    """A deflated HDF5 member: its contiguous dataset is 300 MB of zeros."""
    h5py = pytest.importorskip("h5py")
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        file.create_dataset("layers/dense/vars/0", (75 << 20,), "f4", fillvalue=0)[-1] = 0
    others = {"metadata.json": b'{"keras_version":"3.8.0"}', "config.json": b'{"class_name":"Sequential"}'}
    path = folder / "m.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for other, data in others.items():
            archive.writestr(other, data)
        archive.writestr("model.weights.h5", out.getvalue())
    return path


def torch_deflated_storage(folder: Path, times: int) -> Path:
    pickled = (
        b"\x80\x02}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\n"
        b"X\x01\0\0\x000X\x03\0\0\0cpuJ\0\0\0\x05tQK\0J\0\0\0\x05\x85K\1\x85\x89ccollections\nOrderedDict\n)RtRs."
    )
    return saved(folder / "m.pt", torch_zip(pickled, {"0": bytes(0x05000000 * 4)}, zipfile.ZIP_DEFLATED))


def h5_chunk_bomb(folder: Path, times: int) -> Path:
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "m.weights.h5", "w") as file:
        file.create_dataset(
            "layers/dense/vars/0",
            data=np.zeros((300, 1 << 18), "f4"),
            chunks=(100, 1 << 18),
            compression="gzip",
        )
    return folder / "m.weights.h5"


def h5_absurd_chunk(folder: Path, times: int) -> Path:
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "m.weights.h5", "w") as file:
        file.create_dataset(
            "layers/dense/vars/0",
            (4, 1 << 28),
            "f4",
            chunks=(1, 1 << 28),
            maxshape=(None, 1 << 28),
            compression=9,
        )
        file.create_dataset("layers/dense/vars/1", (1 << 40, 1 << 20), "f4", chunks=(1, 1 << 20))
        file["layers/dense/vars/1"][0] = 1
    return folder / "m.weights.h5"


def h5_shape_without_storage(folder: Path, times: int) -> Path:
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "m.weights.h5", "w") as file:
        file.create_dataset("layers/dense/vars/0", (1 << 60,), "u1")
        file.create_dataset("layers/dense/vars/1", (1 << 60,), "u1", chunks=(1 << 20,))
        file.create_dataset("layers/dense/vars/2", (0, 1 << 62), "f8")
    return folder / "m.weights.h5"


def h5_many_strings(folder: Path, times: int) -> Path:
    """A gzip-packed list of references that all point at one text."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "m.weights.h5", "w") as file:
        kind = h5py.string_dtype()
        file.create_dataset("layers/dense/vars/0", (400_000,), kind, chunks=(400_000,), compression="gzip")
        file["layers/dense/vars/0"][0] = "x"
    return folder / "m.weights.h5"


# -- work that repeats -----------------------------------------------------------------------------------
def torch_views(shapes: list[tuple[int, tuple[int, ...], tuple[int, ...]]], storage: int) -> bytes:
    """A state dict of float32 views (offset, shape, stride) of one storage of ``storage`` elements."""

    def number(value: int) -> bytes:
        raw = value.to_bytes(9, "little").rstrip(b"\0") + b"\0"
        return b"\x8a" + bytes([len(raw)]) + raw

    def tuple_of(values: tuple[int, ...]) -> bytes:
        return b"(" + b"".join(map(number, values)) + b"t"

    out = [
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nq\0(X\x07\0\0\0storagectorch\nFloatStorage\n"
        b"X\x01\0\0\x000X\x03\0\0\0cpu" + number(storage) + b"tQq\1ccollections\nOrderedDict\n)Rq\4}("
    ]
    for i, (offset, shape, stride) in enumerate(shapes):
        name = b"w%d" % i
        tensor = b"h\0(h\1" + number(offset) + tuple_of(shape) + tuple_of(stride) + b"\x89h\4tR"
        out.append(b"X" + struct.pack("<I", len(name)) + name + tensor)
    return torch_zip(b"".join(out) + b"u.", {"0": np.ones(storage, "f4").tobytes()})


def torch_expanded_many_times(folder: Path, times: int) -> Path:
    """Each is within what one expanded tensor may be, together they are terabytes."""
    views = [(0, (7_900_000 - i,), (0,)) for i in range(6_000)]
    return saved(folder / "m.pt", torch_views(views, 4))


def torch_windows(folder: Path, times: int) -> Path:
    """Overlapping windows, as ``unfold`` makes them: row i begins one element after row i - 1."""
    views = [(0, (1000 + i, 4000), (1, 1)) for i in range(2_000)]
    return saved(folder / "m.pt", torch_views(views, 8_000))


def torch_shifted_views(folder: Path, times: int) -> Path:
    """Thousands of contiguous views of nearly the whole storage."""
    return saved(folder / "m.pt", torch_views([(i, (2_000_000 - i,), (1,)) for i in range(6_000)], 2_000_000))


def safetensors_shared_span(folder: Path, times: int) -> Path:
    entries = {
        f"w{i}": {"dtype": "F32", "shape": [2_000_000 - i], "data_offsets": [4 * i, 8_000_000]}
        for i in range(6_000)
    }
    return saved(folder / "m.safetensors", safetensors(entries, np.ones(2_000_000, "f4").tobytes()))


def tf_shared_span(folder: Path, times: int) -> Path:
    data = np.ones(2_000_000, "f4").tobytes()
    items = {}
    for i in range(6_000):
        raw = field(1, 1) + field(2, field(2, field(1, 2_000_000 - i))) + field(4, 4 * i)
        items[b"v/%05d" % i] = raw + field(5, 8_000_000 - 4 * i)
    return bundle(folder, items, data)


def zip_shared_payload(folder: Path, times: int) -> Path:
    """Many directory entries over one deflated kernel, after David Fifield's overlapping bomb (local headers alike)."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    head = b"\x93NUMPY\x01\x00\x36\x00{'descr':'|u1','fortran_order':False,'shape':(1,)}    \n"
    plain = head + bytes(10_000_000)
    kernel = packer.compress(plain) + packer.flush()
    local = struct.pack(
        "<4s5H3I2H", b"PK\3\4", 20, 0, 8, 0, 0, zlib.crc32(plain), len(kernel), len(plain), 5, 0
    )
    body = local + b"w.npy" + kernel
    directory = b""
    for i in range(1_000):
        central = struct.pack(
            "<4s6H3I5H2I",
            *(b"PK\1\2", 20, 20, 0, 8, 0, 0, zlib.crc32(plain), len(kernel), len(plain), 5, 0, 0, 0, 0, 0, 0),
        )
        name = b"w.npy" if i == 0 else b"%05d" % i
        directory += central + name
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 1_000, 1_000, len(directory), len(body), 0)
    return saved(folder / "m.npz", body + directory + end)


def f4_of_many_elements(folder: Path, times: int) -> Path:
    """Types under eight bits grow when they are read."""
    size = 20_000_000 * times
    entries = {"w": {"dtype": "F4", "shape": [2 * size], "data_offsets": [0, size]}}
    return saved(folder / "m.safetensors", safetensors(entries, b"\x11" * size))


# -- big-endian and converted data -----------------------------------------------------------------------
def npy_big_endian(folder: Path, times: int) -> Path:
    np.save(folder / "m.npy", np.ones(15_000_000, ">f4"))
    return folder / "m.npy"


def npy_of_texts(folder: Path, times: int) -> Path:
    np.save(folder / "m.npy", np.full(1_500_000, "abc", "U3"))
    return folder / "m.npy"


def npy_of_bytes(folder: Path, times: int) -> Path:
    np.save(folder / "m.npy", np.full(5_000_000, b"a", "S1"))
    return folder / "m.npy"


def npy_of_records(folder: Path, times: int) -> Path:
    np.save(folder / "m.npy", np.zeros(100_000, [(f"f{i}", "i1") for i in range(100)]))
    return folder / "m.npy"


def npy_of_many_fields(folder: Path, times: int) -> Path:
    np.save(
        folder / "m.npy", np.zeros(1, [(f"f{i}", "V0" if i % 2 else "i1") for i in range(10_000 * times)])
    )
    return folder / "m.npy"


def numpy_objects(folder: Path, times: int) -> Path:
    np.save(folder / "m.npy", np.array([None] * 1_000_000, dtype=object), allow_pickle=True)
    return folder / "m.npy"


def h5_of_bytes(folder: Path, times: int) -> Path:
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "m.weights.h5", "w") as file:
        file["layers/dense/vars/0"] = np.full(5_000_000, b"a", "S1")
    return folder / "m.weights.h5"


def tf_many_strings(folder: Path, times: int) -> Path:
    count = 2_000_000
    data = bytes(count) + b"\0\0\0\0"
    items = {b"s": field(1, 7) + field(2, field(2, field(1, count))) + field(5, len(data))}
    return bundle(folder, items, data)


def tf_graph_of_many_nodes(folder: Path, times: int) -> Path:
    """An object graph of empty nodes, stored as TensorFlow stores a string, with its checksum right."""
    from holdfast._formats.tensorflow.table import masked_crc32c

    graph = b"\x0a\x00" * (1_000_000 * times)
    length = varint(len(graph))
    check = struct.pack("<I", masked_crc32c(struct.pack("<I", len(graph))))
    data = length + check + graph
    whole = masked_crc32c(struct.pack("<I", len(graph)) + check + graph)
    items = {
        b"_CHECKPOINTABLE_OBJECT_GRAPH": entry("string", (), 0, 0, data, crc=whole),
    }
    return bundle(folder, items, data)


def tf_graph_fan(folder: Path, times: int) -> Path:
    """Every node names the next twice: 2**n paths to the last."""
    from holdfast._formats.tensorflow.table import masked_crc32c

    nodes = []
    for i in range(3_000):
        child = field(1, field(1, i + 1) + field(2, b"a" * 50)) + field(1, field(1, i + 1) + field(2, b"b"))
        nodes.append(field(1, child))
    graph = b"".join([*nodes, field(1, b"")])
    check = struct.pack("<I", masked_crc32c(struct.pack("<I", len(graph))))
    data = varint(len(graph)) + check + graph
    whole = masked_crc32c(struct.pack("<I", len(graph)) + check + graph)
    return bundle(folder, {b"_CHECKPOINTABLE_OBJECT_GRAPH": entry("string", (), 0, 0, data, crc=whole)}, data)


BUILDERS: dict[str, Builder] = {
    name: made
    for name, made in list(globals().items())
    if callable(made) and getattr(made, "__annotations__", {}).get("times") == "int"
}


CROWDS = ("many_in_safetensors", "many_in_npz", "many_records_in_torch")
TIMES = dict.fromkeys(CROWDS, 14)
"""Tensors that have bytes of their own are listed, as an honest file's are, and the listing takes more than they do."""


def _too_much(name: str, times: int, ways: Iterable[str], folder: Path) -> list[str]:
    found = cage([BUILDERS[name](folder, times)], apart=ways)
    return [str(caged) for caged in found if not caged.within(TIMES.get(name, 2))]


OTHERS = [way for way in WAYS if way != "examine"]
TURNS = {name: ("examine", OTHERS[number % len(OTHERS)]) for number, name in enumerate(BUILDERS)}


@pytest.mark.parametrize("name", BUILDERS)
def test_measured(name: str, tmp_path: Path) -> None:
    assert _too_much(name, 1, TURNS[name], tmp_path) == []


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("times", [1, 5])
@pytest.mark.parametrize("name", BUILDERS)
def test_measured_in_every_way(name: str, times: int, tmp_path: Path) -> None:
    assert _too_much(name, times, WAYS, tmp_path) == []
