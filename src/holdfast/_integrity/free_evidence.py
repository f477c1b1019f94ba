"""Hashes that lie about for free: in a file's name, in a download cache, beside the file.

Each source of evidence gives checks over whole files. None is needed, and none is trusted to be *about* this
file further than its origin goes: ``certain`` is false for a hash that is only guessed from a name.

==================  ========================================================================================
torch-hub name      ``resnet18-5c106cde.pth``: the first hex digits of the SHA-256 (``HASH_REGEX`` and
                    ``download_url_to_file`` in torch/hub.py). Eight digits or more; a number (a date, a step)
                    proves nothing when it disagrees.
hub cache           ``blobs/<name>``: 64 hex digits are the SHA-256 of a large file, 40 the git blob SHA-1 of
                    a small one (huggingface_hub, "Understand caching"; git-scm.com/book, "Git Objects").
hub local folder    ``.cache/huggingface/download/<file>.metadata``: commit, etag (the same two hashes), time
                    (huggingface_hub/_local_folder.py). Void when the file is younger than the time in it.
LFS pointer         ``<file>.lfs``, ``<file>.pointer``: ``oid sha256:`` and ``size`` (git-lfs/docs/spec.md).
sum files           ``<file>.sha256``, ``.sha256sum``, ``.sha512``, ``.sha1``, ``.md5``, ``.b3`` and
                    ``SHA256SUMS``, ``MD5SUMS``, ``checksums.txt``, ... in GNU, BSD and bare form
                    (coreutils manual, "md5sum").
==================  ========================================================================================
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from .._core.errors import HoldfastError, Truncated
from .._core.fault import Check, Fault, Progress
from .._storage import Entry, Store

__all__ = ["FreeEvidence", "free_evidence"]

_HUB_NAME = re.compile(r"-([0-9a-f]{8,64})\.(?:pth|pt|bin|ckpt|pkl|th)$")
_HEX = re.compile(r"^[0-9a-fA-F]+$")
_GNU = re.compile(r"^\\?([0-9a-fA-F]{32,128}) [ *](.+)$")
_BSD = re.compile(r"^([A-Za-z0-9-]+) \((.+)\) = ([0-9a-fA-F]{32,128})$")
_POINTER = re.compile(
    rb"^version https://git-lfs\.github\.com/spec/v1\n(?:[^\n]*\n)*?oid sha256:([0-9a-f]{64})\nsize (\d+)\n?"
)
_BY_LENGTH = {32: "md5", 40: "sha1", 64: "sha256", 96: "sha384", 128: "sha512"}
_SUFFIXES = {
    ".sha256": "sha256",
    ".sha256sum": "sha256",
    ".sha512": "sha512",
    ".sha512sum": "sha512",
    ".sha1": "sha1",
    ".sha1sum": "sha1",
    ".md5": "md5",
    ".md5sum": "md5",
    ".b3": "blake3",
    ".b3sum": "blake3",
    ".blake3": "blake3",
}
_LISTS = {
    "sha256sums": "sha256",
    "sha256sums.txt": "sha256",
    "sha256sum.txt": "sha256",
    "sha512sums": "sha512",
    "sha512sums.txt": "sha512",
    "sha1sums": "sha1",
    "md5sums": "md5",
    "md5sums.txt": "md5",
    "md5sum.txt": "md5",
    "b3sums": "blake3",
    "checksums.txt": None,
    "checksum.txt": None,
    "checksums.sha256": "sha256",
    "checksums.md5": "md5",
}
_SMALL = 1 << 20  # larger files are no sum files, pointers or metadata


@dataclass(frozen=True, slots=True)
class FreeEvidence:
    """One hash of one whole file.

    ``kind``: the algorithm. ``expected``: hex digits, all or the first of them. ``where``: what told it, for
    people.
    ``certain``: false where the hash is guessed from a name. ``size``: the size that was told with it, if
    any.
    """

    kind: str
    file: str
    nbytes: int
    expected: str
    where: str
    check: Check
    certain: bool = True
    size: int | None = None


def free_evidence(store: Store, name: str) -> list[FreeEvidence]:
    """Every hash that can be found for the file ``name`` of ``store``; costs a folder listing and a few small
    reads."""
    found = []
    seen = set()
    for kind, expected, where, certain, size in _all(store, name):
        expected = expected.lower()
        if (kind, expected) not in seen:
            seen.add((kind, expected))
            found.append(_evidence(store, name, kind, expected, where, certain, size))
    return found


def _all(store: Store, name: str) -> Iterator[tuple[str, str, str, bool, int | None]]:
    folder, _, base = name.rpartition("/")
    yield from _beside(store, folder, base)
    yield from _hub_metadata(store, name)
    yield from _hub_cache(store, name)
    match = _HUB_NAME.search(base)
    if match:
        yield "sha256", match[1], "the file's name, as torch.hub writes it", False, None


_LISTED: WeakKeyDictionary[Store, dict[str, tuple[int, list[Entry]]]] = WeakKeyDictionary()
"""Of each folder that was listed: when it last changed, and the entries in it that may tell hashes. A folder of thousands
of checkpoints is listed once, and not once for each."""


def _telling(store: Store, folder: str) -> list[Entry]:
    """The entries of a folder that may tell hashes of others. Raises what listing it raises."""
    try:
        changed = Path(store.shown(folder) or ".").stat().st_mtime_ns
    except (OSError, ValueError):
        changed = -1  # no folder of this machine: nothing tells whether it changed
    kept = _LISTED.setdefault(store, {})
    listed, found = kept.get(folder, (-1, []))
    if changed < 0 or listed != changed:
        found = [entry for entry in store.entries(folder) if _tells(entry)]
        kept[folder] = changed, found
    return found


def _tells(entry: Entry) -> bool:
    lower = entry.name.lower()
    small = entry.size is not None and 0 < entry.size <= _SMALL
    return small and (lower.endswith((*_SUFFIXES, ".lfs", ".pointer")) or lower in _LISTS)


def _beside(store: Store, folder: str, base: str) -> Iterator[tuple[str, str, str, bool, int | None]]:
    try:
        entries = _telling(store, folder)
    except HoldfastError:
        return  # a folder that cannot be listed holds no evidence; reading the file itself will tell
    stem = base.rpartition(".")[0]
    for entry in entries:
        lower = entry.name.lower()
        path = f"{folder}/{entry.name}" if folder else entry.name
        suffix = next((s for s in _SUFFIXES if lower.endswith(s)), None)
        if suffix and entry.name[: -len(suffix)] in (base, stem) and entry.name != base:
            for digest in _sums(store, path, base, _SUFFIXES[suffix], bare=True):
                yield (*digest, f"the file {entry.name} beside it", True, None)
        elif lower in _LISTS:
            for digest in _sums(store, path, base, _LISTS[lower], bare=False):
                yield (*digest, f"the list {entry.name} beside it", True, None)
        elif entry.name in (base + ".lfs", base + ".pointer"):
            match = _POINTER.match(_text(store, path).encode("utf-8", "surrogateescape"))
            if match:
                yield (
                    "sha256",
                    match[1].decode(),
                    f"the Git-LFS pointer {entry.name} beside it",
                    True,
                    int(match[2]),
                )


def _sums(store: Store, path: str, base: str, kind: str | None, *, bare: bool) -> Iterator[tuple[str, str]]:
    """``(kind, hash)`` of the file ``base`` in a sum file; ``bare`` allows a line that is a hash alone."""
    for line in _text(store, path).splitlines()[:100_000]:
        line = line.strip("\ufeff\r\n ")
        gnu, bsd = _GNU.match(line), _BSD.match(line)
        if gnu:
            digest, named = gnu[1], gnu[2]
        elif bsd:
            (
                digest,
                named,
            ) = bsd[3], bsd[2]
            kind = {"sha2-256": "sha256"}.get(bsd[1].lower(), bsd[1].lower().replace("-", ""))
        elif bare and _HEX.match(line):
            digest, named = line, base
        else:
            continue
        if named.strip().replace("\\", "/").rpartition("/")[2] != base:
            continue
        told = kind or _BY_LENGTH.get(len(digest))
        if told and len(digest) == _length(told):
            yield told, digest


def _hub_cache(store: Store, name: str) -> Iterator[tuple[str, str, str, bool, int | None]]:
    try:
        real = Path(store.shown(name)).resolve()
    except (OSError, ValueError, RuntimeError):  # an unresolvable path is simply not a cache
        return
    if real.parent.name != "blobs" or not _HEX.match(real.name):
        return
    if len(real.name) == 64:
        yield "sha256", real.name, "its name in the hub's cache", True, None
    elif len(real.name) == 40:
        yield "git-sha1", real.name, "its name in the hub's cache", True, None


def _hub_metadata(store: Store, name: str) -> Iterator[tuple[str, str, str, bool, int | None]]:
    path = f".cache/huggingface/download/{name}.metadata"
    if not store.exists(path):
        return
    lines = _text(store, path).splitlines()
    if len(lines) < 3:
        return
    etag = lines[1].strip().strip('"')
    try:
        written = float(lines[2])
        changed = Path(store.shown(name)).stat().st_mtime
    except (OSError, ValueError):
        return
    if changed > written + 1:  # changed after the download: the etag is about another content
        return
    where = "the hub's download metadata"
    if len(etag) == 64 and _HEX.match(etag):
        yield "sha256", etag, where, True, None
    elif len(etag) == 40 and _HEX.match(etag):
        yield "git-sha1", etag, where, True, None


def _text(store: Store, path: str) -> str:
    try:
        source = store.open(path)
    except HoldfastError:  # gone or unreadable meanwhile: no evidence
        return ""
    try:
        return source.head(min(source.size, _SMALL)).decode("utf-8", "surrogateescape")
    finally:
        source.close()


def _length(kind: str) -> int:
    return {
        "md5": 32,
        "sha1": 40,
        "sha256": 64,
        "sha384": 96,
        "sha512": 128,
        "blake3": 64,
        "git-sha1": 40,
    }.get(kind, 0)


def _hasher(kind: str, size: int) -> Any:
    if kind == "blake3":
        from blake3 import blake3

        return blake3()
    if kind == "git-sha1":
        return hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    return hashlib.new(kind, usedforsecurity=False)


def _evidence(
    store: Store, name: str, kind: str, expected: str, where: str, certain: bool, size: int | None
) -> FreeEvidence:
    source = store.open(name)
    try:
        nbytes, shown = source.size, source.name
    finally:
        source.close()
    run: Callable[[Progress], Fault | None] = partial(_run, store, name, kind, expected, where, certain, size)
    return FreeEvidence(
        kind, name, nbytes, expected, where, Check(kind, shown, 0, nbytes, run), certain, size
    )


def _run(
    store: Store,
    name: str,
    kind: str,
    expected: str,
    where: str,
    certain: bool,
    size: int | None,
    progress: Progress,
) -> Fault | None:
    source = store.open(name)
    try:
        if size is not None and size != source.size:
            slug = "truncated" if source.size < size else "checksum"
            return Fault(
                slug,
                f"the file is not as long as {where} says",
                file=source.name,
                offset=min(size, source.size),
                seen=source.size,
                expected=size,
                attributes={"kind": "size", "where": where},
            )
        whole = _hasher(kind, source.size)
        window = memoryview(bytearray(1 << 20))
        for start in range(0, source.size, len(window)):
            part = window[: min(len(window), source.size - start)]
            source.readinto(start, part)
            whole.update(part)
            progress(len(part))
        seen = whole.hexdigest()
        if seen.startswith(expected):
            return None
        return Fault(
            "checksum",
            f"the file contradicts the {kind} in {where}"
            + ("" if certain else "; the name may also hold another kind of number"),
            file=source.name,
            offset=0,
            seen=seen[: max(16, len(expected))],
            expected=expected,
            attributes={"kind": kind, "where": where, "length": source.size, "certain": certain},
        )
    except Truncated as error:
        return Fault("truncated", error.message, source.name, error.offset, None, error.found, error.expected)
    finally:
        source.close()
