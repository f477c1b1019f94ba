"""Source and Store: what formats read from, so that they never see a path.

A :class:`Source` is one immutable run of bytes with ranged reads; a :class:`Store` is a folder of them. Local files are
the default (:mod:`holdfast._storage.local`); an object store becomes readable by one subclass of each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

from .._core.errors import DamagedCheckpoint, Truncated

__all__ = ["Source", "SubSource", "BytesSource", "Store", "Entry"]

HEAD = 4096
_Made = TypeVar("_Made")


class Source(ABC):
    """One run of bytes with ranged reads. Safe to read from several threads at once.

    ``name`` is what messages call it (a path as a person would type it); ``size`` its length in bytes.
    """

    name: str
    size: int

    @abstractmethod
    def _read(self, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes from ``offset``; fewer only at the end."""

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``.

        Raises :class:`Truncated` when the file ends before, without allocating what is not there.
        """
        self._demand(offset, length)
        data = self._read(offset, length)
        if len(data) != length:
            raise Truncated(
                "the file ended while it was being read",
                file=self.name,
                offset=offset + len(data),
                expected=f"{length} bytes",
                found=f"{len(data)}",
            )
        return data

    def readinto(self, offset: int, buffer: memoryview) -> None:
        """Fill ``buffer`` (bytes, contiguous) from ``offset``; raises :class:`Truncated` like :meth:`read`."""
        buffer[:] = self.read(offset, len(buffer))

    def view(self, offset: int, length: int) -> memoryview:
        """Like :meth:`read`, without copying where the storage allows it; read-only."""
        return memoryview(self.read(offset, length))

    def head(self, length: int = HEAD) -> bytes:
        """The first ``length`` bytes, or all there are. Cached up to 4 KiB."""
        if length <= HEAD:
            cached = getattr(self, "_head", None)
            if cached is None:
                cached = self._read(0, min(HEAD, self.size))
                self._head = cached
            return cached[:length]
        return self._read(0, min(length, self.size))

    def tail(self, length: int) -> bytes:
        """The last ``length`` bytes, or all there are."""
        length = min(length, self.size)
        return self._read(self.size - length, length)

    def chunks(self, offset: int = 0, length: int | None = None, step: int = 1 << 20) -> Iterator[bytes]:
        """The bytes of a range in pieces of ``step``; raises :class:`Truncated` when they are not all there."""
        end = self.size if length is None else offset + length
        self._demand(offset, end - offset)
        while offset < end:
            data = self.read(offset, min(step, end - offset))
            yield data
            offset += len(data)

    def slice(self, offset: int, length: int, name: str | None = None) -> Source:
        """A part of this source as a source of its own."""
        self._demand(offset, length)
        return SubSource(self, offset, length, name or self.name)

    def once(self, what: str, make: Callable[[Source], _Made]) -> _Made:
        """``make(self)``, kept for as long as this source lives: what recognising a file and opening it both want.

        ``what`` names it, one text for each ``make``. Whatever ``make`` raises is raised again at each call.
        """
        known: dict[str, Any] = self.__dict__.setdefault("_once", {})
        if what not in known:
            known[what] = make(self)
        made: _Made = known[what]
        return made

    def close(self) -> None:  # noqa: B027 - most sources hold nothing
        """Let go of the file; views already handed out stay valid."""

    def _demand(self, offset: int, length: int) -> None:
        if offset < 0 or length < 0:
            raise DamagedCheckpoint(
                "a negative offset or length", file=self.name, offset=offset, found=f"length {length}"
            )
        if offset + length > self.size:
            raise Truncated(
                "bytes that the file promises are not there",
                file=self.name,
                offset=offset,
                expected=f"{length} bytes up to offset {offset + length}",
                found=f"a file of {self.size} bytes",
            )


class SubSource(Source):
    """A range of another source."""

    def __init__(self, parent: Source, offset: int, length: int, name: str) -> None:
        self.parent, self.offset, self.size, self.name = parent, offset, length, name

    def _read(self, offset: int, length: int) -> bytes:
        return self.parent._read(self.offset + offset, max(0, min(length, self.size - offset)))

    def view(self, offset: int, length: int) -> memoryview:
        self._demand(offset, length)
        return self.parent.view(self.offset + offset, length)


class BytesSource(Source):
    """Bytes that are already in memory."""

    def __init__(self, data: bytes | memoryview, name: str = "<bytes>") -> None:
        self.data, self.name, self.size = memoryview(data).cast("B"), name, len(data)

    def _read(self, offset: int, length: int) -> bytes:
        return bytes(self.data[offset : offset + length])

    def view(self, offset: int, length: int) -> memoryview:
        self._demand(offset, length)
        return self.data[offset : offset + length].toreadonly()


class Entry(NamedTuple):
    """One name in a store's folder; ``size`` is ``None`` for folders. ``link``: where a symbolic link points that leads
    nowhere (its size is 0)."""

    name: str
    size: int | None
    link: str | None = None

    @property
    def is_folder(self) -> bool:
        return self.size is None


class Store(ABC):
    """A folder of sources. Names are relative, with ``/`` between segments; they never leave the folder."""

    path: str  # as a person would type it

    @abstractmethod
    def entries(self, folder: str = "") -> list[Entry]:
        """What lies directly in ``folder``, sorted by name. Raises :class:`CheckpointNotFound`."""

    @abstractmethod
    def open(self, name: str) -> Source:
        """The file ``name``. Raises :class:`PartMissing` where there is none."""

    @abstractmethod
    def exists(self, name: str) -> bool: ...

    @abstractmethod
    def is_folder(self, name: str) -> bool: ...

    @abstractmethod
    def sub(self, folder: str) -> Store:
        """The folder ``folder`` as a store of its own."""

    def shown(self, name: str) -> str:
        """``name`` as a person would type it."""
        return f"{self.path.rstrip('/')}/{name}" if self.path not in ("", ".") else name

    @staticmethod
    def safe(name: str) -> str:
        """``name`` if it stays inside the folder.

        Names come out of checkpoints (``weight_map``, state files); one that climbs out of its folder or starts at
        the root raises :class:`DamagedCheckpoint`.
        """
        parts = name.replace("\\", "/").split("/")
        if (
            not name
            or name.startswith(("/", "\\"))
            or ".." in parts
            or "\0" in name
            or (len(name) > 1 and name[1] == ":")
        ):
            raise DamagedCheckpoint(
                "a part is named that lies outside the checkpoint's folder",
                found=repr(name),
                expected="a name inside the folder",
                remedy="Do not trust this file; ask where it comes from.",
            )
        return name
