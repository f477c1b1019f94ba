"""From a path or a target to a catalog; what cannot be opened is told in words that a person can act on."""

from __future__ import annotations

import os
import re
from dataclasses import replace

from .._core.catalog import Catalog
from .._core.collector import collector_paused
from .._core.errors import AmbiguousPath, DamagedCheckpoint, HoldfastError, NotRecognised, PartMissing
from .._core.fault import Fault
from .._core.shell import quote
from .._storage import LocalFolder
from .resolve import resolve
from .target import Target

__all__ = ["open_path", "open_target", "the_one", "try_open"]

_DIGITS = re.compile(r"\d+")

# Faults of a file that is no checkpoint at all, against those of one that was a checkpoint once.
_DAMAGED = frozenset({"text-mode-copy", "zero-file", "empty-file", "half-download", "truncated"})


def open_path(path: str | os.PathLike[str], *, mapped: bool = False) -> Catalog:
    """The one checkpoint that ``path`` means; see :func:`holdfast.open` for what is raised.

    ``mapped``: reads give the file's own pages where the layout allows, which a file that shrinks meanwhile makes
    deadly to touch (:class:`LocalFile`).
    """
    target = the_one(path)
    if mapped and isinstance(target.store, LocalFolder):
        target = replace(target, store=target.store.as_mapped())
    return open_target(target)


def the_one(path: str | os.PathLike[str]) -> Target:
    """The one checkpoint that ``path`` means: of a run's folder the newest, and the note says so.

    Raises :class:`CheckpointNotFound`, and :class:`AmbiguousPath` for checkpoints that are not steps of one run.
    """
    targets = resolve(path)
    if len(targets) == 1:
        return targets[0]
    newest, *rest = targets
    inside = {target.path: os.path.relpath(target.path, path) for target in targets}
    if len({(target.format, _DIGITS.sub("#", inside[target.path])) for target in targets}) == 1:
        others = [inside[target.path] for target in rest]
        beside = ", ".join(others[:4]) + (f" and {len(others) - 4} more" if len(others) > 4 else "")
        note = f"the newest of {len(targets)} checkpoints in this folder; beside it: {beside}"
        return replace(newest, note=note if newest.note is None else f"{newest.note}; {note}")
    shown = [
        f"{inside[t.path]} ({t.format.name if t.format is not None else 'not recognised'})" for t in targets
    ]
    raise AmbiguousPath(
        f"{len(targets)} checkpoints lie in this folder, and nothing tells which one is meant",
        file=os.fspath(path),
        found=", ".join(shown[:8]) + (f" and {len(shown) - 8} more" if len(shown) > 8 else ""),
        remedy=f"Name one of them, for instance {quote(newest.path)}",
    )


def open_target(target: Target) -> Catalog:
    """Open a resolved checkpoint; what the resolver noticed stands first in ``catalog.faults``.

    Raises :class:`NotRecognised` or :class:`DamagedCheckpoint` for what is no checkpoint,
    :class:`NotReadable` where there is no reader, :class:`PartMissing` where the main file is gone, or what
    the reader raises.
    """
    if target.error is not None:
        raise target.error
    if target.format is None:
        raise _no_checkpoint(target)
    if target.main is None:
        if target.format.open is None:
            raise _not_readable(target)
        fault = next(iter(target.faults), None)
        raise PartMissing(
            fault.message if fault is not None else "the checkpoint's main file is not there",
            file=target.path,
            expected=None if fault is None else fault.expected,
            remedy=_remedy(fault),
        )
    source = target.store.open(target.main)
    try:
        with collector_paused():
            catalog = target.format.read(source, target.store)
    except HoldfastError as error:
        source.close()
        fault = next((f for f in target.faults if f.slug in _DAMAGED), None)
        if fault is not None and isinstance(error, DamagedCheckpoint):
            error.remedy = _remedy(fault) or error.remedy
        raise
    if target.faults:
        known = {(f.slug, f.message) for f in target.faults}
        catalog.faults = (*target.faults, *(f for f in catalog.faults if (f.slug, f.message) not in known))
    return catalog


def try_open(target: Target) -> tuple[Catalog | None, HoldfastError | None]:
    """The target's catalog, or the error that says why there is none; neither where there is nothing to read
    (no reader, no main file: the target's own faults tell).
    """
    if target.error is not None:
        return None, target.error
    if target.format is None or target.main is None:
        return None, None
    source = None
    try:
        source = target.store.open(target.main)
        return target.format.read(source, target.store), None
    except HoldfastError as error:
        if source is not None:
            source.close()
        return None, error


def _remedy(fault: Fault | None) -> str | None:
    return None if fault is None else fault.attributes.get("remedy")


def _not_readable(target: Target) -> HoldfastError:
    from .._core.errors import NotReadable

    assert target.format is not None
    return NotReadable(
        f"{target.format.title}: recognised, but Holdfast cannot read it",
        file=target.path,
        remedy=target.format.advice(target.path, folder=True),
    )


def _no_checkpoint(target: Target) -> HoldfastError:
    fault = next(iter(target.faults), None)
    if fault is None:
        return NotRecognised("no checkpoint that we know", file=target.path)
    kind = DamagedCheckpoint if fault.slug in _DAMAGED else NotRecognised
    if fault.slug == "part-missing":
        kind = PartMissing
    return kind(
        fault.message,
        file=fault.file or target.path,
        offset=fault.offset,
        expected=fault.expected,
        remedy=_remedy(fault),
    )
