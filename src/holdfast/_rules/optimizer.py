"""O1: the optimizer's state against the weights beside it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from math import prod

from .._core.catalog import Catalog
from .._core.dtypes import DTYPES
from .._core.finding import Finding, Severity
from .._core.spec import TensorSpec
from .registry import Rule, Subject, rule
from .slots import FACTORS, FULL, NOT_NUMBERS, PER_WEIGHT, STEP_WORDS, shape_fits, slot_word
from .words import count, few

__all__: list[str] = []


def _slots(catalog: Catalog) -> Iterator[tuple[TensorSpec, TensorSpec]]:
    """Slots with their owners, where the file proves the owner and both are whole."""
    for spec in catalog.values():
        if spec.role == "slot" and spec.owner is not None and spec.owner in catalog and spec.extent is None:
            owner = catalog[spec.owner]
            if owner.extent is None:
                yield spec, owner


@rule("O101", "slot-shape", severity="error", cause="optimizer-structure")
def slot_shape(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A slot's shape does not fit its weight's.

    First and second moments, momentum and accumulators have the shape of their weight. Another shape means
    that weights and optimizer state are of different models (a layer was resized and the state kept), or
    that positions slipped and every following slot belongs to another weight. Factored moments (Adafactor,
    SM3), scalars per weight, square factors (Shampoo) and 8-bit codes are legitimate and stay silent.

    Evidence: both shapes.

    What to do: restore weights and optimizer from one save, or restart the optimizer (``reset-slots:``).

    Example: resize ``fc.weight`` in a training checkpoint and keep ``optimizer_state_dict``.
    """
    if subject.catalog is None:
        return
    factored = {s.owner for s, _ in _slots(subject.catalog) if slot_word(s.slot) in FACTORS}
    wrong = [
        (s, o)
        for s, o in _slots(subject.catalog)
        if not shape_fits(s, o) and not (s.owner in factored and prod(s.shape) == 1)
    ]
    by_owner: dict[str, list[tuple[TensorSpec, TensorSpec]]] = defaultdict(list)
    for slot, owner in wrong:
        by_owner[owner.name].append((slot, owner))
    for name, pairs in by_owner.items():
        slot, owner = pairs[0]
        sure = slot_word(slot.slot) in FULL
        flat = prod(slot.shape) == prod(owner.shape)
        yield rule.finding(
            f"{few([s.slot or s.name for s, _ in pairs])} of {name} "
            f"{'has' if len(pairs) == 1 else 'have'} shape "
            f"{list(slot.shape)}, the weight has {list(owner.shape)}",
            severity="error" if sure and not flat else "warning",
            tensor=slot.name,
            tensors=(name, *(s.name for s, _ in pairs)),
            seen=list(slot.shape),
            expected=list(owner.shape),
            remedy=f"Take weights and optimizer state from one save, or restart the optimizer for it "
            f"(`reset-slots:{name}`).",
            edit=f"reset-slots:{name}",
            lossless=False,
        )
    yield from _unmatched(rule, subject.catalog)


def _unmatched(rule: Rule, catalog: Catalog) -> Iterator[Finding]:
    """Positional state that would fit the weights one to one but for a few shapes.

    Which weight each slot belongs to cannot be proved then; that they do not belong together can: as many
    slots (once, twice, ... per weight) as weights, nearly all shapes the same, and some that no weight has.
    """
    if not catalog.optimizers:
        return
    weights = [
        s
        for s in catalog.values()
        if s.role == "weight" and s.trainable is not False and (d := DTYPES.get(s.dtype)) and d.kind in "fc"
    ]
    weights = list({s.shares or s.name: s for s in weights}.values())
    for optimizer in catalog.optimizers:
        slots = [s for s in catalog.values() if s.role == "slot" and s.optimizer == optimizer.name]
        slots = [s for s in slots if slot_word(s.slot) not in PER_WEIGHT and (s.slot is None or s.shape)]
        times, rest = divmod(len(slots), max(1, len(weights)))
        if not slots or rest or times > 4 or len(weights) < 4:
            continue
        if any(s.owner is not None or not s.attributes.get("owner_unproved") for s in slots):
            continue
        of_weights = Counter({shape: times * n for shape, n in Counter(s.shape for s in weights).items()})
        of_slots = Counter(s.shape for s in slots)
        extra, lacking = of_slots - of_weights, of_weights - of_slots
        if not 0 < extra.total() <= max(times, 0.2 * len(slots)):
            continue
        odd = [s for s in slots if s.shape in extra]
        bare = [s for s in weights if s.shape in lacking]
        yield rule.finding(
            f"{count(extra.total(), 'slot')} of {optimizer.name} have shapes that no weight has "
            f"({few([str(list(shape)) for shape in extra])}), and {few([s.name for s in bare])} "
            f"{few([str(list(s.shape)) for s in bare])} finds no slots: weights and optimizer state are of "
            "different models",
            tensor=odd[0].name,
            tensors=tuple(s.name for s in (*bare, *odd)),
            seen=[list(shape) for shape in extra],
            expected=[list(shape) for shape in lacking],
            remedy="Take weights and optimizer state from one save, or restart the optimizer.",
        )


@rule("O102", "slot-dtype", severity="warning", cause="optimizer-structure")
def slot_dtype(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A slot has a type that cannot hold what it should.

    Moments of a floating weight stored as integers lose everything below one. Wider slots than weights
    (float32 for bfloat16) are good practice, and 8-bit optimizers keep codes; both stay silent. Narrower
    floats than the weight are a note.

    Evidence: both types.

    What to do: find what cast them; restart the optimizer if the values are gone.

    Example: ``{k: v.long() for k, v in state.items()}``.
    """
    if subject.catalog is None:
        return
    wrong: list[tuple[TensorSpec, TensorSpec]] = []
    narrow: list[tuple[TensorSpec, TensorSpec]] = []
    for slot, owner in _slots(subject.catalog):
        a, b = DTYPES.get(slot.dtype), DTYPES.get(owner.dtype)
        word = slot_word(slot.slot)
        if a is None or b is None or word in NOT_NUMBERS or word in STEP_WORDS or prod(slot.shape) <= 1:
            continue
        if (
            b.kind in "fc"
            and a.kind in "iub"
            and slot.shape == owner.shape
            and not (a.bits == 8 and word not in FULL)
        ):
            wrong.append((slot, owner))
        elif b.kind == "f" and a.kind == "f" and a.bits < b.bits and b.bits <= 32:
            narrow.append((slot, owner))
    groups: tuple[tuple[list[tuple[TensorSpec, TensorSpec]], Severity, str], ...] = (
        (wrong, "warning", "integers"),
        (narrow, "note", "a narrower type"),
    )
    for pairs, severity, text in groups:
        if pairs:
            slot, owner = pairs[0]
            yield rule.finding(
                f"{count(len(pairs), 'slot')} of floating weights stored as {text}: "
                f"{few([s.name for s, _ in pairs])}",
                severity=severity,
                tensor=slot.name,
                tensors=tuple(s.name for s, _ in pairs),
                seen=slot.dtype,
                expected=owner.dtype,
                remedy="Find what cast them on the way to the file; restart the optimizer if its values "
                "are gone.",
            )


@rule("O103", "slots-missing", severity="warning", cause="optimizer-structure")
def slots_missing(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A weight lacks slots that its neighbours have.

    Within one optimizer (and one parameter group) every weight that has been stepped has the same slots. A
    weight with ``exp_avg`` and no ``exp_avg_sq`` was cut by a filter or a partial write; the next step fails
    or starts that slot at zero. A weight without any slot may be frozen, or unused so far: that is told as a
    note, unless the file says that it is trainable. Where the optimizer lists what it was given, a tensor that is not
    in the list (a mask, a frozen layer, another network) has no slots to miss.

    Evidence: the weights, the slots present, the slots of the others.

    What to do: take the optimizer state from the save it belongs to, or restart the optimizer on purpose.

    Example: delete ``state[3]["exp_avg_sq"]`` from an Adam state dict.
    """
    catalog = subject.catalog
    if catalog is None:
        return
    per: dict[tuple[str, int], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    group_of: dict[str, int] = {}
    for optimizer in catalog.optimizers:
        for index, group in enumerate(optimizer.groups):
            for owner in group.owners:
                group_of[owner] = index
    for spec in catalog.values():
        if (
            spec.role == "slot"
            and spec.owner is not None
            and spec.slot
            and slot_word(spec.slot) not in STEP_WORDS
        ):
            per[(spec.optimizer or "", group_of.get(spec.owner, -1))][spec.owner].add(spec.slot)
    for (of, _), owners in per.items():
        usual, most = Counter(frozenset(s) for s in owners.values()).most_common(1)[0]
        partial = {o: s for o, s in owners.items() if s < usual}
        if partial and _muon(catalog, of, partial):
            continue
        if partial and most > len(owners) / 2 and not _factored(usual | set().union(*owners.values())):
            first = next(iter(partial))
            yield rule.finding(
                f"{count(len(partial), 'weight')} of {len(owners)} lack slots that the others have: "
                f"{few(list(partial))}",
                tensor=first,
                tensors=tuple(partial),
                seen=sorted(partial[first]),
                expected=sorted(usual),
                optimizer=of or None,
                remedy="Take the optimizer state from one whole save, or restart the optimizer for these "
                "weights.",
            )
    with_slots = {o for owners in per.values() for o in owners}
    if not with_slots or any(
        s.attributes.get("owner_unproved") for s in catalog.values() if s.role == "slot"
    ):
        return
    bare = [
        s
        for s in catalog.values()
        if s.role == "weight"
        and s.name not in with_slots
        and s.trainable is not False
        and (prod(s.shape) > 1 or s.trainable)  # lone numbers beside a model are seldom trained
        and (DTYPES.get(s.dtype) is None or DTYPES[s.dtype].kind in "fc")
        and not (s.shares and any(catalog[o].shares == s.shares for o in with_slots if o in catalog))
    ]
    sure = [s for s in bare if s.trainable and not s.attributes.get("trainable_guessed")]
    if _lists_all(catalog):  # then the others are buffers, frozen, or another optimizer's
        bare = [s for s in bare if s.name in group_of or s in sure]
    if bare and len(bare) < len(with_slots):
        names = [s.name for s in bare]
        yield rule.finding(
            f"{count(len(bare), 'weight')} without optimizer state beside {len(with_slots)} that have "
            f"it: {few(names)}",
            severity="warning" if sure and len(sure) == len(bare) and not _untrained(catalog) else "note",
            tensor=names[0],
            tensors=tuple(names),
            remedy="Nothing to do if they were frozen or unused; else take the optimizer state from one "
            "whole save.",
        )


def _lists_all(catalog: Catalog) -> bool:
    """Whether every optimizer says which weights it was given, so that those that it does not name have no place in it."""
    groups = [group for optimizer in catalog.optimizers for group in optimizer.groups]
    return bool(groups) and all(
        group.owners and len(group.owners) >= len(group.positions) for group in groups
    )


def _muon(catalog: Catalog, optimizer: str, partial: dict[str, set[str]]) -> bool:
    """Whether the optimizer is Muon, which keeps one moment of matrices and Adam's two of all else."""
    named = [o for o in catalog.optimizers if o.name == optimizer]
    words = [f"{o.class_name} {o.class_likely} {o.name} {o.attributes.get('scope')}".lower() for o in named]
    return any("muon" in w for w in words) and all(
        owner in catalog and len(catalog[owner].shape) >= 2 and len(slots) == 1
        for owner, slots in partial.items()
    )


def _factored(words: frozenset[str] | set[str]) -> bool:
    """Whether slot sets may differ by the weight's rank (Adafactor, SM3, Shampoo, Muon beside Adam)."""
    text = {slot_word(w).lower() for w in words}
    marks = {
        "r",
        "c",
        "v_row",
        "v_col",
        "exp_avg_sq_row",
        "exp_avg_sq_col",
        "vr",
        "vc",
        "row",
        "col",
        "gg",
        "q",
        "preconditioner",
        "preconditioners",
    }
    return bool(text & marks) or any(w.startswith(("accumulator_", "acc_")) for w in text)


def _untrained(catalog: Catalog) -> bool:
    return any(o.step == 0 for o in catalog.optimizers)


@rule("O106", "group-without-state", severity="note", cause="optimizer-structure")
def group_without_state(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A parameter group has no state while others have it.

    Its weights never got a gradient, or the group was added and never stepped. After loading, the optimizer
    starts them from nothing, which is right in the first case only.

    Evidence: the group, its size, the weights that have state.

    What to do: nothing if these weights were frozen.

    Example: ``optimizer.add_param_group(...)`` right before saving.
    """
    catalog = subject.catalog
    if catalog is None:
        return
    with_slots = {s.owner for s in catalog.values() if s.role == "slot" and s.owner}
    if not with_slots:
        return
    for optimizer in catalog.optimizers:
        bare = [i for i, g in enumerate(optimizer.groups) if g.owners and not with_slots & set(g.owners)]
        if bare and len(bare) < len(optimizer.groups):
            yield rule.finding(
                f"parameter {'groups' if len(bare) > 1 else 'group'} {few([str(i) for i in bare])} of "
                f"{optimizer.name} "
                "without any state",
                file=subject.target.path,
                seen=bare,
                tensors=tuple(o for i in bare for o in optimizer.groups[i].owners),
                remedy="Nothing to do if these weights were frozen or never stepped.",
            )


@rule("O107", "slot-without-weight", severity="warning", cause="optimizer-structure")
def slot_without_weight(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Optimizer state names a weight that the checkpoint does not have.

    The slot's name tells its weight (TensorFlow, name-keyed state), and that weight is not stored: it was
    filtered out, renamed, or lost with a part. Restoring gives moments without the weights they were made
    for.

    Evidence: the slots and the owner's name.

    What to do: use the save in which both are, or restart the optimizer.

    Example: delete ``dense/kernel`` from a name-based TF checkpoint and keep ``dense/kernel/Adam``.
    """
    catalog = subject.catalog
    if catalog is None or not any(s.role == "weight" for s in catalog.values()):
        return
    lonely: dict[str, list[str]] = defaultdict(list)
    for spec in catalog.values():
        if spec.role == "slot" and spec.owner is not None and spec.owner not in catalog:
            lonely[spec.owner].append(spec.name)
    if lonely:
        yield rule.finding(
            f"optimizer state of {count(len(lonely), 'weight')} that the checkpoint lacks: "
            f"{few(list(lonely))}",
            tensor=next(iter(lonely.values()))[0],
            tensors=tuple(n for names in lonely.values() for n in names),
            seen=list(lonely)[:20],
            remedy="Use a save that holds both, or restart the optimizer.",
        )
