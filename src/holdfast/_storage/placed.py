"""A file of known size that several threads write, each piece at its own place."""

from __future__ import annotations

import errno
import os
from abc import ABC, abstractmethod
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from .._core.errors import SaveFailed
from .direct import BLOCK, set_direct, start_writeback, writeback_known

if TYPE_CHECKING:
    from .local_sink import LocalSink

__all__ = ["LocalPlacedFile", "PlacedFile"]


class PlacedFile(ABC):
    """A file whose size is known before it is written.

    ``align``: what offsets, lengths and the memory's address must be multiples of; 1 where anything will do. The last
    piece may then reach past the end; :meth:`sync` cuts that off. ``piece``: how much a thread writes at a time there, a
    multiple of it.
    """

    name: str
    align: int = 1
    piece: int = 8 << 20

    @abstractmethod
    def write_at(self, data: memoryview, offset: int) -> None:
        """Write all of ``data`` at ``offset``; from any thread. Raises :class:`SaveFailed`."""

    def start_writeback(self, offset: int, length: int) -> None:  # noqa: B027 - a hint that may be ignored
        """All of this range is written: it may begin its way to the medium."""

    @abstractmethod
    def sync(self) -> None:
        """The file has its size and is on the medium when this returns; no thread writes any more."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the file; writes nothing more."""


class LocalPlacedFile(PlacedFile):
    """An open file descriptor. ``direct``: past the page cache where the file system allows it; it is refused at the
    opening or at the first write, and the page cache takes over."""

    def __init__(
        self, sink: LocalSink, name: str, handle: int, size: int, *, direct: bool, paced: bool
    ) -> None:
        self.sink, self.name, self._handle, self._size = sink, name, handle, size
        self.direct = direct and set_direct(handle, True)
        self.align = BLOCK if self.direct else 1
        self.piece = sink.piece
        self._paced = paced and writeback_known()

    def write_at(self, data: memoryview, offset: int) -> None:
        while len(data):
            done = self._some(data, offset)
            # half a block cannot be continued: it is written again
            done -= done % self.align if done < len(data) else 0
            if done <= 0:
                raise SaveFailed(
                    "saving failed at write: the disk took less than a block",
                    file=str(Path(self.sink.path, self.name)), number=errno.EIO,
                )  # fmt: skip
            data, offset = data[done:], offset + done

    def _some(self, data: memoryview, offset: int) -> int:
        direct = self.direct
        call = partial(self.sink.write_some_at, self._handle, data, offset)
        try:
            return self.sink.operate("write", self.name, call)
        except SaveFailed as failed:
            if not direct or failed.number != errno.EINVAL:
                raise
        self.direct = False
        set_direct(self._handle, False)
        return self.sink.operate("write", self.name, call)

    def start_writeback(self, offset: int, length: int) -> None:
        if self.direct or not self._paced:
            return
        try:
            self.sink.operate("writeback", self.name, partial(start_writeback, self._handle, offset, length))
        except SaveFailed:  # a hint only; fsync tells of what is wrong
            self._paced = False

    def sync(self) -> None:
        if self._size % self.align:
            self.sink.operate("truncate", self.name, partial(os.ftruncate, self._handle, self._size))
        self.sink.operate("fsync", self.name, partial(self.sink.force, self._handle))

    def close(self) -> None:
        handle, self._handle = self._handle, -1
        if handle >= 0:
            self.sink.close_handle(self.name, handle)
