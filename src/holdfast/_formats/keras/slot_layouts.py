"""How an optimizer's variables follow from the weights: the layout that explains the shapes of all of them.

The class gives the slots and how they are laid out, the model gives the weights in order; where the order is not known, those
that the shapes themselves allow are tried. Facts: :mod:`holdfast._facts.optimizers`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..._facts.optimizers import Block, slot_blocks
from .names import Weight

__all__ = ["Match", "fit", "match"]

_FEW = 100_000  # weights above which orders are not tried blindly


class Match(NamedTuple):
    """A layout that explains an optimizer's state: how many scalars lead, over which weights, the pairs, the
    class.
    """

    lead: int
    weights: list[Weight]
    pairs: list[tuple[str, int]]
    kind: str
    sure: set[str]


def match(
    shapes: Sequence[tuple[int, ...]],
    weights: list[Weight],
    lead: int,
    classes: Sequence[str],
    generations: Sequence[str],
    config: Mapping[str, Any] | None,
    by_name: bool | None,
) -> Match | None:
    """The first layout of one of ``classes`` that explains ``shapes``, those of the state behind ``lead`` scalars."""
    tried = [(chosen, _proved(chosen)) for chosen in _orders(weights, by_name)]
    plain = [w for w in weights if w.role == "weight"]
    if 0 < len(plain) <= _FEW:
        if not all(w.ordered for w in plain):
            others = (_arranged(sequence, plain) for sequence in _sequences(shapes, len(plain)))
            tried += [(other, _proved(other)) for other in others if other is not None]
        else:
            among = (_among(s, plain) for n in _counts(shapes, len(plain)) for s in _sequences(shapes, n))
            tried += [found for found in among if found is not None]
    for chosen, sure in tried:
        for kind in classes if chosen else ():
            if kind == "Muon":
                pairs = _muon(shapes, chosen)
            else:
                expected = [w.dataset.shape for w in chosen]
                pairs = _one(shapes, expected, kind, generations, config)
            if pairs:
                return Match(lead, chosen, pairs, kind, sure)
    return None


def _counts(shapes: Sequence[tuple[int, ...]], most: int) -> Iterator[int]:
    """How many trained weights the state can be of: fewer than there are, one to four tensors each."""
    for each in range(1, 5):
        count, rest = divmod(len(shapes), each)
        if rest == 0 and 0 < count < most:
            yield count


def _one(
    shapes: Sequence[tuple[int, ...]],
    expected: Sequence[tuple[int, ...]],
    kind: str,
    generations: Sequence[str],
    config: Mapping[str, Any] | None,
) -> list[tuple[str, int]] | None:
    if kind == "Adafactor":
        return _adafactor(shapes, expected, "v" if generations == ("keras-2.11",) else "velocity")
    for one in generations:
        pairs = fit(shapes, expected, slot_blocks(kind, one, config))
        if pairs:
            return pairs
    return None


def _expand(
    blocks: Sequence[Block], shapes: Sequence[tuple[int, ...]]
) -> Iterator[tuple[str, int, tuple[int, ...]]]:
    for block in blocks:
        pairs = (
            ((name, i) for i in range(len(shapes)) for name in block.names)
            if block.interleaved
            else ((name, i) for name in block.names for i in range(len(shapes)))
        )
        for name, i in pairs:
            yield name, i, (1,) if block.scalars else shapes[i]


def fit(
    found: Sequence[tuple[int, ...]], weights: Sequence[tuple[int, ...]], layouts: Sequence[Sequence[Block]]
) -> list[tuple[str, int]] | None:
    """``(slot name, index of the weight)`` for each shape of state found, by the first layout that explains
    them all.
    """
    for blocks in layouts:
        if sum(len(b.names) for b in blocks) * len(weights) != len(found):
            continue
        pairs = []
        for shape, (name, index, expected) in zip(found, _expand(blocks, weights), strict=True):
            if shape != expected:
                break
            pairs.append((name, index))
        else:
            if pairs:
                return pairs
    return None


def _adafactor(
    found: Sequence[tuple[int, ...]], weights: Sequence[tuple[int, ...]], last: str
) -> list[tuple[str, int]] | None:
    """Adafactor keeps a row and a column statistic of matrices, and a full one of everything.

    Source: ``keras/src/optimizers/adafactor.py``, ``build``.
    """
    expected = []
    for index, shape in enumerate(weights):
        if len(shape) >= 2:
            expected += [(shape[:-1], "r", index), (shape[:-2] + shape[-1:], "c", index)]
        expected.append((shape, last, index))
    if [e[0] for e in expected] == list(found):
        return [(name, index) for _, name, index in expected]
    return None


def _muon(found: Sequence[tuple[int, ...]], weights: list[Weight]) -> list[tuple[str, int]] | None:
    """Muon keeps a momentum of everything, and a velocity of what it leaves to AdamW: all but plain matrices.

    Embeddings are told by their names, as Muon does; layers that the user excluded are not found.
    Source: ``keras/src/optimizers/muon.py``, ``build``.
    """
    pairs: list[tuple[str, int]] = []
    at = 0
    for index, weight in enumerate(weights):
        shape = weight.dataset.shape
        if at >= len(found) or found[at] != shape:
            return None
        pairs.append(("momentum", index))
        at += 1
        if len(shape) != 2 or "embedding" in weight.name.lower():
            if at >= len(found) or found[at] != shape:
                return None
            pairs.append(("velocity", index))
            at += 1
    return pairs if at == len(found) else None


def _orders(weights: list[Weight], by_name: bool | None) -> Iterator[list[Weight]]:
    """The weights an optimizer can have been built over, the likeliest first."""
    plain = [w for w in weights if w.role == "weight"]
    trainable = [w for w in plain if w.trainable is not False]
    for chosen in (trainable, plain) if len(trainable) != len(plain) else (plain,):
        recorded, sorted_ = chosen, sorted(chosen, key=lambda w: w.name)
        if by_name is None:
            yield recorded
        else:
            yield from (sorted_, recorded) if by_name else (recorded, sorted_)


def _layers(weights: Sequence[Weight]) -> list[list[Weight]]:
    """The weights by the object that holds them, objects in the order of their first weight."""
    found: dict[str, list[Weight]] = {}
    for weight in weights:
        found.setdefault(weight.dataset.path.rpartition("/")[0], []).append(weight)
    return list(found.values())


def _proved(weights: Sequence[Weight]) -> set[str]:
    """Names of the weights whose place a sequence of shapes proves: layers in recorded order, or unlike all
    others.
    """
    layers = _layers(weights)
    alike: dict[tuple[tuple[int, ...], ...], int] = {}
    for layer in layers:
        shapes = tuple(w.dataset.shape for w in layer)
        alike[shapes] = alike.get(shapes, 0) + 1
    sure = set()
    for layer in layers:
        if all(w.ordered for w in layer) or alike[tuple(w.dataset.shape for w in layer)] == 1:
            sure |= {w.name for w in layer}
    return sure


def _arranged(sequence: Sequence[tuple[int, ...]], weights: Sequence[Weight]) -> list[Weight] | None:
    """The weights, layer by layer, in an order that gives this sequence of shapes; layers that are alike
    keep theirs.

    Subclassed models are stored by attribute name and trained in the order in which layers were made.
    """
    waiting: dict[tuple[tuple[int, ...], ...], list[list[Weight]]] = {}
    for layer in _layers(weights):
        waiting.setdefault(tuple(w.dataset.shape for w in layer), []).append(layer)
    kinds = sorted(waiting, key=len, reverse=True)
    found: list[Weight] = []
    at = 0
    while at < len(sequence):
        kind = next((k for k in kinds if waiting[k] and tuple(sequence[at : at + len(k)]) == k), None)
        if kind is None:
            return None
        found += waiting[kind].pop(0)
        at += len(kind)
    return found if len(found) == len(weights) else None


def _sequences(shapes: Sequence[tuple[int, ...]], count: int) -> Iterator[Sequence[tuple[int, ...]]]:
    """The shapes of the weights, as state of ``count`` weights can show them: interleaved, or slot after
    slot.
    """
    each, rest = divmod(len(shapes), count)
    if rest == 0 and each:
        yield shapes[:count]
        if each > 1:
            yield shapes[::each]


def _among(
    sequence: Sequence[tuple[int, ...]], weights: Sequence[Weight]
) -> tuple[list[Weight], set[str]] | None:
    """The layers that a sequence of shapes passes through in recorded order, the others being frozen; and
    the names
    whose place it proves: those that the first and the last possible choice have in common.
    """
    layers = _layers(weights)

    def choice(order: list[list[Weight]], shapes: list[tuple[int, ...]], step: int) -> list[Weight] | None:
        found: list[Weight] = []
        at = 0
        for layer in order:
            own = [w.dataset.shape for w in layer][::step]
            if shapes[at : at + len(own)] == own:
                found += layer[::step]
                at += len(own)
        return found if at == len(shapes) else None

    first = choice(layers, list(sequence), 1)
    last = choice(layers[::-1], list(sequence)[::-1], -1)
    if first is None or last is None or not all(w.ordered for w in weights):
        return None
    both = {a.name for a, b in zip(first, reversed(last), strict=True) if a is b}
    return first, both
