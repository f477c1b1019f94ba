"""Names that Keras gave by counting, matched by place instead of by number.

Keras calls a layer without a name ``to_snake_case(class)`` and counts per process: the first Dense of a process is
``dense``, the next ``dense_1`` (``keras/src/utils/naming.py``, ``auto_name``). The number tells how many layers of
the class were made before, in whatever models; it is no evidence that ``dense_1`` of a file is ``dense_1`` of another
process. What is left is the layer's place among the automatic ones of its class within its container.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from .._core.spec import TensorSpec
from .._facts.keras_layers import CHILDREN, COPIES, MODELS, SUBLAYERS, VARIABLES, counted_name, snake_case
from .names import segments
from .pool import Pool

__all__ = ["OWNED", "automatic", "match_automatic", "pair_automatic"]

_NUMBERED = re.compile(r"^(.+?)_([1-9]\d*)$")
_KERAS = frozenset({"keras", "tensorflow", ""})
_STEMS = frozenset(
    snake_case(name)
    for name in (*VARIABLES, *CHILDREN, *SUBLAYERS, *MODELS, "StackedRNNCells", "TFSMLayer", "FeatureSpace")
)
OWNED = frozenset({"average", "gradient"})
"""Roles of tensors that belong to a weight and are as many as the weights."""


def automatic(name: str, class_name: str) -> bool:
    """Whether ``name`` is what Keras calls an unnamed layer of that class, whatever the count
    (``dense_7`` of ``Dense``)."""
    return counted_name(name, class_name)


def _stem(segment: str, stems: frozenset[str]) -> tuple[str, int] | None:
    """The class part and the count of a segment that may be automatic, or ``None``."""
    front = next((word for word in COPIES if segment.startswith(word)), "")
    plain = segment[len(front) :]
    if plain in stems:
        return segment, 0
    match = _NUMBERED.match(plain)
    if match is not None and match.group(1) in stems:
        return front + match.group(1), int(match.group(2))
    return None


def _stems_told(specs: Iterable[TensorSpec]) -> frozenset[str]:
    """Classes beyond Keras's own, by what the specs themselves tell: a live model lists the segments that
    are automatic, a file its layers' classes."""
    found: set[str] = set()
    for spec in specs:
        told = spec.attributes.get("automatic")
        if told is not None:
            for segment in told:
                match = _NUMBERED.match(segment)
                found.add(match.group(1) if match else segment)
        kind = spec.attributes.get("class")
        if isinstance(kind, str):
            found.add(snake_case(kind))
    return frozenset(found)


@dataclass(slots=True)
class _Node:
    """A container of one side: its layers by name, in recorded order, and its own tensors."""

    inner: dict[str, _Node] = field(default_factory=dict)
    tensors: dict[str, TensorSpec] = field(default_factory=dict)
    counted: dict[str, tuple[str, int]] = field(default_factory=dict)
    _signature: Hashable = None

    def weighted(self) -> list[str]:
        """The layers directly within that hold more than states of random generators."""
        return [name for name, inner in self.inner.items() if inner.holds_weights()]

    def holds_weights(self) -> bool:
        """Whether anything below is a weight or a buffer."""
        stack = [self]
        while stack:
            at = stack.pop()
            if any(spec.role != "rng" for spec in at.tensors.values()):
                return True
            stack.extend(at.inner.values())
        return False

    def signature(self) -> Hashable:
        """Structure and shapes below, numbers left out: equal for what may be the same layer."""
        if self._signature is None:
            parts = [(leaf, spec.shape) for leaf, spec in sorted(self.tensors.items())]
            below = [(self.counted.get(k, (k,))[0], n.signature()) for k, n in self.inner.items()]
            self._signature = (tuple(parts), tuple(below))
        return self._signature


def _tree(specs: Iterable[TensorSpec], stems: frozenset[str]) -> tuple[_Node, bool]:
    """The containers of one side, and whether any name in it may be automatic."""
    root, any_counted = _Node(), False
    for spec in sorted(specs, key=lambda spec: spec.order if spec.order is not None else 1 << 60):
        *path, leaf = segments(spec.name)
        told = spec.attributes.get("automatic")
        node = root
        for place, segment in enumerate(path):
            if told is not None:
                may_be = segment in told
            elif spec.key.startswith(f"{spec.name}/.ATTRIBUTES/"):
                may_be = False  # an object's path is made of attributes, whose names stand in the code
            elif len(path) == 1 and isinstance(spec.attributes.get("class"), str):
                # the layer's own class is known: another class's word is a name that somebody chose
                may_be = automatic(segment, spec.attributes["class"])
            else:
                may_be = True
            counted = _stem(segment, stems) if may_be else None
            if counted is not None and segment not in node.inner:
                node.counted[segment] = counted
                any_counted = True
            node = node.inner.setdefault(segment, _Node())
            del place
        node.tensors.setdefault(leaf, spec)
    return root, any_counted


def pair_automatic(
    a: Iterable[TensorSpec], b: Iterable[TensorSpec]
) -> tuple[dict[str, str], frozenset[str], frozenset[str]]:
    """Which tensors of A are which of B where an automatic name stands in their path.

    Returns A's names -> B's names, and on either side the names whose number proves nothing and for which no
    counterpart was found: those must not be matched by name. Containers that somebody named are followed by
    name, automatic ones of a class in their recorded order; where the numbers agree on both sides they are
    kept. Near-linear in the number of tensors.
    """
    a, b = list(a), list(b)
    stems = _STEMS | _stems_told(a) | _stems_told(b)
    (left, some), (right, others) = _tree(a, stems), _tree(b, stems)
    if not (some and others):
        return {}, frozenset(), frozenset()
    pairs: dict[str, str] = {}
    doubtful: tuple[set[str], set[str]] = (set(), set())
    _align(left, right, False, pairs, doubtful)
    return pairs, frozenset(doubtful[0]), frozenset(doubtful[1])


def _same_scope(a: _Node, b: _Node) -> tuple[_Node, _Node]:
    """Two containers, either without one more around all within that only it has.

    A subclassed model that was built by its first call has its own name before its layers' weights, and one that was
    built by ``build`` (as ``load_model`` does) has not (``Layer.__call__`` opens a name scope,
    ``keras/src/layers/layer.py``); one of several models stands below the word that it was passed by, and a file may
    know it by its own name alone. States of random generators are made before, outside of any scope.
    """
    if not _words(a) & _words(b):
        for one, other, inner in ((a, b, _within(a)), (b, a, _within(b))):
            if inner is not None and _words(inner) & _words(other):
                return (inner, other) if one is a else (other, inner)
    return a, b


def _words(node: _Node) -> set[str]:
    """What the layers with weights directly within are called, numbers left out."""
    return {node.counted.get(name, (name,))[0] for name in node.weighted()}


def _within(node: _Node) -> _Node | None:
    """``node`` without the one container that all weights lie in; ``None`` where they lie in several."""
    names = node.weighted()
    if len(names) != 1 or node.tensors:
        return None
    only = node.inner[names[0]]
    rest = {name: inner for name, inner in node.inner.items() if name != names[0]}
    if not rest.keys().isdisjoint(only.inner):
        return None
    return _Node({**only.inner, **rest}, only.tensors, {**node.counted, **only.counted})


def _align(
    a: _Node, b: _Node, counted: bool, pairs: dict[str, str], doubtful: tuple[set[str], set[str]]
) -> None:
    a, b = _same_scope(a, b)
    if counted:
        for leaf, spec in a.tensors.items():
            if leaf in b.tensors:
                pairs[spec.name] = b.tensors[leaf].name
    groups: dict[str, tuple[list[str], list[str]]] = {}
    for side, node in enumerate((a, b)):
        for name in node.inner:
            if name in node.counted:
                groups.setdefault(node.counted[name][0], ([], []))[side].append(name)
            elif side == 0 and name in b.inner and name not in b.counted:
                _align(node.inner[name], b.inner[name], counted, pairs, doubtful)
    for here, there in groups.values():
        chosen = _choose(here, there, a, b)
        for one, other in chosen.items():
            _align(a.inner[one], b.inner[other], True, pairs, doubtful)
        taken = set(chosen.values())
        for one in here:
            if one not in chosen:
                doubtful[0].update(_below(a.inner[one]))
        for other in there:
            if other not in taken:
                doubtful[1].update(_below(b.inner[other]))


def _choose(here: list[str], there: list[str], a: _Node, b: _Node) -> dict[str, str]:
    """Which automatic layers of one class are which: the way in which most have the same structure."""
    if set(here) == set(there):
        same = {name: name for name in here}
        if all(a.inner[n].signature() == b.inner[n].signature() for n in here):
            return same
    ways: list[dict[str, str]] = []
    ways.append(dict(zip(here, there, strict=False)))
    if len(here) == len(there):
        number = a.counted, b.counted
        ways.append(
            dict(
                zip(
                    sorted(here, key=lambda n: number[0][n][1]),
                    sorted(there, key=lambda n: number[1][n][1]),
                    strict=True,
                )
            )
        )
    else:
        ways.append(dict(zip(here[::-1], there[::-1], strict=False)))
        marks = [a.inner[n].signature() for n in here], [b.inner[n].signature() for n in there]
        if len(here) + len(there) < 4096:
            blocks = SequenceMatcher(None, marks[0], marks[1], autojunk=False).get_matching_blocks()
            ways.append({here[i + k]: there[j + k] for i, j, n in blocks for k in range(n)})
    ways.append({name: name for name in here if name in set(there)})

    def agreeing(way: Mapping[str, str]) -> int:
        return sum(a.inner[x].signature() == b.inner[y].signature() for x, y in way.items())

    best = max(ways, key=agreeing)
    if len(here) == len(there):
        return best
    if not agreeing(best):
        return ways[-1] or ways[0]  # every layer has another shape: that is the difference to tell
    return {x: y for x, y in best.items() if a.inner[x].signature() == b.inner[y].signature()}


def _below(node: _Node) -> Iterable[str]:
    stack = [node]
    while stack:
        at = stack.pop()
        stack.extend(at.inner.values())
        yield from (spec.name for spec in at.tensors.values())


def _counts(spec: TensorSpec) -> bool:
    return spec.role in ("weight", "buffer", "rng") and spec.dialect in ("keras", "tensorflow")


def match_automatic(pool: Pool) -> tuple[list[TensorSpec], list[TensorSpec]]:
    """Take the pairs that automatic names prove by their place, before anything is matched by name.

    Tensors whose number proves nothing and that have no counterpart by place are taken out of the pool and
    returned, by side: they are to be put back once names have been compared. Averages and accumulated
    gradients bear their weight's name and follow their owner.
    """
    mine = [spec for spec in pool.a.values() if _counts(spec)]
    theirs = [spec for spec in pool.b.values() if _counts(spec)]
    if not mine or not theirs:
        return [], []
    pairs, doubtful_a, doubtful_b = pair_automatic(mine, theirs)
    for one, other in pairs.items():
        pool.take(one, other, "name" if one == other else "automatic")
    held = set(doubtful_a)
    owned: dict[tuple[str, str], list[str]] = {}
    for spec in pool.b.values():
        if spec.role in OWNED and spec.owner is not None:
            owned.setdefault((spec.role, spec.owner), []).append(spec.name)
    for spec in [s for s in pool.a.values() if s.role in OWNED and s.owner is not None]:
        assert spec.owner is not None
        if spec.owner in pairs:
            found = owned.get((spec.role, pairs[spec.owner]), [])
            if len(found) == 1 and found[0] in pool.b:
                pool.take(spec.name, found[0], "name" if spec.name == found[0] else "automatic")
            elif spec.name in pool.b:
                held.add(spec.name)  # another weight's, by its number
    return (
        [pool.a.pop(name) for name in list(pool.a) if name in held],
        [pool.b.pop(name) for name in list(pool.b) if name in doubtful_b],
    )
