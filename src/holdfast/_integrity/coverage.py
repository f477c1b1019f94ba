"""How many bytes of which files have evidence: what the proof of a report and its list of gaps are counted
from."""

from __future__ import annotations

from .._core.catalog import Catalog
from .._core.errors import HoldfastError, PartMissing
from .._core.fault import Check, Fault
from .._core.finding import Proof
from .._layouts.target import Target
from .files import Names
from .regions import merge, overlap

__all__ = ["Coverage"]


class Coverage:
    """Ranges of each file that were tested, and that agreed. Files go by their names in the target's
    store."""

    def __init__(self, names: Names, target: Target, catalog: Catalog | None) -> None:
        self._names, self._target, self._catalog = names, target, catalog
        self._sizes: dict[str, int] = {}
        for name in names.of_store:
            try:
                source = target.store.open(name)
            except PartMissing:
                raise
            except HoldfastError:  # it is there and may not be read; what needs it says so
                continue
            self._sizes[name] = source.size
            source.close()
        self._tested: dict[str, list[tuple[int, int]]] = {}
        self._agreed: dict[str, list[tuple[int, int]]] = {}
        self._tensors: set[str] = set()
        self._said: dict[str, str] = {}

    def add(self, name: str, tested: list[tuple[int, int]], agreed: list[tuple[int, int]]) -> None:
        """Count ranges ``(start, end)`` of a file."""
        self._tested.setdefault(name, []).extend(tested)
        self._agreed.setdefault(name, []).extend(agreed)

    def say(self, name: str, words: str) -> None:
        """Why part of a file has no evidence, in words of its own."""
        self._said[name] = words

    def add_check(self, check: Check, fault: Fault | None) -> None:
        """Count a check that was run."""
        name = self._names.name_of(check.file)
        start, length = check.span() if check.span is not None else (check.offset, check.nbytes)
        tested = [(start, start + length)]
        self.add(name, tested, tested if fault is None else [])
        if check.tensor is not None:
            self._tensors.add(check.tensor)

    @property
    def total(self) -> int:
        """Bytes of all files."""
        return sum(self._sizes.values())

    @property
    def proved(self) -> int:
        """Bytes that agree with some evidence."""
        return sum(overlap(merge(self._agreed.get(name, [])), 0, size) for name, size in self._sizes.items())

    def _tested_bytes(self, name: str) -> int:
        return overlap(merge(self._tested.get(name, [])), 0, self._sizes.get(name, 0))

    def covered(self, name: str) -> bool:
        """Whether every byte of a file's tensors was tested and agreed (or every byte, of a file without
        tensors)."""
        agreed = merge(self._agreed.get(name, []))
        runs = self._names.runs_in(name)
        if not runs:
            return overlap(agreed, 0, self._sizes.get(name, 0)) == self._sizes.get(name, 0)
        return all(overlap(agreed, run.offset, run.offset + run.length) == run.length for run in runs)

    def proof(self, *, sealed: bool) -> Proof:
        """``sealed``: a seal tests every byte. ``checksums``: every tensor byte is tested. ``partial``:
        some."""
        if sealed and all(self._tested_bytes(name) == size for name, size in self._sizes.items()):
            return "sealed"
        if not any(self._tested_bytes(name) for name in self._sizes):
            return "structure-only"
        return "partial" if self._bare_tensors() or not self._catalog else "checksums"

    def _bare_tensors(self) -> list[str]:
        """Tensors that have bytes without evidence."""
        if self._catalog is None:
            return []
        merged = {name: merge(ranges) for name, ranges in self._tested.items()}
        whole = {name for name, size in self._sizes.items() if overlap(merged.get(name, []), 0, size) == size}
        empty = {f.tensor for f in self._catalog.faults if f.slug == "not-stored"}
        bare = []
        for spec in self._catalog.values():
            if spec.nbytes == 0 or spec.name in empty or (not spec.stored and len(whole) == len(self._sizes)):
                continue
            runs = self._names.runs_of(spec.name)
            holes = any(overlap(merged.get(file, []), at, at + length) < length for file, at, length in runs)
            unplaced = len(runs) < len(spec.stored) or not spec.stored
            files = {self._names.name_of(stored.file) for stored in spec.stored}
            told = spec.name in self._tensors or (bool(files) and files <= whole)
            if holes or (unplaced and not told):
                bare.append(spec.name)
        return bare

    def without(self) -> list[str]:
        """Sentences on what has no evidence, file by file."""
        found = []
        bare = len(self._bare_tensors())
        for name, size in self._sizes.items():
            left = size - self._tested_bytes(name)
            if left:
                shown = self._target.store.shown(name)
                if name in self._said:
                    found.append(f"{shown}: {self._said[name]}")
                elif left == size:
                    found.append(f"{shown}: nothing proves its {size:,} bytes")
                else:
                    found.append(
                        f"{shown}: {left:,} of its {size:,} bytes (structure or data) have no checksum"
                    )
        if bare and self._catalog is not None:
            what = (
                "the one tensor has"
                if len(self._catalog) == 1
                else f"{bare:,} of {len(self._catalog):,} tensors have"
            )
            found.append(f"{what} bytes that no checksum covers")
        return found
