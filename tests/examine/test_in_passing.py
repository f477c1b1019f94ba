"""Values that are looked at while their checksums are computed are judged as a scan of their own judges them."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import holdfast
from holdfast._core.stats import TensorStats
from holdfast._examine.examine import examine_target
from holdfast._examine.in_passing import InPassing
from holdfast._examine.scan import scan_catalog
from holdfast._integrity.verify import verify_catalog
from holdfast._layouts.opening import the_one, try_open
from tf_writer import write_bundle

torch = pytest.importorskip("torch")
SIZE = 1 << 19


def saved(folder: Path, state: Mapping[str, Any]) -> Path:
    torch.save(dict(state), folder / "m.pt")
    return folder / "m.pt"


def seen(path: Path) -> tuple[dict[str, TensorStats], dict[str, Any]]:
    """What the look in passing tells, and what a quick scan of its own does."""
    target = the_one(os.fspath(path))
    catalog, error = try_open(target)
    assert catalog is not None, error
    with catalog:
        passing = InPassing(catalog, target)
        assert not verify_catalog(catalog, target, looks=passing.among).faults
        return passing.stats(), scan_catalog(catalog, quick=True)


def wrong(path: Path, *, passing: bool) -> dict[str, tuple[object, ...]]:
    """What is wrong with the values, by a quick scan after a look in passing, or by a full one."""
    known = seen(path)[0] if passing else {}
    with holdfast.open(path) as catalog:
        found = scan_catalog(catalog, quick=passing, known=known)
    words = ("size", "nan", "inf", "huge", "zero_pages", "runs")
    return {name: tuple(getattr(numbers, word) for word in words) for name, numbers in found.items()}


def codes(path: Path, *, quick: bool) -> set[tuple[str, tuple[str, ...]]]:
    report = examine_target(the_one(os.fspath(path)), quick=quick)
    return {(f.code, tuple(f.tensors)) for f in report.findings}


def test_ordinary_tensors_of_every_floating_type_are_known_afterwards(tmp_path: Path) -> None:
    values = torch.from_numpy(np.random.default_rng(0).normal(size=SIZE))
    kinds = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64, torch.complex128)
    state = {str(kind): values.to(kind) for kind in kinds}
    state["transposed"] = values.float().reshape(512, -1).T
    state["odd"] = torch.randn((1 << 18) + 3)
    known, scanned = seen(saved(tmp_path, {**state, "counts": torch.ones(SIZE, dtype=torch.int64)}))
    assert known == {name: scanned[name] for name in known}
    assert set(known) == {*state} - {"transposed"}  # of which the bytes are the values in another order


def test_what_shares_its_bytes_is_judged_by_them(tmp_path: Path) -> None:
    whole = torch.randn(2 * SIZE)
    tied, apart = torch.randn(SIZE), {"first": whole[:SIZE], "second": whole[SIZE:]}
    path = saved(tmp_path, {"a": tied, "b": tied, **apart})
    assert set(seen(path)[0]) == {"a"}
    assert codes(path, quick=True) == codes(path, quick=False)


@pytest.mark.parametrize("seed", range(8))
def test_the_same_is_found_as_by_a_full_scan(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    state = {}
    for number in range(3):
        values = rng.normal(size=SIZE).astype(np.float32)
        for _ in range((seed + number) % 3):
            start = int(rng.integers(0, SIZE))
            values[start : start + int(rng.integers(1, 400_000))] = 0
        if (seed + number) % 4 == 1:
            values[rng.integers(0, SIZE, 5)] = np.nan
        if (seed + number) % 4 == 2:
            values[rng.integers(0, SIZE, 3)] = np.inf
        state[f"w{number}"] = torch.from_numpy(values)
    path = saved(tmp_path, state)
    assert wrong(path, passing=True) == wrong(path, passing=False)
    assert codes(path, quick=True) == codes(path, quick=False)


@pytest.mark.parametrize("at", [0, 1 << 20, (1 << 20) - 4, 4 * SIZE - 4])
def test_one_nan_anywhere_is_told(tmp_path: Path, at: int) -> None:
    values = torch.randn(SIZE)
    values[at // 4] = float("nan")
    path = saved(tmp_path, {"w": values, "v": torch.randn(SIZE)})
    known, _ = seen(path)
    assert set(known) == {"v"}
    assert any(tensors == ("w",) for _, tensors in codes(path, quick=True))


def test_zeros_over_the_seam_of_two_pieces_are_told(tmp_path: Path) -> None:
    values = torch.randn(2 * SIZE)
    seam = 1 << 18
    values[seam - 1000 : seam + 1000] = 0
    path = saved(tmp_path, {"w": values})
    assert seen(path)[0] == {}
    found = wrong(path, passing=True)
    assert found == wrong(path, passing=False)
    assert found["w"][4] == ((4 * (seam - 1000), 8000),)


@pytest.mark.parametrize("where", ["storage", "record"])
def test_a_flipped_byte_is_told(tmp_path: Path, where: str) -> None:
    path = saved(tmp_path, {"w": torch.randn(SIZE), "v": torch.randn(SIZE)})
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        record = next(n for n in names if n.endswith("/data/1" if where == "storage" else "/version"))
        data = archive.read(record)
    content = bytearray(path.read_bytes())
    content[content.index(data) + len(data) // 2] ^= 1
    path.write_bytes(bytes(content))
    report = examine_target(the_one(os.fspath(path)), quick=True)
    assert report.verdict != "sound"
    assert ("v" in {n for f in report.findings for n in f.tensors}) == (where == "storage")


def test_numbers_of_another_byte_order_are_read_in_theirs(tmp_path: Path) -> None:
    values = torch.randn(SIZE)
    values[5] = float("nan")  # its bytes, the other way round, are those of an ordinary number
    with (
        zipfile.ZipFile(saved(tmp_path, {"w": values})) as archive,
        zipfile.ZipFile(tmp_path / "big.pt", "w") as big,
    ):
        for name in archive.namelist():
            data = archive.read(name)
            if name.endswith("/byteorder"):
                data = b"big"
            elif name.endswith("/data/0"):
                data = np.frombuffer(data, "<f4").astype(">f4").tobytes()
            big.writestr(name, data)
    assert any(tensors == ("w",) for _, tensors in codes(tmp_path / "big.pt", quick=True))
    with holdfast.open(tmp_path / "big.pt") as catalog:
        assert np.isnan(catalog.read("w")[5])


@pytest.mark.parametrize("endian", [0, 1])
def test_a_bundle_of_tensorflow_is_looked_at_in_the_same_way(tmp_path: Path, endian: int) -> None:
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=SIZE).astype(np.float32) for name in ("a", "b", "c")}
    arrays["b"][7] = np.nan
    arrays["A"] = np.ones(3, np.uint8)  # so that the others lie at odd places
    write_bundle(tmp_path / "m", arrays, endian=endian)
    known, _ = seen(tmp_path / "m")
    assert set(known) == (set() if endian else {"a", "c"})
    assert wrong(tmp_path / "m", passing=True) == wrong(tmp_path / "m", passing=False)
    assert any(tensors == ("b",) for _, tensors in codes(tmp_path / "m", quick=True))
