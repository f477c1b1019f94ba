"""What a reader noticed while reading: neutral facts that rules turn into findings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from .errors import (
    ChecksumMismatch,
    DamagedCheckpoint,
    HoldfastError,
    LimitExceeded,
    NotReadable,
    NotRecognised,
    NotStored,
    PartMissing,
    Truncated,
)

__all__ = ["Fault", "Check", "Progress", "JUNK", "fault_of"]

JUNK = (
    "html-page",
    "lfs-pointer",
    "error-document",
    "text-mode-copy",
    "zero-file",
    "empty-file",
    "half-download",
)
"""Slugs of files that bear a checkpoint's name and are something else altogether."""

Progress = Callable[[int], None]
"""Called with the number of bytes that were just looked at."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is not as the format demands, seen by a reader that could go on.

    ``slug`` is the slug of the rule that will report it (``"truncated"``, ``"checksum"``, ``"pickle-global"``).
    ``seen`` and ``expected`` are short texts; ``tensors`` the names of tensors that cannot be read because of it.
    ``error`` tells whether the checkpoint is damaged by it (``False``: odd, but everything still reads).
    """

    slug: str
    message: str
    file: str | None = None
    offset: int | None = None
    tensor: str | None = None
    seen: Any = None
    expected: Any = None
    tensors: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


# The first that fits counts, so a kind stands before what it is a kind of.
_SLUGS: tuple[tuple[type[HoldfastError], str], ...] = (
    (Truncated, "truncated"),
    (ChecksumMismatch, "checksum"),
    (PartMissing, "part-missing"),
    (LimitExceeded, "limit"),
    (DamagedCheckpoint, "malformed"),
    (NotReadable, "not-readable"),
    (NotRecognised, "not-recognised"),
    (NotStored, "not-stored"),
)


def fault_of(error: HoldfastError, tensor: str | None = None) -> Fault:
    """An error as a fact that a report can hold; ``tensor`` is the name in the catalog of what was being read."""
    name = error.tensor or tensor
    lost = tensor or error.tensor
    return Fault(
        next((slug for kind, slug in _SLUGS if isinstance(error, kind)), "unreadable"),
        error.message,
        file=error.file,
        offset=error.offset,
        tensor=name,
        seen=error.found,
        expected=error.expected,
        tensors=(lost,) if lost else (),
        attributes={"remedy": error.remedy} if error.remedy else {},
    )


@dataclass(frozen=True, slots=True)
class Check:
    """A unit of integrity evidence that a file carries: bytes, and how to test them.

    ``run(progress)`` reads the ``nbytes`` bytes at ``offset`` of ``file`` (streaming; never more than a few MiB at
    once), calls ``progress`` with byte counts, and returns ``None`` when they agree or a :class:`Fault` (slug
    ``"checksum"`` or ``"truncated"``). It must be safe to call from several threads at once.

    ``span()`` gives the exact ``(offset, length)`` in ``file`` that the evidence covers, where ``offset`` and ``nbytes``
    do not (a zip member: its payload, compressed or not). ``expected`` is for kinds ``crc32`` and ``crc32c`` over plain
    bytes of the file: the (unmasked) value, so that one large check can be computed in parts by several threads.
    """

    kind: str  # "crc32c", "crc32", "sha256", "blake3", ...
    file: str
    offset: int
    nbytes: int
    run: Callable[[Progress], Fault | None]
    tensor: str | None = None
    span: Callable[[], tuple[int, int]] | None = None
    expected: int | None = None
