"""What may stand against saving, as faults for the S rules: told by looking, or by what failed when it was tried."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..._core.errors import HoldfastError, SaveFailed, VaultLocked
from ..._core.fault import Fault
from ..._facts.file_systems import Mount, file_system, mount_of
from ..._storage.local_sink import LocalSink
from ..._storage.memory import Memory
from ..._storage.probe import longest_names, room
from ..._storage.sink import Sink
from ..contents.payload import MODEL, OPTIMIZER, Payload
from ..folder.keep import Keep
from ..folder.listing import Checkpoint
from ..folder.names import RECORD, partial_name
from ..saving.room import frozen_bytes, needed, steps_at_once, superfluous

__all__ = [
    "of_file_system",
    "of_inodes",
    "of_memory",
    "of_mount",
    "of_path",
    "of_space",
    "opening",
    "refused",
    "second_writer",
    "unsavable",
]

_FEW = 10
"""Saves that still fit, below which a vault that drops nothing is worth a word."""
_OF_SAVE = 8
"""Files and folders of one step beside its tensor files."""


# -- looking -------------------------------------------------------------------------------------------------------------
def of_path(path: str, payload: Payload | None) -> Iterator[Fault]:
    """The longest name and the longest path of a save, against the system's limits. ``payload``: ``None`` where the size
    of the state is not known."""
    files = [RECORD, "state.json", *(payload.files if payload is not None else (MODEL, OPTIMIZER))]
    folder, file = partial_name(10**8 - 1), max(files, key=lambda name: len(os.fsencode(name)))
    name_limit, path_limit = longest_names(_nearest(path))
    longest = max((os.fsencode(part) for part in (*Path(path).parts, folder, file)), key=len)
    if len(longest) > name_limit:
        yield Fault(
            "path-too-long",
            f"a name is {len(longest)} bytes long, and this file system takes {name_limit}",
            file=path,
            seen=f"{len(longest)} bytes: {os.fsdecode(longest[:40])}...",
            expected=f"{name_limit} bytes at most",
            attributes={"fails": True, "errno": errno.ENAMETOOLONG},
        )
        return
    whole = len(os.fsencode(Path(path, folder, file)))
    if whole > path_limit:
        yield Fault(
            "path-too-long",
            f"the longest path of a save has {whole} bytes, and the system takes {path_limit}",
            file=path,
            seen=f"{whole} bytes",
            expected=f"{path_limit} bytes at most",
            attributes={"fails": True, "errno": errno.ENAMETOOLONG},
        )


def of_file_system(path: str) -> Iterator[Fault]:
    """What the type and the state of the file system say."""
    here = _nearest(path)
    there = room(here)
    mount = mount_of(here)
    place = f"{mount.point} ({mount.kind})" if mount is not None else str(here)
    if there is not None and there.read_only:
        yield Fault(
            "read-only",
            "the file system is read-only",
            file=path,
            seen=place,
            attributes={"fails": True, "errno": errno.EROFS},
        )
    if mount is not None:
        yield from of_mount(mount, path, place)


def of_mount(mount: Mount, path: str, place: str) -> Iterator[Fault]:
    """What is known of a mount's type and options; ``place`` is what to call it."""
    known = file_system(mount)
    told = {"fails": False, "source": known.source}
    if known.rename:
        yield Fault(
            "no-atomic-rename",
            f"a step does not become visible at once on this file system: {known.rename}",
            file=path,
            seen=place,
            attributes=told,
        )
    if known.sync:
        yield Fault(
            "not-durable", f"fsync is no promise here: {known.sync}", file=path, seen=place, attributes=told
        )
    if known.volatile:
        yield Fault(
            "volatile", "this folder lies in memory and is gone with the machine", file=path, seen=place
        )
    # nfs(5): nolock and local_lock= keep locks to one host; mount.lustre(8): localflock does
    alone = {"nolock", "local_lock=flock", "local_lock=all", "localflock"} & set(mount.options)
    if alone and mount.kind in ("nfs", "nfs4", "lustre"):
        yield Fault(
            "no-locks",
            "locks hold on this host only: a writer on another host would not be seen",
            file=path,
            seen=f"{place}, {', '.join(sorted(alone))}",
            attributes={"fails": False},
        )


def of_space(
    sink: Sink, payload: Payload, keep: Keep, known: list[Checkpoint], prune: bool
) -> Iterator[Fault]:
    """Room for one save, and for all that ``keep`` wants to have at once beside the ``known`` steps. ``prune``: whether what
    ``keep`` would drop now counts as free."""
    free = sink.free()
    if free is None:
        return
    if prune and known:
        names = set(superfluous(keep, known))
        free += sum(c.nbytes for c in known if c.name in names)
    later = needed(payload.nbytes - frozen_bytes(payload))
    one = later if known else needed(payload.nbytes)
    if free < one:
        yield Fault(
            "disk-full",
            "the disk has no room for this save",
            file=sink.path,
            seen=f"{free:,} free",
            expected=f"{one:,} bytes",
            attributes={"fails": True, "errno": errno.ENOSPC},
        )
    most = steps_at_once(keep)
    if most is None:
        fitting = 1 + max(0, free - one) // later
        if fitting < _FEW:
            yield Fault(
                "disk-tight",
                f"nothing is dropped here, and room is for {fitting} more saves of this size",
                file=sink.path,
                seen=f"{free:,} free",
                expected=f"{one:,} bytes for each",
                attributes={"severity": "note"},
            )
    else:
        coming = max(1, most - len(known))
        wanted = one + later * (coming - 1)
        if free < wanted:
            yield Fault(
                "disk-tight",
                f"the disk has no room for {most} steps of this size: keep= wants {most - 1}, and one more is written",
                file=sink.path,
                seen=f"{free:,} free",
                expected=f"{wanted:,} bytes for {coming} more",
            )
    yield from of_inodes(sink, len(payload.files), most or 1, len(known))


def of_inodes(sink: Sink, files: int, most: int, known: int) -> Iterator[Fault]:
    """Room for the files of a save, and of ``most`` steps."""
    there = room(_nearest(sink.path)) if isinstance(sink, LocalSink) else None
    if there is None or there.files is None:
        return
    one = files + _OF_SAVE
    wanted = one * max(1, most - known)
    if there.files < wanted:
        yield Fault(
            "no-inodes",
            "the file system has no room for the files of this save"
            if there.files < one
            else "the file system has room for few more files",
            file=sink.path,
            seen=f"{there.files:,} more files",
            expected=f"{wanted:,}",
            attributes={"fails": there.files < one, "errno": errno.ENOSPC},
        )


def of_memory(copied: int, now: Memory | None) -> Iterator[Fault]:
    """Room for a copy of so many bytes."""
    if now is None or copied <= 0.9 * now.free:
        return
    fails = copied > now.free + now.swap
    yield Fault(
        "snapshot-memory",
        "the copy that a save holds does not fit into memory" if fails else "the copy that a save holds takes nearly all memory",
        seen=f"{now.free:,} bytes free, {now.swap:,} of swap",
        expected=f"{copied:,} bytes",
        attributes={"fails": fails, "errno": errno.ENOMEM if fails else None},
    )  # fmt: skip


def _nearest(path: str) -> Path:
    """The folder itself, or the nearest one above it that is there."""
    here = Path(path).absolute()
    for folder in (here, *here.parents):
        try:
            if folder.is_dir():
                return folder
        except OSError:  # a name too long: not there
            continue
    return here.parent


# -- trying --------------------------------------------------------------------------------------------------------------
_SLUGS = {
    errno.EACCES: "permission-denied",
    errno.EPERM: "permission-denied",
    errno.EROFS: "read-only",
    errno.ENAMETOOLONG: "path-too-long",
    errno.ENOSPC: "disk-full",
    errno.EDQUOT: "disk-full",
}
_MESSAGES = {
    "permission-denied": "this user may not {kind} in this folder",
    "read-only": "the file system is read-only",
    "path-too-long": "the path is too long",
    "disk-full": "the disk has no room for this save: not even 4 kB could be written",
    "no-atomic-rename": "a folder cannot be renamed here: a step could never become visible",
    "no-hard-links": "this file system has no hard links",
    "folder-refuses": "{kind} fails in this folder",
}


def refused(kind: str, number: int | None, text: str | None, path: str) -> Fault:
    """An operation that failed when it was tried."""
    slug = {"link": "no-hard-links"}.get(kind) or _SLUGS.get(number or 0)
    slug = slug or ("no-atomic-rename" if kind == "rename" else "folder-refuses")
    symbol = errno.errorcode.get(number or 0, str(number))
    attributes: dict[str, Any] = {"errno": number}
    if slug != "no-hard-links":
        attributes["fails"] = (
            kind != "unlink"
        )  # what cannot be deleted stays: saving works, retention does not
    return Fault(
        slug,
        _MESSAGES[slug].format(kind=kind),
        file=path,
        seen=f"{kind}: {symbol} {text or ''}".strip(),
        attributes=attributes,
    )


def opening(failed: SaveFailed) -> Fault:
    """Why the vault's folder could not be opened for writing."""
    slug = _SLUGS.get(failed.number or 0, "folder-refuses")
    return Fault(
        slug,
        failed.message,
        file=failed.file,
        seen=failed.found,
        expected=failed.expected,
        attributes={"fails": True, "errno": failed.number, "remedy": failed.remedy},
    )


def second_writer(locked: VaultLocked) -> Fault:
    """Who else has the vault."""
    return Fault("second-writer", locked.message, file=locked.file, attributes={"fails": True})


def unsavable(error: HoldfastError) -> Fault:
    """Something that has no form in a file."""
    return Fault(
        "unserialisable", error.message, seen=error.found, expected=error.expected, attributes={"fails": True}
    )
