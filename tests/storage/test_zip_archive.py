"""Zip archives by ranges, against zipfile's own writing."""

from __future__ import annotations

import io
import os
import random
import struct
import zipfile
import zlib

import pytest

from holdfast import DamagedCheckpoint, HoldfastError, LimitExceeded, Truncated
from holdfast._storage import BytesSource
from holdfast._storage.zip_archive import ZipArchive
from holdfast._storage.zip_directory import looks_like_zip


def build(
    method: int = zipfile.ZIP_STORED, members: dict[str, bytes] | None = None, *, zip64: bool = False
) -> bytes:
    members = {"a/b.txt": b"hello", "ü": os.urandom(3000), "leer": b""} if members is None else members
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members.items():
            with archive.open(zipfile.ZipInfo(name), "w", force_zip64=zip64) as member:
                member.write(data)
    if method == zipfile.ZIP_DEFLATED:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", method) as archive:
            for name, data in members.items():
                archive.writestr(name, data, compress_type=method)
    return out.getvalue()


def run_all(archive: ZipArchive) -> list[object]:
    faults = []
    for name in archive.members:
        check = archive.check(name)
        if check is not None:
            faults.append(check.run(lambda n: None))
    return faults


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("zip64", [False, True])
def test_members_read_as_zipfile_reads_them(method: int, zip64: bool) -> None:
    data = build(method, zip64=zip64)
    assert looks_like_zip(BytesSource(data))
    archive = ZipArchive(BytesSource(data))
    with zipfile.ZipFile(io.BytesIO(data)) as peer:
        assert list(archive.members) == peer.namelist()
        for name in peer.namelist():
            source = archive.open(name)
            assert source.read(0, source.size) == peer.read(name)
    assert archive.faults == []
    assert set(run_all(archive)) == {None}


def test_large_deflated_member_is_streamed_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast._storage.inflated._WHOLE", 1000)
    plain = random.Random(1).randbytes(50_000) + b"\0" * 50_000
    source = ZipArchive(BytesSource(build(zipfile.ZIP_DEFLATED, {"x": plain}))).open("x")
    for offset, length in [(0, 10), (99_000, 1000), (5, 60_000), (40_000, 20)]:
        assert source.read(offset, length) == plain[offset : offset + length]


def test_every_flip_in_stored_payload_is_found() -> None:
    data = build()
    archive = ZipArchive(BytesSource(data))
    start = archive.payload("ü")
    for offset in range(start, start + 3000, 97):
        flipped = bytearray(data)
        flipped[offset] ^= 1 << (offset % 8)
        faults = [f for f in run_all(ZipArchive(BytesSource(bytes(flipped)))) if f is not None]
        assert len(faults) == 1 and faults[0].slug == "checksum" and faults[0].offset == start


def test_cut_off_file_is_told_as_truncated() -> None:
    data = build()
    with pytest.raises(Truncated, match="directory at the end"):
        ZipArchive(BytesSource(data[:-30]))


def test_a_file_whose_end_was_reserved_and_never_filled_is_told_so() -> None:
    raw = build(members={"a": b"x" * 5000, "b": b"y" * 5000})
    with pytest.raises(Truncated, match="last 4,000 bytes are zero") as raised:
        ZipArchive(BytesSource(raw[:6000] + bytes(4000)))
    assert raised.value.offset == 6000 and "size is no proof" in raised.value.remedy
    with pytest.raises(Truncated, match="cut off, or its writer was killed"):
        ZipArchive(BytesSource(raw[:6000]))
    with pytest.raises(Truncated, match="last 3,000,000 bytes are zero"):
        ZipArchive(BytesSource(raw[:6000] + bytes(3_000_000)))


def test_faults_of_one_file_bear_its_name_so_that_they_are_one_finding() -> None:
    raw = bytearray(build(members={name: bytes([65 + n]) * 3000 for n, name in enumerate("abcd")}))
    second = raw.index(b"PK\x03\x04", 4)
    raw[second - 100 : second + 4000] = bytes(4100)
    faults = [f for f in run_all(ZipArchive(BytesSource(bytes(raw), "w.pt"))) if f is not None]
    assert len(faults) == 3 and {f.file for f in faults} == {"w.pt"}


def test_uncomputed_crc_gives_no_check() -> None:
    data = build(members={"x": b"abc"})
    crc = struct.pack("<I", zlib.crc32(b"abc"))
    archive = ZipArchive(BytesSource(data.replace(crc, b"\0\0\0\0")))
    assert archive.check("x") is None


def test_junk_before_and_after_is_read_around_and_told() -> None:
    data = build()
    archive = ZipArchive(BytesSource(b"#!junk" + data + b"tail"))
    assert archive.open("a/b.txt").read(0, 5) == b"hello"
    assert {f.slug for f in archive.faults} == {"malformed", "trailing-bytes"}


def test_more_members_than_room_is_refused_before_reading_them() -> None:
    data = bytearray(build(members={"x": b"abc"}))
    end = data.rfind(b"PK\x05\x06")
    struct.pack_into("<HH", data, end + 8, 60_000, 60_000)
    with pytest.raises(LimitExceeded):
        ZipArchive(BytesSource(bytes(data)))


def test_bomb_is_refused() -> None:
    data = bytearray(build(zipfile.ZIP_DEFLATED, {"x": b"\0" * 100_000}))
    at = data.find(b"PK\x01\x02")
    struct.pack_into("<I", data, at + 24, 0xF0000000)
    archive = ZipArchive(BytesSource(bytes(data)))
    assert [f.slug for f in archive.faults] == ["limit"]
    with pytest.raises(LimitExceeded):
        archive.open("x")


def test_overlapping_members_are_told() -> None:
    data = bytearray(build(members={"x": b"abc", "y": b"def"}))
    second = data.rfind(b"PK\x01\x02")
    struct.pack_into("<I", data, second + 42, 1)
    assert "overlap" in {f.slug for f in ZipArchive(BytesSource(bytes(data))).faults}


@pytest.mark.parametrize("seed", range(300))
def test_random_damage_gives_only_our_errors(seed: int) -> None:
    pick = random.Random(seed)
    data = bytearray(build(pick.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])))
    for _ in range(pick.randint(1, 8)):
        data[pick.randrange(len(data))] = pick.randrange(256)
    if pick.random() < 0.3:
        del data[pick.randrange(len(data)) :]
    try:
        archive = ZipArchive(BytesSource(bytes(data)))
        run_all(archive)
        for name in archive.members:
            archive.open(name).read(0, 0)
    except HoldfastError:
        pass


def test_missing_member_is_named() -> None:
    with pytest.raises(DamagedCheckpoint, match="missing from the zip"):
        ZipArchive(BytesSource(build())).open("nope")


def test_highly_compressed_member_comes_out_whole_piece_by_piece() -> None:
    """What the inflater holds back when its input is used up belongs to the member too."""
    plain = bytes(20_000_068)
    data = build(zipfile.ZIP_DEFLATED, {"x": plain})
    archive = ZipArchive(BytesSource(data))
    assert run_all(archive) == [None]
    assert sum(len(part) for part in archive.open("x").chunks(step=1 << 20)) == len(plain)


def test_no_deflated_member_is_given_out_at_once_far_beyond_the_file() -> None:
    source = ZipArchive(BytesSource(build(zipfile.ZIP_DEFLATED, {"x": bytes(40_000_000)}))).open("x")
    with pytest.raises(LimitExceeded):
        source.read(0, source.size)
