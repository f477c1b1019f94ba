"""The verified read of a restore: tensors from a checkpoint into live memory, every byte compared with its evidence
while it is read.

Nothing is trusted twice: what is compared is what lies in the live model. A tensor whose stored bytes are its values
is read straight into the live memory and hashed there; everything else goes through scratch memory (of the largest
tensor's size at most) and the framework's own assignment. Structure (headers, directories, indices) is tested before
anything live changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from .._core.catalog import Catalog
from .._core.dtypes import carrier, known
from .._core.errors import ChecksumMismatch, NotStored, PlanError, UsageError
from .._core.fault import Fault, Progress
from .._core.finding import Proof
from .._frameworks.live import Variable, _no_memory
from .._integrity.digest import LeafHasher, canonical_bytes, checksum_array, digest_array
from .._integrity.files import Names
from .._integrity.finite import finite_test
from .._integrity.places import stored_run
from .._integrity.seal import Seal
from .._integrity.workers import Shared, default_jobs
from .._layouts.target import Target
from .._storage import Source
from .evidence import Evidence
from .routes import as_bytes, fits, let_go, same_dtype, same_file
from .runs import Claims, Run
from .scratch import Scratch, aligned
from .stream import bring, survey
from .warmth import is_cold

__all__ = ["Transfer", "Transferred", "live_checksum", "transfer"]

_SCRATCH = (
    96 << 20
)  # lent beyond the largest tensor: enough that what arrives can be handed over several at a time
_WHOLE = 64 << 20  # tensors up to here are decoded in one
_MOST_JOBS = 8


@dataclass(slots=True)
class Transfer:
    """One tensor to bring from the checkpoint into the live model.

    ``name``: the live tensor's. ``source``: its name in the stored catalog. ``variable``: the live tensor.
    ``convert``: the plan's edits (cast, slice, transpose ...): takes the stored values, read-only and valid during the
    call only, and gives those to set; ``None``: the bytes go over unchanged.
    """

    name: str
    source: str
    variable: Variable
    convert: Callable[[np.ndarray], np.ndarray] | None = None


@dataclass(slots=True)
class Transferred:
    """What was brought over.

    ``checksums``: live name -> checksum of the values that were handed to a framework, as :func:`live_checksum` gives it for
    the live tensor; none of what was read into live memory itself, and compared there. ``bytes``: stored bytes of all
    tensors; ``verified_bytes``: those of them that agree with evidence. ``proof``: ``sealed``, ``checksums``, ``partial`` or
    ``structure-only``. ``faults``: evidence that could not be used. ``places``: live name -> address of the memory that was
    read to, compared there, and made the value without a copy.
    ``nonfinite``: live names whose stored values hold a NaN or an infinity.
    """

    checksums: dict[str, str] = field(default_factory=dict)
    bytes: int = 0
    verified_bytes: int = 0
    proof: Proof = "structure-only"
    faults: list[Fault] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)
    nonfinite: list[str] = field(default_factory=list)


def transfer(
    catalog: Catalog,
    target: Target,
    transfers: Sequence[Transfer],
    *,
    seal: Seal | None,
    jobs: int | None = None,
    progress: Progress | None = None,
    verify: bool = True,
    before: Callable[[Transfer], None] | None = None,
    check_first: bool = False,
) -> Transferred:
    """Read every transfer's tensor into its variable, comparing all bytes with what evidence there is (``seal``, the
    format's own checksums) in the same pass.

    ``before(transfer)`` is called right before the first byte of that live tensor changes; never twice at once, but not
    always in the calling thread. ``write`` and ``convert`` are called in the calling thread. ``check_first`` reads and
    compares everything once before anything changes; the second reading is then compared with the first.
    ``verify=False`` compares nothing. ``jobs``: threads; ``None``: one per processor, at
    most 8. ``progress`` gets byte counts.

    Raises :class:`ChecksumMismatch` (tensor, file, offset) or :class:`Truncated` at the first disagreement; then
    nothing further is written, and exactly the tensors that ``before`` was told of may have changed. Raises
    :class:`PlanError` where values do not fit the live tensor, before anything changes unless ``convert`` made them.
    Extra memory: the largest tensor (twice, where ``convert`` makes another of it) and about 96 MiB.
    """
    work = _Work(catalog, target, transfers, jobs, progress, before)
    try:
        return work.run(seal if verify else None, verify=verify, check_first=check_first)
    finally:
        work.close()


def live_checksum(variable: Variable) -> str:
    """The checksum of a live tensor's values as they are now: of the live memory where there is such, else of what the
    framework hands out. Raises :class:`NotStored` where it has no value yet."""
    memory = variable.memory()
    if memory is None:
        if variable.read is None:
            raise NotStored("the live tensor has no value yet", tensor=variable.spec.name)
        memory = variable.read()
    return checksum_array(memory)


def _tells_all(claims: Claims) -> bool:
    """Whether claims are about each byte of a run, so that reading it again needs no others."""
    return claims.checksums is not None or claims.leaves is not None or bool(claims.crcs)


class _Work:
    """One call of :func:`transfer`."""

    def __init__(
        self,
        catalog: Catalog,
        target: Target,
        transfers: Sequence[Transfer],
        jobs: int | None,
        progress: Progress | None,
        before: Callable[[Transfer], None] | None,
    ) -> None:
        self.catalog, self.target, self.transfers = catalog, target, transfers
        self.jobs = min(default_jobs(), _MOST_JOBS) if jobs is None else max(1, jobs)
        self.shared = Shared(progress)
        self.names = Names(target, catalog)
        self.before = before or (lambda _: None)
        self.sources: dict[str, Source] = {}
        self.done = Transferred()
        self.scratch = Scratch(_SCRATCH)
        self.runs: list[Run] = []
        self.decoded: list[Transfer] = []
        self.empty: list[Transfer] = []
        self.again: list[tuple[Transfer, str]] = []  # same live memory as another: name of that one
        self.expected: dict[str, str] = {}  # live name -> digest of the stored values, from the first reading

    def close(self) -> None:
        for source in self.sources.values():
            source.close()

    def opened(self, name: str) -> Source:
        """A file of the checkpoint, opened once."""
        if name not in self.sources:
            self.sources[name] = self.target.store.open(name)
        return self.sources[name]

    def run(self, seal: Seal | None, *, verify: bool, check_first: bool) -> Transferred:
        self._route()
        covered = set()
        sealed = seal is not None and seal.record is not None
        decoded = list(dict.fromkeys(self.catalog[t.source].name for t in self.decoded))
        evidence = Evidence(
            self.catalog,
            self.target,
            self.names,
            seal,
            jobs=self.jobs,
            shared=self.shared,
            opened=self.opened,
        )
        if seal is not None and seal.fault is not None:
            self.done.faults.append(seal.fault)
        if verify:
            covered = evidence.settle(self.runs, decoded, dry=check_first)
        cold = is_cold([(run.source, run.offset, run.length) for run in self.runs])
        if check_first:
            for run in self.runs:
                run.summed = not _tells_all(run.claims)
            survey(self.runs, jobs=self.jobs, shared=self.shared, cold=cold)
            for run in self.runs:
                if run.summed:
                    run.claims = Claims(tuple(run.found), proved=run.claims.proved)
                run.reset()
            for item in self.decoded:
                self.expected[item.name] = self._digest_stored(item, evidence)
            cold = is_cold([(run.source, run.offset, run.length) for run in self.runs])
        for run in self.runs:
            run.summed = not run.direct
        self.scratch.limit = _SCRATCH + max((run.length for run in self.runs if not run.direct), default=0)
        bring(
            self.runs,
            jobs=self.jobs,
            shared=self.shared,
            cold=cold,
            lend=self._lend,
            begin=lambda run: self.before(run.item),
            arrive=self._arrive,
        )
        self._decode(evidence)
        self._set_empty()
        self._compare_again()
        self._sum_up(covered, sealed=sealed)
        return self.done

    # -- before anything changes -------------------------------------------------------------------------------------
    def _route(self) -> None:
        """Choose each transfer's way; all that can be known to fail fails here."""
        seen: dict[tuple[int, int], str] = {}
        taken: set[str] = set()
        for item in self.transfers:
            if item.name in taken:
                raise UsageError("one live tensor is to be set twice", tensor=item.name)
            taken.add(item.name)
            spec, live = self.catalog[item.source], item.variable.spec
            if item.convert is None and (
                tuple(spec.shape) != tuple(live.shape) or not same_dtype(spec.dtype, live.dtype)
            ):
                raise PlanError(
                    "the stored tensor does not fit the live one",
                    tensor=item.name,
                    expected=f"{live.dtype}{list(live.shape)}",
                    found=f"{spec.dtype}{list(spec.shape)}",
                    remedy="Add the edit that settles it (cast:, slice:, transpose: ...) to the plan.",
                )
            memory = item.variable.memory()
            if memory is None and item.variable.write is None:
                raise PlanError("this live tensor cannot be set", tensor=item.name)
            place = stored_run(self.catalog, spec, self.names, self.opened)
            if memory is not None and memory.nbytes:
                where = (memory.ctypes.data, memory.nbytes)
                if where in seen:
                    self.again.append((item, seen[where]))
                    continue
                seen[where] = item.name
            if place is None:
                self.decoded.append(item)
            elif place[2] == 0:
                self.empty.append(item)
            else:
                direct = item.convert is None and memory is not None and memory.nbytes == place[2]
                buffer = as_bytes(memory) if direct and memory is not None else None
                run = Run(item, spec.name, *place, buffer)
                run.finite = finite_test(spec.dtype)
                self.runs.append(run)
        order = {source.name: n for n, source in enumerate(self.sources.values())}
        self.runs.sort(key=lambda run: (order[run.source.name], run.offset))
        same_file(self.catalog, [(run.tensor, run.source, run.offset, run.length) for run in self.runs])

    # -- values that pass through scratch ----------------------------------------------------------------------------
    def _lend(self, run: Run) -> bool:
        """Give a run memory to be read to: the framework's own where it takes that over, else scratch. ``False`` where
        what is lent must come back first."""
        item: Transfer = run.item
        if item.convert is None and item.variable.fresh is not _no_memory:
            if not self.scratch.reserve(run.length):
                return False
            made = item.variable.fresh()
            if made is not None and made[0].nbytes == run.length:
                run.buffer, run.commit = as_bytes(made[0]), made[1]
                self.done.places[item.name] = made[0].ctypes.data
                return True
            self.scratch.release(run.length)
        run.scratch = self.scratch.take(run.length)
        if run.scratch is None:
            return False
        run.buffer = run.scratch.data[: run.length]
        return True

    def _arrive(self, run: Run) -> None:
        """A run lies in the memory lent to it, compared: hand it to the framework."""
        item: Transfer = run.item
        run.buffer = None
        if run.commit is not None:
            self.before(item)
            run.commit()
            run.commit = None
            self.done.checksums[item.name] = run.checksum()
            self.scratch.release(run.length)
            return
        spec = self.catalog[item.source]
        assert run.scratch is not None
        values = run.scratch[: run.length].view(carrier(spec.dtype)).reshape(spec.shape)
        if item.convert is None:
            self._set(item, values, run.checksum())
        else:
            self._convert(item, values)
        self.scratch.give(run.scratch)
        run.scratch = None

    def _convert(self, item: Transfer, values: np.ndarray) -> None:
        assert item.convert is not None
        view = values.view()
        view.flags.writeable = False
        made = fits(np.asarray(item.convert(view)), item.variable.spec, item.name)
        self._set(item, made)

    def _set(self, item: Transfer, values: np.ndarray, checksum: str | None = None) -> None:
        """Write values, and say what they are."""
        self.before(item)
        if item.variable.write is not None:
            item.variable.write(values)
        else:
            memory = item.variable.memory()
            assert memory is not None  # tested when the way was chosen
            memory[...] = values
        self.done.checksums[item.name] = checksum_array(values) if checksum is None else checksum

    def _decode(self, evidence: Evidence) -> None:
        """Tensors that their reader makes, one after the other."""
        for item in self.decoded:
            values = self._read_stored(item)
            digest = digest_array(values)
            self._compare(item, digest, evidence)
            finite = finite_test(self.catalog[item.source].dtype)
            if finite is not None and values.size and not finite(canonical_bytes(values)):
                self.done.nonfinite.append(item.name)
            if item.convert is None:
                self._set(item, fits(values, item.variable.spec, item.name))
            else:
                self._convert(item, values)
            self.shared.tell(values.nbytes)
            let_go(values)

    def _read_stored(self, item: Transfer) -> np.ndarray:
        """The stored values, without a second copy where the reader can give them in pieces."""
        spec = self.catalog[item.source]
        if type(self.catalog).pieces is Catalog.pieces or not known(spec.dtype):
            return self.catalog.read(spec.name)
        kind = carrier(spec.dtype)
        count = int(np.prod(spec.shape, dtype=np.int64))
        if kind.hasobject or count * kind.itemsize <= _WHOLE:
            return self.catalog.read(spec.name)
        whole, at = aligned(count * kind.itemsize).view(kind), 0
        for piece in self.catalog.pieces(spec.name):
            whole[at : at + piece.size] = piece
            at += piece.size
            let_go(piece)
        if at != count:
            raise NotStored("the reader gave fewer elements than the tensor has", tensor=spec.name)
        return whole.reshape(spec.shape)

    def _digest_stored(self, item: Transfer, evidence: Evidence) -> str:
        """The digest of the stored values of a tensor that must be decoded, piece by piece."""
        hasher = LeafHasher()
        for piece in self.catalog.pieces(self.catalog[item.source].name):
            hasher.update(canonical_bytes(piece))
            let_go(piece)
        digest = hasher.digest()
        self._compare(item, digest, evidence)
        self.shared.tell(hasher.length)
        return digest

    def _compare(self, item: Transfer, digest: str, evidence: Evidence) -> None:
        """Hold the digest of decoded values against the seal's, and the first reading's."""
        name = self.catalog[item.source].name
        for expected, text in (
            (evidence.sealed_digest(name), "the values are not those that were sealed"),
            (self.expected.get(item.name), "the file changed between the first reading and the second"),
        ):
            if expected is not None and expected != digest:
                places = self.names.places_of(name)
                raise ChecksumMismatch(
                    text,
                    file=self.target.store.shown(places[0][0]) if places else self.target.path,
                    offset=places[0][1] if places else None,
                    tensor=name,
                    expected=expected,
                    found=digest,
                    remedy="Run `holdfast doctor` on the checkpoint to see what can be saved of it.",
                )

    def _set_empty(self) -> None:
        """Tensors without elements: there is nothing to compare, but a lazily made variable must be made."""
        for item in self.empty:
            values = self.catalog.read(item.source)
            if item.convert is not None:
                self._convert(item, values)
            else:
                self._set(item, fits(values, item.variable.spec, item.name))

    def _compare_again(self) -> None:
        """Live tensors that are one memory: what is stored for the second must be what the first was given."""
        for item, first in self.again:
            values = self.catalog.read(item.source)
            if item.convert is not None:
                values = fits(np.asarray(item.convert(values)), item.variable.spec, item.name)
            if checksum_array(values) != live_checksum(item.variable):
                raise PlanError(
                    f"it is tied to {first!r} in the live model, and the checkpoint has other values for it",
                    tensor=item.name,
                    remedy="Untie them in the model, or drop one of the two with a `drop:` edit.",
                )
            let_go(values)

    def _sum_up(self, covered: set[str], *, sealed: bool) -> None:
        done = self.done
        for run in self.runs:
            done.bytes += run.length
            done.verified_bytes += run.length if run.claims.proved else 0
            if run.nonfinite:
                done.nonfinite.append(run.item.name)
        for item in self.decoded:
            spec = self.catalog[item.source]
            done.bytes += spec.nbytes
            done.verified_bytes += spec.nbytes if spec.name in covered else 0
        if sealed and done.verified_bytes == done.bytes:
            done.proof = "sealed"
        elif done.verified_bytes == done.bytes and done.bytes:
            done.proof = "checksums"
        elif done.verified_bytes:
            done.proof = "partial"
