"""Each source of free evidence: once it speaks for the file, once against it, once it is silent."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from holdfast._integrity.free_evidence import free_evidence
from holdfast._storage import LocalFolder

DATA = b"weights" * 1000
SHA = hashlib.sha256(DATA).hexdigest()
MD5 = hashlib.md5(DATA).hexdigest()
GIT = hashlib.sha1(b"blob %d\0" % len(DATA) + DATA).hexdigest()


def verdicts(folder: Path, name: str) -> list[tuple[str, bool, bool]]:
    """``(kind, whether it agrees, whether it is certain)`` of all evidence for a file."""
    store = LocalFolder(folder, os.fspath(folder))
    return [(e.kind, e.check.run(lambda n: None) is None, e.certain) for e in free_evidence(store, name)]


def test_silent_where_nothing_lies_about(tmp_path: Path) -> None:
    (tmp_path / "model.pth").write_bytes(DATA)
    (tmp_path / "other.pth.sha256").write_text("0" * 64)
    (tmp_path / "SHA256SUMS").write_text(f"{SHA}  other.pth\nnot a line\n")
    (tmp_path / "README.md").write_text(f"{SHA}  model.pth\n")
    assert verdicts(tmp_path, "model.pth") == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (f"net-{SHA[:8]}.pth", [("sha256", True, False)]),
        (f"net-{SHA[:10]}.pt", [("sha256", True, False)]),
        ("net-5c106cde.pth", [("sha256", False, False)]),
        ("net-5c106cd.pth", []),
        ("net-00001-of-00002.safetensors", []),
        (f"net-{SHA[:8]}.safetensors", []),
        ("net-epoch=3.ckpt", []),
    ],
)
def test_torch_hub_name(name: str, expected: list, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(DATA)
    assert verdicts(tmp_path, name) == expected


@pytest.mark.parametrize(
    ("file", "text", "kind"),
    [
        ("model.pth.sha256", SHA, "sha256"),
        ("model.pth.sha256", f"{SHA}  model.pth\n", "sha256"),
        ("model.pth.sha256sum", f"{SHA} *model.pth\r\n", "sha256"),
        ("model.sha256", f"SHA256 (model.pth) = {SHA}\n", "sha256"),
        ("model.pth.md5", MD5.upper(), "md5"),
        ("SHA256SUMS", f"{'0' * 64}  a\n{SHA}  ./sub/model.pth\n", "sha256"),
        ("MD5SUMS", f"{MD5}  model.pth\n", "md5"),
        ("checksums.txt", f"{SHA}  model.pth\n", "sha256"),
        (
            "model.pth.lfs",
            f"version https://git-lfs.github.com/spec/v1\noid sha256:{SHA}\nsize {len(DATA)}\n",
            "sha256",
        ),
    ],
)
def test_files_beside(file: str, text: str, kind: str, tmp_path: Path) -> None:
    (tmp_path / "model.pth").write_bytes(DATA)
    (tmp_path / file).write_text(text)
    assert verdicts(tmp_path, "model.pth") == [(kind, True, True)]
    (tmp_path / "model.pth").write_bytes(DATA[:-1] + b"X")
    assert verdicts(tmp_path, "model.pth") == [(kind, False, True)]


def test_lfs_size(tmp_path: Path) -> None:
    (tmp_path / "m.bin").write_bytes(DATA[:-1])
    (tmp_path / "m.bin.lfs").write_text(
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{SHA}\nsize {len(DATA)}\n"
    )
    store = LocalFolder(tmp_path, os.fspath(tmp_path))
    fault = free_evidence(store, "m.bin")[0].check.run(lambda n: None)
    assert (fault.slug, fault.seen, fault.expected) == ("truncated", len(DATA) - 1, len(DATA))


@pytest.mark.parametrize(("blob", "kind"), [(SHA, "sha256"), (GIT, "git-sha1")])
def test_hub_cache(blob: str, kind: str, tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "snapshots" / "abc").mkdir(parents=True)
    (tmp_path / "blobs" / blob).write_bytes(DATA)
    (tmp_path / "snapshots" / "abc" / "model.bin").symlink_to(f"../../blobs/{blob}")
    assert verdicts(tmp_path / "snapshots" / "abc", "model.bin") == [(kind, True, True)]
    (tmp_path / "blobs" / blob).write_bytes(DATA + b".")
    assert verdicts(tmp_path / "snapshots" / "abc", "model.bin") == [(kind, False, True)]


def test_hub_cache_needs_a_hash_for_a_name(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "model.bin").write_bytes(DATA)
    assert verdicts(tmp_path / "blobs", "model.bin") == []


def test_hub_download_metadata_counts_until_the_file_changes(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(DATA)
    meta = tmp_path / ".cache" / "huggingface" / "download" / "model.bin.metadata"
    meta.parent.mkdir(parents=True)
    meta.write_text(f"{'a' * 40}\n{SHA}\n{(tmp_path / 'model.bin').stat().st_mtime + 5}\n")
    assert verdicts(tmp_path, "model.bin") == [("sha256", True, True)]
    os.utime(tmp_path / "model.bin", (4e9, 4e9))
    assert verdicts(tmp_path, "model.bin") == []


def test_a_large_sum_file_or_a_folder_of_its_name_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "model.pth").write_bytes(DATA)
    (tmp_path / "model.pth.sha256").mkdir()
    (tmp_path / "SHA256SUMS").write_bytes(b"x" * (2 << 20))
    assert verdicts(tmp_path, "model.pth") == []


def test_a_folder_of_many_files_is_listed_once_and_anew_when_it_changed(tmp_path: Path) -> None:
    class Counting(LocalFolder):
        listed = 0

        def entries(self, folder: str = "") -> list:
            self.listed += 1
            return super().entries(folder)

    names = [f"{number}.pth" for number in range(20)]
    for name in names:
        (tmp_path / name).write_bytes(DATA)
    store = Counting(tmp_path, os.fspath(tmp_path))
    assert not any(free_evidence(store, name) for name in names) and store.listed == 1
    (tmp_path / "7.pth.md5").write_text(MD5)
    os.utime(tmp_path, ns=(1, 1))  # whatever the clock of the file system shows
    assert [name for name in names if free_evidence(store, name)] == ["7.pth"] and store.listed == 2
