"""N1: the numbers themselves, from one pass over the data."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from math import prod

from .._core.catalog import Catalog
from .._core.dtypes import DTYPES, is_float
from .._core.finding import Finding, Severity
from .._core.spec import TensorSpec
from .magnitudes import where_of
from .meant import extremes_are_meant, starts_at_zero, starts_at_zero_as_head
from .pages import lost_holes, lost_tail, suspicious_runs
from .registry import Rule, Subject, rule
from .slots import slot_word
from .words import count, few

__all__: list[str] = []

_VARIANCE = re.compile(
    r"(^|[./_])(running_var|moving_variance|moving_var|exp_avg_sq|max_exp_avg_sq|square_avg)$"
)


def _trained(subject: Subject) -> bool:
    """Whether the checkpoint's optimizers do not say that nothing was trained yet."""
    assert subject.catalog is not None
    return not any(o.step == 0 for o in subject.catalog.optimizers)


STATE = ("weight", "buffer", "slot", "average", "gradient")
_WEIGHT_WORDS = re.compile(
    r"(^|[./_])(kernel|weights?|bias(es)?|gamma|beta|embeddings?|w|b|running_mean|running_var|moving_mean|"
    r"moving_variance|in_proj|scale|recurrent|lora_[ab])(:\d+|[._]\d+)?$",
    re.I,
)


def _surely_state(spec: TensorSpec) -> bool:
    """Whether a tensor is model or optimizer state beyond doubt: by role, name or form.

    Formats that hold any array (npz, safetensors, a tf.Module's variables) make everything a weight; a
    handful of numbers under a name of no convention may be anything.
    """
    if spec.role in ("slot", "average", "gradient"):
        return prod(spec.shape) > 1
    if spec.role not in ("weight", "buffer"):
        return False
    name = spec.name.removesuffix("/.ATTRIBUTES/VARIABLE_VALUE")
    return prod(spec.shape) >= 16 or _WEIGHT_WORDS.search(name) is not None


_NAN_REMEDY = "use the last checkpoint without them (`holdfast` over the run's folder shows which)."


@rule("N101", "nan", severity="error", cause="numerics", depth="full")
def nan(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Values that are not a number.

    In weights, statistics or optimizer state they spread through the next forward pass or step, and
    everything that is trained from there is lost. No loader refuses them. In metrics and other plain data
    they mean "none yet": a note.

    Evidence: the tensors and how many of their elements.

    What to do: go back to the last checkpoint without them; look at loss scale, learning rate and data at
    that step.

    Example: ``weight[3] = float("nan")``.
    """
    if subject.catalog is None:
        return
    grave: list[str] = []
    likely: list[str] = []
    light: list[str] = []
    for name, stats in subject.stats.items():
        if stats.nan:
            spec = subject.catalog[name]
            if _surely_state(spec):
                grave.append(name)
            else:
                (likely if spec.role in STATE else light).append(name)
    groups: tuple[tuple[list[str], Severity], ...] = ((grave, "error"), (likely, "warning"), (light, "note"))
    for names, severity in groups:
        if names:
            spec = subject.catalog[names[0]]
            total = sum(subject.stats[n].nan for n in names)
            yield rule.finding(
                f"{count(total, 'NaN')} in {count(len(names), 'tensor')}: {few(names)}",
                severity=severity,
                tensor=names[0],
                tensors=tuple(names),
                seen={n: f"{subject.stats[n].nan} of {subject.stats[n].size}" for n in names[:20]},
                remedy=_NAN_REMEDY.replace("use", "Use", 1)
                if severity == "error"
                else f"If it is a weight: {_NAN_REMEDY}",
                **where_of(spec),
            )


@rule("N102", "infinite", severity="error", cause="numerics", depth="full")
def infinite(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Infinite values.

    A weight overflowed its type (often a cast to float16) or training diverged. Buffers and weights that are
    masks, tables of log-probabilities or best-so-far values use infinity on purpose: silent.

    Evidence: the tensors and how many of their elements.

    What to do: go back to the checkpoint before; keep wide values in float32 or bfloat16.

    Example: ``torch.tensor([70000.0]).half()``.
    """
    if subject.catalog is None:
        return
    found: list[str] = []
    for name, stats in subject.stats.items():
        spec = subject.catalog[name]
        if not stats.inf or spec.role not in STATE:
            continue
        if extremes_are_meant(name) or (spec.role == "buffer" and stats.inf + stats.zeros == stats.size):
            continue
        if spec.dtype in ("float8_e8m0fnu",):
            continue
        found.append(name)
    if found:
        doubtful = all(
            subject.catalog[n].role == "buffer" or not _surely_state(subject.catalog[n]) for n in found
        )
        yield rule.finding(
            f"infinite values in {count(len(found), 'tensor')}: {few(found)}",
            severity="warning" if doubtful else "error",
            tensor=found[0],
            tensors=tuple(found),
            seen={n: f"{subject.stats[n].inf} of {subject.stats[n].size}" for n in found[:20]},
            remedy="Use the last checkpoint without them; if they came by a cast, convert again to "
            "bfloat16 or float32.",
            **where_of(subject.catalog[found[0]]),
        )


@rule("N103", "zeroed-pages", severity="error", cause="corrupt", depth="full")
def zeroed_pages(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A block of zeros, page by page, amid values that are otherwise never zero.

    Disks and file systems lose data by blocks: a page that was not written before power failed, or a
    download tool that skipped one, reads as zeros and loads without a word. Runs that begin and end on page
    boundaries of the file, and not on the tensor's rows, in a tensor that has hardly any zero elsewhere, are
    taken for such a loss. Whole rows (words never seen, pruned channels) and sparse tensors stay silent.

    This is likely, not proved: only a seal or a checksum proves it.

    Evidence: offsets and lengths, and zeros elsewhere in the tensor.

    What to do: compare with another copy of the file; else use the previous checkpoint.

    Example: ``dd if=/dev/zero of=model.safetensors bs=4096 count=1 seek=100 conv=notrunc``.
    """
    if subject.catalog is None:
        return
    in_tail: set[str] = set()
    for tail in lost_tail(subject.catalog, subject.stats):
        in_tail.update(tail.tensors)
        yield rule.finding(
            f"the last {tail.length:,} bytes of values are zero, from the middle of {tail.tensors[0]} over "
            f"{count(len(tail.tensors), 'tensor')}: likely never written",
            tensor=tail.tensors[0],
            tensors=tail.tensors,
            file=tail.file,
            offset=tail.start,
            seen=[{"at": tail.start, "bytes": tail.length}],
            expected="values as elsewhere in the file",
            confidence="likely",
            remedy="The space was reserved and the rest never arrived (a download or save that broke off): "
            "fetch the file again, or use the previous checkpoint.",
        )
    for hole in lost_holes(subject.catalog, subject.stats):
        in_tail.update(hole.tensors)
        yield rule.finding(
            f"{hole.length:,} bytes of values are zero, from the middle of {hole.tensors[0]} into {hole.tensors[-1]}, over "
            f"{count(len(hole.tensors), 'tensor')} and by whole pages of the file: likely lost",
            tensor=hole.tensors[0],
            tensors=hole.tensors,
            file=hole.file,
            offset=hole.start,
            seen=[{"at": hole.start, "bytes": hole.length}],
            expected="values as elsewhere in the file",
            confidence="likely",
            remedy="Blocks of the file never reached the disk, or were not fetched (a crash, a download in pieces): fetch "
            "the file again, or use the previous checkpoint.",
        )
    for name, stats in subject.stats.items():
        if not stats.zero_pages or name in in_tail:
            continue
        spec = subject.catalog[name]
        if spec.role not in ("weight", "average", "slot", "buffer", "gradient"):
            continue
        runs, sure = suspicious_runs(spec, stats)
        if runs:
            start = runs[0][0]
            base = spec.stored[0].offset if len(spec.stored) == 1 else None
            yield rule.finding(
                f"{sum(n for _, n in runs):,} bytes of zeros in {count(len(runs), 'block')} amid {name}, "
                f"which is "
                "otherwise dense: likely lost pages",
                severity="error" if sure else "warning",
                tensor=name,
                tensors=(name,),
                file=spec.stored[0].file if spec.stored else None,
                offset=None if base is None else base + start,
                seen=[{"at": a, "bytes": n} for a, n in runs[:20]],
                expected="values as elsewhere in the tensor",
                confidence="likely",
                remedy="Compare with another copy of the file (`holdfast diff`), or use the previous "
                "checkpoint.",
            )


@rule("N104", "dead-tensor", severity="warning", cause="numerics", depth="full")
def dead_tensor(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A kernel of nothing but zeros in a trained checkpoint.

    Such a layer passes no signal: the save wrote memory that was not filled yet, a part of the file was
    lost, or the layer was never reached. Biases, shifts, fresh statistics and slots are zero by nature, as
    are LoRA's B matrices, zero-initialised output convolutions, position parameters and padding rows: silent.
    A classifier called `head` is told only where an optimizer says that training was under way. When nearly
    all weights are zero it is an error.

    Evidence: the tensors.

    What to do: compare with an earlier checkpoint.

    Example: an embedding allocated with ``torch.zeros`` and never loaded.
    """
    catalog = subject.catalog
    if catalog is None:
        return
    kernels = [
        n
        for n, s in subject.stats.items()
        if catalog[n].role == "weight"
        and is_float(catalog[n].dtype)
        and len([d for d in catalog[n].shape if d > 1]) >= 2
        and s.size >= 16
    ]
    dead = [n for n in kernels if subject.stats[n].zeros == subject.stats[n].size]
    if not dead or not _trained(subject):
        return
    everything = [
        n
        for n, s in subject.stats.items()
        if catalog[n].role == "weight" and is_float(catalog[n].dtype) and s.size
    ]
    all_zero = all(subject.stats[n].zeros == subject.stats[n].size for n in everything)
    if all_zero:
        if len(everything) > 1:
            yield rule.finding(
                f"all {len(everything)} weights are zero",
                tensor=dead[0],
                tensors=tuple(everything),
                remedy="If it should be trained: the values were not there when it was saved; use "
                "another checkpoint.",
            )
        return
    stepped = any(
        o.step is not None and o.step > 1 for o in catalog.optimizers
    )  # at 1 a warm-up has not begun
    found = [n for n in dead if not starts_at_zero(n) and (stepped or not starts_at_zero_as_head(n))]
    if found:
        yield rule.finding(
            f"{count(len(found), 'weight')} with nothing but zeros: {few(found)}",
            severity="warning" if len(found) <= len(kernels) / 2 else "error",
            tensor=found[0],
            tensors=tuple(found),
            seen=f"{len(found)} of {len(kernels)} kernels",
            remedy="Compare with an earlier checkpoint (`holdfast diff OLD NEW`); nothing to do if it is "
            "zero-initialised.",
            **where_of(catalog[found[0]]),
        )


def _second_moments(catalog: Catalog) -> set[tuple[str | None, str | None, str]]:
    """(optimizer, owner, slot) of Keras's and TF's second moments: ``velocity`` or ``v`` beside ``momentum``
    or ``m`` of the same weight (alone, the words may mean a plain momentum)."""
    here = {
        (s.optimizer, s.owner, slot_word(s.slot)) for s in catalog.values() if s.role == "slot" and s.owner
    }
    pairs = (("velocity", "momentum"), ("v", "m"), ("velocity_hat", "momentum"), ("vhat", "m"))
    return {(o, w, b) for b, a in pairs for o, w, word in here if word == b and (o, w, a) in here}


@rule("N108", "negative-variance", severity="error", cause="corrupt", depth="full")
def negative_variance(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A variance or second moment below zero.

    Running variances and averages of squares cannot be negative. Negative ones come from damage, from
    positions that slipped (a mean read as a variance), or from arithmetic between checkpoints; the square
    root then gives NaN.

    Evidence: the smallest value.

    What to do: use another checkpoint; recompute BatchNorm statistics over training data.

    Example: the sign bit of one ``running_var`` element flipped.
    """
    if subject.catalog is None:
        return
    second = _second_moments(subject.catalog)
    for name, stats in subject.stats.items():
        spec = subject.catalog[name]
        if stats.minimum is None or stats.minimum >= 0 or not is_float(spec.dtype):
            continue
        word = f"{spec.slot}" if spec.role == "slot" and spec.slot else spec.name
        squares = spec.role == "slot" and (spec.optimizer, spec.owner, slot_word(spec.slot)) in second
        if spec.role in ("buffer", "slot", "weight") and (squares or _VARIANCE.search(word)):
            yield rule.finding(
                f"{name} is {'an average of squares' if spec.role == 'slot' else 'a variance'} and reaches "
                f"{stats.minimum:.3g}",
                tensor=name,
                tensors=(name,),
                seen=stats.minimum,
                expected=">= 0",
                remedy="Use another checkpoint, or let the optimizer begin anew (`reset-slots:*`)."
                if spec.role == "slot"
                else "Use another checkpoint, or recompute the statistics over training data.",
                **where_of(spec),
            )


@rule("N109", "quantised-scale", severity="error", cause="corrupt")
def quantised_scale(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A quantised tensor whose scale is zero, negative or not finite.

    Quantised values are integers times a scale; with such a scale every element is zero or meaningless.

    Evidence: the scale.

    What to do: quantise again from the floating checkpoint.

    Example: ``torch.quantize_per_tensor`` on a constant tensor with a hand-made scale of 0.
    """
    if subject.catalog is None:
        return
    for spec in subject.catalog.values():
        row = DTYPES.get(spec.dtype)
        if row is None or row.kind != "q" or prod(spec.shape) == 0:
            continue
        scale = spec.attributes.get("scale", spec.attributes.get("scales"))
        values = scale if isinstance(scale, (list, tuple)) else [scale]
        bad = [v for v in values if isinstance(v, (int, float)) and not (v > 0 and math.isfinite(v))]
        if bad:
            yield rule.finding(
                f"{spec.name} is quantised with scale {bad[0]!r}",
                tensor=spec.name,
                tensors=(spec.name,),
                seen=repr(bad[0]),
                expected="a finite scale above 0",
                remedy="Quantise again from the floating checkpoint.",
            )
