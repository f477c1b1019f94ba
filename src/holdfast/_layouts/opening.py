"""From a path or a target to a catalog; what cannot be opened is told in words that a person can act on."""

from __future__ import annotations

import os

from .._core.catalog import Catalog
from .._core.errors import AmbiguousPath, DamagedCheckpoint, HoldfastError, NotRecognised, PartMissing
from .._core.fault import Fault
from .resolve import resolve
from .target import Target

__all__ = ["open_path", "open_target"]

# Faults of a file that is no checkpoint at all, against those of one that was a checkpoint once.
_DAMAGED = frozenset({"text-mode-copy", "zero-file", "empty-file", "half-download", "truncated"})


def open_path(path: str | os.PathLike[str]) -> Catalog:
    """The one checkpoint that ``path`` means; see :func:`holdfast.open` for what is raised."""
    targets = resolve(path)
    if len(targets) > 1:
        names = [target.path for target in targets]
        shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        raise AmbiguousPath(
            f"{len(names)} checkpoints lie here: {shown}",
            file=os.fspath(path),
            remedy=f"Name one of them (the newest seems to be {names[0]}).",
        )
    return open_target(targets[0])


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


def _remedy(fault: Fault | None) -> str | None:
    return None if fault is None else fault.attributes.get("remedy")


def _not_readable(target: Target) -> HoldfastError:
    from .._core.errors import NotReadable

    assert target.format is not None
    return NotReadable(
        f"{target.format.title}: recognised, but Holdfast cannot read it",
        file=target.path,
        remedy=target.format.hint,
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
