"""Checkpoints written by hand for the benchmarks: real headers over data that is a hole, so that 10 GB cost no disk.

Each writer takes ``tensors``, pairs of name and shape; the values are float32 zeros that are not stored, or, with
``data``, the bytes that ``data(number of the tensor, how many)`` gives.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from math import prod
from pathlib import Path

__all__ = ["Tensors", "bundle", "h5", "layers", "safetensors", "torch_zip"]

Tensors = Sequence[tuple[str, tuple[int, ...]]]
Data = Callable[[int, int], bytes] | None

_MATRICES = (
    "attn.q.weight",
    "attn.k.weight",
    "attn.v.weight",
    "attn.o.weight",
    "mlp.up.weight",
    "mlp.down.weight",
)
_VECTORS = ("norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias")


def layers(count: int, prefix: str = "", width: int = 8) -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes of about ``count`` tensors, as a transformer names them: six matrices and four vectors a
    layer."""
    return [
        (f"{prefix}layers.{layer}.{name}", (width, width) if name in _MATRICES else (width,))
        for layer in range(count // (len(_MATRICES) + len(_VECTORS)))
        for name in (*_MATRICES, *_VECTORS)
    ]


def safetensors(path: Path, tensors: Tensors, data: Data = None) -> None:
    """The header as JSON, then the buffer (huggingface/safetensors, README "Format")."""
    header, at = {}, 0
    for name, shape in tensors:
        size = 4 * prod(shape)
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        if data is None:
            file.truncate(8 + len(text) + at)
            return
        for number, (_, shape) in enumerate(tensors):
            file.write(data(number, 4 * prod(shape)))


def torch_zip(path: Path, tensors: Tensors, data: Data = None) -> None:
    """As ``torch.save`` writes an ``OrderedDict``: a protocol-2 pickle with memo, one storage a member.

    Texts and globals are memoised as CPython's pickler does it, so that the stream is as long as a real one.
    """
    memo: dict[bytes, int] = {}

    def put(key: bytes) -> bytes:
        memo[key] = len(memo)
        return b"q" + bytes([memo[key]]) if memo[key] < 256 else b"r" + struct.pack("<I", memo[key])

    def once(code: bytes) -> bytes:
        """The opcode that makes a value, the first time; later its place in the memo."""
        known = memo.get(code)
        if known is None:
            return code + put(code)
        return b"h" + bytes([known]) if known < 256 else b"j" + struct.pack("<I", known)

    def text(value: str) -> bytes:
        return b"X" + struct.pack("<I", len(value.encode())) + value.encode()

    def number(value: int) -> bytes:
        if value < 256:
            return b"K" + bytes([value])
        return b"J" + struct.pack("<i", value) if value < 1 << 31 else b"\x8a\x08" + struct.pack("<q", value)

    def pair(values: tuple[int, ...], key: bytes) -> bytes:
        return b"".join(map(number, values)) + {1: b"\x85", 2: b"\x86"}[len(values)] + put(key)

    out = [b"\x80\x02", once(b"ccollections\nOrderedDict\n"), b")R", put(b"top"), b"("]
    for i, (name, shape) in enumerate(tensors):
        tag = str(i).encode()
        strides = tuple(prod(shape[d + 1 :]) for d in range(len(shape)))
        out += [text(name), put(b"name" + tag), once(b"ctorch._utils\n_rebuild_tensor_v2\n"), b"(("]
        out += [once(text("storage")), once(b"ctorch\nFloatStorage\n"), text(str(i)), put(b"key" + tag)]
        out += [once(text("cpu")), number(prod(shape)), b"t", put(b"pid" + tag), b"QK\0"]
        out += [pair(shape, b"shape" + tag), pair(strides, b"stride" + tag), b"\x89"]
        out += [once(b"ccollections\nOrderedDict\n"), b")R", put(b"hooks" + tag), b"t", put(b"args" + tag)]
        out += [b"R", put(b"tensor" + tag)]
    out.append(b"u.")
    members: list[tuple[str, Payload]] = [
        ("archive/data.pkl", b"".join(out)),
        ("archive/byteorder", b"little"),
        *(
            (f"archive/data/{i}", 4 * prod(shape) if data is None else partial(data, i, 4 * prod(shape)))
            for i, (_, shape) in enumerate(tensors)
        ),
        ("archive/version", b"3\n"),
    ]
    _zip(path, members)


Payload = bytes | int | Callable[[], bytes]


def _zip(path: Path, members: Iterable[tuple[str, Payload]]) -> None:
    """A stored zip64 archive, payloads aligned to 64 bytes; an int stands for so many bytes of hole.

    Where the holes are large no CRC-32 is computed (0 everywhere, as ``torch.save`` writes on request).
    """
    members = list(members)
    checked = all(data < 1 << 20 for _, data in members if isinstance(data, int))
    directory, count = [], 0
    with path.open("wb") as file:
        for name, given in members:
            raw, data = name.encode(), given() if callable(given) else given
            size = data if isinstance(data, int) else len(data)
            crc = zlib.crc32(bytes(data)) if checked else 0  # bytes(int) are zeros, as a hole is
            at = file.tell()
            pad = -(at + 30 + len(raw) + 20 + 4) % 64
            head = (45, 0, 0, 0, 0, crc, 0xFFFFFFFF, 0xFFFFFFFF, len(raw), 24 + pad)
            file.write(struct.pack("<4sHHHHHIIIHH", b"PK\3\4", *head) + raw)
            file.write(struct.pack("<HHQQ", 1, 16, size, size) + b"FB" + struct.pack("<H", pad) + b"Z" * pad)
            if isinstance(data, int):
                file.seek(size, os.SEEK_CUR)
            else:
                file.write(data)
            row = (45, 45, 0, 0, 0, 0, crc, 0xFFFFFFFF, 0xFFFFFFFF, len(raw), 28, 0, 0, 0, 0, 0xFFFFFFFF)
            directory.append(struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\1\2", *row) + raw)
            directory.append(struct.pack("<HHQQQ", 1, 24, size, size, at))
            count += 1
        start, whole = file.tell(), b"".join(directory)
        file.write(whole)
        end = file.tell()
        file.write(struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(whole), start))
        file.write(struct.pack("<4sIQI", b"PK\6\7", 0, end, 1))
        file.write(struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0))


def bundle(path: Path, tensors: Tensors, data: Data = None) -> None:
    """A TensorFlow V2 bundle: ``path`` is the ``.index``; the data file beside it is one hole.

    Entries are sorted, prefix-compressed with a restart every 16, in blocks of 256 KiB, as
    tensorflow/core/lib/io/table_builder.cc writes them; crc32c of the values is that of zeros.
    """
    import crc32c

    def varint(value: int) -> bytes:
        out = b""
        while value > 0x7F:
            out += bytes([value & 0x7F | 0x80])
            value >>= 7
        return out + bytes([value])

    def mask(crc: int) -> int:
        return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF

    table, at = [], 0
    entries: list[tuple[bytes, bytes]] = [(b"", b"\x08\x01\x1a\x02\x08\x01")]
    zeros: dict[int, int] = {}
    with Path(f"{str(path).removesuffix('.index')}.data-00000-of-00001").open("wb") as pieces:
        for number, (name, shape) in enumerate(sorted(tensors)):
            dims = b"".join(b"\x12" + varint(1 + len(varint(n))) + b"\x08" + varint(n) for n in shape)
            size = 4 * prod(shape)
            if data is not None:
                piece = data(number, size)
                pieces.write(piece)
                zeros[size] = mask(crc32c.crc32c(piece))
            elif size not in zeros:  # large runs are never verified by a benchmark: any crc will do
                zeros[size] = mask(crc32c.crc32c(bytes(size))) if size < 1 << 16 else 1
            value = b"\x08\x01\x12" + varint(len(dims)) + dims
            value += (b"\x20" + varint(at) if at else b"") + b"\x28" + varint(size)
            entries.append((name.encode(), value + b"\x35" + struct.pack("<I", zeros[size])))
            at += size
        pieces.truncate(at)

    place = 0

    def block(rows: list[tuple[bytes, bytes]], every: int) -> bytes:
        """One block with its trailer; ``place`` moves on."""
        nonlocal place
        body, restarts, last = b"", [], b""
        parts: list[bytes] = []
        for i, (key, value) in enumerate(rows):
            shared = 0
            if i % every == 0:
                restarts.append(len(body) + sum(map(len, parts)))
                body, parts = b"".join([body, *parts]), []
            else:
                most = min(len(last), len(key))
                shared = next((n for n in range(most) if last[n] != key[n]), most)
            parts.append(
                varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
            )
            last = key
        body = b"".join([body, *parts]) + struct.pack(f"<{len(restarts) or 1}I", *(restarts or [0]))
        body += struct.pack("<I", len(restarts) or 1)
        handles.append(varint(place) + varint(len(body)))
        place += len(body) + 5
        return body + b"\0" + struct.pack("<I", mask(crc32c.crc32c(body + b"\0")))

    handles: list[bytes] = []
    rows: list[tuple[bytes, bytes]] = []
    index: list[tuple[bytes, bytes]] = []
    room = 256 << 10
    for number, (key, value) in enumerate(entries, 1):
        rows.append((key, value))
        room -= len(key) + len(value)
        if room < 0 or number == len(entries):
            table.append(block(rows, 16))
            index.append((key, handles[-1]))
            rows, room = [], 256 << 10
    table.append(block([], 16))
    meta = handles[-1]
    table.append(block(index, 1))
    footer = (meta + handles[-1]).ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)
    path.write_bytes(b"".join(table) + footer)


def h5(path: Path, tensors: Tensors) -> None:
    """A ``.weights.h5`` as Keras lays it out, one dense layer a tensor; datasets that are never written are holes."""
    import h5py

    plain = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plain.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    plain.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    with h5py.File(path, "w") as file:
        for i, (_, shape) in enumerate(tensors):
            group = file.create_group(f"layers/dense_{i}/vars" if i else "layers/dense/vars")
            space = h5py.h5s.create_simple(shape)
            h5py.h5d.create(group.id, b"0", h5py.h5t.IEEE_F32LE, space, plain)
