"""Attacks by name: each file is built here, examined in a cage, and must be told for what it is or refused."""

from __future__ import annotations

import io
import json
import pickle
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from cage import cage

import holdfast

SENTINEL = "code-ran-here"


def safetensors(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def torch_zip(
    pickled: bytes, storages: dict[str, bytes] | None = None, method: int = zipfile.ZIP_STORED
) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/version", b"3\n")
        for key, data in (storages or {}).items():
            archive.writestr(f"archive/data/{key}", data)
    return out.getvalue()


class Evil:
    """Pickles as a call of os.system that would leave a sentinel behind."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> object:
        import os

        return os.system, (self.command,)


def attack_safetensors_header_longer_than_file() -> bytes:
    return struct.pack("<Q", 1 << 62) + b"{}"


def attack_safetensors_overlap() -> bytes:
    entry = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}
    return safetensors({"a": entry, "b": entry}, bytes(16))


def attack_safetensors_absurd_shape() -> bytes:
    return safetensors({"a": {"dtype": "F32", "shape": [1 << 40, 1 << 40], "data_offsets": [0, 4]}}, bytes(4))


def attack_safetensors_negative_shape() -> bytes:
    return safetensors({"a": {"dtype": "F32", "shape": [-1, 4], "data_offsets": [0, 16]}}, bytes(16))


def attack_safetensors_many_zero_sized_dims() -> bytes:
    return safetensors({"a": {"dtype": "F32", "shape": [0] * 5000 + [1 << 60], "data_offsets": [0, 0]}})


def attack_safetensors_deep_json() -> bytes:
    return safetensors(b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}")


def attack_safetensors_duplicate_key() -> bytes:
    one = b'"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}'
    return safetensors(b"{" + one + b"," + one + b"}", bytes(1))


def attack_safetensors_huge_integers() -> bytes:
    return safetensors(b'{"a":{"dtype":"F32","shape":[' + b"9" * 4000 + b'],"data_offsets":[0,4]}}', bytes(4))


def attack_safetensors_wrong_types() -> bytes:
    return safetensors(
        {"a": {"dtype": 3, "shape": "x", "data_offsets": None}, "b": [], "__metadata__": {"x": [1]}}
    )


def attack_npy_absurd_shape() -> bytes:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999, 99999999999), }\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


def attack_npy_deep_header() -> bytes:
    header = b"(" * 30_000 + b")" * 30_000
    return b"\x93NUMPY\x02\x00" + struct.pack("<I", len(header)) + header


def attack_npy_code_in_header() -> bytes:
    header = (
        b"{'descr': __import__('os').system('touch "
        + SENTINEL.encode()
        + b"'), 'fortran_order': False, 'shape': ()}"
    )
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


def attack_npy_object_array_with_code() -> bytes:
    out = io.BytesIO()
    np.save(out, np.array([Evil(f"touch {SENTINEL}")], dtype=object), allow_pickle=True)
    return out.getvalue()


def attack_torch_os_system() -> bytes:
    return torch_zip(pickle.dumps({"w": Evil(f"touch {SENTINEL}")}, protocol=2))


def attack_torch_eval_by_inst() -> bytes:
    return torch_zip(b"(S'1'\ni__builtin__\neval\n.")


def attack_torch_cyclic_pickle() -> bytes:
    cycle: dict[str, object] = {}
    cycle["self"] = cycle
    cycle["list"] = [cycle, [cycle]]
    return torch_zip(pickle.dumps(cycle, protocol=2))


def attack_torch_deep_nesting() -> bytes:
    return torch_zip(b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".")


def attack_torch_deep_tuples() -> bytes:
    return torch_zip(b"\x80\x02)" + b"\x85" * 200_000 + b".")


def attack_torch_billion_laughs() -> bytes:
    out = [b"\x80\x02X\x03\0\0\0lolq\0"]
    for level in range(40):
        out.append(b"(" + b"h" + bytes([level]) + (b"h" + bytes([level])) * 9 + b"lq" + bytes([level + 1]))
    return torch_zip(b"".join(out) + b".")


def attack_torch_huge_long() -> bytes:
    return torch_zip(b"\x80\x02\x8b\xff\xff\xff\x7f" + b"\x01" * 100 + b".")


def attack_torch_wide_long() -> bytes:
    digits = b"\xff" * 3_000_000
    return torch_zip(b"\x80\x02\x8b" + struct.pack("<i", len(digits)) + digits + b".")


def attack_torch_huge_memo() -> bytes:
    return torch_zip(b"\x80\x02Nr\xff\xff\xff\x7f.")


def attack_torch_decimal_bomb() -> bytes:
    return torch_zip(b"I" + b"7" * 1_000_000 + b"\n.")


def attack_torch_stack_underflow() -> bytes:
    return torch_zip(b"\x80\x02" + b"R0ab1tes" * 50 + b".")


def attack_torch_absurd_strides() -> bytes:
    rebuilt = (
        b"\x80\x02}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\n"
        b"X\x01\0\0\0" + b"0X\x03\0\0\0cpuK\x04tQK\0\x8a\x06\0\0\0\0\0\x10\x85\x8a\x06\0\0\0\0\0\x10\x85\x89"
        b"ccollections\nOrderedDict\n)RtRs."
    )
    return torch_zip(rebuilt, {"0": bytes(16)})


def attack_torch_expanded_to_petabytes() -> bytes:
    rebuilt = (
        b"\x80\x02}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\n"
        b"X\x01\0\0\0" + b"0X\x03\0\0\0cpuK\x04tQK\0\x8a\x06\0\0\0\0\0\x10\x85K\0\x85\x89"
        b"ccollections\nOrderedDict\n)RtRs."
    )
    return torch_zip(rebuilt, {"0": bytes(16)})


def attack_zip_bomb_pickle() -> bytes:
    return torch_zip(
        b"\x80\x02X" + struct.pack("<I", 200_000_000) + bytes(200_000_000) + b".", method=zipfile.ZIP_DEFLATED
    )


def attack_zip_bomb_storage() -> bytes:
    return torch_zip(pickle.dumps({"x": 1}, protocol=2), {"0": bytes(300_000_000)}, zipfile.ZIP_DEFLATED)


def attack_zip_names_climb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("../../etc/data.pkl", pickle.dumps({}, protocol=2))
        archive.writestr("../../etc/version", b"3")
    return out.getvalue()


def attack_zip_lying_sizes() -> bytes:
    data = bytearray(torch_zip(pickle.dumps({}, protocol=2)))
    at = data.find(b"PK\x01\x02")
    struct.pack_into("<II", data, at + 20, 0x7FFFFFFF, 0x7FFFFFFF)
    return bytes(data)


def attack_legacy_torch_huge_count() -> bytes:
    parts = [
        pickle.dumps(v, protocol=2)
        for v in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, {}, ["0"])
    ]
    return b"".join(parts) + struct.pack("<q", 1 << 60) + bytes(8)


def attack_tf_index_huge_block() -> bytes:
    footer = b"\x00\x08" + b"\xff\xff\xff\xff\xff\xff\xff\x7f\x08"
    return bytes(64) + footer.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)


def attack_tf_index_snappy_bomb() -> bytes:
    import crc32c

    body = b"\xff\xff\xff\xff\x0f" + b"\x00a" + b"\xfe\x01\x00" * 1000
    crc = crc32c.crc32c(body + b"\x01")
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    block = body + b"\x01" + struct.pack("<I", masked)
    size = len(body)
    handle = bytes([size & 0x7F | 0x80, size >> 7])
    footer = b"\x00" + handle + b"\x00" + handle
    return block + footer.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)


def attack_h5_signature_and_noise() -> bytes:
    return b"\x89HDF\r\n\x1a\n" + np.random.default_rng(0).bytes(4000)


def attack_pickle_alone() -> bytes:
    return pickle.dumps({"w": Evil(f"touch {SENTINEL}")})


ATTACKS = {
    name.removeprefix("attack_"): made for name, made in globals().items() if name.startswith("attack_")
}
# Odd, but legal, and nothing in them can do harm to a reader that neither calls nor expands: silence is right.
HARMLESS = {"torch_cyclic_pickle", "torch_billion_laughs", "torch_huge_memo", "zip_bomb_storage"}
ENDINGS = {
    "safetensors": ".safetensors",
    "npy": ".npy",
    "torch": ".pt",
    "zip": ".pt",
    "legacy": ".pt",
    "tf": ".index",
    "h5": ".h5",
}


@pytest.mark.parametrize("name", ATTACKS)
def test_attack(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / f"attack{ENDINGS.get(name.split('_')[0], '.pkl')}"
    path.write_bytes(ATTACKS[name]())
    (ended,) = cage([path])
    assert ended.good, ended
    assert not (tmp_path / SENTINEL).exists()
    if ended.ending == "report" and name not in HARMLESS:
        assert ended.slugs, f"nothing was said of {name}: {ended}"


def test_code_in_pickles_is_named(tmp_path: Path) -> None:
    path = tmp_path / "evil.pt"
    path.write_bytes(attack_torch_os_system())
    report = holdfast.examine(path)
    found = [f for f in report.findings if f.slug == "pickle-global"]
    assert found and "system" in found[0].message
    assert found[0].severity == "error"


@pytest.mark.parametrize(
    "shard", ["../../../tmp/x.safetensors", "/tmp/x.safetensors", "..\\up.safetensors", "a\0b.safetensors"]
)
def test_index_that_climbs_out_of_its_folder(tmp_path: Path, shard: str) -> None:
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {"total_size": 4}, "weight_map": {"w": shard}}))
    (ended,) = cage([path])
    assert ended.good, ended
    assert ended.ending == "refused" or "damaged" in ended.detail or "lost" in ended.detail


def test_state_file_that_points_outside_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint").write_text('model_checkpoint_path: "../../../../etc/passwd"\n')
    (ended,) = cage([tmp_path / "run"])
    assert ended.good, ended


def test_external_links_in_hdf5_are_not_followed(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["secret"] = np.arange(4.0)
    with h5py.File(tmp_path / "w.weights.h5", "w") as file:
        group = file.create_group("layers/dense/vars")
        group["0"] = np.ones((2, 2), "f4")
        group["1"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/secret")
        file["layers/loop"] = h5py.SoftLink("/layers")
    with holdfast.open(tmp_path / "w.weights.h5") as catalog:
        assert [n for n in catalog if "secret" in n] == []
        assert all(catalog[n].shape != (4,) for n in catalog)
    (ended,) = cage([tmp_path / "w.weights.h5"])
    assert ended.good, ended


HOSTILE_NAMES = [
    "\x1b[2J\x1b[31mred",
    "<script>alert(1)</script>",
    "line\nbreak",
    "[bold]markup[/bold]",
    "\u202eright-to-left",
    "bell\x07",
    "\x1b]0;title\x07",
    "a" * 5000,
    "::error file=x::injected",
]


@pytest.mark.parametrize("output", ["text", "json", "sarif", "github"])
def test_hostile_tensor_names_reach_no_terminal(tmp_path: Path, output: str) -> None:
    header: dict[str, object] = {}
    for number, name in enumerate(HOSTILE_NAMES):
        header[name] = {"dtype": "F32", "shape": [1], "data_offsets": [4 * number, 4 * number + 4]}
    path = tmp_path / "names.safetensors"
    data = struct.pack("<f", float("nan")) * len(HOSTILE_NAMES)
    path.write_bytes(safetensors(header, data))
    commands = [["doctor", str(path), "--format", output]]
    if output in ("text", "json"):
        commands.append(["inspect", str(path), "--format", output])
    for command in commands:
        done = subprocess.run([sys.executable, "-m", "holdfast", *command], capture_output=True, check=False)
        assert done.returncode in (0, 1), done.stderr
        text = done.stdout.decode()
        for character in ("\x1b", "\x07", "\u202e"):
            assert character not in text, (command, character)
        assert b"Traceback" not in done.stderr
        if output == "github":
            assert not any(line.startswith("::error file=x::") for line in text.splitlines())


def test_zip_member_of_a_torch_file_with_wrong_crc_is_found(tmp_path: Path) -> None:
    data = bytearray(torch_zip(pickle.dumps({"x": 1}, protocol=2), {"0": bytes(100)}))
    crc = struct.pack("<I", zlib.crc32(bytes(100)))
    at = data.rfind(crc)
    data[at] ^= 1
    path = tmp_path / "x.pt"
    path.write_bytes(data)
    assert "checksum" in {f.slug for f in holdfast.examine(path).findings}
