"""``inspect`` for people: headline, optimizers, attributes, and the tensors as a folded tree or a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from .._core.shell import quote
from . import words
from .escape import cells, safe
from .page import Page
from .tree import Row, grow, rows

__all__ = ["draw", "LINES"]

LINES = 200
"""Lines of tensors shown where not all are asked for."""

_FIRST = (
    "epoch",
    "global_step",
    "step",
    "iteration",
    "best_score",
    "loss",
    "val_loss",
    "keras_version",
    "backend",
)
_DULL = (
    "object_based",
    "num_shards",
    "producer",
    "root",
    "zip_version",
    "config_digest",
    "kind",
    "byteorder",
    "serialization_id",
    "format_version",
    "storage_alignment",
    "pickle_protocol",
)
_HYPER = (
    "lr",
    "learning_rate",
    "momentum",
    "betas",
    "beta_1",
    "beta_2",
    "eps",
    "epsilon",
    "weight_decay",
    "decay",
)


def draw(
    document: Mapping[str, Any],
    page: Page,
    *,
    table: bool = False,
    fold: bool = True,
    limit: int | None = LINES,
    verbose: bool = False,
) -> None:
    """Write the ``inspect`` document onto ``page``; ``limit`` bounds the lines of tensors, ``None`` shows
    all.
    """
    _headline(document, page)
    _optimizers(document["optimizers"], page, verbose)
    _attributes(document["attributes"], page, verbose)
    _faults(document["faults"], document["path"], page, verbose)
    tensors = document["tensors"]
    if tensors:
        page.blank()
        (_table if table else _tree)(tensors, page, fold=fold, limit=limit)
    _totals(document, page)


def _headline(document: Mapping[str, Any], page: Page) -> None:
    totals = document["totals"]
    page.line((document["path"], "path"), "  ", (document.get("title") or document["format"], "dim"))
    facts = [words.plural(totals["tensors"], "tensor")]
    if totals["parameters"]:
        facts.append(words.plural(totals["parameters"], "parameter"))
    facts.append(words.size(totals["nbytes"]))
    if len(document["files"]) > 1:
        facts.append(words.plural(len(document["files"]), "file"))
    if document["writer"]:
        facts.append(f"written by {document['writer']}")
    page.facts(facts)
    if document.get("resolved"):
        page.wrapped(document["resolved"], style="dim")


def _optimizers(optimizers: Sequence[Mapping[str, Any]], page: Page, verbose: bool) -> None:
    if optimizers:
        page.blank()
    shown = optimizers if verbose else optimizers[:6]
    for optimizer in shown:
        kind = optimizer["class"] or (
            f"{optimizer['class_likely']} (likely, by its slots)"
            if optimizer["class_likely"]
            else "class not recorded"
        )
        facts = [kind]
        groups = optimizer["groups"]
        if len(groups) > 1:
            facts.append(f"{len(groups)} parameter groups")
        for group in groups if verbose else groups[:1]:
            facts += _hyperparameters(group, verbose)
        if optimizer["learning_rate"] is not None and not any(
            f.startswith(("lr", "learning_rate")) for f in facts
        ):
            facts.append(f"lr {words.value(optimizer['learning_rate'])}")
        if optimizer["step"] is not None:
            facts.append(
                f"step {words.count(optimizer['step'])}" if isinstance(optimizer["step"], int) else ""
            )
        if optimizer["slots"]:
            facts.append("slots " + ", ".join(map(str, optimizer["slots"][:8])))
        label = optimizer["name"] or "optimizer"
        page.facts(filter(None, facts), label=(page.clipped(label, 24), "bold"), hang=_hang(label))
    if len(optimizers) > len(shown):
        page.line((f"and {len(optimizers) - len(shown)} more optimizers (--verbose shows all)", "dim"))


def _hyperparameters(group: Mapping[str, Any], verbose: bool) -> Iterator[str]:
    values = {**group["configured"], **group["current"]}
    names = list(values) if verbose else [name for name in _HYPER if name in values]
    for name in names:
        now = values[name]
        text = f"{name} {words.value(now)}"
        first = group["configured"].get(name, now)
        yield text if first == now else f"{text} (configured {words.value(first)})"


def _attributes(attributes: Mapping[str, Any], page: Page, verbose: bool) -> None:
    plain = {
        k: v for k, v in attributes.items() if k != "writer" and (verbose or (k not in _DULL and _worth(v)))
    }
    order = [name for name in _FIRST if name in plain] + [name for name in plain if name not in _FIRST]
    shown = order if verbose else order[:8]
    if not shown:
        return
    page.blank()
    hang = max(_hang(name) for name in shown)
    for name in shown:
        text = words.value(plain[name], 2000 if verbose else 72)
        page.wrapped(text, label=(page.clipped(name, 24), "dim"), hang=hang)
    if len(order) > len(shown):
        page.line(
            (f"and {words.plural(len(order) - len(shown), 'more attribute')} (--verbose shows all)", "dim")
        )


def _worth(thing: Any) -> bool:
    """Attributes that say something in one line."""
    return thing is not None and isinstance(thing, (int, float, str)) and len(str(thing)) <= 72


def _hang(label: object) -> int:
    return min(24, cells(safe(label))) + 2


def _faults(faults: Sequence[Mapping[str, Any]], path: str, page: Page, verbose: bool) -> None:
    if faults:
        page.blank()
    for fault in faults if verbose else faults[:5]:
        page.wrapped(words.grouped(fault["message"]), label=(f"! {fault['slug']}:", "warning"))
    if len(faults) > 5 and not verbose:
        page.line((f"  and {len(faults) - 5} more", "dim"))
    if faults:
        page.line(("  what this means: ", "dim"), (f"holdfast doctor {quote(path)}", "command"))


# -- tensors -------------------------------------------------------------------------------------------------
def _marks(tensor: Mapping[str, Any], owner: bool = False) -> str:
    marks = []
    if tensor["role"] != "weight":
        marks.append(tensor["role"])
        if tensor["role"] in ("slot", "average", "gradient"):
            if tensor["owner"] is None:
                marks[-1] += " (owner not recorded)"
            elif owner:
                marks[-1] += f" of {tensor['owner']}"
    elif tensor.get("trainable") is False:
        marks.append("frozen")
    if tensor.get("shares") is not None:
        marks.append("tied")
    if "error" in tensor:
        marks.append("unreadable")
    stats = tensor.get("stats")
    if stats:
        marks.append(_stats(stats))
    return ", ".join(marks)


def _stats(stats: Mapping[str, Any]) -> str:
    parts = []
    for name, label in (("nan", "NaN"), ("inf", "Inf")):
        if stats.get(name):
            parts.append(f"{stats[name]:,} {label}")
    if isinstance(stats.get("minimum"), (int, float)):
        parts.append(f"{words.value(stats['minimum'])} to {words.value(stats['maximum'])}")
    if isinstance(stats.get("mean"), (int, float)) and isinstance(stats.get("std"), (int, float)):
        parts.append(f"mean {words.value(stats['mean'])} std {words.value(stats['std'])}")
    return " ".join(parts)


def _tree(tensors: Sequence[Mapping[str, Any]], page: Page, *, fold: bool, limit: int | None) -> None:
    lines = list(islice(rows(grow(tensors), fold=fold), None if limit is None else limit + 1))
    cut = limit is not None and len(lines) > limit
    lines = lines[:limit] if cut else lines
    _columns([_tree_line(row) for row in lines], page)
    if cut:
        told = sum(row.told for row in lines)
        _more(max(0, len(tensors) - told), page)


def _tree_line(row: Row) -> tuple[int, str, str, str, str, str]:
    indent = 2 + 2 * min(row.depth, 16)
    times = f"{row.times} ×" if row.times > 1 else ""
    if row.slots:
        state = "slots " + words.some(row.slots, 3)
        if row.tensor is None:
            times = f"{words.plural(row.tensors, 'tensor')} of optimizer state: {state}"
        else:
            times = ", ".join(filter(None, (f"{times} each" if times else "", f"+ {state}")))
            t = row.tensor
            nbytes = words.size(t["nbytes"])
            return indent, row.label, t["dtype"], words.shape(t["shape"]), nbytes, times
    if row.tensor is None:
        return indent, row.label, "", "", words.size(row.nbytes), times
    t = row.tensor
    marks = _marks(t)
    return (
        indent,
        row.label,
        t["dtype"],
        words.shape(t["shape"]),
        words.size(t["nbytes"]),
        ", ".join(filter(None, (f"{times} each" if times else "", marks))),
    )


def _table(tensors: Sequence[Mapping[str, Any]], page: Page, *, fold: bool, limit: int | None) -> None:
    shown = tensors if limit is None else tensors[:limit]
    lines = [
        (0, t["name"], t["dtype"], words.shape(t["shape"]), words.size(t["nbytes"]), _marks(t, owner=True))
        for t in shown
    ]
    _columns(lines, page)
    if len(shown) < len(tensors):
        _more(len(tensors) - len(shown), page)


def _more(number: int, page: Page) -> None:
    page.line(
        (f"  … {words.plural(number, 'more tensor')}: --all shows them, --filter 'encoder*' some", "warning")
    )


def _columns(lines: Sequence[tuple[int, str, str, str, str, str]], page: Page) -> None:
    """Rows of (indent, name, dtype, shape, size, marks) in aligned columns; names give way where it gets
    narrow.
    """
    if not lines:
        return
    dtype, shape, size = (max(map(cells, column)) for column in list(zip(*lines, strict=True))[2:5])
    shape = min(shape, 28)
    fixed = dtype + shape + size + 6
    want = max(line[0] + cells(safe(line[1])) for line in lines)
    marks = min(24, max(cells(line[5]) for line in lines))
    name = max(16, min(want, page.width - fixed - marks - 2)) if page.shorten else max(16, want)
    for indent, label, kind, dims, nbytes, mark in lines:
        shown = page.clipped(label, max(8, name - indent))
        group = not kind
        start = name + dtype + shape + size + 8
        page.line(
            " " * indent,
            (shown, "bold" if group else ""),
            " " * (name - indent - cells(shown) + 2),
            (kind.ljust(dtype), "dim"),
            "  ",
            page.clipped(dims, shape).ljust(shape),
            "  ",
            (nbytes.rjust(size), "dim" if group else ""),
            "  ",
            (page.clipped(mark, max(12, page.width - start)), "note"),
        )


def _totals(document: Mapping[str, Any], page: Page) -> None:
    totals = document["totals"]
    page.blank()
    if totals["tensors"] and not document["tensors"]:
        page.line((f"none of the {words.plural(totals['tensors'], 'tensor')} passes the filters", "warning"))
    elif len(document["tensors"]) != totals["tensors"]:
        page.line(
            (f"shown: {len(document['tensors']):,} of {words.plural(totals['tensors'], 'tensor')}", "dim")
        )
    for title, table in (("by role", totals["by_role"]), ("by dtype", totals["by_dtype"])):
        ordered = sorted(table.items(), key=lambda item: -item[1]["nbytes"])
        facts = [
            f"{name} {words.size(row['nbytes'])} ({words.count(row['tensors'])})" for name, row in ordered
        ]
        if facts:
            page.facts(facts, label=(title, "dim"), hang=10)
