"""What a typed path means.

:func:`resolve` answers for one path as ``holdfast.open`` understands it; :func:`discover` finds every
checkpoint below a folder, as ``holdfast doctor`` does. TensorFlow's ways (prefixes, state files, SavedModel
folders) are the business of :mod:`.tensorflow`.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from .._core.errors import CheckpointNotFound, HoldfastError
from .._core.fault import Fault
from .._core.shell import quote
from .._storage import Entry, LocalFolder, Store
from .._storage.local import pointed_at
from . import tf_targets
from .beside import FOLLOW, leads_nowhere
from .folder_scan import Scan, scan_folder, target_of_file
from .folders import PRIMARY, UNPACKED, age, folder_format, is_run_folder
from .hub_cache import BLOBS, is_cache, unlinked
from .shards import SHARD, index_of_shard, siblings
from .target import Target
from .vault_steps import step_target, unsealed_step

__all__ = ["discover", "resolve"]

_DEPTH = 32
_SKIPPED_FOLDERS = frozenset(
    {".git", ".hg", ".svn", "__pycache__", "node_modules", ".venv", "venv", ".tox", ".mypy_cache", ".idea"}
)


def resolve(path: str | os.PathLike[str]) -> list[Target]:
    """The checkpoint that ``path`` means; a run folder may give several, the newest first.

    Raises :class:`CheckpointNotFound` where nothing lies there under any reading; its remedy names what lies
    near.
    """
    text = _typed(path)
    place = Path(text)
    store, name = _folder_of(text)
    try:
        is_folder, is_file, is_there = place.is_dir(), place.is_file(), place.exists()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise CheckpointNotFound(f"the system cannot look at that path: {why}", file=text[:400]) from error
    if is_file:
        store, name = _folder_of(text.rstrip("/"))  # a slash behind a file's name, as completion leaves it
        return [_typed_file(store, name)]
    if is_folder:
        return _typed_folder(LocalFolder(place, text), text)
    if name:
        found = tf_targets.for_prefix(store, name)
        if found is not None:
            return [found]
    if is_there:
        raise CheckpointNotFound(
            "that is a device, pipe or socket, not a file",
            file=text,
            remedy="Save the stream to a file first; checkpoints are read at any place, not from front to back.",
        )
    raise _nothing_there(text)


def _typed(path: str | os.PathLike[str]) -> str:
    text = os.fspath(path)
    if not text:
        raise CheckpointNotFound(
            "the path is empty",
            expected="a file, a TensorFlow prefix or a folder",
            remedy="An unset shell variable gives an empty path; the folder you are in is `.`",
        )
    return text


def _folder_of(text: str) -> tuple[LocalFolder, str]:
    head, name = os.path.split(text)
    return LocalFolder(head or ".", head), name


def _no_path(text: str) -> CheckpointNotFound | None:
    """What was typed in a path's place and is none: an address, a home folder in quotes, a dash."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text):
        inner = text.partition("://")[2]
        remedy = (
            f"Name it as a path: {quote(inner)}"
            if text.lower().startswith("file://")
            else "Copy it here first, with the tool of its store, and name the copy."
        )
        return CheckpointNotFound(
            "that is an address; files of this machine are read", file=text, remedy=remedy
        )
    if text.startswith("~") and Path(text).expanduser() != Path(text):
        return CheckpointNotFound(
            "nothing lies at that path: `~` stands in it as it is",
            file=text,
            remedy=f"The shell puts the home folder in its place only outside of quotes: {Path(text).expanduser()}",
        )
    if text == "-":
        return CheckpointNotFound(
            "standard input is not read",
            file=text,
            remedy="Save the stream to a file first; checkpoints are read at any place, not from front to back.",
        )
    return None


def _nothing_there(text: str) -> CheckpointNotFound:
    no_path = _no_path(text)
    if no_path is not None:
        return no_path
    head, name = os.path.split(text.rstrip("/"))
    link = pointed_at(text.rstrip("/"))
    if link is not None:
        return CheckpointNotFound(
            leads_nowhere(link), file=text, remedy=FOLLOW.replace("{link}", quote(text.rstrip("/")))
        )
    try:
        beside = [item.name for item in Path(head or ".").iterdir()]
    except FileNotFoundError:
        there = next((str(p) for p in Path(head).parents if p.is_dir()), ".")
        return CheckpointNotFound(
            "nothing lies at that path, and its folder is not there either",
            file=text,
            remedy=f"The path exists up to {quote(there)}."
            if there != "."
            else f"It is looked for in the folder that you are in, {quote(str(Path.cwd()))}.",
        )
    except OSError as error:
        return CheckpointNotFound(
            f"nothing can be seen at that path: its folder cannot be listed ({error.strerror})",
            file=text,
            remedy=f"Ask for the right to read {quote(head)}.",
        )
    near = difflib.get_close_matches(name, beside[:5000], n=3, cutoff=0.6)
    remedy = (
        f"Did you mean {' or '.join(quote(str(Path(head, item))) for item in near)}?"
        if near
        else f"`holdfast doctor {quote(head or '.')}` looks at what lies in that folder."
    )
    return CheckpointNotFound("nothing lies at that path, under any reading of it", file=text, remedy=remedy)


def _typed_file(store: Store, name: str) -> Target:
    found = tf_targets.for_file(store, name)
    if found is not None:
        return found
    if name == "data.pkl":
        whole = _whole_folder(store, store.entries())
        if whole is not None and whole.format is UNPACKED:
            return replace(whole, note=f"a member was named ({name}); this is the checkpoint it belongs to")
    index = index_of_shard(store, name)
    if index is not None:
        target = target_of_file(store, index)
        if target is not None and name in target.parts and target.format is not None:
            return replace(target, note=f"a shard was named ({name}); this is the checkpoint it belongs to")
    target = target_of_file(store, name)
    assert target is not None
    if target.format is not None and SHARD.fullmatch(name):  # else no listing: it may be a data set's folder
        together = siblings(store, name, [e.name for e in store.entries() if not e.is_folder])
        if together is not None:
            return replace(together, note=f"a shard was named ({name}); {together.note}")
    return target


def _typed_folder(store: Store, text: str, depth: int = 0) -> list[Target]:
    """What a folder means: a checkpoint as a whole, its one (or foremost) checkpoint, or those of a run."""
    entries = store.entries()
    step = step_target(store, entries)
    if step is not None:
        return [step]
    whole = _whole_folder(store, entries)
    if whole is not None:
        return [whole]
    scan = scan_folder(store, entries)
    good = [t for t in scan.targets if t.format is not None or t.error is not None]
    saved = next((t for t in good if t.format is not None and t.format.name == "savedmodel"), None)
    if saved is not None:
        return [_with_loose(saved, scan)]
    by_name = {t.main: t for t in good}
    for primary in PRIMARY:
        target = by_name.get(primary)
        if target is not None:
            others = sorted(str(t.main) for t in good if t is not target and t.main)
            note = f"{primary} in this folder" + (f"; beside it: {', '.join(others[:6])}" if others else "")
            return [_with_loose(replace(target, note=note), scan)]
    if not good and depth < 3:
        runs = sorted((f for f in scan.folders if f not in _SKIPPED_FOLDERS), key=age, reverse=True)
        if is_cache(runs):
            runs.remove(BLOBS)  # the snapshots link what lies there
        numbered = [f for f in runs if is_run_folder(f)]
        for folder in numbered or runs:
            try:
                good.extend(_typed_folder(store.sub(folder), store.shown(folder), depth + 1))
            except CheckpointNotFound:
                continue
        if good:
            return good
    found = good or scan.targets
    if found:
        found = _newest_first(found)
        found[0] = _with_loose(found[0], scan)
        return found
    if scan.loose:
        return [_leftover_target(store, scan)]
    raise CheckpointNotFound(
        "the folder holds no checkpoint",
        file=text,
        found=_seen(text),
        remedy="Name the file, prefix or folder of the checkpoint itself; folders are searched to any depth "
        f"by `holdfast doctor {quote(text)}`",
    )


def _newest_first(found: list[Target]) -> list[Target]:
    """By the number in the name; TensorFlow's stay in the order that their state file gave them."""
    if all(t.format is not None and t.format.family == "tensorflow" for t in found):
        return list(found)
    return sorted(found, key=lambda t: age(t.path), reverse=True)


def _whole_folder(store: Store, entries: list[Entry]) -> Target | None:
    form = folder_format(store, entries)
    if form is None:
        return None
    path = store.path or "."
    fault = Fault(
        "not-readable",
        f"{form.title}: recognised, but Holdfast has no reader for it yet",
        path,
        attributes={"remedy": form.advice(path, folder=True)},
    )
    return Target(
        path, store, None, form, parts=tuple(e.name for e in entries if not e.is_folder), faults=(fault,)
    )


def _with_loose(target: Target, scan: Scan) -> Target:
    if not scan.loose:
        return target
    return replace(target, faults=(*target.faults, *(fault for _, fault in scan.loose)))


def _leftover_target(store: Store, scan: Scan) -> Target:
    faults = tuple(fault for _, fault in scan.loose)
    return Target(store.path or ".", store, None, None, parts=tuple(n for n, _ in scan.loose), faults=faults)


def discover(path: str | os.PathLike[str]) -> list[Target]:
    """Every checkpoint below ``path``, each file claimed once, in the order of the folders; junk that bears a
    checkpoint's name is included, as targets without format.

    A path that is no folder gives what :func:`resolve` gives. Raises :class:`CheckpointNotFound` where
    nothing lies there.
    """
    text = _typed(path)
    try:
        if not Path(text).is_dir():
            return resolve(path)
    except OSError:
        return resolve(path)
    found = list(_walk(LocalFolder(text, text), 0, set()))
    if not found:
        raise CheckpointNotFound(
            "no checkpoint lies below this folder", file=text, found=_seen(text), remedy=_elsewhere()
        )
    return found


def _seen(folder: str) -> str:
    """What a folder holds that is no checkpoint, in words."""
    try:
        names = sorted(item.name for item in Path(folder).iterdir())
    except OSError as error:
        return f"a folder that cannot be listed ({error.strerror})"
    if not names:
        return "an empty folder"
    return ", ".join(names[:6]) + (f" and {len(names) - 6:,} more" if len(names) > 6 else "")


def _elsewhere() -> str:
    return (
        "Check the path. Formats are told by content; files that no training program writes (.py, .txt, "
        ".png ...) are not opened."
    )


def _walk(
    store: LocalFolder, depth: int, seen: set[tuple[int, int]], repository: Path | None = None
) -> Iterator[Target]:
    """Folders are followed through symbolic links, but each only once. ``repository``: the folder is the ``blobs`` of this
    repository in the hub's cache."""
    try:
        status = store._path.stat()
        entries = store.entries()
        if repository is not None:
            entries = unlinked(repository, entries)
    except (OSError, HoldfastError) as error:
        cause = error.__cause__ if isinstance(error, HoldfastError) else error
        why = getattr(cause, "strerror", None) or str(error)
        fault = Fault(
            "unreadable",
            f"the folder cannot be listed ({why}); what lies in it was not looked at",
            store.path or ".",
            attributes={"remedy": "Ask for the right to read it, or run as its owner."},
        )
        yield Target(store.path or ".", store, None, None, faults=(fault,))
        return
    identity = (status.st_dev, status.st_ino)
    if identity in seen:
        return
    seen.add(identity)
    step = step_target(store, entries)
    if step is not None:
        yield step
        return
    whole = _whole_folder(store, entries)
    if whole is not None:
        yield whole
        return
    unsealed = unsealed_step(store)
    if unsealed is not None:
        yield unsealed
    scan = scan_folder(store, entries)
    yield from scan.targets
    if scan.loose:
        yield _leftover_target(store, scan)
    if depth >= _DEPTH:
        return
    cached = store._path if is_cache(scan.folders) else None
    for folder in scan.folders:
        if folder not in _SKIPPED_FOLDERS:
            yield from _walk(store.sub(folder), depth + 1, seen, cached if folder == BLOBS else None)
