"""The same tensors, another function: modules of two catalogs held against each other.

Layers that have no counterpart, settings and classes that differ (``T218``), the code of user-written classes (``T219``), and
vocabularies (``T225``, in :mod:`holdfast._compare.vocabulary`). Which settings count, and how much, stands in
:mod:`holdfast._facts.module_config`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from .._core.difference import Difference
from .._core.modules import FRAMEWORKS, ModuleSpec
from .._facts.keras_config import KERAS_OFF
from .._facts.keras_layers import MODELS
from .._facts.keras_vocabulary import TABLES
from .._facts.setting_effects import SEVERITY, Effect, class_effect, effect_of, kernel_decides
from .module_match import Path, Side, match_modules
from .vocabulary import told_apart, vocabulary_differences

__all__ = ["architecture_differences"]

_KERAS = frozenset({"keras", "tensorflow", "tf_keras"})
_SAME_CLASS = {
    "NonDynamicallyQuantizableLinear": "Linear",
    "SyncBatchNorm": "BatchNorm",
    "BatchNorm1d": "BatchNorm",
    "BatchNorm2d": "BatchNorm",
    "BatchNorm3d": "BatchNorm",
    "SyncBatchNormalization": "BatchNormalization",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "SiLU": "Swish",
    "CuDNNLSTM": "LSTM",
    "CuDNNGRU": "GRU",
    "ModuleList": "Sequential",
    "ModuleDict": "Sequential",
} | dict.fromkeys(MODELS, "Sequential")
"""Classes that compute the same from the same tensors; containers only hold."""

_FOLLOWS_SHAPES = frozenset({"num_heads", "groups", "num_groups", "wiring", "num_query_heads"})
_HARMLESS_ALONE = frozenset({"Identity", "Sequential", "InputLayer", "ActivityRegularization", "Lambda"})
_RANK: Mapping[Effect, int] = {"inference": 2, "unknown": 1, "training": 0}
_MOST_NAMED = 50

Changes = dict[str, dict[str, Any]]


def architecture_differences(
    a: Sequence[ModuleSpec],
    b: Sequence[ModuleSpec],
    tensors: Mapping[str, str],
    *,
    left_over: tuple[Iterable[str], Iterable[str]] = ((), ()),
    reshaped: Collection[str] = (),
) -> Iterator[Difference]:
    """``T218``, ``T219`` and ``T225`` between two models' modules.

    ``tensors``: matched tensor names, A's to B's; ``left_over``: names without a counterpart on either side;
    ``reshaped``: names of B whose shape differs from A's (what follows from a shape is not told again). Nothing
    where one side lists no modules, or they are of different frameworks. Equal changes of several layers are one
    difference, whose evidence has the paths of all (``modules``).
    """
    if not a or not b or not _same_framework(a, b):
        return
    if _same_names(a, b, tensors) and all(map(_alike, a, b)):
        return
    here, there = list(left_over[0]), list(left_over[1])
    left = Side(a, (*tensors, *here))
    right = Side(b, (*tensors.values(), *there))
    aligned = match_modules(left, right, tensors)
    held: list[Held] = []
    other_shape = {path for path, names in right.owned.items() if not set(names).isdisjoint(reshaped)}
    across = _across(left, right, aligned.pairs)
    moved, moved_to = {p for p, _ in across}, {q for _, q in across}
    for one, two in aligned.pairs:
        if not _alike(left.modules[one], right.modules[two]):
            owned = bool(left.owned.get(one)) and bool(right.owned.get(two))
            whole = one not in moved and two not in moved_to
            held.append(Held(left.modules[one], right.modules[two], owned, two in other_shape, whole))
    yield from _functions(held, wiring=not here and not there)
    yield from vocabulary_differences([(pair.a, pair.b) for pair in held])
    for side, paths, letter in ((left, aligned.only_a, "A"), (right, aligned.only_b, "B")):
        yield from _lonely(side, paths, letter)
    codes: dict[tuple[Any, ...], list[Held]] = {}
    for pair in held:
        if _other_code(pair.a, pair.b):
            codes.setdefault((pair.a.class_name, pair.a.code, pair.b.code), []).append(pair)
    for found in codes.values():
        if (found[0].b.class_name, found[0].b.code, found[0].a.code) in codes:
            yield _exchanged(found)
        else:
            yield _code(found)


def _across(a: Side, b: Side, pairs: Sequence[tuple[Path, Path]]) -> list[tuple[Path | None, Path | None]]:
    """What holds layers of the one in A and is not what holds them in B."""
    known: dict[Path | None, Path | None] = dict(pairs)
    holders = [(a.holder(one), b.holder(two)) for one, two in pairs]
    return [(one, two) for one, two in holders if known.get(one) != two]


class Held(NamedTuple):
    """Two modules held against each other; ``owned``: both have tensors, ``reshaped``: of different shapes, ``whole``: what
    is in the one is in the other."""

    a: ModuleSpec
    b: ModuleSpec
    owned: bool
    reshaped: bool
    whole: bool


def _same_names(a: Sequence[ModuleSpec], b: Sequence[ModuleSpec], tensors: Mapping[str, str]) -> bool:
    """Whether both sides call everything by the same names, in the same order, as nearly always."""
    return (
        len(a) == len(b)
        and all(one.path == two.path for one, two in zip(a, b, strict=True))
        and all(one == two for one, two in tensors.items())
    )


def _alike(a: ModuleSpec, b: ModuleSpec) -> bool:
    return (
        a.class_name == b.class_name and a.config == b.config and a.code == b.code and a.package == b.package
    )


def _functions(held: list[Held], *, wiring: bool) -> Iterator[Difference]:
    """``T218`` of the pairs, equal changes told as one. ``wiring``: whether a model's wiring counts; where layers with
    tensors are missing or left over it follows from that, which is told by their tensors; and where layers are in another
    model than they were, their numbers are others."""
    functions: dict[str, list[Held]] = {}
    changes: dict[str, Changes] = {}
    for pair in held:
        changed = _changes(pair.a, pair.b, pair.owned, pair.reshaped)
        if not wiring or not pair.whole:
            changed.pop("wiring", None)
        if changed:
            mark = repr((pair.a.class_name, pair.b.class_name, sorted(changed.items())))
            functions.setdefault(mark, []).append(pair)
            changes[mark] = changed
    for mark, found in functions.items():
        yield _function(found, changes[mark])


def _same_framework(a: Sequence[ModuleSpec], b: Sequence[ModuleSpec]) -> bool:
    def kinds(modules: Sequence[ModuleSpec]) -> set[str]:
        known = {module.package for module in modules} & FRAMEWORKS
        return {"keras" if kind in _KERAS else kind for kind in known}

    here, there = kinds(a), kinds(b)
    return not here or not there or not here.isdisjoint(there)


# -- one pair ----------------------------------------------------------------------------------------------
def _kind(module: ModuleSpec) -> str:
    return _SAME_CLASS.get(module.class_name, module.class_name)


def _own(module: ModuleSpec) -> bool:
    return module.package not in FRAMEWORKS


def _changes(a: ModuleSpec, b: ModuleSpec, owned: bool, reshaped: bool) -> Changes:
    """What differs, by setting: the values on both sides and what they change. ``owned``: both have tensors."""
    if _kind(a) != _kind(b):
        if _own(a) and _own(b):
            return {}  # a user's class under another name: its code tells, see _other_code
        effect = class_effect(a.class_name, b.class_name)
        return {"class": {"a": a.class_name, "b": b.class_name, "effect": effect}}
    if a.package and b.package and _own(a) != _own(b):
        names = [f"{module.package}.{module.class_name}" for module in (a, b)]
        return {"class": {"a": names[0], "b": names[1], "effect": "unknown"}}
    changed: Changes = {}
    apart = told_apart(a, b)
    for key in (*a.config, *(key for key in b.config if key not in a.config)):
        here, there = _held(a, key), _held(b, key)
        if key in apart or here is _ABSENT or there is _ABSENT or _same(key, here, there):
            continue
        effect = effect_of(a.class_name, key, own=_own(a if a.package else b))
        if key in TABLES and None in (here, there):
            effect = "unknown"  # made from data, which this side has not seen yet
        if (owned and kernel_decides(key, there)) or (
            reshaped and (key in _FOLLOWS_SHAPES or effect == "unknown")
        ):
            continue
        changed[key] = {"a": here, "b": there, "effect": effect}
    return changed


_ABSENT = object()


def _held(module: ModuleSpec, key: str) -> Any:
    """A setting; where a side does not have it, the value at which Keras leaves it out, else nothing is known (an
    older version of the class did not have the option)."""
    if key in module.config:
        return module.config[key]
    return KERAS_OFF.get(key, _ABSENT) if module.package in _KERAS else _ABSENT


def _same(key: str, a: Any, b: Any) -> bool:
    if a == b:
        return True
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(_same(key, one, two) for one, two in zip(a, b, strict=True))
    if isinstance(a, (list, tuple)) or isinstance(b, (list, tuple)):
        several, single = (a, b) if isinstance(a, (list, tuple)) else (b, a)
        return len(several) > 0 and all(_same(key, item, single) for item in several)  # stride 2 is (2, 2)
    if isinstance(a, bool) or isinstance(b, bool) or not _number(a) or not _number(b):
        return False
    if key in ("axis", "axes", "dim") and (a < 0) != (b < 0):
        return True  # counted from the other end; without the rank that says nothing
    return math.isclose(a, b, rel_tol=1e-6)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float))


def _other_code(a: ModuleSpec, b: ModuleSpec) -> bool:
    """Whether both sides have a digest of one scheme, and they differ."""
    if a.code is None or b.code is None or a.code == b.code:
        return False
    return a.code.partition("-")[0] == b.code.partition("-")[0]


# -- in words ----------------------------------------------------------------------------------------------
def _function(found: list[Held], changed: Changes) -> Difference:
    a, b = found[0].a, found[0].b
    effect = max((row["effect"] for row in changed.values()), key=lambda word: _RANK[word])
    told = "; ".join(
        f"{key} is {_shown(row['a'])} in A and {_shown(row['b'])} in B" for key, row in changed.items()
    )
    if "class" in changed:
        told = f"{_article(str(changed['class']['a']))} in A and {_article(str(changed['class']['b']))} in B"
        told = f"it is {told}"
    ends = {
        "inference": "the same tensors give other outputs",
        "training": "outputs stay, training changes",
        "unknown": "whether the outputs change is not known",
    }
    evidence = {
        "class": b.class_name,
        "settings": changed,
        "effect": effect,
        "severity": SEVERITY[effect],
        **_named(found),
    }
    message = f"{_title([pair.b for pair in found])}: {told}; {ends[effect]}"
    return Difference("T218", a.path or None, b.path or None, message, evidence)


def _lonely(side: Side, paths: list[Path], letter: str) -> Iterator[Difference]:
    """Layers without tensors that only one side has (those with tensors are told by their tensors)."""
    groups: dict[str, list[ModuleSpec]] = {}
    for path in paths:
        module = side.modules[path]
        idle = _kind(module) in _HARMLESS_ALONE or not any(module.config.get(k, 1) for k in ("rate", "p"))
        if not idle and path not in side.owned and path not in side.children:
            groups.setdefault(module.class_name, []).append(module)
    for name, modules in groups.items():
        effect = class_effect(name)
        where = modules[0].path or None
        yield Difference(
            "T218",
            where if letter == "A" else None,
            where if letter == "B" else None,
            f"{_title(modules)}: it is only in {letter}; "
            + (
                "the same tensors give other outputs"
                if effect == "inference"
                else "outputs stay, training changes"
            ),
            {
                "class": name,
                "only_in": letter,
                "effect": effect,
                "severity": SEVERITY[effect],
                "modules": [module.path for module in modules[:_MOST_NAMED]],
                "count": len(modules),
            },
        )


def _code(found: list[Held]) -> Difference:
    a, b = found[0].a, found[0].b
    renamed = "" if a.class_name == b.class_name else f" (class {a.class_name} in A)"
    evidence = {
        "class": b.class_name,
        "code": {"a": a.code, "b": b.code},
        "effect": "unknown",
        "severity": "warning",
        **_named(found),
    }
    message = (
        f"{_title([pair.b for pair in found])}{renamed}: its source code is another one in B; "
        "whether it computes the same is not known"
    )
    return Difference("T219", a.path or None, b.path or None, message, evidence)


def _exchanged(found: list[Held]) -> Difference:
    """What A has here, B has where A has what B has here: code that moved, not code that was rewritten."""
    a, b = found[0].a, found[0].b
    return Difference(
        "T218",
        a.path or None,
        b.path or None,
        f"{_title([pair.b for pair in found])}: it is {_article(a.class_name)} in A, and B has that code elsewhere: "
        "layers have changed places; the same tensors give other outputs",
        {
            "class": b.class_name,
            "code": {"a": a.code, "b": b.code},
            "effect": "inference",
            "severity": SEVERITY["inference"],
            **_named(found),
        },
    )


def _named(found: list[Held]) -> dict[str, Any]:
    return {"modules": [pair.b.path for pair in found[:_MOST_NAMED]], "count": len(found)}


def _title(modules: list[ModuleSpec]) -> str:
    first = modules[0]
    more = f" and {len(modules) - 1} more" if len(modules) > 1 else ""
    return f"{first.path or 'the model'} ({first.class_name}){more}"


def _article(name: str) -> str:
    return f"{'an' if name[:1] in 'AEIOU' else 'a'} {name}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
