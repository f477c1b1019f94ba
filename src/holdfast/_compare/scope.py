"""Which part of a checkpoint is meant by the live objects that were passed.

A training checkpoint holds more than one model needs: optimizers, schedulers, an EMA copy, a second network. The
scope of a restore is what was passed: what belongs to something else is told, and never "left over".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from .._core.catalog import Catalog
from .._core.pattern import literal_of, matches, rewrite
from .._core.plan import Edit
from .._core.spec import OptimizerSpec, ParamGroup, TensorSpec
from .edited import Entry, plain_entry
from .names import canonical
from .object_roots import beside_root, root_of
from .optimizer_pairs import Pairing, pair_optimizers
from .optimizers import belongs_to_optimizer

__all__ = ["Scope", "scope_of"]

_MODEL = frozenset({"weight", "buffer", "average"})
_COPIES = frozenset(
    {"ema", "model_ema", "ema_model", "ema_state_dict", "state_dict_ema", "params_ema", "swa", "swa_model"}
    | {"averaged_model", "shadow", "shadow_params", "teacher", "ema_params", "average", "best_model"}
)
"""Containers by which people keep a second, averaged copy beside the model (timm ``state_dict_ema``, basicsr
``params_ema``, torch.optim.swa_utils, flax train states)."""
_BEGIN_AS_COPIES = frozenset(name[:2] for name in _COPIES)
"""How those begin: most names are none of these, and need not be cut up."""
_AVERAGED = "n_averaged"
"""What an averaged copy of PyTorch's counts beside its weights (torch/optim/swa_utils.py, ``AveragedModel``)."""
_ENOUGH = 0.5


@dataclass(frozen=True, slots=True)
class Scope:
    """What concerns the live objects.

    ``entries``: the tensors, named as inside the container (their names in the file are ``Entry.base``).
    ``optimizers``: those passed for, owners renamed alike. ``container``: what stood in front (``"model/"``),
    ``rivals``: other containers that fit as well, so that the choice is not proved. ``others``: what else the
    checkpoint holds, by its first words, with the number of tensors. ``unclear``: optimizers of the file (by name) that
    could be several of the live ones. ``copy``: the container is one of an averaged copy, the file has no other that
    fits, and no edit says that the copy is meant.
    """

    entries: Mapping[str, Entry]
    optimizers: tuple[OptimizerSpec, ...]
    container: str = ""
    rivals: tuple[str, ...] = ()
    others: tuple[tuple[str, int], ...] = ()
    unclear: tuple[str, ...] = ()
    copy: bool = False


def scope_of(stored: Catalog, live: Catalog, parts: Iterable[str], plan: Iterable[Edit] = ()) -> Scope:
    """Take from a checkpoint what belongs to the live objects of these parts (``"model"``, ``"optimizer"``).

    A ``rename:`` edit of ``plan`` that carries tensors of another container onto the live names
    (``rename:ema/*->*``) chooses that container.
    """
    wanted = set(parts)
    names = {spec.name for spec in live.values() if spec.role in _MODEL}
    apart = _apart(stored, wanted, names)
    inside = {name for name in names if _first(name) not in apart} if apart else names
    part = "model" in wanted and _is_part_of_vault(stored, names)
    container, rivals = ("model/", ()) if part else _container(stored, live, inside)
    told = _chosen_by(plan, stored, names)
    if told is not None:
        container, rivals = told, ()
    own = any(spec.role == "weight" for spec in live.values())
    averaged = own and (
        not _COPIES.isdisjoint(container.lower().strip("/").split("/")) or _counts(container, stored, live)
    )
    root = root_of(stored, live) if "model" in wanted and not container else None
    elsewhere = beside_root(stored, root) if root is not None else {}
    front = f"{root}/" if root is not None else container
    pairing = pair_optimizers(stored, live, front) if "optimizer" in wanted else Pairing({})
    chosen = _optimizers(stored, container, pairing)
    hidden = {o.name for o in stored.optimizers} - pairing.names.keys()
    entries: dict[str, Entry] = {}
    copies = _COPIES - {_first_word(name) for name in names if name[:2] in _BEGIN_AS_COPIES}
    # an edit that carries tensors from elsewhere in the file to live names brings them into the scope
    named = [e for e in plan if e.kind == "rename" and e.to[0].rstrip("*") and not _in(e.name, container)]
    named = [e for e in named if any(matches(e.to[0], name) for name in names)]
    left: Counter[str] = Counter()
    parts_beside = _beside(stored, container)
    roleless = stored.format in _ROLELESS
    whole = "model" in wanted and not container and not named
    for spec in stored.values():
        if roleless:
            spec = _as_live(spec, live)
        if spec.name in elsewhere:
            left[elsewhere[spec.name]] += 1
            continue
        if (
            whole
            and spec.role == "weight"
            and spec.optimizer is None
            and spec.name[:2] not in _BEGIN_AS_COPIES
        ):
            entries[spec.name] = plain_entry(spec, spec.name)  # as the last branch below, for nearly all
            continue
        own = belongs_to_optimizer(spec)
        if spec.role == "average" and spec.optimizer is not None and "optimizer" not in wanted:
            own = True  # Keras's use_ema: kept by the optimizer, which was not asked for
        draws = spec.role == "rng" and bool(container)
        if own and ("optimizer" not in wanted or spec.optimizer in hidden):
            left[_first(spec.name)] += 1
        elif draws and not own and spec.name.startswith(container):
            inner = _inside(spec, container, spec.name[len(container) :])
            entries[inner.name] = plain_entry(inner, spec.name)
        elif draws and not own and _first(spec.name) in parts_beside:
            left[_first(spec.name)] += 1
        elif not own and spec.role == "counter" and container and spec.name[len(container) :] in live:
            inner = _inside(spec, container, spec.name.removeprefix(container))
            entries[inner.name] = plain_entry(inner, spec.name)
        elif own or spec.role not in _MODEL:
            optimizer = pairing.names.get(spec.optimizer or "", spec.optimizer)
            if optimizer != spec.optimizer:
                spec = spec.with_(optimizer=optimizer)
            entries[spec.name] = plain_entry(_inside(spec, container), spec.name)
        elif apart and _first(spec.name) in apart:
            entries[spec.name] = plain_entry(_inside(spec, container), spec.name)
        elif any(rewrite(e.name, e.to[0], spec.name) is not None for e in named):
            entries[spec.name] = plain_entry(spec, spec.name)
        elif "model" not in wanted or not spec.name.startswith(container):
            left[_first(spec.name)] += 1
        elif not container and spec.name[:2] in _BEGIN_AS_COPIES and _first_word(spec.name) in copies:
            left[_first_word(spec.name)] += 1
        else:
            inner = _inside(spec, container, spec.name[len(container) :]) if container else spec
            if averaged and inner.role == "average":
                inner = inner.with_(
                    role="weight", owner=None, attributes={**inner.attributes, "averaged": True}
                )
            entries[inner.name] = plain_entry(inner, spec.name)
    return Scope(
        entries, chosen, container, rivals, tuple(left.items()), pairing.unclear, averaged and told is None
    )


def _counts(container: str, stored: Catalog, live: Catalog) -> bool:
    """Whether the container is an averaged copy by what it counts, and the live model none. A file of such a copy alone
    was chosen as that."""
    return bool(container) and f"{container}{_AVERAGED}" in stored and _AVERAGED not in live


_ROLELESS = frozenset({"npz", "npy", "safetensors", "safetensors-sharded"})
"""Formats that store names and values and nothing of what a tensor is for."""


def _as_live(spec: TensorSpec, live: Catalog) -> TensorSpec:
    """The spec with the role of the live tensor of its name, where the format itself records no roles."""
    if spec.name not in live:
        return spec
    other = live[spec.name]
    if other.role == spec.role and (other.owner == spec.owner or spec.owner is not None):
        return spec  # an owner that the file's own names prove is called as the file calls it
    return spec.with_(role=other.role, owner=other.owner, slot=other.slot, optimizer=other.optimizer)


def _chosen_by(plan: Iterable[Edit], stored: Catalog, names: set[str]) -> str | None:
    """The container that the plan's renames take away, where one does."""
    for edit in plan:
        if edit.kind == "rename" and edit.to == ("*",) and edit.name.endswith("/*"):
            front = literal_of(edit.name[:-1])
            if front and (any(front + name in stored for name in names) or _holds(front, stored, names)):
                return front
    return None


def _holds(front: str, stored: Catalog, names: set[str]) -> bool:
    """Whether live names stand below that container in other words (a wrapper's prefix in between)."""
    forms = {canonical(name) for name in names}
    return any(canonical(name[len(front) :]) in forms for name in stored if name.startswith(front))


def _beside(stored: Catalog, container: str) -> frozenset[str]:
    """The other containers that hold models: a generator of one is no other model's."""
    if not container:
        return frozenset()
    firsts = {
        _first(s.name) for s in stored.values() if s.role in _MODEL and not s.name.startswith(container)
    }
    return frozenset(firsts - {container.rstrip("/")})


def _apart(stored: Catalog, wanted: set[str], names: set[str]) -> frozenset[str]:
    """The parts besides model and optimizer that hold weights (``ema=``, ``teacher=``) and that the file keeps under that
    very word: they are found there, wherever the model is."""
    others = wanted - {"model", "optimizer"}
    passed = others & {_first(name) for name in names if "/" in name}
    return frozenset(passed & {_first(spec.name) for spec in stored.values()} if passed else ())


def _in(pattern: str, container: str) -> bool:
    return bool(container) and pattern.startswith(container)


def _first(name: str) -> str:
    return name.split("/", 1)[0]


def _first_word(name: str) -> str:
    """The first part of a flattened name, whichever separator joins them."""
    return _first(name).split(".", 1)[0]


def _inside(spec: TensorSpec, container: str, name: str | None = None) -> TensorSpec:
    """The spec with its owner named as inside the container; itself called ``name``, if that is given."""
    owned = bool(container) and spec.owner is not None and spec.owner.startswith(container)
    if name is None and not owned:
        return spec
    made = spec.draft()
    if owned and spec.owner is not None:
        made.owner = spec.owner[len(container) :]
    if name is not None:
        made.name, made.path = name, ()
    return made.done()


def _container(stored: Catalog, live: Catalog, names: set[str]) -> tuple[str, tuple[str, ...]]:
    """What stands in front of the live names in the file, and what else would do as well.

    The container under which most live names are found; of several, one that is not known for copies, and that has
    the live shapes.
    """
    if _same_places(stored, live):
        return "", ()
    if _AVERAGED in live:
        copies = [name.removesuffix(_AVERAGED) for name in stored if name.endswith(f"/{_AVERAGED}")]
        if len(copies) == 1:
            return copies[0], ()
    candidates = [spec.name for spec in stored.values() if spec.role in _MODEL]
    if names and names.issubset(candidates):
        return "", ()  # no container has more of them
    votes = _votes(candidates, names.__contains__)
    if not votes or max(votes.values()) < _ENOUGH * len(names):
        forms = {canonical(name) for name in names}
        votes += _votes(candidates, lambda inner: inner not in names and canonical(inner) in forms)
    if not votes:
        return _usual(stored, candidates), ()
    most = max(votes.values())
    if most < _ENOUGH * len(names) and votes[""]:
        return "", ()
    best = [container for container, count in votes.items() if count == most]
    # the same tensors counted under a container and under a longer one say nothing: the shorter is the container
    plain = [c for c in best if _COPIES.isdisjoint(c.lower().strip("/").split("/"))]
    if "" in best:
        return "", ()
    left = plain or best
    if len(left) > 1:
        shapes = {c: _agreeing(stored, live, c) for c in left}
        left = [c for c in left if shapes[c] == max(shapes.values())]
    return left[0], tuple(left[1:])


def _same_places(stored: Catalog, live: Catalog) -> bool:
    """Whether a file of Keras's has every live weight at its place, in its shape: then none of it stands in a container,
    whatever the names have in common with one (a wrapper's layers that have lost its name by being loaded)."""
    if not stored.format.startswith("keras"):
        return False
    specs = [spec for spec in live.values() if spec.role in _MODEL]
    return bool(specs) and all(
        spec.key != spec.name and spec.key in stored and stored[spec.key].shape == spec.shape
        for spec in specs
    )


def _is_part_of_vault(stored: Catalog, names: set[str]) -> bool:
    """Whether a vault saved several parts, the model under the word by which it is asked for now."""
    if stored.format != "holdfast-step" or any(name.startswith("model/") for name in names):
        return False
    candidates = [spec.name for spec in stored.values() if spec.role in _MODEL]
    fronts = {_first(name) for name in candidates if "/" in name}
    return "model" in fronts and len(fronts) > 1 and all("/" in name for name in candidates)


_USUAL = frozenset({"state_dict", "model_state_dict", "model_state", "model", "network", "net", "module"})
"""Entries of a PyTorch checkpoint that hold the model (PyTorch's tutorial on saving, Lightning, DeepSpeed, timm)."""


def _usual(stored: Catalog, candidates: Iterable[str]) -> str:
    """The entry of a PyTorch checkpoint that holds the model by its name, where none of the live names tells: what
    stands beside it (a callback's tensors) is no part of the model."""
    if not stored.format.startswith("torch"):
        return ""
    found = {_first(name) for name in candidates if "/" in name} & _USUAL
    return f"{found.pop()}/" if len(found) == 1 else ""


def _agreeing(stored: Catalog, live: Catalog, container: str) -> int:
    """How many tensors below a container have the shape of the live tensor of that name."""
    forms = {canonical(spec.name): spec.shape for spec in live.values() if spec.role in _MODEL}
    return sum(
        forms.get(canonical(spec.name[len(container) :])) == spec.shape
        for spec in stored.values()
        if spec.role in _MODEL and spec.name.startswith(container)
    )


def _votes(candidates: Iterable[str], known: Callable[[str], bool]) -> Counter[str]:
    """For each container, how many tensors below it are known by the rest of their name."""
    votes: Counter[str] = Counter()
    bare = 0
    for name in candidates:
        bare += known(name)
        at = name.find("/") + 1
        while at:
            if known(name[at:]):
                votes[name[:at]] += 1
            at = name.find("/", at) + 1
    if bare:
        votes[""] = bare
    return votes


def _optimizers(stored: Catalog, container: str, pairing: Pairing) -> tuple[OptimizerSpec, ...]:
    """The optimizers that are meant, under the names of the live ones, owners named as inside the container."""
    chosen = [replace(o, name=pairing.names[o.name]) for o in stored.optimizers if o.name in pairing.names]
    return tuple(_owners_inside(o, container) for o in chosen)


def _owners_inside(optimizer: OptimizerSpec, container: str) -> OptimizerSpec:
    if not container:
        return optimizer

    def inner(group: ParamGroup) -> ParamGroup:
        owners = tuple(n[len(container) :] if n.startswith(container) else n for n in group.owners)
        return replace(group, owners=owners)

    return replace(optimizer, groups=tuple(map(inner, optimizer.groups)))
