"""The verified read of a restore: exact values on every way from a file into live memory, and every flipped bit found."""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from holdfast._core.dtypes import known
from holdfast._core.errors import (
    ChecksumMismatch,
    DamagedCheckpoint,
    HoldfastError,
    PlanError,
    Truncated,
    UsageError,
)
from holdfast._core.spec import TensorSpec
from holdfast._frameworks.live import Variable
from holdfast._integrity.digest import LEAF
from holdfast._restore import reading
from holdfast._restore.reading import Transfer, live_checksum, transfer
from holdfast._restore.warmth import is_cold
from holdfast._storage import LocalFile
from integrity.making import MAKERS
from restore.live_arrays import Live, opened, restore, same
from shared import ROOT, ZOO, needs_shared, zoo_cases

PLAIN = [name for name in MAKERS if name not in ("tf-bundle", "keras")]
WITH_TENSORFLOW = [name for name in MAKERS if name in ("tf-bundle", "keras")]
OWN = [json.loads(line) for line in (ROOT / "tests/zoo/INDEX.jsonl").read_text().splitlines()]
# what the formats themselves have checksums for
CHECKED = {
    "npz": "checksums",
    "npz-deflated": "checksums",
    "torch-zip": "checksums",
    "tf-bundle": "checksums",
    "keras": "checksums",
}


@pytest.fixture(params=["cached", "cold"])
def warmth(request, monkeypatch):
    """Both ways of reading, whatever the page cache holds."""
    monkeypatch.setattr(reading, "is_cold", lambda ranges: request.param == "cold")
    return request.param


def bring_and_compare(
    path: Path, way: str, *, sealed: bool | str, check_first: bool = False, jobs: int | None = 2
):
    with opened(path, sealed=sealed) as (catalog, target):
        stored = {}
        for name in catalog:
            try:
                stored[name] = np.array(catalog.read(name))
            except HoldfastError:
                continue
        live = Live({n: catalog[n].with_(dtype=_held(v)) for n, v in stored.items()}, way)
        told: list[str] = []
        done = restore(
            catalog,
            target,
            live.transfers(),
            before=lambda t: told.append(t.name),
            check_first=check_first,
            jobs=jobs,
        )
        for name, value in stored.items():
            assert same(live.arrays[name], value), name
            assert done.checksums.get(name) in (None, live_checksum(live.variables[name])), name
            assert way != "write" or not value.nbytes or name in done.checksums, (
                "what was handed on is summed"
            )
        assert sorted(told) == sorted(stored)
        return done


def _held(value: np.ndarray) -> str:
    from holdfast._core.dtypes import dtype_of

    name = dtype_of(value.dtype)
    return "string" if name == "object" else name


@pytest.mark.parametrize("check_first", [False, True], ids=["once", "check-first"])
@pytest.mark.parametrize("sealed", [False, True, "older"], ids=["bare", "sealed", "older-seal"])
@pytest.mark.parametrize("way", ["memory", "write", "odd"])
@pytest.mark.parametrize("name", PLAIN)
def test_values_are_exact(name, way, sealed, check_first, warmth, tmp_path):
    done = bring_and_compare(MAKERS[name](tmp_path), way, sealed=sealed, check_first=check_first)
    assert done.proof == ("sealed" if sealed else CHECKED.get(name, "structure-only"))
    assert done.verified_bytes == (done.bytes if sealed or name in CHECKED else 0)
    assert done.faults == []


@pytest.mark.parametrize("sealed", [False, True, "older"], ids=["bare", "sealed", "older-seal"])
@pytest.mark.parametrize("way", ["memory", "write"])
def test_what_is_not_finite_is_told(way, sealed, warmth, tmp_path):
    from safetensors.numpy import save_file

    values = {
        "fine": np.ones(LEAF // 4 + 77, np.float32),
        "late": np.ones(LEAF // 4 + 77, np.float32),
        "small": np.array([np.inf], np.float16),
        "ids": np.arange(5),
    }
    values["late"][-1] = np.nan
    save_file(values, tmp_path / "m.safetensors")
    done = bring_and_compare(tmp_path / "m.safetensors", way, sealed=sealed)
    assert sorted(done.nonfinite) == ["late", "small"]


@pytest.mark.parametrize("sealed", [False, True, "older"], ids=["bare", "sealed", "older-seal"])
def test_what_a_seal_found_finite_is_not_looked_at_again(sealed, warmth, tmp_path, monkeypatch):
    """Its checksum says that these are the same values."""
    path = MAKERS["safetensors"](tmp_path)
    with opened(path, sealed=sealed):
        pass
    monkeypatch.setattr(
        reading, "finite_test", lambda dtype: (lambda piece: False) if dtype[0] == "f" else None
    )
    done = bring_and_compare(path, "memory", sealed=False)
    assert sorted(done.nonfinite) == (
        [] if sealed is True else ["encoder.bias", "encoder.weight", "head.weight"]
    )


@pytest.mark.parametrize("name", WITH_TENSORFLOW)
@pytest.mark.parametrize("sealed", [False, True], ids=["bare", "sealed"])
def test_values_are_exact_of_tensorflow(name, sealed, tmp_path):
    path = MAKERS[name](tmp_path)
    for way in ("memory", "write"):
        done = bring_and_compare(path, way, sealed=sealed)
        assert done.proof == ("sealed" if sealed else "checksums")


@pytest.mark.parametrize("case", OWN, ids=lambda case: case["id"])
@pytest.mark.parametrize("way", ["memory", "write"])
def test_own_zoo(case, way, warmth):
    folder = ROOT / "tests/zoo" / case["folder"]
    main = next(file for file in case["files"] if not file.endswith("fingerprint.pb"))
    bring_and_compare(folder / main, way, sealed=False)


@needs_shared
@pytest.mark.parametrize("case", zoo_cases()[::9], ids=lambda case: case["id"])
def test_shared_zoo(case):
    from holdfast._layouts.resolve import resolve

    targets = [
        t
        for t in resolve(os.fspath(ZOO / case["folder"]))
        if t.format is not None and t.format.open is not None
    ]
    if not targets:
        pytest.skip("no format that is read")
    bring_and_compare(Path(targets[0].path), "memory", sealed=False)


# -- damage ------------------------------------------------------------------------------------------------------------
def flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0x10]))


def places(catalog) -> list[tuple[str, Path, int]]:
    """(tensor, file, offset in the middle) of every stored run."""
    return [
        (spec.name, Path(run.file), run.offset + run.nbytes // 2)
        for spec in catalog.values()
        for run in spec.stored
        if run.offset is not None and run.nbytes and known(spec.dtype)
    ]


@pytest.mark.parametrize(
    ("name", "sealed"),
    [
        (n, sealed)
        for n in PLAIN
        for sealed in (True, "older", False)
        if n != "npz-deflated" and (sealed or n in CHECKED)
    ],
)
@pytest.mark.parametrize("way", ["memory", "write"])
def test_a_flipped_bit_is_found_and_the_tensor_named(name, sealed, way, warmth, tmp_path):
    path = MAKERS[name](tmp_path)
    with opened(path, sealed=sealed) as (catalog, _):
        where = places(catalog)
        same_bytes = {
            n: {o.name for o in catalog.values() if o.stored and o.stored == catalog[n].stored}
            for n, _, _ in where
        }
    assert where
    for tensor, file, at in where:
        flip(file, at)
        try:
            with opened(path) as (catalog, target):
                live = Live(dict(catalog.items()), way)
                told: list[str] = []
                with pytest.raises(ChecksumMismatch) as caught:
                    restore(
                        catalog, target, live.transfers(), before=lambda t, told=told: told.append(t.name)
                    )
                assert caught.value.tensor in same_bytes[tensor]
                assert caught.value.file == os.fspath(file)
                assert caught.value.offset is not None and caught.value.offset <= at
                assert live.changed() <= set(told), "something changed that `before` was not told of"
                if way == "write":
                    assert tensor not in live.changed(), "damaged values were written"
                live = Live(dict(catalog.items()), way)
                with pytest.raises(ChecksumMismatch):
                    restore(catalog, target, live.transfers(), check_first=True)
                assert live.changed() == set(), "check_first, and something changed"
        finally:
            flip(file, at)
    bring_and_compare(path, way, sealed=sealed)


def test_a_deflated_member_that_is_damaged(tmp_path):
    path = MAKERS["npz-deflated"](tmp_path)
    with opened(path) as (catalog, target):
        (check,) = [c for c in catalog.checks() if c.tensor == "encoder.weight"]
        start, length = check.span()
        flip(path, start + length // 2)
        live = Live(dict(catalog.items()))
        with pytest.raises(DamagedCheckpoint) as caught:
            restore(catalog, target, live.transfers())
        assert caught.value.tensor == "encoder.weight"
        assert live.changed() == set()


@pytest.mark.parametrize("name", ["safetensors", "torch-zip", "npz"])
def test_damaged_structure_is_found_before_anything_changes(name, tmp_path):
    """Bytes of the header, and between and behind the tensors, where only the seal speaks."""
    path = MAKERS[name](tmp_path)
    with opened(path, sealed=True) as (catalog, target):
        runs = sorted((r.offset, r.offset + r.nbytes) for s in catalog.values() for r in s.stored)
        outside = [at for at in (9, path.stat().st_size - 3) if not any(a <= at < b for a, b in runs)]
        assert outside
        for at in outside:
            flip(path, at)
            live = Live(dict(catalog.items()))
            with pytest.raises(ChecksumMismatch) as caught:
                restore(catalog, target, live.transfers(), before=lambda t: pytest.fail("told of a change"))
            assert caught.value.tensor is None
            assert live.changed() == set()
            flip(path, at)


def test_a_shorter_file_is_found_before_anything_changes(tmp_path):
    path = MAKERS["safetensors"](tmp_path)
    with opened(path, sealed=True) as (catalog, target):
        os.truncate(path, path.stat().st_size - 8)
        live = Live(dict(catalog.items()))
        with pytest.raises(Truncated):
            restore(catalog, target, live.transfers())
        assert live.changed() == set()


@pytest.mark.parametrize("way", ["memory", "write"])
def test_a_file_that_changes_between_the_readings_is_found(way, tmp_path):
    """Without any evidence, ``check_first`` still compares the second reading with the first."""
    path = MAKERS["safetensors"](tmp_path)
    with opened(path) as (catalog, target):
        tensor, file, at = places(catalog)[0]
        live = Live(dict(catalog.items()), way)
        left = [catalog.nbytes]

        def progress(count: int) -> None:
            left[0] -= count
            if left[0] == 0:  # the first reading is over
                flip(file, at)

        with pytest.raises(ChecksumMismatch) as caught:
            transfer(catalog, target, live.transfers(), seal=None, progress=progress, check_first=True)
        assert caught.value.tensor == tensor


def test_a_decoded_tensor_that_changes_between_the_readings_is_found(tmp_path):
    path = tmp_path / "big.npy"
    np.save(path, np.arange(500.0).reshape(20, 25).astype(">f8"))
    with opened(path) as (catalog, target):
        live = Live(dict(catalog.items()))
        with pytest.raises(ChecksumMismatch, match="between"):
            transfer(
                catalog,
                target,
                live.transfers(),
                seal=None,
                check_first=True,
                progress=_flip_once(path, 2000),
            )


def _flip_once(path: Path, at: int):
    """Flips a bit of the file when the first bytes were told: here, when the first reading is over."""
    told = []

    def progress(count: int) -> None:
        if not told:
            flip(path, at)
        told.append(count)

    return progress


def test_verify_false_compares_nothing(tmp_path):
    path = MAKERS["safetensors"](tmp_path)
    with opened(path, sealed=True) as (catalog, target):
        _, file, at = places(catalog)[0]
        flip(file, at)
        live = Live(dict(catalog.items()))
        done = restore(catalog, target, live.transfers(), verify=False)
        assert done.proof == "structure-only"
        assert all(same(live.arrays[name], catalog.read(name)) for name in live.arrays)


def test_a_replaced_file_is_not_read_at_the_old_places(tmp_path):
    path, other = tmp_path / "a.npy", tmp_path / "b.npy"
    np.save(path, np.arange(100_000.0))
    np.save(other, np.arange(100_000.0)[::-1].copy())
    with opened(path) as (catalog, target):
        live = Live(dict(catalog.items()))
        other.replace(path)
        with pytest.raises(DamagedCheckpoint, match="replaced"):
            restore(catalog, target, live.transfers())
        assert live.changed() == set()


# -- shapes of the work --------------------------------------------------------------------------------------------------
def test_tensors_of_every_size(tmp_path, warmth):
    """Around the leaf's size, a single byte, none at all, no dimension; at places that are aligned to nothing."""
    path = tmp_path / "sizes.safetensors"
    rng = np.random.default_rng(1)
    sizes = [0, 1, 3, 1 << 20, (1 << 20) + 1, LEAF - 1, LEAF, LEAF + 1, 2 * LEAF + 7]
    values = {f"t{n}": rng.integers(0, 256, size, np.uint8) for n, size in enumerate(sizes)}
    values["scalar"] = np.array(7.5)
    values["empty"] = np.zeros((0, 5), np.float32)
    header, at = {}, 0
    for name, value in values.items():
        kind = {"uint8": "U8", "float64": "F64", "float32": "F32"}[value.dtype.name]
        header[name] = {"dtype": kind, "shape": list(value.shape), "data_offsets": [at, at + value.nbytes]}
        at += value.nbytes
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(v.tobytes() for v in values.values()))
    for sealed in (False, True):
        for way in ("memory", "write", "odd"):
            bring_and_compare(path, way, sealed=sealed, check_first=way == "odd")
    for jobs in (1, 3, 7):
        bring_and_compare(path, "write", sealed=True, jobs=jobs)


def test_tied_in_the_file_and_apart_in_the_model(tmp_path):
    torch = pytest.importorskip("torch")
    weight = torch.randn(700, 900)
    torch.save({"a": weight, "b": weight, "row": weight[3], "turned": weight.t()}, tmp_path / "tied.pt")
    for sealed in (False, True):
        done = bring_and_compare(tmp_path / "tied.pt", "memory", sealed=sealed)
        assert done.verified_bytes == done.bytes


def test_a_view_alone_of_a_larger_storage(tmp_path, warmth):
    """One CRC covers the whole storage; only a row of it is wanted, and a flip anywhere in the member is found."""
    torch = pytest.importorskip("torch")
    torch.save({"whole": torch.randn(1500, 1000), "other": torch.ones(4)}, tmp_path / "v.pt")
    weight = torch.load(tmp_path / "v.pt")["whole"]
    torch.save({"row": weight[3], "row2": weight[700:900]}, tmp_path / "view.pt")
    path = tmp_path / "view.pt"
    with opened(path) as (catalog, target):
        live = Live({"row": catalog["row"]})
        done = restore(catalog, target, live.transfers())
        assert same(live.arrays["row"], weight[3].numpy())
        assert done.proof == "checksums"
        stored = catalog["row"].stored[0]
        for at in (stored.offset + 5, stored.offset + 3_000_000):
            flip(path, at)
            live = Live({"row": catalog["row"]})
            with pytest.raises(ChecksumMismatch):
                restore(catalog, target, live.transfers())
            assert live.changed() == set(), "the member's CRC speaks before anything changes"
            flip(path, at)


def test_damage_of_tensors_that_are_not_wanted_is_no_matter(tmp_path):
    """Scope is what was passed: a damaged optimizer slot does not keep the weights from being restored."""
    path = MAKERS["npz"](tmp_path)
    with opened(path) as (catalog, target):
        where = {tensor: (file, at) for tensor, file, at in places(catalog)}
        flip(*where["head.weight"])
        live = Live({n: catalog[n] for n in ("encoder.weight", "encoder.bias")})
        done = restore(catalog, target, live.transfers())
        assert done.proof == "checksums"


def test_tied_in_the_model(tmp_path):
    path = tmp_path / "w.npz"
    same_values, other = np.arange(6.0), np.arange(6.0) + 1
    np.savez(path, a=same_values, b=same_values, c=other)
    with opened(path) as (catalog, target):
        live = Live({"a": catalog["a"]})
        live.add("b", catalog["b"], live.arrays["a"])
        restore(catalog, target, live.transfers())
        assert same(live.arrays["a"], same_values)
        live = Live({"a": catalog["a"]})
        live.add("c", catalog["c"], live.arrays["a"])
        with pytest.raises(PlanError, match="tied"):
            restore(catalog, target, live.transfers())


def test_edits_are_applied(tmp_path, warmth):
    path = MAKERS["safetensors"](tmp_path)
    with opened(path, sealed=True) as (catalog, target):
        weight = catalog.read("encoder.weight")
        spec = TensorSpec("w", (64, 48), "float64")
        live = Live({"w": spec})

        def turn(values: np.ndarray) -> np.ndarray:
            assert not values.flags.writeable
            return values.T.astype(np.float64)

        done = restore(catalog, target, [Transfer("w", "encoder.weight", live.variables["w"], turn)])
        assert same(live.arrays["w"], np.ascontiguousarray(weight.T.astype(np.float64)))
        assert done.checksums["w"] == live_checksum(live.variables["w"])
        with pytest.raises(PlanError, match="do not fit"):
            restore(catalog, target, [Transfer("w", "encoder.weight", live.variables["w"], lambda v: v.T)])


def test_what_cannot_work_is_refused_before_anything_changes(tmp_path):
    path = MAKERS["safetensors"](tmp_path)
    with opened(path) as (catalog, target):
        live = Live(dict(catalog.items()))
        good = live.transfers()
        wrong = Transfer("x", "encoder.bias", live.variables["encoder.weight"])
        with pytest.raises(PlanError, match="does not fit"):
            restore(catalog, target, [*good, wrong])
        with pytest.raises(UsageError, match="twice"):
            restore(catalog, target, [*good, good[0]])
        fixed = Variable(catalog["encoder.bias"], lambda: live.arrays["encoder.bias"], None)
        with pytest.raises(PlanError, match="cannot be set"):
            restore(catalog, target, [Transfer("y", "encoder.bias", fixed)])
        assert live.changed() == set()


def test_an_error_of_a_write_stops_everything(tmp_path, warmth):
    path = tmp_path / "many.npz"
    np.savez(path, **{f"w{n}": np.full(1000, n) for n in range(50)})
    with opened(path) as (catalog, target):
        live = Live(dict(catalog.items()), "write")
        written: list[str] = []

        def fail(values: np.ndarray) -> None:
            raise RuntimeError("the framework refuses")

        live.variables["w20"].write = fail
        with pytest.raises(RuntimeError, match="refuses"):
            restore(catalog, target, live.transfers(), before=lambda t: written.append(t.name))
        assert live.changed() <= set(written)
        assert "w20" in written and written[-1] == "w20", "something was written after the failure"


def test_a_lazily_made_variable_is_made(tmp_path):
    np.savez(tmp_path / "s.npz", m=np.arange(5.0), none=np.zeros((0,)))
    made = {}
    with opened(tmp_path / "s.npz") as (catalog, target):
        items = [
            Transfer(
                n,
                n,
                Variable(
                    catalog[n].with_(attributes={"virtual": True}),
                    None,
                    lambda v, n=n: made.update({n: v.copy()}),
                ),
            )
            for n in catalog
        ]
        restore(catalog, target, items)
    assert made["m"].tolist() == [0, 1, 2, 3, 4] and made["none"].shape == (0,)


def test_a_damaged_seal_is_told_and_the_own_checksums_speak(tmp_path):
    path = MAKERS["npz"](tmp_path)
    with opened(path, sealed=True) as (catalog, target):
        seal = Path(os.fspath(path) + ".holdfast.json")
        seal.write_text(seal.read_text().replace("sealed", "seal3d").replace('"size"', '"s1ze"'))
        live = Live(dict(catalog.items()))
        done = restore(catalog, target, live.transfers())
        assert [f.slug for f in done.faults] == ["seal-damaged"]
        assert done.proof == "checksums"


# -- cold files ----------------------------------------------------------------------------------------------------------
def _resident(path: Path) -> float:
    """The share of a file's pages that the cache holds (man 2 mincore); unlike a read, it brings none."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as pages:
        told = np.zeros(-(-len(pages) // mmap.PAGESIZE), np.uint8)
        start = ctypes.addressof(here := ctypes.c_char.from_buffer(pages))
        asked = ctypes.CDLL(None).mincore(
            ctypes.c_void_p(start), ctypes.c_size_t(len(pages)), ctypes.c_void_p(told.ctypes.data)
        )
        del here
    assert asked == 0
    return float((told & 1).mean())


@pytest.mark.skipif(
    not hasattr(os, "RWF_NOWAIT") or not hasattr(os, "posix_fadvise"), reason="cannot be asked here"
)
def test_cold_files_are_told_from_cached_ones(tmp_path):
    path = tmp_path / "x.bin"
    path.write_bytes(os.urandom(8 << 20))
    with path.open("rb") as file:
        os.fsync(file.fileno())
    source = LocalFile(path)
    source.read(0, source.size)
    assert not is_cold([(source, 0, source.size)])
    os.posix_fadvise(source.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if _resident(path) > 0.5:
        pytest.skip("this file system keeps what it is told to forget")
    try:
        os.preadv(source.fileno(), [bytearray(1)], 0, os.RWF_NOWAIT)
    except BlockingIOError:
        pass
    except OSError:
        assert not is_cold([(source, 0, source.size)])  # not to be asked on this file system
        return
    assert is_cold([(source, 0, source.size)])
    assert not is_cold([])


# -- memory --------------------------------------------------------------------------------------------------------------
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux tells peaks")
@pytest.mark.parametrize(
    ("way", "form"), [("memory", "npz"), ("write", "npz"), ("memory", "deflated"), ("memory", "big")]
)
def test_extra_memory_is_bounded(way, form, tmp_path):
    """Peak of resident memory beyond what the process held before: the largest tensor and some MB at most."""
    program = textwrap.dedent(f"""
        import sys, pathlib, zipfile, numpy as np
        sys.path.insert(0, {os.fspath(ROOT / "tests")!r})
        from restore.live_arrays import Live, opened, restore
        path, largest = pathlib.Path({os.fspath(tmp_path / "m.npz")!r}), 96 << 20
        rng = np.random.default_rng(0)
        values = {{f"w{{n}}": rng.integers(0, 9, (96 << 18,), np.int32) for n in range(4)}}
        if {form!r} == "big":
            values = {{n: v.astype(">i4") for n, v in values.items()}}
        kind = zipfile.ZIP_DEFLATED if {form!r} == "deflated" else zipfile.ZIP_STORED
        with zipfile.ZipFile(path, "w", kind, compresslevel=1) as archive:  # as numpy.savez does, and sooner
            for name, value in values.items():
                with archive.open(f"{{name}}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, value)
        sums = {{n: int(v[:1000].sum()) for n, v in values.items()}}
        del values
        with opened(path) as (catalog, target):
            live = Live(dict(catalog.items()), {way!r})
            del live.first
            items = live.transfers()
            status = lambda key: next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith(key)) << 10
            open("/proc/self/clear_refs", "w").write("5")
            before = status("VmRSS")
            restore(catalog, target, items)
            extra = status("VmHWM") - before
        assert all(int(live.arrays[n][:1000].sum()) == s for n, s in sums.items())
        print(extra - largest if {way!r} == "write" or {form!r} != "npz" else extra)
    """)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([os.fspath(ROOT / "src"), os.fspath(ROOT / "tests")]),
    }
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 128 << 20, f"{int(done.stdout) >> 20} MiB beyond the bound"


def test_a_direct_restore_does_not_map_the_file(tmp_path):
    """What is read into live memory is not mapped as well: the mapping stays untouched."""
    np.savez(tmp_path / "w.npz", w=np.zeros(1 << 22, np.float32))
    with opened(tmp_path / "w.npz") as (catalog, target):
        live = Live(dict(catalog.items()))
        restore(catalog, target, live.transfers())
        text = Path("/proc/self/smaps").read_text() if Path("/proc/self/smaps").exists() else ""
        rows = text.split("w.npz")[1:]
        held = sum(int(row.split("Rss:")[1].split()[0]) for row in rows if "Rss:" in row)
        assert held < 2048, f"{held} KiB of the file are mapped in"
