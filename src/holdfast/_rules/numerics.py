"""N1: the numbers themselves, from one pass over the data."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from math import prod
from typing import Any

from .._core.dtypes import DTYPES, is_float
from .._core.finding import Finding
from .._core.spec import TensorSpec
from .pages import suspicious_runs
from .registry import Rule, Subject, rule
from .words import count, few

__all__: list[str] = []

_MASK = re.compile(
    r"mask|causal|attn_bias|attention_bias|tril|triu|(^|[./_])bias_table|alibi|-?inf(_|$)|best|score|"
    r"min_val|max_val|eps|log_prior|transition|start_trans|end_trans",
    re.I,
)
_ZERO_INIT = re.compile(
    r"lora_?(b|up|embedding_b)|lokr_w2|hada_w2|adapter|zero_conv|zero_module|gate|gamma|beta|bias|pos_?emb|position|"
    r"cls_token|token_type|relative|mask|buffer|prompt|alpha|scale|shift|padding|prev|hidden|cache|state|carry|residual|"
    r"ema|accum|head|fc_?zero|delta|offset|zero|noise|anchor|proj_out|out_proj|output_blocks",
    re.I,
)
_VARIANCE = re.compile(
    r"(^|[./_])(running_var|moving_variance|moving_var|exp_avg_sq|max_exp_avg_sq|square_avg)$"
)


def _where(spec: TensorSpec) -> dict[str, Any]:
    if not spec.stored:
        return {}
    first = spec.stored[0]
    return {"file": first.file, "offset": first.offset}


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
    for names, severity in ((grave, "error"), (likely, "warning"), (light, "note")):
        if names:
            spec = subject.catalog[names[0]]
            total = sum(subject.stats[n].nan for n in names)
            yield rule.finding(
                f"{count(total, 'NaN')} in {count(len(names), 'tensor')}: {few(names)}",
                severity=severity,  # type: ignore[arg-type]
                tensor=names[0],
                tensors=tuple(names),
                seen={n: f"{subject.stats[n].nan} of {subject.stats[n].size}" for n in names[:20]},
                remedy="Use the last checkpoint without them (`holdfast` over the run's folder shows which).",
                **_where(spec),
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
        if _MASK.search(name) or (spec.role == "buffer" and stats.inf + stats.zeros == stats.size):
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
            **_where(subject.catalog[found[0]]),
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
    for name, stats in subject.stats.items():
        if not stats.zero_pages:
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
    are LoRA's B matrices, zero-initialised output convolutions and padding rows: silent. When nearly all
    weights are zero it is an error.

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
    found = [n for n in dead if not _ZERO_INIT.search(n)]
    if found:
        yield rule.finding(
            f"{count(len(found), 'weight')} with nothing but zeros: {few(found)}",
            severity="warning" if len(found) <= len(kernels) / 2 else "error",
            tensor=found[0],
            tensors=tuple(found),
            seen=f"{len(found)} of {len(kernels)} kernels",
            remedy="Compare with an earlier checkpoint (`holdfast diff OLD NEW`); nothing to do if it is "
            "zero-initialised.",
            **_where(catalog[found[0]]),
        )


@rule("N105", "exploded", severity="warning", cause="numerics", depth="full")
def exploded(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Magnitudes near the end of what the type can hold.

    Weights above 1e30 in float32 (or within a factor of two of the largest value of a narrower type) will
    overflow in the next product. Either training diverged, or single values were damaged (see N107).

    Evidence: the largest magnitude and the type's limit.

    What to do: go back to the checkpoint before.

    Example: ``weight.mul_(1e35)``.
    """
    catalog = subject.catalog
    if catalog is None:
        return
    found = []
    for name, stats in subject.stats.items():
        spec = catalog[name]
        if (
            spec.role not in ("weight", "buffer", "slot", "average")
            or stats.maximum is None
            or stats.minimum is None
        ):
            continue
        if not is_float(spec.dtype) or _MASK.search(name):
            continue
        largest = max(abs(stats.maximum), abs(stats.minimum))
        bound = {
            "float64": 1e100,
            "float32": 1e30,
            "bfloat16": 1e30,
            "float16": 60000.0,
            "complex64": 1e30,
        }.get(spec.dtype)
        if bound is None or largest <= bound or _sentinel(largest) or _lone(stats.huge, stats.size):
            continue
        found.append((name, largest))
    if found:
        yield rule.finding(
            f"magnitudes up to {found[0][1]:.3g} in {count(len(found), 'tensor')}: "
            f"{few([n for n, _ in found])}",
            tensor=found[0][0],
            tensors=tuple(n for n, _ in found),
            seen=dict(found[:20]),
            remedy="Use the last checkpoint with ordinary magnitudes; look at learning rate and loss "
            "scale there.",
            **_where(catalog[found[0][0]]),
        )


def _sentinel(value: float) -> bool:
    """Whether a magnitude is one that programs write on purpose: the type's largest value, or a round power
    of ten."""
    if value in (65504.0, 3.3895313892515355e38) or math.isclose(value, 3.4028234663852886e38, rel_tol=1e-6):
        return True
    if math.isclose(value, 1.7976931348623157e308, rel_tol=1e-9):
        return True
    return value > 0 and math.isclose(value, 10 ** round(math.log10(value)), rel_tol=1e-6)


def _lone(huge: int, size: int) -> bool:
    """Whether the huge values are so few that damage is likelier than divergence."""
    return huge > 0 and huge < 0.5 * size


@rule("N106", "overflows-float16", severity="note", cause="dtype-mismatch", depth="full")
def overflows_float16(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """Values that would become infinite in float16.

    The checkpoint says that its model computes in float16 (a mixed_float16 policy, weights stored partly in
    float16), and wider tensors hold magnitudes above 65504. Cast down, they are infinite, and most loaders
    cast without a word.

    Evidence: the tensors and their largest magnitudes.

    What to do: keep them in float32, or use bfloat16.

    Example: a float32 weight of 70000 in a model loaded with ``.half()``.
    """
    catalog = subject.catalog
    if catalog is None:
        return
    half = sum(1 for s in catalog.values() if s.role == "weight" and s.dtype == "float16")
    policy = str(catalog.attributes.get("dtype_policy", ""))
    if not half and "float16" not in policy.replace("bfloat16", ""):
        return
    wide = []
    for name, stats in subject.stats.items():
        spec = catalog[name]
        if (
            spec.role in ("weight", "buffer")
            and spec.dtype in ("float32", "float64", "bfloat16")
            and stats.maximum is not None
        ):
            largest = max(abs(stats.maximum), abs(stats.minimum or 0.0))
            if largest > 65504 and largest < 1e10:
                wide.append((name, largest))
    if wide:
        yield rule.finding(
            f"{count(len(wide), 'tensor')} with magnitudes above float16's largest value: "
            f"{few([n for n, _ in wide])}",
            tensor=wide[0][0],
            tensors=tuple(n for n, _ in wide),
            seen=dict(wide[:20]),
            expected="at most 65504",
            remedy="Keep these tensors in float32, or use bfloat16 for the model.",
        )


@rule("N107", "absurd-values", severity="error", cause="corrupt", depth="full")
def absurd_values(rule: Rule, subject: Subject) -> Iterator[Finding]:
    """A few values are many orders of magnitude above all others.

    A flipped high exponent bit turns 0.01 into 1e36; bytes read at a wrong offset do so all over a tensor.
    When some values exceed 1e10 while the ordinary ones lie a factor of 1e10 below, damage is likelier than
    training.

    This is likely, not proved: only a seal or a checksum proves it.

    Evidence: how many, the largest, and the median of the others.

    What to do: compare with another copy; else use the previous checkpoint.

    Example: flip bit 30 of one float32 weight.
    """
    catalog = subject.catalog
    if catalog is None:
        return
    found = []
    for name, stats in subject.stats.items():
        spec = catalog[name]
        if (
            not stats.huge
            or stats.typical is None
            or spec.role not in ("weight", "buffer", "slot", "average")
        ):
            continue
        if not is_float(spec.dtype) or _MASK.search(name) or not _lone(stats.huge, stats.size):
            continue
        largest = max(abs(stats.maximum or 0.0), abs(stats.minimum or 0.0))
        if largest < 1e10 * stats.typical or _sentinel(largest) or stats.size < 8:
            continue
        found.append((name, largest, stats))
    for name, largest, stats in found[:20]:
        yield rule.finding(
            f"{count(stats.huge, 'value')} up to {largest:.3g} in {name}, where the others are about "
            f"{stats.typical:.2g}: "
            "likely damaged bits",
            tensor=name,
            tensors=(name,),
            seen={"above 1e10": stats.huge, "largest": largest, "elements": stats.size},
            expected=f"magnitudes around {stats.typical:.3g}",
            confidence="likely",
            remedy="Compare with another copy of the file (`holdfast diff`), or use the previous checkpoint.",
            **_where(catalog[name]),
        )


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
    for name, stats in subject.stats.items():
        spec = subject.catalog[name]
        if stats.minimum is None or stats.minimum >= 0 or not is_float(spec.dtype):
            continue
        word = f"{spec.slot}" if spec.role == "slot" and spec.slot else spec.name
        if spec.role in ("buffer", "slot", "weight") and _VARIANCE.search(word):
            yield rule.finding(
                f"{name} is a variance and reaches {stats.minimum:.3g}",
                tensor=name,
                tensors=(name,),
                seen=stats.minimum,
                expected=">= 0",
                remedy="Use another checkpoint, or recompute the statistics over training data.",
                **_where(spec),
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
