"""Every parser against input that has the right form and the wrong content: only Holdfast's own errors come out.

Each case is a strategy that builds whole inputs (checksums right, so that the parser behind them is reached) and a
function that does with them what the readers do. ``make test`` takes a bounded, repeatable sample of each,
``make test-long`` thousands.
"""

from __future__ import annotations

import json
import pickle
import struct
import sys
import tempfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parent))

from mutate import mutate
from test_named_attacks import torch_zip

from holdfast._core.errors import HoldfastError
from holdfast._storage import BytesSource, LocalFolder
from tf_writer import block, entry, field, header, table, varint

QUIET = list(HealthCheck)


class Case(NamedTuple):
    """Inputs, and what is done with each."""

    inputs: st.SearchStrategy[Any]
    run: Callable[[Any], object]


NUMBERS = st.sampled_from(
    [
        0,
        1,
        2,
        7,
        8,
        31,
        127,
        128,
        255,
        256,
        4096,
        65535,
        65536,
        2**31 - 1,
        2**31,
        2**32 - 1,
        2**63 - 1,
        2**64 - 1,
    ]
) | st.integers(0, 300)
SIGNED = NUMBERS | st.integers(-5, -1) | st.sampled_from([-(2**31), -(2**63)])
NAMES = st.sampled_from(
    ["w", "a/b", "", "\0", "\x1b[31m", "../x", "a" * 300, "é", "\ud800", "0", "weight", "m"]
)


def lazily(make: Callable[[], Any], *errors: type[BaseException]) -> Any:
    with suppress(HoldfastError, *errors):
        return make()
    return None


def use(catalog: Any) -> None:
    """What commands do with an open catalog."""
    if catalog is None:
        return
    for name in list(catalog):
        with suppress(HoldfastError):
            for _ in catalog.pieces(name):
                pass
    for check in catalog.checks():
        check.run(lambda count: None)
    from holdfast._render.document import inspect_document

    json.dumps(inspect_document(catalog))


def opened(open_it: Callable[..., Any], data: bytes, name: str = "<bytes>") -> None:
    with tempfile.TemporaryDirectory() as folder:
        use(lazily(lambda: open_it(BytesSource(data, name), LocalFolder(folder))))


# -- pickles ---------------------------------------------------------------------------------------------
def _text(letters: bytes) -> st.SearchStrategy[bytes]:
    return st.lists(st.sampled_from(letters), max_size=6).map(bytes)


def sized(code: bytes, width: str) -> st.SearchStrategy[bytes]:
    """An opcode with a length before its bytes, mostly the true one."""
    whole = st.binary(max_size=12).map(lambda b: code + struct.pack(width, len(b)) + b)
    biggest = 256 ** struct.calcsize(width) // 2 - 1
    lying = st.tuples(NUMBERS, st.binary(max_size=6)).map(
        lambda p: code + struct.pack(width, min(p[0], biggest)) + p[1]
    )
    return whole | lying


GLOBALS = st.sampled_from(
    [
        b"torch._utils\n_rebuild_tensor_v2\n",
        b"torch._utils\n_rebuild_parameter\n",
        b"torch._utils\n_rebuild_sparse_tensor\n",
        b"torch._utils\n_rebuild_qtensor\n",
        b"torch._tensor\n_rebuild_from_type_v2\n",
        b"torch\nFloatStorage\n",
        b"torch\nfloat32\n",
        b"torch\ndevice\n",
        b"torch\nSize\n",
        b"torch.storage\nUntypedStorage\n",
        b"collections\nOrderedDict\n",
        b"collections\ndefaultdict\n",
        b"numpy.core.multiarray\n_reconstruct\n",
        b"numpy.core.multiarray\nscalar\n",
        b"numpy\nndarray\n",
        b"numpy\ndtype\n",
        b"_codecs\nencode\n",
        b"os\nsystem\n",
        b"builtins\neval\n",
        b"\n\n",
    ]
).map(lambda t: b"c" + t)
STORAGE = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x08tQ"
OPCODES = st.one_of(
    st.sampled_from(
        [bytes([c]) for c in b"(]}).0t\x85\x86\x87ldaeus\x8f\x90\x91RQbNo\x81\x92\x94\x88\x892\x93\x971"]
    ),
    st.sampled_from([b"\x80" + bytes([p]) for p in range(7)]),
    st.integers(0, 12).map(lambda n: b"K" + bytes([n])),
    st.integers(0, 5).map(lambda n: b"h" + bytes([n])),
    st.integers(0, 5).map(lambda n: b"q" + bytes([n])),
    NUMBERS.map(lambda n: b"r" + struct.pack("<I", n & 0xFFFFFFFF)),
    NUMBERS.map(lambda n: b"j" + struct.pack("<I", n & 0xFFFFFFFF)),
    NUMBERS.map(lambda n: b"\x95" + struct.pack("<Q", n)),
    st.binary(min_size=8, max_size=8).map(lambda b: b"G" + b),
    SIGNED.map(lambda n: b"I" + str(n).encode() + b"\n"),
    SIGNED.map(lambda n: b"L" + str(n).encode() + b"L\n"),
    _text(b"01.eE+-nainf_ ").map(lambda t: b"F" + t + b"\n"),
    _text(b"'\"\\x0u1ab").map(lambda t: b"S'" + t + b"'\n"),
    _text(b"\\uU0d8a'x").map(lambda t: b"V" + t + b"\n"),
    _text(b"0123456789").map(lambda t: b"p" + t + b"\n"),
    _text(b"0123456789").map(lambda t: b"g" + t + b"\n"),
    _text(b"ab\n").map(lambda t: b"P" + t + b"\n"),
    _text(b"os.\n").map(lambda t: b"i" + t + b"\n" + t + b"\n"),
    GLOBALS,
    st.just(STORAGE),
    st.sampled_from([b"\x82\1", b"\x83\1\1", b"\x84\1\0\0\0"]),
    sized(b"X", "<I"),
    sized(b"B", "<I"),
    sized(b"T", "<i"),
    sized(b"\x8c", "<B"),
    sized(b"C", "<B"),
    sized(b"U", "<B"),
    sized(b"\x8d", "<Q"),
    sized(b"\x8e", "<Q"),
    sized(b"\x96", "<Q"),
    sized(b"\x8a", "<B"),
    sized(b"\x8b", "<i"),
)
# Whole phrases, so that random programs get past the first step.
PHRASES = st.one_of(
    OPCODES,
    OPCODES,
    st.tuples(GLOBALS, st.lists(OPCODES, max_size=5)).map(lambda p: p[0] + b"(" + b"".join(p[1]) + b"tR"),
    st.tuples(NAMES, OPCODES).map(
        lambda p: (
            b"X"
            + struct.pack("<I", len(p[0].encode("utf-8", "surrogatepass")))
            + p[0].encode("utf-8", "surrogatepass")
            + p[1]
            + b"s"
        )
    ),
    st.tuples(SIGNED, st.lists(SIGNED, max_size=3), st.lists(SIGNED, max_size=3)).map(
        lambda p: (
            b"ctorch._utils\n_rebuild_tensor_v2\n("
            + STORAGE
            + b"".join(
                part
                for part in (
                    _long(p[0]),
                    b"(" + b"".join(map(_long, p[1])) + b"t",
                    b"(" + b"".join(map(_long, p[2])) + b"t",
                    b"\x89ccollections\nOrderedDict\n)RtR",
                )
            )
        )
    ),
)


def _long(number: int) -> bytes:
    raw = number.to_bytes(9, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


PROGRAMS = st.tuples(
    st.sampled_from([b"", b"\x80\2", b"\x80\4", b"}", b"]", b"\x80\2}"]), st.lists(PHRASES, max_size=25)
).map(lambda p: p[0] + b"".join(p[1]) + b".")


def _samples() -> list[bytes]:
    value = {
        "state": {"w": [1, 2.5, None, True], "b": (b"raw", "text"), "s": {1, 2}, "big": 1 << 200},
        "array": np.arange(6, dtype=">f4").reshape(2, 3),
        "scalar": np.float64(3),
        "odd": frozenset([complex(1, 2)]),
    }
    return [pickle.dumps(value, protocol=p) for p in range(6)]


MUTATED = st.tuples(st.sampled_from(_samples()), st.integers(0, 2**32)).map(lambda p: mutate(p[0], p[1]))


def run_pickle(data: bytes) -> None:
    from holdfast._formats.numpy.pickled import arrays_in_pickle
    from holdfast._formats.pickles.machine import load

    lazily(lambda: load(data))
    lazily(lambda: arrays_in_pickle(BytesSource(data), []))


def run_torch(data: bytes) -> None:
    from holdfast._formats.torch.zip import open_zip

    opened(open_zip, torch_zip(data, {"0": bytes(range(32))}))


def run_torch_legacy(data: bytes) -> None:
    from holdfast._formats.torch.legacy import open_legacy

    head = [pickle.dumps(v, protocol=2) for v in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    tail = pickle.dumps(["0"], protocol=2) + struct.pack("<q", 8) + bytes(range(32))
    opened(open_legacy, b"".join(head) + data + tail)


# -- zip -------------------------------------------------------------------------------------------------
class Liar(NamedTuple):
    """One directory entry and what is wrong with it (field -> value)."""

    name: bytes
    data: bytes
    method: int
    lies: dict[str, int]


MEMBERS = st.builds(
    Liar,
    st.sampled_from([b"a", b"a.npy", b"r/data.pkl", b"../x", b"\xff", b"", b"a" * 300, b"config.json"]),
    st.binary(max_size=60) | st.just(bytes(5000)),
    st.sampled_from([0, 0, 8, 8, 9, 12]),
    st.dictionaries(
        st.sampled_from(["crc", "compressed", "size", "header", "name", "extra", "comment", "flags", "disk"]),
        NUMBERS,
        max_size=2,
    ),
)


def zip_of(members: list[Liar], lies: dict[str, int], before: bytes, after: bytes) -> bytes:
    out, directory = bytearray(before), bytearray()
    for member in members:
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        packed = member.data if member.method == 0 else packer.compress(member.data) + packer.flush()
        at = len(out)
        told = {
            "flags": 0,
            "crc": zlib.crc32(member.data),
            "compressed": len(packed),
            "size": len(member.data),
            "name": len(member.name),
            "extra": 0,
            "comment": 0,
            "disk": 0,
            "header": at,
            **member.lies,
        }
        s, i = {k: v & 0xFFFF for k, v in told.items()}, {k: v & 0xFFFFFFFF for k, v in told.items()}
        out += struct.pack(
            "<4s5H3I2H",
            *(b"PK\3\4", 20, s["flags"], member.method, 0, 0),
            *(i["crc"], i["compressed"], i["size"], len(member.name), 0),
        )
        out += member.name + packed
        directory += struct.pack(
            "<4s6H3I5H2I",
            *(b"PK\1\2", 20, 20, s["flags"], member.method, 0, 0, i["crc"], i["compressed"], i["size"]),
            *(s["name"], s["extra"], s["comment"], s["disk"], 0, 0, i["header"]),
        )
        directory += member.name
    told = {"count": len(members), "size": len(directory), "offset": len(out), "comment": 0, **lies}
    end = struct.pack(
        "<4s4H2IH",
        *(b"PK\5\6", 0, 0, told["count"] & 0xFFFF, told["count"] & 0xFFFF),
        *(told["size"] & 0xFFFFFFFF, told["offset"] & 0xFFFFFFFF, told["comment"] & 0xFFFF),
    )
    return bytes(out + directory) + end + after


ZIPS = st.builds(
    zip_of,
    st.lists(MEMBERS, max_size=5),
    st.dictionaries(st.sampled_from(["count", "size", "offset", "comment"]), NUMBERS, max_size=1),
    st.just(b"") | st.binary(max_size=20),
    st.just(b"") | st.binary(max_size=20),
)


def run_zip(data: bytes) -> None:
    from holdfast._formats.numpy.npz import open_npz
    from holdfast._formats.torch.zip import open_zip
    from holdfast._storage.zip_archive import ZipArchive

    archive = lazily(lambda: ZipArchive(BytesSource(data)))
    if archive is not None:
        for name in archive.members:
            lazily(lambda name=name: archive.open(name).read(0, archive.open(name).size))
            check = archive.check(name)
            if check is not None:
                check.run(lambda count: None)
    opened(open_npz, data)
    opened(open_zip, data)


# -- JSON ------------------------------------------------------------------------------------------------
KERAS_WORDS = st.sampled_from(
    [
        *(
            "class_name",
            "config",
            "name",
            "layers",
            "module",
            "registered_name",
            "build_config",
            "dtype",
            "units",
        ),
        *(
            "compile_config",
            "optimizer",
            "loss",
            "metrics",
            "inbound_nodes",
            "layer",
            "cell",
            "forward_layer",
        ),
        *(
            "weight_map",
            "metadata",
            "total_size",
            "keras_version",
            "input_shape",
            "kernel_size",
            "use_bias",
            "w",
        ),
    ]
)
KERAS_VALUES = st.sampled_from(
    [
        *(
            "Dense",
            "Sequential",
            "Functional",
            "Lambda",
            "__lambda__",
            "LSTM",
            "RNN",
            "Bidirectional",
            "Adam",
        ),
        *(
            "keras.layers",
            "keras",
            "my_code",
            "float32",
            "mixed_float16",
            "dense",
            "pkg>Thing",
            "",
            "é\u202e",
        ),
    ]
)
LEAVES = st.none() | st.booleans() | SIGNED | st.floats() | KERAS_VALUES | NAMES
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KERAS_WORDS | NAMES, inner, max_size=5),
    max_leaves=25,
)
LAYERS = st.fixed_dictionaries(
    {"class_name": KERAS_VALUES | TREES, "config": st.dictionaries(KERAS_WORDS, TREES, max_size=5) | TREES}
)
CONFIGS = st.one_of(
    TREES,
    st.fixed_dictionaries(
        {
            "class_name": st.sampled_from(["Sequential", "Functional", "Model"]),
            "config": st.fixed_dictionaries({"name": LEAVES, "layers": st.lists(LAYERS, max_size=4) | TREES}),
            "compile_config": TREES,
            "optimizer_config": TREES,
        }
    ),
)


def text_of(tree: Any) -> bytes:
    return json.dumps(tree).encode("utf-8", "surrogatepass")


def _keras_h5() -> bytes:
    return (Path(__file__).resolve().parent.parent / "zoo" / "keras_h5").glob("*.h5").__next__().read_bytes()


def run_keras_config(tree: Any) -> None:
    import io
    import zipfile

    from holdfast._formats.keras.archive import open_archive
    from holdfast._formats.keras.config import executable, model_attributes, parsed

    text = text_of(tree)
    config = lazily(lambda: parsed(text, "f", "it"))
    if config is not None:
        model_attributes(config, config)
        list(executable(config, "f"))
    home = Path(__file__).resolve().parent.parent / "zoo" / "keras_archive"
    out = io.BytesIO()
    with zipfile.ZipFile(next(home.glob("*.keras"))) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(name, text if name == "config.json" else old.read(name))
    opened(open_archive, out.getvalue(), "m.keras")


def run_index(tree: Any) -> None:
    from holdfast._formats.keras.shards import open_shards
    from holdfast._formats.shard_index import open_sharded

    for document in (
        tree,
        {"metadata": tree, "weight_map": tree},
        {"weight_map": {"w": tree, "v": "x.safetensors"}},
    ):
        opened(open_sharded, text_of(document), "m.safetensors.index.json")
        opened(open_shards, text_of(document), "m.weights.json")


DTYPES = st.sampled_from(["F32", "U8", "BF16", "F4", "F8_E4M3", "BOOL", "X", "F6_E3M2"])
ENTRIES = st.fixed_dictionaries(
    {
        "dtype": DTYPES | LEAVES,
        "shape": st.lists(NUMBERS, max_size=4) | TREES,
        "data_offsets": st.tuples(st.integers(0, 40), st.integers(0, 40)).map(list)
        | st.lists(SIGNED, max_size=3),
    }
)
HEADERS = st.dictionaries(NAMES | st.just("__metadata__"), ENTRIES | TREES, max_size=6)


def run_safetensors(made: tuple[Any, int, bytes]) -> None:
    from holdfast._formats.safetensors.catalog import open_safetensors

    tree, shift, data = made
    text = text_of(tree)
    opened(
        open_safetensors,
        struct.pack("<Q", max(0, len(text) + shift) & (1 << 64) - 1) + text + data,
        "m.safetensors",
    )


def sealed(tree: Any) -> bytes:
    from holdfast._record.canonical import record_digest

    if isinstance(tree, dict):
        with suppress(ValueError, UnicodeError):
            tree = {**tree, "digest": record_digest({k: v for k, v in tree.items() if k != "digest"})}
    return text_of(tree)


RANGES = st.fixed_dictionaries(
    {
        "offset": SIGNED,
        "length": SIGNED,
        "kind": st.sampled_from(["gap", "tensor", "x"]),
        "leaves": st.lists(st.sampled_from(["00" * 32, "zz", ""]), max_size=3),
    }
)
FILES = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["m.safetensors", "../up", "/etc/passwd", "", "a\0b"]) | NAMES,
        "size": SIGNED,
        "digest": st.sampled_from(["00" * 32, "x"]),
        "regions": st.lists(RANGES, max_size=3),
    }
)
SEALS = st.fixed_dictionaries(
    {
        "schema_version": st.sampled_from([1, 1, 1, 0, 2, "1", True]),
        "kind": st.sampled_from(["seal", "record", "x"]),
        "holdfast": st.just("0"),
        "format": st.just("safetensors"),
        "created": st.just("2026-01-01T00:00:00Z"),
        "name": NAMES,
        "algorithm": st.sampled_from(["blake3", "md5"]),
        "leaf_bytes": st.sampled_from([1 << 22, 1 << 12, 0, -1, 1 << 62]),
        "files": st.lists(FILES, max_size=3) | TREES,
    },
    optional={"tensors": TREES, "optimizers": TREES, "attributes": TREES, "evidence": TREES, "damage": TREES},
)


def run_seal(tree: Any) -> None:
    import holdfast
    from holdfast._record.schema import load_record

    data = sealed(tree)
    lazily(lambda: load_record(data, "f"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.safetensors"
        text = b'{"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}'
        path.write_bytes(struct.pack("<Q", len(text)) + text + b"abcd")
        (Path(folder) / "m.safetensors.holdfast.json").write_bytes(data)
        report = holdfast.verify(path, jobs=1)
        assert not [f for f in report.findings if f.code.startswith("H")], report.findings


# -- numpy -----------------------------------------------------------------------------------------------
DESCRS = st.recursive(
    st.sampled_from(
        ["'<f4'", "'|u1'", "'>c16'", "'|O'", "'<U4'", "'|S0'", "'|V8'", "'<M8[ns]'", "'x'", "3", "'<f999'"]
    ),
    lambda inner: st.lists(
        st.tuples(
            st.sampled_from(["'a'", "'b'", "''", "('t','n')"]),
            inner,
            st.sampled_from(["", ",(2,)", ",(9999999999,)", ",()"]),
        ).map(lambda p: f"({p[0]},{p[1]}{p[2]})"),
        max_size=3,
    ).map(lambda rows: "[" + ",".join(rows) + "]"),
    max_leaves=6,
)
NPY = st.tuples(
    DESCRS,
    st.sampled_from(["True", "False", "1", "None"]),
    st.lists(SIGNED, max_size=4).map(lambda s: "(" + "".join(f"{n}," for n in s) + ")")
    | st.sampled_from(["()", "[2]", "(2L,)"]),
    st.sampled_from(["", ",'x':1", "+1", "\0", "}", "#"]),
    st.sampled_from([(1, 0), (2, 0), (3, 0), (9, 9)]),
    st.integers(-3, 3),
    st.binary(max_size=64),
)


def run_npy(made: tuple[Any, ...]) -> None:
    from holdfast._formats.numpy.npy import open_npy

    descr, order, shape, more, version, shift, data = made
    text = f"{{'descr':{descr},'fortran_order':{order},'shape':{shape}{more}}}\n".encode()
    width = "<H" if version[0] == 1 else "<I"
    length = struct.pack(width, max(0, len(text) + shift))
    opened(open_npy, b"\x93NUMPY" + bytes(version) + length + text + data, "m.npy")


# -- TensorFlow ------------------------------------------------------------------------------------------
WIRE = st.recursive(
    st.binary(max_size=12),
    lambda inner: st.lists(
        st.one_of(
            st.tuples(st.integers(1, 9), NUMBERS).map(lambda p: field(p[0], p[1])),
            st.tuples(st.integers(1, 9), inner).map(lambda p: field(p[0], p[1])),
            st.tuples(st.integers(0, 9), st.integers(0, 7), st.binary(max_size=9)).map(
                lambda p: varint(p[0] << 3 | p[1]) + p[2]
            ),
            NUMBERS.map(lambda n: varint(7 << 3 | 2) + varint(n)),
        ),
        max_size=5,
    ).map(b"".join),
    max_leaves=20,
)
ENCODED = NAMES.map(lambda n: n.encode("utf-8", "surrogatepass"))
NODES = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 6), ENCODED).map(lambda p: field(1, field(1, p[0]) + field(2, p[1]))),
        st.tuples(ENCODED, ENCODED, ENCODED).map(
            lambda p: field(2, field(1, p[0]) + field(2, p[1]) + field(3, p[2]))
        ),
        st.tuples(st.integers(0, 6), ENCODED, st.integers(0, 6)).map(
            lambda p: field(3, field(1, p[0]) + field(2, p[1]) + field(3, p[2]))
        ),
        WIRE,
    ),
    max_size=5,
).map(b"".join)
GRAPHS = st.lists(NODES, max_size=6).map(lambda nodes: b"".join(field(1, node) for node in nodes)) | WIRE
BUNDLE_ENTRIES = st.one_of(
    WIRE,
    st.tuples(NUMBERS, st.lists(NUMBERS, max_size=3), SIGNED, NUMBERS, NUMBERS, WIRE).map(
        lambda p: (
            field(1, p[0])
            + field(2, b"".join(field(2, field(1, n)) for n in p[1]))
            + field(3, p[2] % 2**64 if p[2] < 0 else p[2] % 3)
            + field(4, p[3])
            + field(5, p[4])
            + p[5]
        )
    ),
    st.tuples(st.lists(st.integers(0, 9), max_size=3), st.lists(st.tuples(NUMBERS, NUMBERS), max_size=3)).map(
        lambda p: (
            field(1, 1)
            + field(2, b"".join(field(2, field(1, n)) for n in p[0]))
            + b"".join(field(7, field(1, field(1, a) + field(2, b))) for a, b in p[1])
        )
    ),
)
KEYS = ENCODED | st.binary(max_size=20).map(lambda b: b"\0" + b) | st.binary(max_size=8)


def run_protobuf(data: bytes) -> None:
    from holdfast._formats.protobuf import fields, text
    from holdfast._formats.tensorflow.entries import parse_entry, parse_header
    from holdfast._formats.tensorflow.saved_model import read_saved_model

    for _, value in lazily(lambda: list(fields(data))) or ():
        lazily(lambda value=value: text(value))
    lazily(lambda: parse_entry(data))
    lazily(lambda: parse_header(data))
    lazily(lambda: read_saved_model(BytesSource(data)))


def _stored_text(text: bytes) -> tuple[bytes, int]:
    """One string as a bundle stores it, and its masked crc32c."""
    from holdfast._formats.tensorflow.table import masked_crc32c

    length = struct.pack("<I", len(text))
    data = varint(len(text)) + struct.pack("<I", masked_crc32c(length)) + text
    return data, masked_crc32c(length + struct.pack("<I", masked_crc32c(length)) + text)


def run_bundle(made: tuple[list[tuple[bytes, bytes]], bytes, bytes, bool]) -> None:
    from holdfast._formats.tensorflow.bundle import open_bundle

    rows, graph, top, ordered = made
    data, crc = _stored_text(graph)
    items = [(b"", top), (b"_CHECKPOINTABLE_OBJECT_GRAPH", entry("string", (), 0, 0, data, crc=crc)), *rows]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "m.data-00000-of-00001").write_bytes(data + bytes(64))
        index = table(sorted(items) if ordered else items, compress=len(rows) % 2 == 1)
        use(lazily(lambda: open_bundle(BytesSource(index, "m.index"), LocalFolder(folder))))


def run_graph(data: bytes) -> None:
    from holdfast._formats.tensorflow.object_graph import parse_graph

    lazily(lambda: parse_graph(data))


BLOCK = st.lists(
    st.tuples(NUMBERS, NUMBERS, NUMBERS, st.binary(max_size=12)).map(
        lambda p: varint(p[0]) + varint(p[1]) + varint(p[2]) + p[3]
    )
    | st.tuples(st.binary(max_size=6), st.binary(max_size=6)).map(
        lambda p: varint(0) + varint(len(p[0])) + varint(len(p[1])) + p[0] + p[1]
    ),
    max_size=6,
).map(b"".join)


def run_table(made: tuple[bytes, int, int, list[int]]) -> None:
    """A block with its checksum right, found through an index block that is right or lies."""
    from holdfast._formats.tensorflow.table import MAGIC, Table, masked_crc32c

    body, restarts, kind, handle = made
    raw = body + struct.pack("<I", restarts & 0xFFFFFFFF) + bytes([kind])
    raw += struct.pack("<I", masked_crc32c(raw))
    where = [0, len(raw) - 5] if not handle else [*handle, 0][:2]
    index = block([(b"z", varint(where[0]) + varint(where[1]))])
    meta = block([])
    out = raw + meta + index
    footer = varint(len(raw)) + varint(len(meta) - 5) + varint(len(raw) + len(meta)) + varint(len(index) - 5)
    out += footer.ljust(40, b"\0") + struct.pack("<Q", MAGIC)
    made_table = lazily(lambda: Table(BytesSource(out)))
    if made_table is not None:
        list(made_table)
        for check in made_table.checks():
            check.run(lambda count: None)


SNAPPY = st.tuples(
    NUMBERS,
    st.lists(
        st.binary(min_size=1, max_size=20).map(lambda b: bytes([(len(b) - 1) << 2]) + b)
        | st.tuples(st.integers(0, 63), NUMBERS).map(
            lambda p: bytes([p[0] << 2 | 2]) + struct.pack("<H", p[1] & 0xFFFF)
        )
        | st.tuples(st.integers(0, 255), st.integers(0, 255)).map(lambda p: bytes([p[0] & 0xFC | 1, p[1]]))
        | st.tuples(st.integers(0, 63), NUMBERS).map(
            lambda p: bytes([p[0] << 2 | 3]) + struct.pack("<I", p[1] & 0xFFFFFFFF)
        )
        | st.tuples(st.integers(60, 63), st.binary(max_size=6)).map(lambda p: bytes([p[0] << 2]) + p[1]),
        max_size=12,
    ),
).map(lambda p: varint(p[0]) + b"".join(p[1]))


def run_snappy(data: bytes) -> None:
    from holdfast._formats.tensorflow.snappy import decompress

    found = lazily(lambda: decompress(data, 1 << 16))
    assert found is None or len(found) <= 1 << 16


def run_slice_key(data: bytes) -> None:
    from holdfast._formats.tensorflow.entries import slice_name

    lazily(lambda: slice_name(b"\0" + data))
    lazily(lambda: slice_name(data))


STATE_LINES = st.tuples(
    st.sampled_from(
        [
            "model_checkpoint_path",
            "all_model_checkpoint_paths",
            "all_model_checkpoint_timestamps",
            "x",
            "#",
            "",
        ]
    ),
    st.sampled_from([": ", ":", " ", "::", ""]),
    st.sampled_from(
        [
            '"a"',
            '"../../etc/passwd"',
            "'b'",
            '"\\377\\x41\\q"',
            '"',
            "1.5",
            "nan",
            "1e999",
            "--",
            '"m"',
            "{",
            "#" * 60,
        ]
    ),
    st.sampled_from(["\n", "", ";", "\r\n", " # c\n", "\0"]),
).map("".join)
STATES = st.lists(STATE_LINES, max_size=8).map(lambda lines: "".join(lines).encode()) | st.binary(max_size=60)


def run_state(data: bytes) -> None:
    import holdfast
    from holdfast._layouts.state_file import read_state_file

    lazily(lambda: read_state_file(BytesSource(data)))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "checkpoint").write_bytes(data)
        lazily(lambda: holdfast.examine(folder, jobs=1))


# -- plans -----------------------------------------------------------------------------------------------
PLAN_WORDS = st.sampled_from(
    [
        *(
            "rename:",
            "drop:",
            "cast:",
            "slice:",
            "pad:",
            "resize:",
            "split:",
            "merge:",
            "transpose:",
            "tie:",
            "untie:",
        ),
        *(
            "map-slots:",
            "reset-slots:",
            "hyper:",
            "init:",
            "keep-live:",
            "->",
            "=",
            ",",
            "[",
            "]",
            "0:4",
            "*",
            "a.*",
        ),
        *(
            "f32",
            "bf16",
            '"q\\"x"',
            "'",
            "(1,0)",
            "9" * 30,
            "-1",
            "checkpoint",
            "live",
            "1e5",
            " ",
            "é",
            "\\",
            "axis",
            "@",
        ),
    ]
)
PLANS = st.lists(PLAN_WORDS, max_size=10).map("".join) | st.text(max_size=40)


def run_plan(text: str) -> None:
    from holdfast._core.plan import Edit, Plan

    edit = lazily(lambda: Edit.parse(text))
    if edit is not None:
        assert Edit.parse(str(edit)) == edit
    plan = lazily(lambda: Plan.parse([text, "drop:x"]))
    if plan is not None:
        assert Plan.from_toml(plan.to_toml()) == plan
    lazily(lambda: Plan.from_toml(text))
    lazily(lambda: Plan.from_toml(f"schema_version = 1\n[[edit]]\nedit = {json.dumps(text)}\n"))
    lazily(lambda: Plan.from_toml(f'edits = ["{text}", 3]\n[x]\ny={text}'))


CASES = {
    "pickle-programs": Case(PROGRAMS, run_pickle),
    "pickle-mutated": Case(MUTATED, run_pickle),
    "torch-programs": Case(PROGRAMS, run_torch),
    "torch-legacy-programs": Case(PROGRAMS, run_torch_legacy),
    "zip": Case(ZIPS, run_zip),
    "safetensors": Case(
        st.tuples(HEADERS, st.integers(-3, 3) | NUMBERS, st.binary(max_size=40)), run_safetensors
    ),
    "npy": Case(NPY, run_npy),
    "protobuf": Case(WIRE | BUNDLE_ENTRIES, run_protobuf),
    "object-graph": Case(GRAPHS, run_graph),
    "bundle": Case(
        st.tuples(
            st.lists(st.tuples(KEYS, BUNDLE_ENTRIES), max_size=5),
            GRAPHS,
            st.just(header()) | WIRE,
            st.booleans(),
        ),
        run_bundle,
    ),
    "table": Case(
        st.tuples(BLOCK, NUMBERS, st.sampled_from([0, 0, 1, 2]), st.just([]) | st.lists(NUMBERS, max_size=2)),
        run_table,
    ),
    "snappy": Case(SNAPPY, run_snappy),
    "slice-key": Case(st.binary(max_size=60), run_slice_key),
    "state-file": Case(STATES, run_state),
    "keras-config": Case(CONFIGS, run_keras_config),
    "index-json": Case(TREES, run_index),
    "seal": Case(SEALS | TREES, run_seal),
    "plan": Case(PLANS, run_plan),
}


@pytest.mark.parametrize("name", CASES)
def test_parser(name: str) -> None:
    case = CASES[name]

    @settings(max_examples=120, deadline=None, derandomize=True, database=None, suppress_health_check=QUIET)
    @given(case.inputs)
    def run(made: Any) -> None:
        case.run(made)

    run()


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", CASES)
def test_parser_long(name: str) -> None:
    case = CASES[name]

    @settings(max_examples=8000, deadline=None, database=None, suppress_health_check=QUIET, print_blob=True)
    @given(case.inputs)
    def run(made: Any) -> None:
        case.run(made)

    run()
