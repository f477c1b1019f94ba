"""Which module of A is which of B: through the tensors that were matched, by name, by place between neighbours.

A number in a path (``layers.2``, ``dropout_3``) is no evidence of its own: an inserted layer moves all that
follow, and Keras counts per process.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from .._core.modules import FRAMEWORKS, ModuleSpec
from .auto_names import automatic
from .names import canonical

__all__ = ["Alignment", "Side", "match_modules"]

_WRAPPERS = frozenset(
    {"DataParallel", "DistributedDataParallel", "FullyShardedDataParallel", "OptimizedModule"}
)

Path = tuple[str, ...]


class Side:
    """The modules of one catalog by canonical path, wrappers left out, with their children and tensors."""

    def __init__(self, modules: Iterable[ModuleSpec], tensors: Iterable[str]) -> None:
        self.modules: dict[Path, ModuleSpec] = {}
        self.children: dict[Path, list[Path]] = {}
        for module in sorted(modules, key=lambda spec: spec.order):
            if module.class_name not in _WRAPPERS:
                path = canonical(module.path) if module.path else ()
                self.modules.setdefault(_bare(path), module)
        for path in self.modules:
            if path:
                self.children.setdefault(self.holder(path) or (), []).append(path)
        self._by_end: dict[Path, Path | None] | None = None
        self._owners: dict[Path, Path | None] = {}
        self.owned: dict[Path, list[str]] = {}
        for name in tensors:
            owner = self.owner(name)
            while owner is not None:
                self.owned.setdefault(owner, []).append(name)
                owner = self.holder(owner)

    def holder(self, path: Path) -> Path | None:
        """The nearest module above; ``None`` for the outermost."""
        while path:
            path = path[:-1]
            if path in self.modules:
                return path
        return None

    def chain(self, path: Path | None) -> list[Path]:
        """A module and those around it, the innermost first."""
        found = []
        while path is not None:
            found.append(path)
            path = self.holder(path)
        return found

    def owner(self, tensor: str) -> Path | None:
        """The module that a tensor stands in, by its name; ``None`` where no path fits or several do."""
        stem = _bare(canonical(tensor))[:-1]
        if stem not in self._owners:
            self._owners[stem] = self._find(stem)
        return self._owners[stem]

    def _ends(self) -> dict[Path, Path | None]:
        """Ends of paths that belong to one module alone; made when a name is no plain path."""
        if self._by_end is None:
            found: dict[Path, Path | None] = {}
            for path in self.modules:
                for length in range(1, len(path) + 1):
                    end = path[-length:]
                    found[end] = None if end in found else path
            self._by_end = found
        return self._by_end

    def _find(self, stem: Path) -> Path | None:
        for end in range(len(stem), 0, -1):
            for start in range(end):
                part = stem[start:end]
                if start == 0 and part in self.modules:
                    return part
                known = self._ends().get(part)
                if known is not None:
                    return known
        return () if () in self.modules and not stem else None


def _bare(path: Path) -> Path:
    return tuple(part for part in path if part)


class Alignment(NamedTuple):
    """``pairs`` of paths, and the paths that have no counterpart although their neighbours have."""

    pairs: list[tuple[Path, Path]]
    only_a: list[Path]
    only_b: list[Path]


def match_modules(a: Side, b: Side, tensors: Mapping[str, str]) -> Alignment:
    """Pair the modules; ``tensors`` are the matched names, A's to B's. Near-linear in modules and tensors."""
    known = _through_tensors(a, b, tensors)
    if () in a.modules and () in b.modules and () not in known:
        known[()] = ()
    taken = set(known.values())
    only_a: list[Path] = []
    only_b: list[Path] = []
    queue: list[Path] = sorted(known, key=len)
    for path in queue:  # grows while it is walked: what is paired here has children of its own
        other = known[path]
        left, right = a.children.get(path, []), b.children.get(other, [])
        there = set(right)
        anchored = {child: known[child] for child in left if known.get(child) in there}
        found = _by_own_names(a, b, left, right, anchored, known, taken)
        aligned = _between(a, b, left, right, {**anchored, **found}, known, taken)
        for one, two in (*found.items(), *aligned.pairs):
            known[one] = two
            taken.add(two)
            queue.append(one)
        if anchored or found:
            only_a += aligned.only_a
            only_b += aligned.only_b
    moved = _elsewhere(a, b, only_a, only_b, known)
    known |= moved
    only_a, only_b = [p for p in only_a if p not in moved], [p for p in only_b if p not in moved.values()]
    return Alignment(sorted(known.items(), key=lambda pair: a.modules[pair[0]].order), only_a, only_b)


def _elsewhere(
    a: Side, b: Side, only_a: Sequence[Path], only_b: Sequence[Path], known: Mapping[Path, Path]
) -> dict[Path, Path]:
    """Modules that one side holds within another module than the other does, as where a nested model is taken apart: of
    those that nothing else pairs, the next of the same class."""
    moved: dict[Path, Path] = {}
    for one, other, lonely, back in ((a, b, only_a, False), (b, a, only_b, True)):
        paired = {*known, *moved} if back else {*known.values(), *moved.values()}
        apart = {holder for path in paired if (holder := other.holder(path)) is not None} - paired
        free: dict[str, list[Path]] = {}
        for holder in apart:
            for path in other.children[holder]:
                if path not in paired:
                    free.setdefault(other.modules[path].class_name, []).append(path)
        for path in lonely:
            near = free.get(one.modules[path].class_name)
            if near:
                found = near.pop(0)
                moved[found if back else path] = path if back else found
    return moved


def _through_tensors(a: Side, b: Side, tensors: Mapping[str, str]) -> dict[Path, Path]:
    votes: dict[Path, Counter[Path]] = {}
    for one, two in tensors.items():
        left, right = a.chain(a.owner(one)), b.chain(b.owner(two))
        shift = len(left) - len(right)
        left, right = (
            left[_unlisted(a, b, left, right, shift) :],
            right[_unlisted(b, a, right, left, -shift) :],
        )
        for path, other in zip(left, right, strict=False):  # the layers above follow
            votes.setdefault(path, Counter())[other] += 1
    chosen = {path: counter.most_common(1)[0][0] for path, counter in votes.items()}
    claims = Counter(chosen.values())
    return {path: other for path, other in chosen.items() if claims[other] == 1 or path == other}


def _unlisted(a: Side, b: Side, long: Sequence[Path], short: Sequence[Path], longer: int) -> int:
    """How many of the innermost layers of ``long`` the other side does not list: a file's configuration ends at a layer
    that somebody wrote, a live model knows the layers within it too."""
    if longer <= 0 or not short:
        return 0
    module = b.modules[short[0]]
    if a.modules[long[0]].class_name == module.class_name or b.children.get(short[0]):
        return 0
    alike = [place for place, path in enumerate(long) if a.modules[path].class_name == module.class_name]
    own = module.package not in FRAMEWORKS
    return min(alike, key=lambda place: abs(place - longer)) if alike else longer if own else 0


def _numbered(path: Path, module: ModuleSpec) -> bool:
    """Whether the last word of a path says nothing but a count."""
    return path[-1].isdecimal() or automatic(path[-1], module.class_name)


def _by_own_names(
    a: Side,
    b: Side,
    left: Sequence[Path],
    right: Sequence[Path],
    anchored: Mapping[Path, Path],
    known: Mapping[Path, Path],
    taken: set[Path],
) -> dict[Path, Path]:
    """Children that somebody named, by that name."""
    free = {path[-1]: path for path in right if path not in taken and not _numbered(path, b.modules[path])}
    return {
        path: free[path[-1]]
        for path in left
        if path not in known and path[-1] in free and not _numbered(path, a.modules[path])
    }


def _between(
    a: Side,
    b: Side,
    left: Sequence[Path],
    right: Sequence[Path],
    anchors: Mapping[Path, Path],
    known: Mapping[Path, Path],
    taken: set[Path],
) -> Alignment:
    """Children between the same two matched neighbours: in order, by class where their number differs."""
    place = {path: index for index, path in enumerate(right)}
    pairs: list[tuple[Path, Path]] = []
    only_a: list[Path] = []
    only_b: list[Path] = []
    claimed = set(anchors.values())
    start_b = 0
    gap: list[Path] = []
    for path in (*left, None):
        if path is not None and path not in anchors:
            if path not in known:
                gap.append(path)
            continue
        end_b = len(right) if path is None else place[anchors[path]]
        if end_b < start_b:
            continue  # the two sides stand in another order here
        others = [p for p in right[start_b:end_b] if p not in taken and p not in claimed]
        more = _pair_gap(a, b, gap, others)
        pairs += more.pairs
        only_a += more.only_a
        only_b += more.only_b
        gap, start_b = [], end_b + 1
    return Alignment(pairs, only_a, only_b)


def _pair_gap(a: Side, b: Side, left: list[Path], right: list[Path]) -> Alignment:
    ones = [a.modules[path].class_name for path in left]
    others = [b.modules[path].class_name for path in right]
    counted = all(_numbered(path, a.modules[path]) for path in left) and all(
        _numbered(path, b.modules[path]) for path in right
    )
    if len(left) == len(right) and (counted or ones == others):
        return Alignment(list(zip(left, right, strict=True)), [], [])
    pairs: list[tuple[Path, Path]] = []
    only_a: list[Path] = []
    only_b: list[Path] = []
    for what, i, j, k, m in SequenceMatcher(None, ones, others, autojunk=False).get_opcodes():
        if what == "equal" or (what == "replace" and j - i == m - k and counted):
            pairs += zip(left[i:j], right[k:m], strict=True)
        else:
            only_a += left[i:j]
            only_b += right[k:m]
    return Alignment(pairs, only_a, only_b)
