"""Root causes: what makes many differences one, so that a person reads the one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from .._compare.names import segments
from .._compare.optimizers import class_by_name, plain_class
from .._core.difference import Difference
from .._core.finding import Finding
from .._core.pattern import escape
from .._core.plan import Edit
from .._core.spec import TensorSpec
from .._rules.registry import rule_named
from .fit_making import ruled
from .fitted import Fit
from .told import names_text

__all__ = [
    "another_model",
    "by_optimizer_class",
    "counters",
    "not_built",
    "of_another_optimizer",
    "of_other_order",
    "of_weights_in_parts",
    "optimizer_not_built",
    "without_followers",
]

_HARDLY = 0.2
_MOSTLY = 0.8
_FEW = 3


def not_built(found: Fit, made: list[Finding]) -> list[Finding]:
    """A model that has no variables yet can take nothing; what the checkpoint has too much follows from that."""
    if not found.live.unbuilt:
        return made
    errors = [f for f in made if f.severity == "error" and f.code in ("T201", "T202", "T223", "O204", "O205")]
    told = ruled(
        "not-built",
        f"the model is not built: {names_text(found.live.unbuilt)} {'has' if len(found.live.unbuilt) == 1 else 'have'} "
        "no variables yet, and loading into it leaves them at the values of the first call",
        severity="error",
        remedy="Call the model once on a batch before, or restore(build_with=batch), which puts random state back.",
    )
    return [replace(told, related=tuple(errors)), *(f for f in made if f not in errors)]


def optimizer_not_built(found: Fit, made: list[Finding]) -> list[Finding]:
    """An optimizer that has made no state, of a class of which nobody knows before what it will make: what the checkpoint
    has for it would be left over."""
    unmade = {
        o.name: o
        for o in found.live.optimizers
        if o.attributes.get("built") is False and not o.slots and not o.attributes.get("foreseen")
    }
    errors = [
        f
        for f in made
        if f.severity == "error"
        and f.code in ("T202", "O204", "O205")
        and any(n in found.stored and found.stored[n].optimizer in unmade for n in f.tensors)
    ]
    if not errors:
        return made
    owners = {found.stored[n].optimizer for f in errors for n in f.tensors if n in found.stored}
    names = [name for name in unmade if name in owners]
    kinds = names_text([f"{name} ({unmade[name].class_name})" for name in names])
    told = ruled(
        "not-built",
        f"the optimizer{'' if len(names) == 1 else 's'} {kinds} {'is' if len(names) == 1 else 'are'} not built, and what "
        "such a one keeps of each weight is known only then",
        severity="error",
        remedy="Build it before: `optimizer.build(model.trainable_variables)`, which takes no step.",
    )
    return [replace(told, related=tuple(errors)), *(f for f in made if f not in errors)]


def of_another_optimizer(found: Fit, made: list[Finding]) -> list[Finding]:
    """An optimizer that was made of other parameters than the model's: that its state fits no weight follows from it."""
    errors = [
        f for f in made if f.severity == "error" and f.cause == "optimizer-structure" and f.code in _OF_STATE
    ]
    stale = [f for f in found.live.readiness() if f.attributes.get("stale")] if errors else []
    rule = rule_named(stale[0].slug) if stale else None
    if rule is None:
        return made
    told = replace(rule.from_fault(stale[0]), severity="error", related=tuple(errors))
    return [told, *(f for f in made if f not in errors)]


def of_weights_in_parts(found: Fit, made: list[Finding]) -> list[Finding]:
    """Where one side keeps weights in parts, its optimizer keeps state of the parts, and no state is of the weight."""
    first = next((f for f in made if f.code == "T201" and "keeper" in f.evidence), None)
    if first is None:
        return made
    errors = [
        f for f in made if f.severity == "error" and f.cause == "optimizer-structure" and f.code in _OF_STATE
    ]
    told = replace(first, related=(*first.related, *errors))
    return [told if f is first else f for f in made if f not in errors]


def of_other_order(made: list[Finding]) -> list[Finding]:
    """State by position that fits no weight there is placed nowhere: that it is left over, and missing, follows from it."""
    order = next((f for f in made if f.code == "O209" and f.edit == "reset-slots:*"), None)
    if order is None:
        return made
    errors = [f for f in made if f.severity == "error" and f.code in ("O204", "O205")]
    told = replace(order, related=(*order.related, *errors))
    return [told if f is order else f for f in made if f not in errors]


_OF_STATE = frozenset({"O204", "O205", "O206", "O209", "T210"})
"""What is found of state whose owners are none of the model's weights."""


def another_model(found: Fit, made: list[Finding]) -> list[Finding]:
    """Where hardly anything fits, that is the one thing to say; the rest follows from it."""
    weights = [v.spec for v in found.live.variables.values() if v.spec.role == "weight"]
    errors = [f for f in made if f.severity == "error"]
    if len(weights) < _FEW or not errors or "model" not in found.live.parts:
        return made
    if any("keeper" in d.evidence for d in found.delta.differences):
        return made  # the same layers, with their weights in parts on one side
    if any("copies" in f.evidence for f in made):
        return made  # the same layers, several times
    misfits = [f for f in errors if f.code not in ("T204", "T206", "T207", "T208")]
    sure = {pair.b for pair in found.delta.pairs if pair.certain} - {n for f in misfits for n in f.tensors}
    # one rule carries the names over: the same model, called otherwise
    sure |= {pair.b for pair in found.delta.pairs if pair.by in ("rule", "module")}
    fitting = sum(spec.name in sure for spec in weights)
    stored = sum(e.spec.role == "weight" for e in found.positions.entries.values())
    if fitting > _HARDLY * len(weights) or fitting + _resized(found) >= _MOSTLY * max(len(weights), stored):
        return made
    if not stored:
        told = ruled(
            "another-model",
            "the checkpoint holds no weights of a model"
            + (", only the state of an optimizer" if found.stored.optimizers else ""),
            seen=", ".join(f"`{name}` ({count} tensors)" for name, count in found.scope.others)
            or f"{len(found.stored)} tensors, none a weight",
            expected=f"`{weights[0].name}` and {len(weights) - 1} more",
            remedy="Restore the model from the file that holds it, and pass here only what this file is for.",
        )
        return [replace(told, related=tuple(errors)), *(f for f in made if f.severity != "error")]
    if several_times(found.delta.differences) > _HARDLY * len(weights):
        return made
    first = next(e.spec.name for e in found.positions.entries.values() if e.spec.role == "weight")
    told = ruled(
        "another-model",
        f"this is a checkpoint of another model: {fitting or 'none'} of the {len(weights)} weights of the live "
        f"model are in it",
        seen=f"{stored} weights, the first is `{first}`",
        expected=f"`{weights[0].name}` and {len(weights) - 1} more",
    )
    return [replace(told, related=tuple(errors)), *(f for f in made if f.severity != "error")]


def _resized(found: Fit) -> int:
    """Weights of one name and as many axes on both sides that only have other sizes: the same model, wider."""
    named = {pair.b for pair in found.delta.pairs if pair.by in ("name", "alias", "wrapper", "automatic")}
    return sum(
        d.code == "T203"
        and d.b in named
        and d.evidence.get("role", "weight") == "weight"
        and found.live[d.b].role == "weight"
        and len(d.evidence.get("a", ())) == len(d.evidence.get("b", ()))
        for d in found.delta.differences
    )


def several_times(differences: Sequence[Difference]) -> int:
    """How many live tensors a name of the file could mean, each live name ending in it: two networks of one kind were
    passed, and the file holds one."""
    return sum(
        len(d.candidates_b)
        for d in differences
        if d.code == "T210" and d.candidates_a and all(n.endswith(d.candidates_a[0]) for n in d.candidates_b)
    )


def by_optimizer_class(found: Fit, differences: list[Difference]) -> list[Difference]:
    """Slots that differ because the class does are told as that: one cause, one finding."""
    stored, live = found.stored.optimizers, found.live.optimizers
    if found.reset and not any(e.spec.role == "slot" and e.parts for e in found.stored.entries.values()):
        # nothing of the one's state is to be given to the other
        return [d for d in differences if d.code != "O203"]
    if len(stored) != 1 or len(live) != 1 or any(d.code == "O203" for d in differences):
        slots_too = any(d.code == "O203" for d in differences)
        return [d for d in differences if not (slots_too and d.code == "O204")]
    one, other = plain_class(stored[0]), plain_class(live[0])
    base = found.stored.base
    only = base.optimizers[0] if len(base.optimizers) == 1 else None
    named = None if stored[0].class_name or only is None else class_by_name(base, only)
    one = named or one
    flags = [
        o.groups[0].current.get("decoupled_weight_decay") if o.groups else None for o in (stored[0], live[0])
    ]
    differs = None not in flags and flags[0] != flags[1]
    slots = [d for d in differences if d.code == "O204"]
    if one is None or other is None or one == other or not (differs or slots or found.cleared or named):
        return differences
    made = Difference(
        "O203", stored[0].name, live[0].name, "",
        {
            "a": stored[0].class_name or named or stored[0].class_likely,
            "b": live[0].class_name or live[0].class_likely,
            "by": "its name" if named else "what it keeps of each weight" if slots
            else "decoupled_weight_decay of its groups",
        },
        Edit("reset-slots", ("*",)),
        related=tuple(n for d in slots for n in (d.a, d.b) if n),
    )  # fmt: skip
    return [d for d in differences if d.code != "O204" and d.evidence.get("role") != "counter"] + [made]


def counters(found: Fit, told: Sequence[Difference]) -> Iterator[Difference]:
    """Step counts of the live optimizer that the checkpoint does not have: left at their value, moments would be
    corrected as if the run had just begun."""
    if found.scope.unclear or any(d.code in ("O201", "O203") for d in told):
        return
    settled = {*found.pairs, *found.kept, *found.reset, *found.cleared, *(d.b for d in told)}
    owners = {d.evidence.get("owner") for d in told} | {d.b for d in told}
    left = []
    for name, variable in found.live.variables.items():
        spec = variable.spec
        if spec.role != "counter" or spec.optimizer is None or variable.virtual or name in settled:
            continue
        if spec.owner is None or spec.owner not in owners:
            left.append(spec)
    moved = _moved(found, left)
    for spec in left:
        evidence = {
            "slot": spec.name.rsplit("/", 1)[-1],
            "owner": spec.owner,
            "shape": list(spec.shape),
        }
        edit = Edit("reset-slots", (escape(spec.owner or spec.name),))
        if spec.name in moved:
            evidence["elsewhere"] = moved[spec.name]
            edit = Edit.renaming(moved[spec.name], spec.name)
        yield Difference(
            "O204", None, spec.name, f"the count `{spec.name}` is in B and not in A", evidence, edit
        )


def _moved(found: Fit, left: Sequence[TensorSpec]) -> dict[str, str]:
    """Counts of a live optimizer as a whole -> the checkpoint's: the only ones called so that are left on either side, at
    another place (a transformation was put into the chain, or taken out)."""
    taken = set(found.pairs.values())
    over = [
        spec
        for spec in found.stored.values()
        if spec.role == "counter" and spec.optimizer and spec.owner is None and spec.name not in taken
    ]
    moved = {}
    for spec in left:
        if spec.owner is not None:
            continue
        word = segments(spec.name)[-1]
        here = [other for other in over if segments(other.name)[-1] == word]
        same = [other for other in left if segments(other.name)[-1] == word]
        if len(here) == len(same) == 1 and here[0].shape == spec.shape:
            moved[spec.name] = here[0].name
    return moved


def without_followers(differences: list[Difference], found: Fit) -> list[Difference]:
    """Without groups that differ only because weights are missing, left over or unclear, or were settled as that by
    the plan; and without state that is missing because nobody can say whose it is."""
    told = {
        n for d in differences if d.code[0] == "T" for n in (d.a, d.b, *d.candidates_a, *d.candidates_b) if n
    }
    told |= {*found.kept, *(found.positions.entries.keys() - found.stored.entries.keys())}
    if found.scope.unclear:
        differences = [d for d in differences if d.a is not None or d.code not in ("O201", "O204", "O205")]
    return [d for d in differences if d.code != "O206" or not set(d.evidence.get("weights", ("",))) <= told]
