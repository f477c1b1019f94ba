"""Which weight each optimizer variable of a Keras file belongs to.

Keras stores optimizer state by position. The class (``compile_config``, ``training_config``, the ``name`` of
the group)
gives the slots, the model gives the trainable weights in order; a layout that explains every shape is taken,
and only
that proves an owner. Facts: :mod:`holdfast._facts.optimizers`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..._core.errors import HoldfastError
from ..._core.spec import OptimizerSpec, ParamGroup, Role
from ..._facts.optimizers import GENERATIONS, Block, plain_class, slot_blocks
from ..hdf5.file import Dataset
from .names import Weight

__all__ = ["Slot", "State", "fit", "optimizer_config", "role_of_slot", "state_of", "spec_of", "scalar"]

_GUESSES = ("Adam", "SGD", "RMSprop", "Adadelta", "Ftrl", "Adafactor")
_FEW = 100_000  # weights above which orders are not tried blindly


def role_of_slot(slot: str) -> Role:
    """What a variable of an optimizer is by its slot's name: averages and accumulated gradients stand apart."""
    if slot == "average":
        return "average"
    return "gradient" if slot == "gradient_accumulator" else "slot"


@dataclass(slots=True)
class Slot:
    """What one optimizer variable is. ``owner`` is a weight's name; ``proved`` whether the file proves it."""

    dataset: Dataset
    role: Role
    name: str = ""
    slot: str | None = None
    owner: str | None = None
    proved: bool = True
    aliases: tuple[str, ...] = ()


@dataclass(slots=True)
class State:
    """An optimizer's variables in recorded order, and what they prove of it."""

    slots: list[Slot] = field(default_factory=list)
    class_likely: str | None = None
    fitted: bool = False


def optimizer_config(node: Any) -> tuple[str | None, dict[str, Any] | None]:
    """Class and configuration of a serialised optimizer (``{"class_name", "config"}``); ``(None, None)``
    without one.
    """
    if isinstance(node, dict) and isinstance(node.get("class_name"), str):
        config = node.get("config")
        return node["class_name"].rsplit(">", 1)[-1], config if isinstance(config, dict) else {}
    if isinstance(node, str):
        return plain_class(node), None
    return None, None


def scalar(dataset: Dataset) -> Any:
    """The value of a tiny numeric dataset, or ``None`` where it has more than one element or cannot be
    read.
    """
    if dataset.shape not in ((), (1,)) or dataset.problem is not None:
        return None
    try:
        value = dataset.file.read(dataset).reshape(-1)[0]
    except HoldfastError:
        return None
    return (
        value.item()
        if hasattr(value, "item") and dataset.raw is not None and dataset.raw.kind in "iufb"
        else None
    )


# -- fitting -------------------------------------------------------------------------------------------------
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


class _Match(NamedTuple):
    """A layout that explains an optimizer's state: how many scalars lead, over which weights, the pairs, the
    class.
    """

    lead: int
    weights: list[Weight]
    pairs: list[tuple[str, int]]
    kind: str
    sure: set[str]


def _match(
    shapes: Sequence[tuple[int, ...]],
    weights: list[Weight],
    lead: int,
    classes: Sequence[str],
    generations: Sequence[str],
    config: Mapping[str, Any] | None,
    by_name: bool | None,
) -> _Match | None:
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
                return _Match(lead, chosen, pairs, kind, sure)
    return None


def _counts(shapes: Sequence[tuple[int, ...]], most: int) -> Iterator[int]:
    """How many trained weights the state can be of: fewer than there are, one to four tensors each."""
    for each in range(1, 5):
        count, rest = divmod(len(shapes), each)
        if rest == 0 and 0 < count < most:
            yield count


def state_of(
    variables: Sequence[Dataset],
    weights: list[Weight],
    class_name: str | None,
    config: Mapping[str, Any] | None,
    generation: str | None,
    label: str | None = None,
    by_name: bool | None = None,
) -> State:
    """Tell counters, hyperparameters and slots apart, and find the slots' owners.

    ``generation`` is one of :data:`holdfast._facts.optimizers.GENERATIONS` or ``None``; ``label`` the
    optimizer's
    name where the file has it. ``by_name``: whether the optimizer sorts its weights by name (Keras 1 and 2.0
    do),
    ``None`` where it never does.
    """
    state = State()
    names = _leading(variables)
    hint = plain_class(class_name or re.sub(r"_\d+$", "", label or ""))
    generations = (generation,) if generation else GENERATIONS
    classes = [hint] if hint and any(slot_blocks(hint, g) for g in generations) else list(_GUESSES)
    end = len(variables)
    if end > len(names) and variables[-1].shape == () and hint == "Nadam":
        end -= 1  # the product of the momentum schedule (keras/src/optimizers/nadam.py)
    found: _Match | None = None
    for lead in (len(names), *range(len(names) - 1, 0, -1)):
        shapes = [d.shape for d in variables[lead:end]]
        if shapes and found is None:
            found = _match(
                shapes, weights, lead, classes, generations, config if class_name else None, by_name
            )
    lead = found.lead if found else len(names)
    for dataset, name in zip(variables[:lead], names[:lead], strict=False):
        counts = name.endswith(("iteration", "step_counter"))
        state.slots.append(Slot(dataset, "counter" if counts else "hyperparameter", slot=name))
    if found:
        state.fitted = True
        state.class_likely = None if class_name else found.kind
        for dataset, (slot, index) in zip(variables[lead:end], found.pairs, strict=True):
            owner = found.weights[index].name
            state.slots.append(
                Slot(dataset, role_of_slot(slot), slot=slot, owner=owner, proved=owner in found.sure)
            )
    else:
        state.class_likely = None if class_name else hint
        state.slots.extend(Slot(dataset, "slot", proved=False) for dataset in variables[lead:end])
    state.slots.extend(Slot(dataset, "counter", slot="u_product") for dataset in variables[end:])
    return state


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


def _leading(variables: Sequence[Dataset]) -> list[str]:
    """The names of the scalars that open an optimizer's variables.

    Keras 3: iteration, then the learning rate unless a schedule gives it; a loss scale wrapper has its own
    two, then
    ``step_counter`` and ``dynamic_scale``, then those of the optimizer inside it
    (``loss_scale_optimizer.py``).
    """
    kinds = ""
    for dataset in variables[:8]:
        if dataset.shape != () or dataset.raw is None:
            break
        kinds += "i" if dataset.raw.kind in "iu" else "f"
    outer = ["iteration", "learning_rate"]
    if kinds.startswith("ifif"):
        names = [*outer, "step_counter", "dynamic_scale"]
        rest = kinds[4:]
        prefix = "inner/"
    elif kinds.startswith("iif"):
        names, rest, prefix = ["iteration", "step_counter", "dynamic_scale"], kinds[3:], "inner/"
    else:
        names, rest, prefix = [], kinds, ""
    if rest.startswith("i"):
        names.append(prefix + "iteration")
        if rest.startswith("if"):
            names.append(prefix + "learning_rate")
    elif not names and rest.startswith("f") and len(rest) == 1:
        names.append("iteration")  # Keras 1 counts in floats
    return names


# -- the optimizer -------------------------------------------------------------------------------------------
def spec_of(
    name: str, class_name: str | None, config: Mapping[str, Any] | None, state: State, **attributes: Any
) -> OptimizerSpec:
    """The optimizer as the catalog tells it: configured values from ``config``, current ones from stored
    scalars.
    """
    current: dict[str, Any] = {}
    step: int | None = None
    for slot in state.slots:
        if slot.role not in ("counter", "hyperparameter") or slot.slot is None:
            continue
        value = scalar(slot.dataset)
        plain = slot.slot.removeprefix("inner/")
        if plain in ("iteration", "iterations", "iter"):
            if value is not None:
                step = int(value)
        elif value is not None and slot.role == "hyperparameter":
            current[plain] = value
    configured = {k: v for k, v in (config or {}).items() if k not in ("name", "is_legacy_optimizer")}
    owned = [s for s in state.slots if s.role == "slot"]
    sure = all(
        s.owner and s.proved for s in owned
    )  # half a list of owners would say that the others have none
    owners = tuple(dict.fromkeys(s.owner for s in owned if s.owner)) if sure else ()
    names = tuple(dict.fromkeys(s.slot for s in state.slots if s.slot and s.role == "slot"))
    return OptimizerSpec(
        name=name,
        class_name=class_name,
        class_likely=state.class_likely,
        groups=(ParamGroup(owners=owners, configured=configured, current=current),),
        slots=names,
        step=step,
        attributes=attributes,
    )
