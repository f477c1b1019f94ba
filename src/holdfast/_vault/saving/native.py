"""Native payloads: the framework's own checkpoint format, inside the same commit, beside the safetensors files.

Each file is hashed as it is written, byte for byte, and stands in the record like every other; so it is verified, and
kept or dropped, with its step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from time import perf_counter
from typing import Any

import numpy as np

from ..._core.errors import HoldfastError, SaveFailed, UsageError
from ..._frameworks import LiveCatalog
from ..._frameworks.native import KINDS, Prepared, Stream, prepare
from ..._integrity.digest import LEAF, Hashes, LeafHashes, file_digest, region_digest
from ..._record.schema import FileRecord, RegionRecord
from ..._storage.sink import Sink
from ..contents.payload import Payload
from ..freezing.proof import disagreeing

__all__ = ["as_kinds", "attach_native", "release_native", "write_native"]

PLAIN = "safetensors"


def as_kinds(payload: str | tuple[str, ...] | list[str] | None) -> tuple[str, ...]:
    """``payload=`` as kinds of native payloads. Raises :class:`UsageError` for another word."""
    words = (payload,) if isinstance(payload, str) else tuple(payload or ())
    for word in words:
        if word != PLAIN and word not in KINDS:
            raise UsageError("no such payload", found=word, expected=", ".join((PLAIN, *KINDS)))
    return tuple(dict.fromkeys(word for word in words if word != PLAIN))


def attach_native(
    held: Payload,
    kinds: tuple[str, ...],
    parts: Mapping[str, Any],
    live: LiveCatalog,
    step: int,
    extra: Mapping[str, Any] | None,
    timings: dict[str, float],
    describe: Callable[[], tuple[LiveCatalog, Payload]],
) -> None:
    """Give a frozen payload its native ones, prepared while the live objects hold still; the seconds go to ``timings``.

    Where what is held is proved by content, and a native payload takes its values from the live objects, these are
    compared with what is held once more. Raises :class:`UsageError`, and :class:`SaveFailed` where something changed.
    """
    begin = perf_counter()
    made: list[Prepared] = []
    try:
        for prepared in prepare(kinds, parts, live, step, extra):
            made.append(prepared)
        if held.digests and any(p.live for p in made) and (torn := disagreeing(held, describe()[1])):
            raise SaveFailed(
                "values changed while the native payload was prepared; nothing was written",
                tensor=torn[0],
                found=f"{len(torn)} changed",
                expected="nothing changes during save()",
                remedy="Call save() where nothing else writes to these.",
            )
    except BaseException:
        _release(made)
        raise
    held.native = tuple(made)
    timings["native"] = perf_counter() - begin


def release_native(payload: Payload) -> None:
    """Let go of what was held for them."""
    _release(payload.native)


def _release(prepared: Any) -> None:
    for one in prepared:
        with suppress(Exception):  # memory of a framework's own; the save itself is over
            one.release()


def write_native(
    sink: Sink, partial: str, payload: Payload, tell: Callable[[int], None] = lambda _: None
) -> list[FileRecord]:
    """Write them into the unfinished step, each forced to the medium. Raises :class:`SaveFailed`."""
    if not payload.native:
        return []
    places = {spec.name: item.read for item in payload.items() for spec in (item.spec, *item.others)}

    def read(name: str) -> np.ndarray:
        return np.asarray(places[name]())

    written = []
    for prepared in payload.native:
        for name, write in prepared.files.items():
            file = sink.create(f"{partial}/{name}")
            try:
                pieces = _Hashed(file.write, tell)
                stream = Stream(pieces)
                try:
                    write(stream, read)
                except Exception as error:
                    raise _failed(stream, error, name, prepared.kind) from error
                if stream.failed is not None:  # a library that swallows what its file raises
                    raise _failed(stream, stream.failed, name, prepared.kind)
                file.sync()
            finally:
                file.close()
            written.append(pieces.record(name))
    return written


def _failed(stream: Stream, error: BaseException, name: str, kind: str) -> BaseException:
    if stream.failed is not None:
        return stream.failed
    if isinstance(error, HoldfastError):
        return error
    return SaveFailed(
        f'the native payload "{kind}" could not be written: {type(error).__name__}: {error}', file=name
    )


class _Hashed:
    """Passes bytes on and hashes them in leaves."""

    def __init__(self, write: Callable[[memoryview], None], tell: Callable[[int], None]) -> None:
        self._write, self._tell = write, tell
        self._leaves: list[Hashes] = []
        self._hasher, self._filled = LeafHashes(), 0
        self.size = 0

    def write(self, data: memoryview) -> None:
        self._write(data)
        self._tell(len(data))
        self.size += len(data)
        while len(data):
            piece = data[: LEAF - self._filled]
            self._hasher.update(piece)
            self._filled += len(piece)
            data = data[len(piece) :]
            if self._filled == LEAF:
                self._close_leaf()

    def _close_leaf(self) -> None:
        self._leaves.append(self._hasher.hashes())
        self._hasher, self._filled = LeafHashes(), 0

    def record(self, name: str) -> FileRecord:
        """The file as it was written."""
        if self._filled:
            self._close_leaf()
        rows = (RegionRecord.of(0, self.size, "file", self._leaves),) if self.size else ()
        sums = [(row.length, region_digest(row.length, row.leaves)) for row in rows]
        return FileRecord(name, self.size, file_digest(self.size, sums), rows)
