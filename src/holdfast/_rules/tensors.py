"""T1: names, ties and structure inside one checkpoint."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from math import prod

from .._core.catalog import Catalog
from .._core.dtypes import is_float
from .._core.errors import HoldfastError
from .._core.finding import Finding
from .._core.spec import TensorSpec
from .registry import Rule, Subject, rule
from .words import count, few

__all__: list[str] = []

WRAPPERS = frozenset(
    {"module", "_orig_mod", "_forward_module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
)
STATISTICS = {
    "running_mean": ("running_mean", "running_var"),
    "running_var": ("running_mean", "running_var"),
    "moving_mean": ("moving_mean", "moving_variance"),
    "moving_variance": ("moving_mean", "moving_variance"),
}
_STATISTICS = (*STATISTICS, "num_batches_tracked")


@rule("T101", "name-clash", severity="error", cause="renamed")
def name_clash(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Two stored tensors answer to one name.

    The names that the file's own evidence gives are not unique: layers that share a name, a key written
    twice, a nested dict whose joined paths coincide. Loaders that go by name take one of the two, and which
    one is chance.

    Evidence: both keys.

    What to do: use the raw keys to tell them apart; give the layers names of their own before the next save.

    Example: two Keras layers both named ``dense`` in one legacy ``.h5``.
    """
    seen: set[str | None] = set()
    for fault in subject.faults_of("name-clash"):
        seen.update(fault.tensors, (fault.tensor,))
        yield rule.from_fault(fault)
    if subject.catalog is None:
        return
    for first, second in subject.catalog.clashes:
        if first.name in seen:
            continue
        seen.add(first.name)
        yield rule.finding(
            f"two tensors are named {first.name}",
            tensor=first.name,
            tensors=(first.name,),
            seen=[first.key, second.key],
            expected="one tensor per name",
            remedy="Read them by their keys; rename one of the layers and save again.",
            file=first.stored[0].file if first.stored else None,
        )


@rule("T102", "view-whole-storage", severity="note", cause="other")
def view_whole_storage(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A small view was saved together with the whole storage it looks into.

    ``torch.save`` writes storages, not views: one row of a large tensor costs the whole of it on disk.
    Nothing is lost; the file is larger than what it holds.

    Evidence: bytes of the view and of the storage.

    What to do: ``tensor.clone()`` before saving.

    Example: ``torch.save(torch.zeros(1_000_000)[:1], "one.pt")`` takes 4 MB.
    """
    found = list(subject.faults_of("view-whole-storage"))
    if len(found) <= 3:
        for fault in found:
            yield rule.from_fault(
                fault, remedy=fault.attributes.get("remedy") or "`tensor.clone()` it before the next save."
            )
        return
    names = tuple(dict.fromkeys(n for f in found for n in (f.tensors or ((f.tensor,) if f.tensor else ()))))
    yield rule.finding(
        f"{count(len(names), 'view')} saved with whole storages: {few(names)}",
        tensors=names,
        file=found[0].file,
        remedy="`tensor.clone()` views before the next save.",
    )


@rule("T103", "slice-coverage", severity="error", cause="topology")
def slice_coverage(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The slices of a partitioned tensor do not cover it.

    A tensor was saved in parts, and some of its elements lie in none of them, or in two. What no part covers
    would be left at whatever was there before.

    Evidence: the extents found, the shape of the whole.

    What to do: find the missing parts (other shards, other ranks); else use the previous checkpoint.

    Example: a TF partitioned variable of which one slice entry is gone.
    """
    for fault in subject.faults_of("slice-coverage"):
        yield rule.from_fault(fault)


_WRAPPED = re.compile(r"(?:^|[./])(?:" + "|".join(map(re.escape, sorted(WRAPPERS))) + r")(?=[./]|$)")


_ANY_WRAPPED = re.compile(_WRAPPED.pattern, re.MULTILINE)


def _any_wrapped(names: Iterable[str]) -> bool:
    """Whether :func:`canonical` changes any of these: one look for all."""
    text = "\n".join(names)
    return any(word in text for word in WRAPPERS) and _ANY_WRAPPED.search(text) is not None


def canonical(name: str) -> str:
    """A name without wrapper segments."""
    if _WRAPPED.search(name) is None:
        return name
    return "/".join(
        ".".join(s for s in part.split(".") if s not in WRAPPERS)
        for part in name.split("/")
        if part not in WRAPPERS
    )


@rule("T105", "name-variants", severity="warning", cause="renamed")
def name_variants(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The same tensor under a plain and under a wrapped name.

    ``module.`` (DataParallel, DDP), ``_orig_mod.`` (torch.compile) and the like are put before names by
    wrappers. When both ``fc.weight`` and ``module.fc.weight`` stand in one state dict, two saves were
    merged, or a model saved both itself and its wrapper; a loader takes one of them and the other goes
    stale.

    Evidence: the pairs.

    What to do: keep one naming: save the unwrapped model (``model.module``, ``model._orig_mod``).

    Example: ``torch.save({**model.state_dict(), **ddp.state_dict()}, path)``.
    """
    if subject.catalog is None or not _any_wrapped(subject.catalog):
        return  # names as they stand are each there once
    groups: dict[str, list[TensorSpec]] = defaultdict(list)
    for spec in subject.catalog.values():
        if spec.role in ("weight", "buffer"):
            groups[canonical(spec.name)].append(spec)
    pairs = [g for g in groups.values() if len(g) > 1 and len({s.shape for s in g}) < len(g)]
    pairs = [g for g in pairs if not (g[0].shares is not None and len({s.shares for s in g}) == 1)]
    if pairs:
        yield rule.finding(
            f"{count(len(pairs), 'tensor')} stored under a plain and a wrapped name: "
            + few([" = ".join(s.name for s in g) for g in pairs], 2),
            tensor=pairs[0][0].name,
            tensors=tuple(s.name for g in pairs for s in g),
            remedy="Save the unwrapped model only (`model.module.state_dict()`, "
            "`model._orig_mod.state_dict()`).",
        )


@rule("T106", "stored-twice", severity="note", cause="renamed", depth="full")
def stored_twice(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Two weights are equal bit for bit and stored apart.

    Tied weights (an embedding and the output layer) that were saved as two tensors, or a copy. Loaded into a
    tied model the later one wins; loaded into an untied one the two drift apart. Frameworks do not say which
    was meant.

    Only weights of 64 elements or more that are not constant are looked at.

    Evidence: the names and the size.

    What to do: know whether they are meant to be tied.

    Example: ``save_file({k: v.clone() for k, v in state.items()}, path)`` of a tied model.
    """
    if subject.catalog is None:
        return
    groups: dict[tuple[object, ...], list[str]] = defaultdict(list)
    for name, stats in subject.stats.items():
        spec = subject.catalog[name]
        if spec.role != "weight" or stats.size < 64 or stats.minimum == stats.maximum:
            continue
        groups[
            (spec.dtype, spec.shape, stats.minimum, stats.maximum, stats.mean, stats.std, stats.zeros)
        ].append(name)
    twins: list[tuple[str, str]] = []
    for names in groups.values():
        first = names[0]
        for other in names[1:]:
            a, b = subject.catalog[first], subject.catalog[other]
            if (a.shares is None or a.shares != b.shares) and _equal(subject.catalog, first, other):
                twins.append((first, other))
    if twins:
        extra = sum(subject.catalog[b].nbytes for _, b in twins)
        yield rule.finding(
            f"{count(len(twins), 'pair')} of weights equal bit for bit, stored apart: "
            + few([f"{a} = {b}" for a, b in twins], 2),
            tensor=twins[0][0],
            tensors=tuple(dict.fromkeys(n for pair in twins for n in pair)),
            seen=f"{extra:,} bytes stored again",
            remedy="If they are meant to be tied, tie them again after loading; a loader will not do it.",
        )


def _equal(catalog: Catalog, a: str, b: str) -> bool:
    """Whether two tensors of one shape and dtype have the same bytes."""
    try:
        return all(
            x is not None and y is not None and x.tobytes() == y.tobytes()
            for x, y in zip_longest(catalog.pieces(a), catalog.pieces(b))
        )
    except HoldfastError:  # the scan reports what cannot be read
        return False


@rule("T107", "statistics-missing", severity="warning", cause="missing-tensor")
def statistics_missing(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A BatchNorm layer has no running statistics while its siblings have them.

    Running mean and variance are no trainable weights and get lost when only parameters are copied or
    filtered. The layer then normalises with mean 0 and variance 1, and a lenient loader says nothing.

    Evidence: the layer, what it has, and what its siblings have.

    What to do: take the statistics from the checkpoint they were in, or recompute them over training data.

    Example: ``{k: v for k, v in state.items() if k != "bn2.running_var"}``.
    """
    if subject.catalog is None:
        return
    if not any(name.endswith(_STATISTICS) for name in subject.catalog):
        return
    layers: dict[str, dict[str, TensorSpec]] = defaultdict(dict)
    for spec in subject.catalog.values():
        if spec.role in ("weight", "buffer", "average", "counter") and spec.extent is None:
            head, mark, last = _split(spec.name)
            layers[head + mark][last] = spec
    with_statistics = {p: w for p, w in layers.items() if any(k in STATISTICS for k in w)}
    for prefix, words in with_statistics.items():
        wanted = next(STATISTICS[k] for k in words if k in STATISTICS)
        absent = [w for w in wanted if w not in words]
        if absent:
            whole = any(set(wanted) <= set(w) for w in with_statistics.values())
            yield rule.finding(
                f"{prefix.rstrip('./') or 'the model'} has {few([w for w in wanted if w in words])} and "
                f"no {few(absent)}",
                severity="warning" if whole or "num_batches_tracked" in words else "note",
                tensor=next(iter(words.values())).name,
                seen=sorted(words),
                expected=list(wanted),
                remedy="Copy the missing statistics from the checkpoint they were in, or recompute them "
                "on training data.",
            )
    affine = {frozenset(w) - set(STATISTICS) - {"num_batches_tracked"} for w in with_statistics.values()}
    for prefix, words in layers.items():
        if prefix in with_statistics or any(s.role == "average" for s in words.values()):
            continue  # averages are kept of trainable weights only
        # Counted batches prove a BatchNorm that tracks; a name does so only beside siblings that track.
        proved = "num_batches_tracked" in words
        alike = frozenset(words) in affine and _is_batch_norm(prefix)
        if proved or alike:
            whole = any(set(wanted) <= set(w) for w in with_statistics.values())
            yield rule.finding(
                f"{prefix.rstrip('./') or 'the model'} has no running statistics while other "
                "normalisation layers have them"
                if alike
                else f"{prefix.rstrip('./')} counts its batches and has no running statistics",
                tensor=next(iter(words.values())).name,
                seen=sorted(words),
                expected=sorted({w for pair in STATISTICS.values() for w in pair} & _marks(with_statistics))
                or None,
                remedy="Copy the missing statistics from the checkpoint they were in, or recompute them.",
            )


def _marks(layers: dict[str, dict[str, TensorSpec]]) -> set[str]:
    return {w for words in layers.values() for w in words}


def _split(name: str) -> tuple[str, str, str]:
    at = max(name.rfind("/"), name.rfind("."))
    return (name[:at], name[at], name[at + 1 :]) if at >= 0 else ("", "", name)


def _is_batch_norm(prefix: str) -> bool:
    last = _split(prefix.rstrip("./"))[2].lower()
    return last.startswith(("bn", "batch_norm", "batchnorm", "batch_normalization"))


@rule("T108", "odd-dtype", severity="note", cause="dtype-mismatch")
def odd_dtype(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A few weights have a wider type than all the others.

    One float64 tensor in a float32 model usually came from numpy arithmetic on the way; strict loaders
    refuse it, others cast it without a word.

    Evidence: the tensors and the type of the rest.

    What to do: cast them before the next save, if the width was not meant.

    Example: ``state["fc.weight"] = torch.from_numpy(np_mean * 0.5)``.
    """
    if subject.catalog is None or len({s.dtype for s in subject.catalog.values()}) < 2:
        return
    weights = [
        s for s in subject.catalog.values() if s.role == "weight" and is_float(s.dtype) and prod(s.shape) > 1
    ]
    kinds = Counter(s.dtype for s in weights)
    if len(weights) < 8 or len(kinds) < 2:
        return
    usual, most = kinds.most_common(1)[0]
    odd = [s.name for s in weights if s.dtype == "float64"]
    if usual != "float64" and most >= 0.8 * len(weights) and odd and len(odd) <= 0.1 * len(weights) + 1:
        yield rule.finding(
            f"{count(len(odd), 'weight')} in float64 among {most} in {usual}: {few(odd)}",
            tensor=odd[0],
            tensors=tuple(odd),
            seen="float64",
            expected=usual,
            remedy=f"Cast before the next save, if the width was not meant (edit "
            f"`cast:{odd[0]}:float64->{usual}`).",
            edit=f"cast:{odd[0]}:float64->{usual}" if len(odd) == 1 else None,
            lossless=False,
        )


@rule("T109", "empty-tensor", severity="note", cause="topology")
def empty_tensor(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Most weights have no elements.

    DeepSpeed stage 3 and FSDP leave placeholders of shape (0,) in the model file of a rank; the values are
    in the optimizer's or other ranks' files. Loading such a file reports torch.Size([0]) mismatches.

    Evidence: how many are empty.

    What to do: gather the weights first (``zero_to_fp32.py`` in the checkpoint's folder,
    ``FULL_STATE_DICT``).

    Example: ``zero_pp_rank_0_mp_rank_00_model_states.pt``.
    """
    if subject.catalog is None:
        return
    weights = [s for s in subject.catalog.values() if s.role == "weight"]
    empty = [s.name for s in weights if 0 in s.shape]
    if len(weights) >= 4 and len(empty) > len(weights) / 2:
        yield rule.finding(
            f"{len(empty)} of {len(weights)} weights have no elements: placeholders of a sharded save",
            severity="warning",
            tensor=empty[0],
            tensors=tuple(empty),
            remedy="Gather the weights from all ranks: `python zero_to_fp32.py . out.pt` in a DeepSpeed "
            "folder.",
        )


@rule("T110", "tensor-missing", severity="error", cause="missing-tensor")
def tensor_missing(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """The checkpoint itself names a tensor that it does not hold.

    TensorFlow's object graph, the ``weight_names`` of a Keras HDF5 file, the numbering of Keras 3's
    variables or a layer's configuration say that a value was to be stored, and it is not there: a save that
    broke off in a way that left the file readable (a full disk), a tool that filtered tensors. TensorFlow
    leaves such variables at their initial value without a word.

    Evidence: the names, and who names them.

    What to do: use another checkpoint; what is there still reads.

    Example: delete ``layers/dense/vars/0`` from a ``.weights.h5`` with h5py.
    """
    for fault in subject.faults_of("tensor-missing"):
        yield rule.from_fault(
            fault,
            remedy=fault.attributes.get("remedy")
            or "Use the previous checkpoint: what is missing here cannot be had from this file.",
        )
