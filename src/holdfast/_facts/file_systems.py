"""What file systems do not do that a save relies on, by their type in ``/proc/self/mountinfo`` (proc(5)).

Each row with its source. A type that is not here is taken to do what POSIX says, and is probed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

__all__ = ["FileSystem", "Mount", "file_system", "mount_of"]


class FileSystem(NamedTuple):
    """A type of file system. ``rename``: why a rename of a folder is not one step. ``sync``: why fsync is no promise.
    ``volatile``: whether it is gone with the machine. ``source``: who says so."""

    rename: str | None = None
    sync: str | None = None
    volatile: bool = False
    source: str = ""


class Mount(NamedTuple):
    """Where a path lives: the mount point, its type (``ext4``, ``fuse.s3fs``), its options."""

    point: str
    kind: str
    options: tuple[str, ...] = ()


_COPIES = "it copies every file of a folder and deletes the old ones"
_TYPES = {
    "fuse.s3fs": FileSystem(rename=_COPIES, source="s3fs-fuse README, Limitations"),
    "fuse.gcsfuse": FileSystem(
        rename=_COPIES,
        sync="with streaming writes a file reaches the bucket only when it is closed",
        source="gcsfuse docs/semantics.md",
    ),
    "fuse.blobfuse": FileSystem(rename=_COPIES, source="BlobFuse compared with the Linux file system (Azure docs)"),
    "fuse.blobfuse2": FileSystem(rename=_COPIES, source="BlobFuse compared with the Linux file system (Azure docs)"),
    "tmpfs": FileSystem(volatile=True, source="tmpfs(5)"),
    "ramfs": FileSystem(volatile=True, source="the kernel's ramfs-rootfs-initramfs.rst"),
}  # fmt: skip


def file_system(mount: Mount) -> FileSystem:
    """What is known of a mount's type."""
    return _TYPES.get(mount.kind, FileSystem())


def mount_of(path: str | os.PathLike[str], table: str = "/proc/self/mountinfo") -> Mount | None:
    """The mount that a path lies in; ``None`` where the system does not tell. ``table``: the system's list."""
    real = os.path.realpath(path)
    found: Mount | None = None
    try:
        lines = Path(table).read_text("utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, kinds = before.split(" "), after.split(" ")
        if len(fields) < 6 or not kinds[0]:
            continue
        point = _unescaped(fields[4])
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and (
            found is None or len(point) >= len(found.point)
        ):  # of two at one point the later one covers
            more = kinds[2].split(",") if len(kinds) > 2 else []
            kind = kinds[0]
            if (
                kind == "fuse" and len(kinds) > 1
            ):  # a driver that gives no subtype gives its name as the source
                kind = f"fuse.{kinds[1].rpartition('/')[2]}"
            found = Mount(point, kind, (*fields[5].split(","), *more))
    return found


def _unescaped(text: str) -> str:
    """proc(5): space, tab, newline and backslash stand as octal numbers."""
    for code, sign in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, sign)
    return text
