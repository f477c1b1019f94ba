"""Damage to bytes and files, without knowledge of what they mean. Each takes the folder and its :class:`Base`."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from damage_bases import Base

Mutator = Callable[[Path, Base], None]


def rewritten(change: Callable[[bytes, Base], bytes]) -> Mutator:
    """A mutator of the data file's bytes."""

    def mutate(folder: Path, base: Base) -> None:
        path = folder / base.data
        path.write_bytes(change(path.read_bytes(), base))

    return mutate


def in_head(change: Callable[[bytes], bytes]) -> Mutator:
    """A mutator of the index or metadata file."""

    def mutate(folder: Path, base: Base) -> None:
        path = folder / (base.head or base.data)
        path.write_bytes(change(path.read_bytes()))

    return mutate


def flipped(raw: bytes, at: int, bit: int) -> bytes:
    return raw[:at] + bytes([raw[at] ^ bit]) + raw[at + 1 :]


def _inside(raw: bytes, base: Base) -> int:
    """Where the large weight's bytes begin in the file."""
    at = raw.find(base.needle)
    assert at >= 0, "the weight's bytes do not stand in the file as they are"
    return at


def exponent_flip(raw: bytes, base: Base) -> bytes:
    return flipped(raw, _inside(raw, base) + 4 * 5000 + 3, 0x40)


def mantissa_flip(raw: bytes, base: Base) -> bytes:
    return flipped(raw, _inside(raw, base) + 4 * 5000 + 1, 0x01)


def page(raw: bytes, base: Base) -> int:
    """The file offset of the fifth whole page of the weight."""
    return (_inside(raw, base) // 4096 + 5) * 4096


def zero_page(raw: bytes, base: Base) -> bytes:
    at = page(raw, base)
    return raw[:at] + bytes(4096) + raw[at + 4096 :]


def garbage_page(raw: bytes, base: Base) -> bytes:
    at = page(raw, base)
    return raw[:at] + random.Random(1).randbytes(4096) + raw[at + 4096 :]


def misdirected_page(raw: bytes, base: Base) -> bytes:
    """A page of the same file written where another belongs."""
    at = page(raw, base)
    return raw[:at] + raw[at + 8192 : at + 12288] + raw[at + 4096 :]


def second_half_zero(raw: bytes, base: Base) -> bytes:
    half = len(raw) // 2
    return raw[:half] + bytes(len(raw) - half)


def byte_lost(raw: bytes, base: Base) -> bytes:
    at = _inside(raw, base) + 4 * 5000 + 2
    return raw[:at] + raw[at + 1 :]


def byte_added(raw: bytes, base: Base) -> bytes:
    at = _inside(raw, base) + 4 * 5000 + 2
    return raw[:at] + b"\x07" + raw[at:]


def magic_then_garbage(raw: bytes, base: Base) -> bytes:
    return raw[:30] + random.Random(2).randbytes(len(raw) - 30)


HTML = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Quota exceeded</body></html>\n"
JSON = b'{"error": "Repository not found", "code": 404}'
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"ab" * 32 + b"\nsize 1400000\n"

DATA_MUTATIONS: dict[str, Mutator] = {
    "one byte cut": rewritten(lambda raw, b: raw[:-1]),
    "half cut": rewritten(lambda raw, b: raw[: len(raw) // 2]),
    "nine tenths cut": rewritten(lambda raw, b: raw[: len(raw) // 10]),
    "0 bytes": rewritten(lambda raw, b: b""),
    "all zero": rewritten(lambda raw, b: bytes(len(raw))),
    "second half zero": rewritten(second_half_zero),
    "exponent bit flipped": rewritten(exponent_flip),
    "mantissa bit flipped": rewritten(mantissa_flip),
    "4 KB zeroed": rewritten(zero_page),
    "4 KB garbage": rewritten(garbage_page),
    "4 KB misdirected": rewritten(misdirected_page),
    "one byte lost inside": rewritten(byte_lost),
    "one byte added inside": rewritten(byte_added),
    "head, then garbage": rewritten(magic_then_garbage),
    "bytes appended": rewritten(lambda raw, b: raw + b"appended by a bad transfer" * 4),
    "HTML page": rewritten(lambda raw, b: HTML),
    "error document": rewritten(lambda raw, b: JSON),
    "LFS pointer": rewritten(lambda raw, b: LFS),
    "text copy (?)": rewritten(lambda raw, b: raw.decode("ascii", "replace").replace("\ufffd", "?").encode()),
    "text copy (U+FFFD)": rewritten(lambda raw, b: raw.decode("utf-8", "replace").encode()),
    "text copy (CRLF)": rewritten(lambda raw, b: raw.replace(b"\n", b"\r\n")),
}


def renamed_as_download(folder: Path, base: Base) -> None:
    """The beginning of a file, under the name of a download in progress."""
    path = folder / base.data
    raw = path.read_bytes()
    path.with_name(path.name + ".part").write_bytes(raw[: len(raw) // 3])
    path.unlink()


def data_removed(folder: Path, base: Base) -> None:
    (folder / base.data).unlink()


def head_removed(folder: Path, base: Base) -> None:
    assert base.head is not None
    (folder / base.head).unlink()


def head_flipped(folder: Path, base: Base) -> None:
    in_head(lambda raw: flipped(raw, len(raw) // 2, 0x04))(folder, base)


def left_beside(name: str, *, whole: bool = False) -> Mutator:
    """A temporary file of an interrupted save beside the checkpoint."""

    def mutate(folder: Path, base: Base) -> None:
        raw = (folder / base.data).read_bytes()
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw if whole else raw[: len(raw) // 3])

    return mutate
