"""What proves the bytes of a restore: the seal's leaves and the format's own checksums, told for each run.

Evidence of structure (headers, directories, indices, what lies between tensors) is tested here, before anything live
changes; evidence of tensor bytes becomes the runs' claims, compared while they are read. A checksum that covers more
than one run (the CRC-32 of a whole ``.weights.h5`` in a ``.keras`` archive, a storage with several views on it) can
only speak after all of its bytes: it is computed ahead, in stretches, and the stretches' values become the claims of
the runs they make up. So the second reading is compared as well.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple, NoReturn

from .._core.catalog import Catalog
from .._core.errors import ChecksumMismatch, DamagedCheckpoint, HoldfastError, PartMissing, Truncated
from .._core.fault import Check, Fault
from .._integrity.checks import SPLIT, run_checks
from .._integrity.crc import POLYNOMIALS, combine, crc_function
from .._integrity.digest import LEAF, hash_leaves
from .._integrity.files import Names
from .._integrity.regions import leaves_of, merge, overlap
from .._integrity.seal import Seal
from .._integrity.sealed import _name_now
from .._integrity.workers import Shared, run_all
from .._layouts.target import Target
from .._record.schema import FileRecord, Record, RegionRecord
from .._storage import Source
from .runs import Claims, Run

__all__ = ["Evidence"]


class _Leaf(NamedTuple):
    file: str
    offset: int
    length: int
    digest: str


class Evidence:
    """All evidence about what is to be read.

    ``runs``: the plain runs; ``decoded``: names of the stored tensors that their reader must decode (compressed,
    strided, put together). Making it opens nothing; :meth:`settle` tests what must hold before anything is changed
    and gives every run its claims.
    """

    def __init__(
        self,
        catalog: Catalog,
        target: Target,
        names: Names,
        seal: Seal | None,
        *,
        jobs: int,
        shared: Shared,
        opened: Callable[[str], Source],
    ) -> None:
        self._catalog, self._target, self._names = catalog, target, names
        self._jobs, self._shared, self._opened = jobs, shared, opened
        self.seal = seal
        self.record: Record | None = seal.record if seal is not None else None
        self.bytes = 0  # tested ahead
        self._sealed: dict[str, tuple[FileRecord, list[int]]] = {}
        self._tensors = {t.name: t for t in self.record.tensors} if self.record is not None else {}

    def sealed_digest(self, name: str) -> str | None:
        """The digest of a tensor's values by the seal, where it speaks of this tensor."""
        sealed = self._tensors.get(name)
        spec = self._catalog[name]
        if sealed is None or sealed.dtype != spec.dtype or sealed.shape != tuple(spec.shape):
            return None
        return sealed.digest

    def _sealed_finite(self, run: Run) -> bool:
        """Whether the seal says of this run's values, in these bytes, that all are finite."""
        sealed = self._tensors.get(run.tensor)
        return (
            sealed is not None
            and sealed.finite is True
            and sealed.dtype == self._catalog[run.tensor].dtype
            and [(s.offset, s.length) for s in sealed.stored] == [(run.offset, run.length)]
        )

    def settle(self, runs: Sequence[Run], decoded: Sequence[str], *, dry: bool) -> set[str]:
        """Test what comes first, and give every run its claims; the names in ``decoded`` that evidence covers.

        ``dry``: the runs will be read without being kept, so that all leaves of another cut are tested here. Raises
        :class:`ChecksumMismatch`, :class:`Truncated`, :class:`PartMissing`.
        """
        covered: set[str] = set()
        trusted = self.record is not None and not self.record.damage
        if self.record is not None:
            covered |= self._settle_seal(self.record, runs, decoded, dry=dry)
        if not trusted:
            covered |= self._settle_checks(runs, decoded)
        return covered

    # -- the seal --------------------------------------------------------------------------------------------------
    def _settle_seal(
        self, record: Record, runs: Sequence[Run], decoded: Sequence[str], *, dry: bool
    ) -> set[str]:
        self._find_files(record)
        ahead: list[_Leaf] = []
        for name, (entry, _) in self._sealed.items():
            for row in entry.regions:
                if row.kind != "tensor":
                    ahead += self._leaves(name, row, record.leaf_bytes)
        for run in runs:
            run.claims, more = self._claims(run, record.leaf_bytes)
            ahead += more
            if dry:
                name = self._names.name_of(run.source.name)
                ahead += [_Leaf(name, run.offset + at, n, digest) for at, n, digest in run.claims.inner]
        covered = set()
        for name in decoded:
            if self.sealed_digest(name) is None:
                for file, offset, length in self._names.places_of(name):
                    ahead += self._leaves_over(file, offset, length, record.leaf_bytes)
            covered.add(name)
        self._test_leaves(sorted(set(ahead)))
        return covered

    def _find_files(self, record: Record) -> None:
        assert self.seal is not None
        for entry in record.files:
            now = _name_now(entry.name, record, self._target)
            if now is None:
                raise PartMissing(
                    "a file that was sealed is not there",
                    file=self._target.store.shown(entry.name),
                    remedy=f"If the seal {self.seal.path} is of another checkpoint, seal this one again.",
                )
            source = self._opened(now)
            if source.size != entry.size:
                kind = Truncated if source.size < entry.size else ChecksumMismatch
                raise kind(
                    "the file has another size than when it was sealed",
                    file=source.name,
                    offset=min(source.size, entry.size),
                    expected=f"{entry.size} bytes",
                    found=f"{source.size}",
                    remedy="Run `holdfast verify` to see what changed.",
                )
            self._sealed[now] = (entry, [row.offset for row in entry.regions])

    def _leaves(self, name: str, row: RegionRecord, leaf_bytes: int) -> list[_Leaf]:
        places = leaves_of(row.offset, row.length, leaf_bytes)
        return [_Leaf(name, at, n, digest) for (at, n), digest in zip(places, row.leaves, strict=True)]

    def _leaves_over(self, name: str, offset: int, length: int, leaf_bytes: int) -> list[_Leaf]:
        """The leaves that any byte of a stretch lies in."""
        if name not in self._sealed:
            return []
        entry, starts = self._sealed[name]
        found: list[_Leaf] = []
        for at in range(max(0, bisect_right(starts, offset) - 1), len(starts)):
            row = entry.regions[at]
            if row.offset >= offset + length:
                break
            found += [
                leaf
                for leaf in self._leaves(name, row, leaf_bytes)
                if leaf.offset < offset + length and leaf.offset + leaf.length > offset
            ]
        return found

    def _claims(self, run: Run, leaf_bytes: int) -> tuple[Claims, list[_Leaf]]:
        """A run's claims, and the leaves that reach beyond it."""
        name, end = self._names.name_of(run.source.name), run.offset + run.length
        if name not in self._sealed:
            return Claims(), []
        entry, starts = self._sealed[name]
        at = bisect_left(starts, run.offset)
        if leaf_bytes == LEAF and at < len(starts) and starts[at] == run.offset:
            row = entry.regions[at]
            if row.length == run.length:
                sums = row.checksums or None
                finite = self._sealed_finite(run)
                return Claims(sums, None if sums else row.leaves, proved=True, finite=finite), []
        leaves = self._leaves_over(name, run.offset, run.length, leaf_bytes)
        inner = tuple(
            (leaf.offset - run.offset, leaf.length, leaf.digest)
            for leaf in leaves
            if leaf.offset >= run.offset and leaf.offset + leaf.length <= end
        )
        beyond = [leaf for leaf in leaves if leaf.offset < run.offset or leaf.offset + leaf.length > end]
        return Claims(inner=inner, proved=True), beyond

    def _test_leaves(self, leaves: Sequence[_Leaf]) -> None:
        """Hash leaves of the files and compare; the first that disagrees is raised."""

        def tasks() -> Iterator[Callable[[memoryview], None]]:
            for group in _neighbours(leaves):
                yield lambda window, group=group: self._test_group(group, window)  # type: ignore[misc]

        total = sum(leaf.length for leaf in leaves)
        run_all(tasks(), self._jobs if total > LEAF else 1, self._shared)
        self.bytes += total

    def _test_group(self, group: Sequence[_Leaf], window: memoryview) -> None:
        source = self._opened(group[0].file)
        digests = hash_leaves(source, [(leaf.offset, leaf.length) for leaf in group], window)
        for leaf, digest in zip(group, digests, strict=True):
            if digest != leaf.digest:
                near = self._names.runs_in(leaf.file)
                hit = [
                    r.tensor
                    for r in near
                    if r.offset < leaf.offset + leaf.length and leaf.offset < r.offset + r.length
                ]
                raise ChecksumMismatch(
                    "bytes changed since the checkpoint was sealed",
                    file=source.name,
                    offset=leaf.offset,
                    tensor=hit[0] if hit else None,
                    expected=leaf.digest,
                    found=digest,
                    remedy="Run `holdfast doctor` on the checkpoint to see what can be saved of it.",
                )
            self._shared.tell(leaf.length)

    # -- the format's own checksums ----------------------------------------------------------------------------------
    def _settle_checks(self, runs: Sequence[Run], decoded: Sequence[str]) -> set[str]:
        by_file: dict[str, list[Run]] = {}
        for run in runs:
            by_file.setdefault(self._names.name_of(run.source.name), []).append(run)
        for found in by_file.values():
            found.sort(key=lambda run: run.offset)
        starts = {name: [run.offset for run in found] for name, found in by_file.items()}
        widest = {name: max(run.length for run in found) for name, found in by_file.items()}
        wanted = {run.tensor for run in runs} | set(decoded)
        places = [place for name in decoded for place in self._names.places_of(name)]
        placed = {name for name in decoded if self._names.places_of(name)}
        unplaced = set(decoded) - placed
        ahead: list[Check] = []
        stretched: list[tuple[Check, str, int, int, list[Run]]] = []
        tested: dict[str, list[tuple[int, int]]] = {}
        for check in self._catalog.checks():
            name = self._names.name_of(check.file)
            start, length = check.span() if check.span is not None else (check.offset, check.nbytes)
            low = bisect_left(starts.get(name, []), start - widest.get(name, 0))
            high = bisect_left(starts.get(name, []), start + length)
            hit = [r for r in by_file.get(name, [])[low:high] if r.offset + r.length > start]
            plain = check.expected is not None and check.kind in POLYNOMIALS
            if plain and hit and all((r.offset, r.length) == (start, length) for r in hit):
                assert check.expected is not None
                for run in hit:
                    old = run.claims
                    run.claims = old._replace(crcs=(*old.crcs, (check.kind, check.expected)), proved=True)
                tested.setdefault(name, []).append(
                    (start, start + length)
                )  # decoded tensors come after the runs
            elif plain and hit:
                stretched.append((check, name, start, length, hit))
                tested.setdefault(name, []).append((start, start + length))
            elif (
                hit
                or check.tensor is None
                or check.tensor in wanted
                or any(file == name and at < start + length and start < at + n for file, at, n in places)
                or (unplaced and not self._is_elsewhere(check.tensor))
            ):
                ahead.append(check)
                tested.setdefault(name, []).append((start, start + length))
        told = {check.tensor for check in ahead if check.tensor is not None}
        self._run(ahead)
        self._test_stretched(stretched)
        whole = {name: merge(ranges) for name, ranges in tested.items()}
        for run in runs:
            if not run.claims.proved:
                name = self._names.name_of(run.source.name)
                held = overlap(whole.get(name, []), run.offset, run.offset + run.length) == run.length
                run.claims = run.claims._replace(proved=held and run.length > 0)
        return {
            name
            for name in decoded
            if name in told
            or (
                name in placed
                and all(
                    overlap(whole.get(f, []), at, at + n) == n for f, at, n in self._names.places_of(name)
                )
            )
        }

    def _is_elsewhere(self, tensor: str) -> bool:
        """Whether a check's tensor has plain runs of its own, so that its bytes are no unplaced tensor's."""
        return tensor in self._catalog and bool(self._names.runs_of(self._catalog[tensor].name))

    def _run(self, checks: Sequence[Check]) -> None:
        said = run_checks(checks, self._target, self._names, self._jobs, self._shared)
        self.bytes += sum(check.nbytes for check in checks)
        for check in checks:
            fault = said[id(check)]
            if fault is not None:
                _raise(fault)

    def _test_stretched(self, items: Iterable[tuple[Check, str, int, int, list[Run]]]) -> None:
        """Compute checksums that cover more than one run in stretches cut at the runs' ends."""
        work: list[tuple[Check, Source, list[tuple[int, int]], dict[int, int], list[Run]]] = []
        for check, name, start, length, hit in items:
            source = self._opened(name)
            end = start + length
            edges = {start, end, *range(start, end, SPLIT)}
            for run in hit:
                edges |= {min(max(at, start), end) for at in (run.offset, run.offset + run.length)}
            cuts = [(a, b - a) for a, b in pairwise(sorted(edges))]
            work.append((check, source, cuts, {}, hit))

        def tasks() -> Iterator[Callable[[memoryview], None]]:
            for check, source, cuts, sums, _ in work:
                for at, length in cuts:
                    yield lambda window, a=at, n=length, c=check, s=source, to=sums: self._sum(  # type: ignore[misc]
                        c.kind, s, a, n, to, window
                    )

        run_all(tasks(), self._jobs, self._shared)
        for check, _, cuts, sums, hit in work:
            self.bytes += check.nbytes
            if _joined(check.kind, cuts, sums) != check.expected:
                fault = check.run(self._shared.tell)
                if fault is not None:
                    _raise(fault)
                raise ChecksumMismatch("the file changes while it is being read", file=check.file)
            for run in hit:
                inside = [cut for cut in cuts if run.offset <= cut[0] and sum(cut) <= run.offset + run.length]
                if sum(n for _, n in inside) == run.length:
                    claim = (check.kind, _joined(check.kind, inside, sums))
                    run.claims = run.claims._replace(crcs=(*run.claims.crcs, claim), proved=True)

    def _sum(
        self, kind: str, source: Source, at: int, length: int, sums: dict[int, int], window: memoryview
    ) -> None:
        function, crc = crc_function(kind), 0
        for start in range(at, at + length, len(window)):
            piece = window[: min(len(window), at + length - start)]
            source.readinto(start, piece)
            crc = function(piece, crc)
        sums[at] = crc
        self._shared.tell(length)


def _joined(kind: str, cuts: Sequence[tuple[int, int]], sums: dict[int, int]) -> int:
    crc = 0
    for at, length in cuts:
        crc = combine(kind, crc, sums[at], length)
    return crc


def _neighbours(leaves: Sequence[_Leaf]) -> Iterator[list[_Leaf]]:
    """Groups that follow each other in one file without a gap, of some MiB: what is hashed at once."""
    group: list[_Leaf] = []
    for leaf in leaves:
        if group and (
            leaf.file != group[-1].file
            or leaf.offset != group[-1].offset + group[-1].length
            or leaf.offset - group[0].offset >= SPLIT
        ):
            yield group
            group = []
        group.append(leaf)
    if group:
        yield group


_KINDS: dict[str, type[HoldfastError]] = {"truncated": Truncated, "checksum": ChecksumMismatch}


def _raise(fault: Fault) -> NoReturn:
    raise _KINDS.get(fault.slug, DamagedCheckpoint)(
        fault.message,
        file=fault.file,
        offset=fault.offset,
        tensor=fault.tensor or (fault.tensors[0] if fault.tensors else None),
        expected=fault.expected,
        found=fault.seen,
        remedy="Run `holdfast doctor` on the checkpoint to see what can be saved of it.",
    )
