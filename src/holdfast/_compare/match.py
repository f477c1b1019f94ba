"""Which tensor of A is which of B: by name, by spelling, by rule, by module, by content, by order; never by
guess.

Each stage takes what the ones before left over, and only what fits in exactly one way. Whatever fits in
several ways in the end is reported as ambiguous. All stages are near-linear in the number of tensors.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Hashable, Iterable

from .._core.spec import TensorSpec
from .auto_names import OWNED, match_automatic
from .content import Fingerprint, Probe, narrower
from .layouts import fits, permutations
from .names import canonical, leaf, segments, spelled_alike, spelling
from .pool import Group, Pair, Pool, by_key
from .prefixes import match_by_rules, rules_of_pairs
from .reparametrized import pair_parts

__all__ = ["match"]


def match(pool: Pool, probe: Probe | None) -> None:
    """Fill ``pool.pairs`` and ``pool.ambiguous`` from what is free; what stays free has no counterpart."""
    _the_same(pool)
    unnamed = match_automatic(pool)
    pool.take_named()
    _by_alias(pool)
    _by_form(pool, lambda spec: canonical(spec.name), "wrapper")
    if not spelled_alike((*pool.a, *pool.b)):
        _by_form(pool, lambda spec: (*spelling(spec.name)[:-1], leaf(spec.name)), "spelling")
    apart = pair_parts(pool)
    for specs, side in zip(unnamed, (pool.a, pool.b), strict=True):
        side.update((spec.name, spec) for spec in specs)
    _by_owner(pool)
    if probe is not None:
        _by_content(pool, probe)
        rules_of_pairs([p for p in pool.pairs if p.by == "content"], pool)
    match_by_rules(pool)
    before = len(pool.pairs)
    _by_module(pool)
    if len(pool.pairs) > before:
        match_by_rules(pool)
    rules_of_pairs([p for p in pool.pairs if p.by in ("module", "rule")], pool)
    _by_order(pool)
    _by_shape(pool, probe)
    different = _confirm(pool, probe) if probe is not None else False
    _collect_ambiguous(pool, probe, different)
    for specs, side in zip(apart, (pool.a, pool.b), strict=True):
        side.update((spec.name, spec) for spec in specs)


def _the_same(pool: Pool) -> None:
    """What one description stands for on both sides (a tensor that a plan keeps as it is live): it says nothing of the
    names around it."""
    for name in [name for name, spec in pool.b.items() if pool.a.get(name) is spec]:
        pool.take(name, name, "name")


def _by_alias(pool: Pool) -> None:
    """Raw keys and aliases: other names of the same stored bytes, given by the files themselves."""
    if not pool or not any(
        spec.aliases or spec.key != name for side in (pool.a, pool.b) for name, spec in side.items()
    ):
        return

    def others(specs: dict[str, TensorSpec]) -> dict[str, list[str]]:
        index: dict[str, list[str]] = {}
        for spec in specs.values():
            for other in {spec.name, spec.key, *spec.aliases}:
                index.setdefault(other, []).append(spec.name)
        return index

    here = others(pool.a)
    claims: dict[str, list[str]] = {}
    common = _several(pair.a for pair in pool.pairs) | _several(pair.b for pair in pool.pairs)
    for b in pool.b.values():
        found = {
            name
            for other in (b.name, b.key, *b.aliases)
            if other not in common
            for name in here.get(other, ())
            if name in pool.a
        }
        if len(found) == 1:
            claims.setdefault(found.pop(), []).append(b.name)
    left = {spec.shape for spec in pool.a.values() if spec.name not in claims and spec.role in _KEPT}
    claiming = {name for claimants in claims.values() for name in claimants}
    left |= {spec.shape for spec in pool.b.values() if spec.name not in claiming and spec.role in _KEPT}
    for name, claimants in claims.items():
        # an alias that several tensors bear proves nothing for any of them
        if len(claimants) != 1 or pool.a[name].shape != pool.b[claimants[0]].shape:
            continue
        if _another_kind(pool.a[name], pool.b[claimants[0]]):
            continue
        if not (_only_place(pool.a[name], pool.b[claimants[0]]) and pool.a[name].shape in left):
            pool.take(name, claimants[0], "alias")


def _another_kind(a: TensorSpec, b: TensorSpec) -> bool:
    """Whether one is an average and the other an accumulated gradient, which optimizers keep at the same numbers; where a
    file does not say which (``slot_likely``) it may be either."""
    return {a.role, b.role} == OWNED and not (
        a.attributes.get("slot_likely") or b.attributes.get("slot_likely")
    )


_KEPT = frozenset({"weight", "buffer"})


def _several(taken: Iterable[TensorSpec]) -> set[str]:
    """Names that matched tensors bear beside their own: what is left does not own them (TensorFlow calls every
    kernel ``kernel``)."""
    return {other for spec in taken for other in (spec.key, *spec.aliases)}


def _only_place(a: TensorSpec, b: TensorSpec) -> bool:
    """Whether two tensors share a numbered place of Keras's or TensorFlow's (``layers/dense_1``, ``_operations/3``) and
    no name: where a tensor of the shape is missing or left over as well, the places may have moved."""
    numbered = {"keras", "tensorflow"} >= {a.dialect, b.dialect}
    return numbered and a.name not in (b.name, *b.aliases) and b.name not in a.aliases


def _by_form(pool: Pool, form: Callable[[TensorSpec], Hashable], by: str) -> None:
    """The same name once both are brought into one form."""
    if not pool:
        return
    for _, a, b in list(pool.unique(form)):
        pool.take(a.name, b.name, by)


def _by_owner(pool: Pool) -> None:
    """Averages and accumulated gradients follow their weight, whatever the optimizer that keeps them is called."""
    there: dict[tuple[str, str], list[str]] = {}
    for spec in pool.b.values():
        if spec.role in OWNED and spec.owner is not None:
            there.setdefault((spec.role, spec.owner), []).append(spec.name)
    if not there:
        return
    to_b = {pair.a.name: pair.b.name for pair in pool.pairs}
    here: dict[tuple[str, str], list[str]] = {}
    for spec in pool.a.values():
        if spec.role in OWNED and spec.owner in to_b:
            here.setdefault((spec.role, to_b[spec.owner or ""]), []).append(spec.name)
    for key, names in here.items():
        if len(names) == 1 and len(there.get(key, ())) == 1:
            pool.take(names[0], there[key][0], "owner")


# -- shapes and modules ----------------------------------------------------------------------------
def _shape_key(spec: TensorSpec, loose: bool) -> Hashable:
    """The shape; with ``loose`` (the sides follow different conventions) only its sizes, for what may be a
    kernel."""
    return tuple(sorted(spec.shape)) if loose and len(spec.shape) > 1 else spec.shape


def _by_module(pool: Pool) -> None:
    """Modules (names up to the last segment) that are the only ones with these tensors and shapes on either
    side."""
    if not pool:
        return
    loose = pool.loose()

    def modules(specs: dict[str, TensorSpec]) -> dict[frozenset[Hashable], list[dict[str, TensorSpec]]]:
        grouped: dict[tuple[str, ...], dict[str, TensorSpec]] = {}
        for path, spec in specs.items():
            module = segments(path)[:-1]
            members = grouped.get(module)
            if members is None:
                grouped[module] = {leaf(path): spec}
            else:
                members.setdefault(leaf(path), spec)
        signed: dict[frozenset[Hashable], list[dict[str, TensorSpec]]] = {}
        for members in grouped.values():
            if len(members) > 1:  # one tensor by itself makes no module that could be told by its tensors
                signature = frozenset([(name, _shape_key(spec, loose)) for name, spec in members.items()])
                signed.setdefault(signature, []).append(members)
        return signed

    there = modules(pool.b)
    for signature, here in modules(pool.a).items():
        other = there.get(signature, ())
        if len(here) != 1 or len(other) != 1:
            continue
        for name, a in here[0].items():
            b = other[0][name]
            if a.name in pool.a and b.name in pool.b and fits(a, b):
                pool.take(a.name, b.name, "module", certain=False)


_KINDS = frozenset({"weight", "bias", "running_mean", "running_var", "num_batches_tracked"})


def _kind(spec: TensorSpec) -> str | None:
    """What the last segment says the tensor is; ``None`` where it says nothing (``p3``, ``vars/0``)."""
    word = leaf(spec.name)
    return word if word in _KINDS or spec.slot is not None else None


def _by_shape(pool: Pool, probe: Probe | None) -> None:
    """The only free tensors of a shape, on either side, whose names do not speak against it.

    Vectors and scalars of one shape are many, so theirs must be the same kind of name or hold the same
    values.
    """
    if not pool:
        return
    loose = pool.loose()
    for _, a, b in list(pool.unique(lambda spec: (leaf(spec.name), _shape_key(spec, loose), spec.role))):
        if a.shape and fits(a, b):
            pool.take(a.name, b.name, "shape", certain=False)
    for _, a, b in list(pool.unique(lambda spec: (_shape_key(spec, loose), spec.role))):
        if None not in (_kind(a), _kind(b)) or not fits(a, b):
            continue
        if len(a.shape) > 1 or (probe is not None and probe.same(a, b)):
            pool.take(a.name, b.name, "shape", certain=False)


# -- order -----------------------------------------------------------------------------------------
def _by_order(pool: Pool) -> None:
    """Free tensors that are the only ones of their shape between the same two matched neighbours.

    Only where the matched ones stand in the same order on both sides: then the order means something.
    """
    if not pool or len(pool.pairs) < 2:
        return
    known = [(pair.a, pair.b) for pair in pool.pairs]
    rank_a = _ranks([*pool.a.values(), *(a for a, _ in known)])
    rank_b = _ranks([*pool.b.values(), *(b for _, b in known)])
    if rank_a is None or rank_b is None:
        return
    anchors = sorted((rank_a[a.name], rank_b[b.name]) for a, b in known)
    if [y for _, y in anchors] != sorted(y for _, y in anchors):
        return
    at_a, at_b = [x for x, _ in anchors], [y for _, y in anchors]
    loose = pool.loose()

    def key(side: str, spec: TensorSpec) -> Hashable:
        place = bisect_left(at_a, rank_a[spec.name]) if side == "a" else bisect_left(at_b, rank_b[spec.name])
        return (place, leaf(spec.name), _shape_key(spec, loose), spec.role)

    here = by_key(list(pool.a.values()), lambda spec: key("a", spec))
    there = by_key(list(pool.b.values()), lambda spec: key("b", spec))
    for found, left in here.items():
        right = there.get(found, [])
        if len(left) == 1 and len(right) == 1 and left[0].shape and fits(left[0], right[0]):
            pool.take(left[0].name, right[0].name, "order", certain=False)


def _ranks(specs: list[TensorSpec]) -> dict[str, int] | None:
    """Name -> recorded position; ``None`` unless every tensor has one."""
    if any(spec.order is None for spec in specs):
        return None
    return {spec.name: spec.order or 0 for spec in specs}


# -- content ---------------------------------------------------------------------------------------
def _by_content(pool: Pool, probe: Probe) -> None:
    """Free tensors that hold the same values, up to the order of axes and a cast, and are alone in that."""
    if not pool:
        return

    def size_key(spec: TensorSpec) -> Hashable:
        return tuple(sorted(spec.shape))

    here, there = by_key(pool.a.values(), size_key), by_key(pool.b.values(), size_key)
    for key, left in here.items():
        right = there.get(key, [])
        if not right:
            continue
        # compare as the narrowest dtype that takes part, so that a cast does not hide a tensor
        dtype = left[0].dtype
        for spec in (*left, *right):
            dtype = narrower(dtype, spec.dtype)
        found: dict[Fingerprint, tuple[list[TensorSpec], list[TensorSpec]]] = {}
        for side, specs in (("a", left), ("b", right)):
            for spec in specs:
                mark = probe.fingerprint(side, spec, dtype)
                # a fresh bias is zero everywhere: equal to all others, which shows nothing
                if mark is not None and not mark.constant:
                    found.setdefault(mark, ([], []))[side == "b"].append(spec)
        for ones, others in found.values():
            if len(ones) == 1 and len(others) == 1 and fits(ones[0], others[0]):
                pool.take(ones[0].name, others[0].name, "content")


def _agreement(pool: Pool, probe: Probe) -> bool:
    """Whether the tensors that surely belong together mostly hold the same values (one state under two
    names)."""
    sure = [pair for pair in pool.pairs if pair.certain and pair.a.shape][:64]
    votes = Counter(
        bool(probe.same(pair.a, pair.b)) or _same_permuted(pair.a, pair.b, probe) for pair in sure
    )
    return votes[True] > 0 and votes[True] >= votes[False]


def _same_permuted(a: TensorSpec, b: TensorSpec, probe: Probe) -> bool:
    return any(probe.same(a, b, axes) for axes in permutations(a, b))


def _confirm(pool: Pool, probe: Probe) -> bool:
    """Hold pairs that only shapes or order made against the content; returns whether content decides here at
    all.

    Where everything that surely belongs together holds the same values, a pair that does not is no pair.
    """
    doubtful = [pair for pair in pool.pairs if not pair.certain]
    if not doubtful and not pool:
        return False
    decides = _agreement(pool, probe)
    kept: list[Pair] = []
    for pair in pool.pairs:
        if pair.certain:
            kept.append(pair)
        elif probe.same(pair.a, pair.b) or _same_permuted(pair.a, pair.b, probe):
            mark = probe.fingerprint("a", pair.a, pair.a.dtype)
            kept.append(pair.proved() if mark is not None and not mark.constant else pair)
        elif decides:
            pool.free(pair)
        else:
            kept.append(pair)
    pool.pairs[:] = kept
    return decides


def _collect_ambiguous(pool: Pool, probe: Probe | None, decides: bool) -> None:
    """What is left on both sides with one shape and kind of name fits in several ways, unless content says
    otherwise."""
    if not pool:
        return
    loose = pool.loose()

    def key(spec: TensorSpec) -> Hashable:
        return (_shape_key(spec, loose), spec.role)

    here, there = by_key(list(pool.a.values()), key), by_key(list(pool.b.values()), key)
    met = [part for found, left in here.items() for part in _by_kind(left, there.get(found, []))]
    for left, right in met:
        if probe is not None and decides:
            groups = _equal_groups(left, right, probe)
        else:
            groups = [(left, right)] if right else []
        for ones, others in groups:
            pool.ambiguous.append(
                Group(
                    tuple(spec.name for spec in ones),
                    tuple(spec.name for spec in others),
                    "the same values" if decides else "the same shape and kind of name",
                )
            )
            for spec in ones:
                del pool.a[spec.name]
            for spec in others:
                del pool.b[spec.name]


def _by_kind(
    left: list[TensorSpec], right: list[TensorSpec]
) -> list[tuple[list[TensorSpec], list[TensorSpec]]]:
    """Tensors of one shape, apart by what their names say they are, as far as all of them say it."""
    if not right or (len(left[0].shape) < 2 and _kind(left[0]) is None and _kind(right[0]) is None):
        same = {leaf(spec.name) for spec in left} & {leaf(spec.name) for spec in right}
        left = [spec for spec in left if leaf(spec.name) in same]
        right = [spec for spec in right if leaf(spec.name) in same]
        return [(left, right)] if left and right else []
    if any(_kind(spec) is None for spec in (*left, *right)):
        return [(left, right)]
    kinds = by_key(left, _kind), by_key(right, _kind)
    return [(ones, kinds[1][kind]) for kind, ones in kinds[0].items() if kind in kinds[1]]


def _equal_groups(
    left: list[TensorSpec], right: list[TensorSpec], probe: Probe
) -> list[tuple[list[TensorSpec], list[TensorSpec]]]:
    if not right:
        return []
    dtype = left[0].dtype
    for spec in (*left, *right):
        dtype = narrower(dtype, spec.dtype)
    found: dict[Hashable, tuple[list[TensorSpec], list[TensorSpec]]] = {}
    for side, specs in (("a", left), ("b", right)):
        for spec in specs:
            mark = probe.fingerprint(side, spec, dtype)
            if mark is not None:
                found.setdefault(mark, ([], []))[side == "b"].append(spec)
    return [group for group in found.values() if group[0] and group[1]]
