"""Trying out on a real folder what a save will ask of it: make, write, force, rename, link, delete.

All of it happens in a folder of its own, which is taken away again.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

__all__ = ["Probe", "longest_names", "probe", "room"]

_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EXDEV, errno.EMLINK, errno.ENOSYS, errno.EACCES})


class Probe(NamedTuple):
    """One operation that failed: its word (``mkdir``, ``open``, ``write``, ``fsync``, ``rename``, ``link``, ``unlink``), the
    system's error, and whether a save can do without it."""

    kind: str
    error: OSError
    needed: bool = True


def probe(folder: str | os.PathLike[str], front: str = ".partial-") -> list[Probe]:
    """What of a save's operations fails in ``folder``, which is there. ``front``: how the trial's name begins."""
    top = Path(folder, f"{front}probe-{secrets.token_hex(4)}")
    after = top.with_name(f"{top.name}.2")
    found: list[Probe] = []

    def attempt(kind: str, call: Callable[[], object], needed: bool = True) -> bool:
        try:
            call()
        except OSError as error:
            found.append(Probe(kind, error, needed))
            return False
        return True

    try:
        if not attempt("mkdir", top.mkdir):
            return found
        if not attempt("write", lambda: _write(top / "file")):
            return found
        attempt("fsync", lambda: _force_folder(top))
        attempt("link", lambda: _link(top / "file", top / "link"), needed=False)
        if attempt("rename", lambda: _rename(top, after)):
            attempt("fsync", lambda: _force_folder(Path(folder)))
            attempt("unlink", lambda: _remove(after))
    finally:
        for left in (top, after):
            with suppress(OSError):
                _remove(left)
    # hard links are a matter of the file system, whatever number says so; other errors of link() tell nothing
    return [p for p in found if p.kind != "link" or p.error.errno in _NO_LINKS]


def _write(path: Path) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o666)
    try:
        data = bytes(4096)
        while data:
            data = data[os.write(handle, data) :]
        os.fsync(handle)
    finally:
        os.close(handle)


def _force_folder(path: Path) -> None:
    if os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _link(old: Path, new: Path) -> None:
    os.link(old, new)
    if not new.samefile(old):
        raise OSError(errno.ENOTSUP, "the link is another file")


def _rename(old: Path, new: Path) -> None:
    old.rename(new)
    if old.exists() or not (new / "file").exists():
        raise OSError(errno.ENOTSUP, "the rename left the old name, or lost what was in it")


def _remove(folder: Path) -> None:
    if not folder.exists():
        return
    for entry in list(folder.iterdir()):
        entry.unlink()
    folder.rmdir()


class Room(NamedTuple):
    """A file system: free bytes and free files (``None``: not counted), and whether it is read-only."""

    bytes: int
    files: int | None
    read_only: bool


def room(folder: str | os.PathLike[str]) -> Room | None:
    """How much room there is (statvfs(3)); ``None`` where the system does not tell."""
    try:
        stat = os.statvfs(folder)
    except (AttributeError, OSError):
        return None
    files = stat.f_favail if stat.f_files else None  # btrfs and others make inodes as they need them
    read_only = bool(stat.f_flag & getattr(os, "ST_RDONLY", 1))
    return Room(stat.f_bavail * stat.f_frsize, files, read_only)


def longest_names(folder: str | os.PathLike[str]) -> tuple[int, int]:
    """The longest name and the longest path that the system takes there, in bytes (pathconf(3)): 255 and 4095 where it
    does not say. The path's limit counts the closing zero byte, which is taken off here."""

    def ask(word: str, otherwise: int) -> int:
        try:
            value = os.pathconf(folder, word)
        except (AttributeError, OSError, ValueError):
            return otherwise
        return value if value > 0 else otherwise

    return ask("PC_NAME_MAX", 255), ask("PC_PATH_MAX", 4096) - 1
