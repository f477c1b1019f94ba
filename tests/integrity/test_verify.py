"""Verification as a report: what is proved, what is not, and what is said about it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from holdfast._core.finding import CheckpointReport
from holdfast._examine.verifying import verify_target
from holdfast._integrity.seal import write_seal
from holdfast._layouts.target import Target
from integrity.making import MAKERS, target_of

pytest.importorskip("safetensors")


def sealed(target: Target, **options: object) -> str:
    with target.format.read(target.store.open(target.main), target.store) as catalog:
        return write_seal(target, catalog, **options)


def change(path: str | Path, at: int, value: bytes) -> None:
    data = bytearray(Path(path).read_bytes())
    data[at : at + len(value)] = value
    Path(path).write_bytes(data)


def slugs(report: CheckpointReport) -> list[str]:
    return [finding.slug for finding in report.findings]


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return target_of(MAKERS["safetensors"](tmp_path))


def test_without_evidence_it_says_so_and_finds_no_fault(target: Target) -> None:
    report = verify_target(target)
    assert (report.verdict, report.proof, report.bytes_proved) == ("sound", "structure-only", 0)
    assert report.bytes_total == Path(target.path).stat().st_size
    assert any("nothing proves" in text for text in report.not_looked_at)


def test_sealed_and_whole(target: Target) -> None:
    seal = sealed(target)
    report = verify_target(target)
    assert (report.verdict, report.proof) == ("sound", "sealed")
    assert report.bytes_proved == report.bytes_total
    assert any(seal in text for text in report.looked_at)


def test_the_header_is_named_even_where_the_file_no_longer_opens(target: Target) -> None:
    sealed(target)
    change(target.path, 0, b"\xff" * 8)
    report = verify_target(target)
    told = [
        f
        for f in (*report.findings, *(r for f in report.findings for r in f.related))
        if f.slug == "checksum"
    ]
    assert [f.where.offset for f in told] == [0]
    assert "header" in told[0].message
    assert report.verdict in ("damaged", "lost")


def test_lost_tensors_are_named_and_the_others_still_load(target: Target) -> None:
    sealed(target)
    change(target.path, Path(target.path).stat().st_size - 3, b"\x55")
    report = verify_target(target)
    assert report.lost == ("head.weight",)
    assert set(report.loads) == {"encoder.weight", "encoder.bias", "steps"}
    assert report.verdict == "damaged"


def test_adjacent_leaves_of_one_tensor_are_one_finding(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"w": np.zeros(20 << 20, np.uint8)}, tmp_path / "m.safetensors")
    target = target_of(tmp_path / "m.safetensors")
    sealed(target)
    change(target.path, 6 << 20, b"x" * (4 << 20))
    (finding,) = verify_target(target).findings
    assert finding.evidence["length"] == 8 << 20


def test_shorter_and_longer_files_are_told_by_size(target: Target) -> None:
    sealed(target)
    path = Path(target.path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    report = verify_target(target)
    assert "truncated" in slugs(report)
    assert "head.weight" in report.lost
    path.write_bytes(whole + b"junk")
    report = verify_target(target)
    assert "trailing-bytes" in slugs(report)
    assert report.lost == ()
    path.write_bytes(whole)
    assert verify_target(target).verdict == "sound"


def test_a_missing_shard_takes_its_tensors_along(tmp_path: Path) -> None:
    target = target_of(MAKERS["safetensors-sharded"](tmp_path))
    sealed(target)
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    report = verify_target(target)
    assert "part-missing" in slugs(report)
    assert set(report.lost) >= {"head.weight", "steps"}


def test_another_content_under_the_name_is_one_mismatch(target: Target) -> None:
    from safetensors.numpy import save_file

    sealed(target)
    rng = np.random.default_rng(5)
    save_file({n: rng.standard_normal(4000, np.float32) for n in "abc"}, target.path)
    report = verify_target(target)
    assert slugs(report).count("seal-mismatch") == 1
    assert "checksum" not in slugs(report)
    assert report.proof == "structure-only"


def test_a_renamed_checkpoint_with_its_seal_is_still_whole(target: Target) -> None:
    seal = Path(sealed(target))
    path = Path(target.path)
    path.rename(path.with_name("best.safetensors"))
    seal.rename(path.with_name("best.safetensors.holdfast.json"))
    moved = target_of(path.with_name("best.safetensors"))
    assert verify_target(moved).proof == "sealed"
    assert not verify_target(moved).findings


def test_the_seal_of_another_checkpoint(target: Target, tmp_path: Path) -> None:
    (tmp_path / "o").mkdir()
    other = target_of(MAKERS["npy"](tmp_path / "o"))
    seal = sealed(other)
    report = verify_target(target, seal_file=seal)
    assert "seal-mismatch" in slugs(report)


def test_a_damaged_seal_is_told_and_proves_nothing(target: Target) -> None:
    seal = Path(sealed(target))
    change(seal, seal.read_bytes().index(b"model.safetensors"), b"w")
    report = verify_target(target)
    assert slugs(report) == ["seal-damaged"]
    assert report.proof == "structure-only"
    assert report.lost == ()


def test_own_checksums_tell_damage_from_a_new_save(tmp_path: Path) -> None:
    target = target_of(MAKERS["npz"](tmp_path))
    sealed(target)
    change(target.path, 5000, b"\x01\x02\x03")
    (finding,) = verify_target(target).findings
    assert "disagrees too" in finding.evidence["own_checksum"]
    assert finding.where.tensor is not None


def test_sums_beside_the_file_prove_it(target: Target) -> None:
    path = Path(target.path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_name(path.name + ".sha256").write_text(digest)
    report = verify_target(target)
    assert (report.proof, report.verdict) == ("checksums", "sound")
    change(path, 9000, b"\0\1\2")
    report = verify_target(target)
    assert slugs(report) == ["checksum"]
    assert report.findings[0].evidence["kind"] == "sha256"


def test_a_date_in_the_name_is_no_hash(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", w=np.zeros(9))
    (tmp_path / "x.npz").rename(tmp_path / "run-20240131.pth")
    report = verify_target(target_of(tmp_path / "run-20240131.pth"))
    assert not [f for f in report.findings if f.slug == "checksum"]


def test_hex_digits_in_a_name_yield_to_checksums_that_agree(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", w=np.zeros(9))
    (tmp_path / "x.npz").rename(tmp_path / "run-deadbeef.pth")
    report = verify_target(target_of(tmp_path / "run-deadbeef.pth"))
    assert not [f for f in report.findings if f.slug == "checksum"]
    assert any("no hash of its content" in text for text in report.not_looked_at)


def test_progress_counts_every_byte_once_and_any_number_of_threads_agrees(target: Target) -> None:
    sealed(target)
    for jobs in (1, 2, 7):
        counts: list[int] = []
        report = verify_target(target, jobs=jobs, progress=counts.append)
        assert sum(counts) == report.bytes_total
        assert report.proof == "sealed"


def test_nothing_is_written_by_verify(target: Target) -> None:
    before = sorted(os.listdir(Path(target.path).parent))
    verify_target(target)
    assert sorted(os.listdir(Path(target.path).parent)) == before


def test_memory_stays_within_bounds(tmp_path: Path) -> None:
    import tracemalloc

    from safetensors.numpy import save_file

    save_file({"w": np.zeros(128 << 20, np.uint8)}, tmp_path / "m.safetensors")
    target = target_of(tmp_path / "m.safetensors")
    sealed(target)
    tracemalloc.start()
    verify_target(target, jobs=2)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 32 << 20
