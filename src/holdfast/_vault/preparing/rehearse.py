"""A rehearsal: one save of the real state into a scratch folder, read back and held against the live objects.

Nothing live is written to: what was saved is read into numpy arrays, and their digests are compared with those of the
live values.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from ..._core.errors import HoldfastError, SaveFailed, UsageError
from ..._core.finding import Finding
from ..._core.plain import pack
from ..._core.spec import TensorSpec
from ..._core.words import plural
from ..._examine.check import check
from ..._frameworks import LiveCatalog, live_catalog
from ..._integrity.digest import digest_array
from ..._layouts.opening import open_path
from ..._render.words import size
from ..._storage.local_sink import LocalSink
from ..._storage.sink import Sink, SinkFile
from ..contents.payload import Payload, gather, stored_bytes
from ..folder.names import PARTIAL, StepName
from ..freezing.snapshot import Buffers, freeze, give_all
from ..saving.commit import commit
from ..saving.room import needed
from .preflight import Preflight

__all__ = ["Rehearsal", "rehearse"]

LOG = logging.getLogger("holdfast.vault")


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a rehearsal measured. All values came back as they are in memory; else it had raised.

    ``tensors``, ``nbytes``: what was saved; ``files``: bytes by file. Seconds: ``first_stall`` (how long the first save
    holds training up, with fresh memory for its copies), ``stall`` (a later one), ``total`` (of a later one, from the
    call until all is durable), ``restore`` (reading all of it back, digests compared). ``free``: bytes free afterwards.
    ``findings``: what the preflight warns of.
    """

    tensors: int
    nbytes: int
    files: Mapping[str, int]
    first_stall: float
    stall: float
    total: float
    restore: float
    free: int | None = None
    findings: tuple[Finding, ...] = field(default=())

    def __str__(self) -> str:
        lines = [
            f"{plural(self.tensors, 'tensor')}, {size(self.nbytes)}: saved to a scratch folder and read back, "
            "every value as it is in memory",
            f"a save holds training up for about {self.stall:.3f} s (the first one {self.first_stall:.3f} s) and is "
            f"durable after {self.total:.3f} s",
            f"reading it back took {self.restore:.3f} s",
        ]
        if self.free is not None:
            fitting = self.free // needed(self.nbytes)
            lines.append(f"{size(self.free)} free: room for {plural(fitting, 'such save')}")
        lines += [f"{f.severity} {f.code}: {f.message}" for f in self.findings]
        return "\n".join(lines)


def rehearse(
    sink: Sink,
    preflight: Preflight,
    buffers: Buffers,
    parts: Mapping[str, Any],
    extra: Mapping[str, Any] | None,
    frozen: str | Iterable[str] = (),
) -> Rehearsal:
    """Save ``parts`` and ``extra`` into a folder of its own inside the vault's, whose lock ``preflight`` takes; read it
    back, compare, and take it away.

    Raises :class:`UsageError` naming what cannot be saved, :class:`VaultLocked`, :class:`SaveFailed` naming the tensors or
    objects that fail.
    """
    if not isinstance(sink, LocalSink):
        raise UsageError("a rehearsal needs a folder of this machine", found=type(sink).__name__)

    def describe() -> tuple[LiveCatalog, Payload]:
        live = _live(parts)
        return live, gather(live, extra, frozen)

    findings = preflight.demand(describe)
    scratch = f"{PARTIAL}rehearsal-{secrets.token_hex(4)}"
    step = StepName(0)
    try:
        sink.make_folder(scratch)
        begin = perf_counter()
        live, payload = describe()
        tensors, nbytes = sum(1 for _ in payload.items()), payload.nbytes
        held, taken = _frozen(live, payload, buffers)
        first = perf_counter() - begin
        try:
            record = commit(
                _Inside(sink, scratch), step, held, modules=live.modules if "model" in live.parts else ()
            )
        finally:
            give_all(buffers, taken)
        writing = perf_counter() - begin - first
        begin = perf_counter()
        path = str(Path(sink.path, scratch, str(step)))
        _came_back(path, *describe())
        restoring = perf_counter() - begin
        _would_restore(path, parts)
        begin = perf_counter()
        live, payload = describe()
        _, taken = _frozen(live, payload, buffers)
        later = perf_counter() - begin
        give_all(buffers, taken)
    finally:
        try:
            sink.remove_tree(scratch)
        except SaveFailed as error:  # the next save takes it away
            LOG.warning("the rehearsal's folder stays where it is: %s", error)
    return Rehearsal(
        tensors,
        nbytes,
        {file.name: file.size for file in record.files},
        first,
        min(first, later),
        min(first, later) + writing,
        restoring,
        sink.free(),
        tuple(f for f in findings if f.severity != "note"),
    )


def _live(parts: Mapping[str, Any]) -> LiveCatalog:
    """The live catalog. Where describing fails by an error that is none of ours, the objects that fail are named."""
    try:
        return live_catalog(**parts)
    except HoldfastError:
        raise
    except Exception as error:
        failing = [
            name for name, thing in parts.items() if thing is not None and _fails(live_catalog, name, thing)
        ]
        raise SaveFailed(
            f"{', '.join(f'{name}=' for name in failing) or 'what was passed'} cannot be described: "
            f"{type(error).__name__}: {error}",
            found=", ".join(type(parts[name]).__name__ for name in failing) or None,
        ) from error


def _fails(describe: Callable[..., object], name: str, thing: Any) -> bool:
    try:
        describe(**{name: thing})
    except HoldfastError:  # alone it means nothing (an optimizer without its model)
        return False
    except Exception:  # noqa: BLE001 - this is the question
        return True
    return False


def _frozen(live: LiveCatalog, payload: Payload, buffers: Buffers) -> tuple[Payload, Any]:
    try:
        return freeze(live, payload, buffers)
    except Exception as error:
        if isinstance(error, HoldfastError) and error.tensor is not None:
            raise
        failing = list(_unreadable(payload))
        if not failing:
            raise
        spec, why = failing[0]
        raise SaveFailed(
            f"{plural(len(failing), 'tensor')} cannot be read: {', '.join(_sized(s) for s, _ in failing[:8])}",
            tensor=spec.name,
            found=f"{type(why).__name__}: {why}",
        ) from error


def _sized(spec: TensorSpec) -> str:
    return f"{spec.name} ({spec.dtype}{list(spec.shape)}, {size(stored_bytes(spec))})"


def _unreadable(payload: Payload) -> Iterator[tuple[TensorSpec, Exception]]:
    for item in payload.items():
        try:
            np.asarray(item.read())
        except Exception as error:  # noqa: BLE001 - this is the question
            yield item.spec, error


def _came_back(path: str, live: LiveCatalog, payload: Payload) -> None:
    """All tensors and values of a step are those of the live objects."""
    wrong: list[str] = []
    shown: list[str] = []
    seen = expected = ""
    with open_path(path) as stored:
        for item in payload.items():
            here = digest_array(np.asarray(item.read()))
            for spec in (item.spec, *item.others):
                there = digest_array(np.asarray(stored.read(spec.name)))
                if here != there:
                    wrong.append(spec.name)
                    shown.append(_sized(spec))
                    seen, expected = seen or there, expected or here
        values = stored.attributes.get("values", {})
    for name, value in payload.values.items():
        if name not in values or pack(values[name], name, []) != json.loads(json.dumps(value)):
            wrong.append(name)
            shown.append(name)
            seen, expected = seen or repr(values.get(name)), expected or repr(value)
    if wrong:
        raise SaveFailed(
            f"{plural(len(wrong), 'value')} did not come back as they are in memory: {', '.join(shown[:8])}",
            file=path,
            tensor=wrong[0],
            expected=expected,
            found=seen,
            remedy="Something writes to these while they are saved (call this where nothing trains), or the disk does not "
            "give back what was written.",
        )


def _would_restore(path: str, parts: Mapping[str, Any]) -> None:
    """A restore into these very objects would not refuse."""
    (report,) = check(path, **parts).checkpoints
    if report.attributes.get("fits", True):
        return
    errors = tuple(f for f in report.findings if f.severity == "error")
    first = errors[0] if errors else None
    raise SaveFailed(
        f"what was saved would not restore: {first.message if first else 'it does not fit'}",
        file=path,
        tensor=first.where.tensor if first else None,
        remedy=first.remedy if first else None,
        findings=errors,
    )


class _Inside(Sink):
    """A folder of another sink, as a sink of its own."""

    def __init__(self, outer: LocalSink, folder: str) -> None:
        self._outer, self._folder = outer, folder
        self.path = str(Path(outer.path, folder))
        self.threads = outer.threads

    @property
    def retries(self) -> int:  # type: ignore[override]
        """Those of the sink that does the work."""
        return self._outer.retries

    def _in(self, name: str) -> str:
        return f"{self._folder}/{name}" if name else self._folder

    def make_root(self) -> None:
        """It is there."""

    def create(self, name: str) -> SinkFile:
        return self._outer.create(self._in(name))

    def create_placed(self, name: str, size: int) -> Any:
        return self._outer.create_placed(self._in(name), size)

    def make_folder(self, name: str) -> None:
        self._outer.make_folder(self._in(name))

    def rename(self, old: str, new: str) -> None:
        self._outer.rename(self._in(old), self._in(new))

    def link(self, old: str, new: str) -> bool:
        return self._outer.link(self._in(old), self._in(new))

    def remove_tree(self, name: str) -> None:
        self._outer.remove_tree(self._in(name))

    def sync_folder(self, name: str = "") -> None:
        self._outer.sync_folder(self._in(name))

    def free(self) -> int | None:
        return self._outer.free()
