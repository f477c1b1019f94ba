"""A deflated member of a zip as a source of its plain bytes."""

from __future__ import annotations

import threading
import zlib

from .._core.errors import DamagedCheckpoint, LimitExceeded
from .source import Source
from .zip_directory import Member

__all__ = ["Inflated"]

_STEP = 1 << 20
_WHOLE = 16 << 20  # a member up to this size is inflated into memory once; above it, it is streamed


class Inflated(Source):
    """A deflated member, whose bytes begin at ``place`` of ``source``. Small ones are inflated once; large ones as a stream that
    starts again when asked backwards."""

    def __init__(self, source: Source, place: int, member: Member, name: str) -> None:
        self.name, self.size = name, member.size
        self._source, self._place, self._member = source, place, member
        self._lock = threading.Lock()
        self._whole: bytes | None = None
        self._most = _WHOLE + 2 * source.size  # bytes given out at once
        self._restart()

    def _restart(self) -> None:
        self._engine = zlib.decompressobj(-15)
        self._taken = 0  # compressed bytes consumed
        self._at = 0  # plain bytes produced
        self._rest = b""

    def _more(self, limit: int) -> bytes:
        """Up to ``limit`` further plain bytes; empty at the end of the stream."""
        while not self._engine.eof:
            if not self._rest:
                length = max(0, min(_STEP, self._member.compressed - self._taken))
                self._rest = self._source.read(self._place + self._taken, length)
                self._taken += length
            ended = not self._rest  # all is fed; what comes now was held back by `limit`
            try:
                out = self._engine.decompress(self._rest, limit)
            except zlib.error as error:
                raise DamagedCheckpoint(
                    f"the deflated bytes are damaged: {error}",
                    file=self.name,
                    offset=self._place + self._taken,
                ) from error
            self._rest = self._engine.unconsumed_tail
            if out:
                self._at += len(out)
                if self._at > self.size:
                    raise DamagedCheckpoint(
                        "more bytes come out than the directory says", file=self.name, expected=self.size
                    )
                return out
            if ended:
                break
        return b""

    def _read(self, offset: int, length: int) -> bytes:
        length = max(0, min(length, self.size - offset))
        if length > self._most:
            raise LimitExceeded(
                "a deflated member would take far more memory at once than the file has bytes",
                file=self.name,
                expected=f"at most {self._most} bytes",
                found=f"{length}",
                remedy="If you trust it, unpack the archive and open what was in it.",
            )
        with self._lock:
            if self._whole is None and self.size <= _WHOLE:
                self._restart()
                parts = []
                while part := self._more(_STEP):
                    parts.append(part)
                self._whole = b"".join(parts)
            if self._whole is not None:
                return self._whole[offset : offset + length]
            if offset < self._at:
                self._restart()
            while self._at < offset:
                if not self._more(min(_STEP, offset - self._at)):
                    return b""
            parts, have = [], 0
            while have < length and (part := self._more(min(_STEP, length - have))):
                parts.append(part)
                have += len(part)
            return b"".join(parts)
