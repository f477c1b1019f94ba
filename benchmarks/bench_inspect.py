"""`inspect` of a 10 GB file against a 10 MB one of the same format and the same number of tensors.

    python benchmarks/bench_inspect.py [LARGE_GB] [FOLDER]

The large files are sparse: their data is a hole, their headers are real. Whole processes, medians of interleaved runs, peak
memory as the kernel accounts it. Targets: within 1.5x in time, below 150 MB. Peers beside it where they are installed:
`safetensors.safe_open` and `zipfile.ZipFile` listing the same file.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np

TENSORS = 40
RUNS = 7


def safetensors_file(path: Path, nbytes: int) -> None:
    """A safetensors file of TENSORS equal float32 tensors whose data is a hole."""
    each = nbytes // TENSORS // 4096 * 4096
    header = {
        f"layers.{i}.weight": {
            "dtype": "F32",
            "shape": [each // 4096, 1024],
            "data_offsets": [i * each, (i + 1) * each],
        }
        for i in range(TENSORS)
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + TENSORS * each)


def torch_file(path: Path, nbytes: int) -> None:
    """A PyTorch zip as torch.save lays it out (protocol-2 pickle of an OrderedDict), storages as holes."""
    each = nbytes // TENSORS // 4096 * 4096
    out = [b"\x80\x02ccollections\nOrderedDict\n)R("]
    for i in range(TENSORS):
        name, key = f"layers.{i}.weight".encode(), str(i).encode()
        out.append(b"X" + struct.pack("<I", len(name)) + name + b"ctorch._utils\n_rebuild_tensor_v2\n((")
        out.append(b"X\x07\0\0\0storagectorch\nFloatStorage\nX" + struct.pack("<I", len(key)) + key)
        out.append(b"X\x03\0\0\0cpu" + b"\x8a\x05" + (each // 4).to_bytes(5, "little") + b"tQ")
        out.append(b"K\0\x8a\x05" + (each // 4096).to_bytes(5, "little") + b"M\0\x04\x86M\0\x04K\x01\x86\x89")
        out.append(b"ccollections\nOrderedDict\n)RtR")
    out.append(b"u.")
    members: list[tuple[str, bytes | int]] = [
        ("archive/data.pkl", b"".join(out)),
        ("archive/byteorder", b"little"),
    ]
    members += [(f"archive/data/{i}", each) for i in range(TENSORS)]
    members.append(("archive/version", b"3\n"))
    zip_with_holes(path, members)


def zip_with_holes(path: Path, members: list[tuple[str, bytes | int]]) -> None:
    """Write a stored zip64 archive by hand; an int stands for so many bytes of hole (CRC left 0: not computed)."""
    import zlib

    directory = b""
    with path.open("wb") as file:
        for name, data in members:
            raw = name.encode()
            size = data if isinstance(data, int) else len(data)
            crc = 0 if isinstance(data, int) else zlib.crc32(data)
            at = file.tell()
            file.write(
                struct.pack(
                    "<4sHHHHHIIIHH", b"PK\3\4", 45, 0, 0, 0, 0, crc, 0xFFFFFFFF, 0xFFFFFFFF, len(raw), 20
                )
            )
            file.write(raw + struct.pack("<HHQQ", 1, 16, size, size))
            if isinstance(data, int):
                file.seek(size, os.SEEK_CUR)
            else:
                file.write(data)
            directory += struct.pack(
                "<4sHHHHHHIIIHHHHHII",
                b"PK\1\2",
                45,
                45,
                0,
                0,
                0,
                0,
                crc,
                *(3 * [0xFFFFFFFF])[:2],
                len(raw),
                28,
                0,
                0,
                0,
                0,
                0xFFFFFFFF,
            )
            directory += raw + struct.pack("<HHQQQ", 1, 24, size, size, at)
        start = file.tell()
        file.write(directory)
        end = file.tell()
        count = len(members)
        file.write(
            struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(directory), start)
        )
        file.write(struct.pack("<4sIQI", b"PK\6\7", 0, end, 1))
        file.write(struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0))


def h5_file(path: Path, nbytes: int) -> None:
    """A .weights.h5 as Keras lays it out; contiguous datasets that were never written are holes at the end of the file."""
    import h5py

    each = nbytes // TENSORS // 4096 * 4096
    plain = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plain.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    plain.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    with h5py.File(path, "w") as file:
        for i in range(TENSORS):
            group = file.create_group(f"layers/dense_{i}/vars" if i else "layers/dense/vars")
            space = h5py.h5s.create_simple((each // 4096, 1024))
            h5py.h5d.create(group.id, b"0", h5py.h5t.IEEE_F32LE, space, plain)


def bundle_file(path: Path, nbytes: int) -> None:
    """A TensorFlow V2 bundle: a real index over a data file that is one hole."""
    import crc32c

    each = nbytes // TENSORS // 4096 * 4096

    def varint(value: int) -> bytes:
        out = b""
        while value > 0x7F:
            out += bytes([value & 0x7F | 0x80])
            value >>= 7
        return out + bytes([value])

    def mask(crc: int) -> int:
        return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF

    def block(entries: list[tuple[bytes, bytes]]) -> bytes:
        out = b"".join(b"\0" + varint(len(k)) + varint(len(v)) + k + v for k, v in entries)
        restarts = struct.pack("<II", 0, 1)
        body = out + restarts
        return body + b"\0" + struct.pack("<I", mask(crc32c.crc32c(body + b"\0")))

    entries = [(b"", b"\x08\x01\x1a\x02\x08\x01")]
    for i in range(TENSORS):
        rows = varint(each // 4096)
        shape = b"\x12" + varint(1 + len(rows)) + b"\x08" + rows + b"\x12\x03\x08\x80\x08"
        value = b"\x08\x01\x12" + varint(len(shape)) + shape
        value += (b"\x20" + varint(i * each) if i else b"") + b"\x28" + varint(each) + b"\x35\x01\0\0\0"
        entries.append((f"layers/{i:02d}/kernel".encode(), value))
    data = block(entries)
    meta = block([])
    index = block([(b"zzz", varint(0) + varint(len(data) - 5))])
    footer = (
        varint(len(data)) + varint(len(meta) - 5) + varint(len(data) + len(meta)) + varint(len(index) - 5)
    )
    path.write_bytes(data + meta + index + footer.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57))
    with Path(f"{str(path).removesuffix('.index')}.data-00000-of-00001").open("wb") as file:
        file.truncate(TENSORS * each)


KINDS = {
    "safetensors": (safetensors_file, "m.safetensors"),
    "torch zip": (torch_file, "m.pt"),
    "TF bundle": (bundle_file, "m.index"),
    "h5": (h5_file, "m.weights.h5"),
}


def measure(command: list[str]) -> tuple[float, float]:
    """Seconds and peak MB of one run of a command."""
    start = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {child.returncode}")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def main() -> None:
    large = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    base = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(tempfile.mkdtemp(prefix="bench-inspect-"))
    resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"{TENSORS} tensors; large = {large:g} GB (sparse), small = 10 MB; medians of {RUNS} interleaved runs"
    )
    print(
        f"{'format':14}{'large/small time':>18}{'peak MB large':>15}{'peak MB small':>15}   peer on the large file (time, MB)"
    )
    try:
        for kind, (make, name) in KINDS.items():
            folders = {"small": base / f"{kind}-small", "large": base / f"{kind}-large"}
            runs: dict[str, list[tuple[float, float]]] = {"small": [], "large": []}
            for size, folder in folders.items():
                folder.mkdir(parents=True, exist_ok=True)
                make(folder / name, int(large * 1e9) if size == "large" else 10_000_000)
            for _ in range(RUNS + 1):
                for size, folder in folders.items():
                    runs[size].append(
                        measure([sys.executable, "-m", "holdfast", "inspect", str(folder / name)])
                    )
            middle = {s: statistics.median(t for t, _ in r[1:]) for s, r in runs.items()}
            peak = {s: max(m for _, m in r) for s, r in runs.items()}
            print(
                f"{kind:14}{middle['large'] / middle['small']:>17.2f}x{peak['large']:>15.0f}{peak['small']:>15.0f}   "
                + peer(kind, folders["large"] / name)
            )
    finally:
        if len(sys.argv) <= 2:
            shutil.rmtree(base, ignore_errors=True)


def peer(kind: str, path: Path) -> str:
    """The framework's own lister on the same file, as a whole process."""
    code = {
        "safetensors": "import sys; from safetensors import safe_open\n"
        "with safe_open(sys.argv[1], 'np') as f: [f.get_slice(k).get_shape() for k in f.keys()]",
        "torch zip": "import sys, zipfile; zipfile.ZipFile(sys.argv[1]).namelist()",
        "TF bundle": "pass",
        "h5": "import sys, h5py\nwith h5py.File(sys.argv[1]) as f: f.visititems(lambda n, o: getattr(o, 'shape', None))",
    }[kind]
    if code == "pass":
        return "-"
    seconds, megabytes = zip(
        *(measure([sys.executable, "-c", code, str(path)]) for _ in range(3)), strict=True
    )
    return f"{statistics.median(seconds):.2f} s, {max(megabytes):.0f} MB"


if __name__ == "__main__":
    assert np and zipfile  # the peers of the table must be importable
    main()
