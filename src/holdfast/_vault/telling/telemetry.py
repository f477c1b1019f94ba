"""What a save measures of itself, and who is told: log, callback, trackers, progress.

Nothing here can fail a save: what a callback raises is logged as an error, once for each kind of callback.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Mapping
from functools import wraps
from time import perf_counter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ..._core.errors import UsageError
from ..._core.fault import Progress
from ..._record.metrics import Metric
from ..._render.progress import ByteProgress
from ..._storage.local_sink import LocalSink
from ..._storage.memory import peak_resident, resident
from ..._storage.sink import Sink
from ..events import Committed, Event, Failed, Frozen, SaveStarted, Written
from ..handle import SaveHandle

if TYPE_CHECKING:
    from .tracking import Trackers

__all__ = ["Meter", "Watch", "gpu_memory", "scalars", "tells_failures"]

LOG = logging.getLogger("holdfast.vault")
_MANY = frozenset({"write", "writeback"})
"""Operations that come by the thousand: they are not logged one by one."""
_SLOW = 1.0
"""Seconds from which on the end of an operation is logged as well as its beginning."""


class Watch:
    """All who look on while a vault saves.

    ``on_event``: called with each event. ``trackers``: told of the events that have something for them. ``progress``: called
    with byte counts as they are written, or ``True`` for a bar on a terminal. Raises :class:`UsageError` for what is none of
    these.
    """

    def __init__(
        self,
        on_event: Callable[[Event], None] | None = None,
        trackers: Trackers | None = None,
        progress: Progress | bool | None = None,
    ) -> None:
        if on_event is not None and not callable(on_event):
            raise UsageError("on_event= is no callable", found=type(on_event).__name__)
        if not (progress is None or isinstance(progress, bool) or callable(progress)):
            raise UsageError(
                "progress= is no callable", found=type(progress).__name__, expected="a callable, or True"
            )
        self._on_event, self._progress = on_event, progress
        self._trackers = trackers
        self._told: set[str] = set()
        self._begun = threading.local()
        self._guard = threading.Lock()

    @property
    def listened(self) -> bool:
        """Whether anybody is told of events."""
        return self._on_event is not None or (self._trackers is not None and self._trackers.any)

    def emit(self, event: Event, handle: SaveHandle | None = None) -> None:
        """Tell of an event; ``handle``: of the save that it is about."""
        if self._trackers is not None:
            self._trackers.tell(event, handle)
        if self._on_event is not None:
            self.guarded("on_event", lambda: self._on_event(event))  # type: ignore[misc]

    def guarded(self, what: str, call: Callable[[], object]) -> None:
        """Call a callback; what it raises is logged, as an error the first time."""
        try:
            call()
        except Exception as error:
            with self._guard:
                first = what not in self._told
                self._told.add(what)
            LOG.log(
                logging.ERROR if first else logging.DEBUG,
                "%s= raised %s: %s; the save goes on, and this is told once",
                what,
                type(error).__name__,
                error,
                exc_info=first,
            )

    def begin(self, handle: SaveHandle, sink: Sink) -> Meter:
        """A save begins."""
        self._begun.meter = meter = Meter(self, handle, sink)
        self.emit(SaveStarted(handle.step))
        return meter

    def handed_over(self) -> None:
        """From here on the writer tells how the save that this thread began has ended."""
        self._begun.meter = None

    def abandoned(self, error: BaseException) -> None:
        """``save()`` raises in this thread: where its save had begun, tell."""
        meter = getattr(self._begun, "meter", None)
        self._begun.meter = None
        if meter is not None:
            meter.failed(error)

    def untold(self) -> dict[str, Any] | None:
        """What trackers did not take so far; ``None`` where there is nothing to say."""
        return self._trackers.troubles() if self._trackers is not None else None

    def progress(self) -> tuple[Progress | None, Callable[[], None]]:
        """Who is told of bytes during one save, and what ends that."""
        if self._progress is True:
            bar = ByteProgress(sys.stderr)
            return bar, lambda: bar.__exit__(None, None, None)
        return (self._progress or None), lambda: None


class Meter:
    """One save, measured. Its numbers go to ``handle`` and into the record."""

    def __init__(self, watch: Watch, handle: SaveHandle, sink: Sink) -> None:
        self._watch, self._handle, self._sink = watch, handle, sink
        self._begin = perf_counter()
        self._retries = sink.retries
        self._ended = False
        self.nbytes = 0
        self.metrics: tuple[Metric, ...] = ()
        self._tell: Progress | None = None
        self._close: Callable[[], None] = lambda: None
        self._gpu: dict[str, dict[str, int]] = {}
        self._about: dict[str, Any] = {}
        self._memory("before")
        self.log("save started")

    @property
    def elapsed(self) -> float:
        """Seconds since ``save()`` began."""
        return perf_counter() - self._begin

    def log(self, message: str, *given: object) -> None:
        """A line at DEBUG: step, seconds since the save began, what."""
        LOG.debug("step %s +%.3f s: " + message, self._handle.step, self.elapsed, *given)

    def frozen(self) -> None:
        """The values are held."""
        self.log("frozen, %d bytes", self.nbytes)
        self._watch.emit(Frozen(self._handle.step, self.elapsed, self.nbytes))

    def writing(self) -> None:
        """The writer takes over: watch its operations and its bytes."""
        self._about["free_before"] = self._sink.free()  # not sooner: a disk that hangs is to hang the writer
        self._memory("during")
        self._tell, self._close = self._watch.progress()
        announce = getattr(self._tell, "checkpoint", None)
        if announce is not None:
            label = f"saving step {self._handle.step}"
            self._watch.guarded("progress", lambda: announce(label, 1, 1, self.nbytes))
        if isinstance(self._sink, LocalSink):
            self._sink.watch = self._operation

    def tell(self, nbytes: int) -> None:
        """Bytes were written."""
        tell = self._tell
        if tell is not None:
            self._watch.guarded("progress", lambda: tell(nbytes))

    def section(self) -> dict[str, Any]:
        """The record's section ``telemetry``; asked for once all tensors are written, before the record is."""
        self._about["free_after"] = self._sink.free()
        self._memory("after")
        times = self._handle._timings
        times["total"] = self.elapsed  # so far: the record cannot know what its own writing takes
        times.setdefault("retries", self._sink.retries - self._retries)
        self._about["bytes"] = self.nbytes
        self._about["bytes_reused"] = int(times.get("bytes_reused", 0))
        if (untold := self._watch.untold()) is not None:
            self._about["trackers"] = untold
        self._handle._telemetry = dict(self._about)
        self.log("written")
        self._watch.emit(Written(self._handle.step, self.elapsed, self.nbytes))
        return {key: value for key, value in self._about.items() if value is not None}

    def committed(self, name: str, path: str, record: str = "") -> None:
        """The step is durable; ``record``: its record's digest."""
        times = self._handle._timings
        times["total"] = self.elapsed
        times["retries"] = self._sink.retries - self._retries
        self._about["free_after"] = self._sink.free()
        self._memory("after")
        self._handle._telemetry = dict(self._about)
        self.log("committed as %s", name)
        self._ended = True
        told = MappingProxyType(dict(times)), MappingProxyType(dict(self._about))
        done = Committed(self._handle.step, self.elapsed, name, path, *told, record, self.metrics)
        self._watch.emit(done, self._handle)

    def failed(self, error: BaseException) -> None:
        """The save ended with an error."""
        if not self._ended:
            self._ended = True
            self.log("failed: %s", error)
            self._watch.emit(Failed(self._handle.step, self.elapsed, error), self._handle)

    def close(self) -> None:
        """The writer is done, well or not."""
        if isinstance(self._sink, LocalSink):
            self._sink.watch = None
        self._watch.guarded("progress", self._close)

    def _operation(self, kind: str, name: str, seconds: float | None) -> None:
        if seconds is None and kind not in _MANY:
            self.log("%s %s", kind, name)
        elif seconds is not None and seconds >= _SLOW:
            self.log("%s %s took %.3f s", kind, name, seconds)

    def _memory(self, when: str) -> None:
        self._about[f"rss_{when}"] = now = resident()
        # the system's own peak lags a little behind what it says of now
        self._about["peak_rss"] = (
            max(self._about.get("peak_rss") or 0, peak_resident() or 0, now or 0) or None
        )
        gpu = gpu_memory()
        if gpu is not None:
            self._gpu[when] = gpu
            self._about["gpu"] = {moment: dict(numbers) for moment, numbers in self._gpu.items()}


def gpu_memory() -> dict[str, int] | None:
    """Bytes of GPU memory that PyTorch has in use, has reserved, and had in use at most, of all devices together;
    ``None`` where this process does not use CUDA. Asks only what is loaded and initialised already."""
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    if cuda is None or not cuda.is_available() or not cuda.is_initialized():
        return None
    devices = range(cuda.device_count())
    return {
        "allocated": sum(cuda.memory_allocated(d) for d in devices),
        "reserved": sum(cuda.memory_reserved(d) for d in devices),
        "peak": sum(cuda.max_memory_allocated(d) for d in devices),
    }


def scalars(timings: Mapping[str, Any], telemetry: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of one save by the names that trackers show: seconds as ``stall_s``, ``total_s`` ..."""
    phases = ("stall", "snapshot", "join", "hash", "write", "fsync", "total")
    found = {f"{name}_s": timings[name] for name in phases if name in timings}
    found["retries"] = timings.get("retries", 0)
    for name in ("bytes", "bytes_reused", "free_after", "peak_rss"):
        if telemetry.get(name) is not None:
            found[name] = telemetry[name]
    for moment, numbers in telemetry.get("gpu", {}).items():
        found[f"gpu_{moment}"] = numbers["allocated"]
    return {name: float(value) for name, value in found.items()}


Save = TypeVar("Save", bound=Callable[..., Any])


def tells_failures(save: Save) -> Save:
    """A vault's ``save``, whose watch is told of what it raises."""

    @wraps(save)
    def call(vault: Any, *given: Any, **named: Any) -> Any:
        try:
            return save(vault, *given, **named)
        except BaseException as error:
            vault._telling.abandoned(error)
            raise

    return cast("Save", call)
