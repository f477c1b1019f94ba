"""The report over a run as one page: metrics, lines, what saving cost, norms, findings, environment, all checkpoints."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .._core.words import plural
from . import words
from .history_plots import cost_plots, lineage_tree, metric_plots, norm_plot
from .history_text import as_number, gone, number, seconds
from .html import cell, details, esc, listed, page, table

__all__ = ["page_of"]

_FAMILIES = 24
"""Plots of metrics; the table has the rest."""
_COLUMNS = 8
_RANK = {"error": 0, "warning": 1, "note": 2}
_STYLES = {
    "sound": "good",
    "repairable": "warning",
    "damaged": "error",
    "lost": "error",
    "unknown": "warning",
}


def page_of(document: Mapping[str, Any]) -> str:
    """A ``history`` document with its ``report`` as HTML. Nothing of the document is trusted: every text is escaped."""
    name = document["path"].rstrip("/").rpartition("/")[2] or document["path"]
    sections = [
        _head(document, name),
        _metrics(document),
        _lines(document),
        _cost(document),
        _numbers(document),
        _findings(document),
        _environment(document),
        _all(document),
        _foot(document),
    ]
    return page(f"{name}: checkpoints", "\n".join(section for section in sections if section))


# -- head ------------------------------------------------------------------------------------------------------------
def _head(document: Mapping[str, Any], name: str) -> str:
    tiles = "".join(
        f'<div class="tile"><span>{esc(label)}</span><b{f" class={kind}" if kind else ""}>{esc(value)}</b>'
        f"<span>{esc(more)}</span></div>"
        for label, value, more, kind in _tiles(document)
    )
    return f'<h1>{esc(name)}</h1><p class="sub">{esc(document["path"])}</p><div class="tiles">{tiles}</div>'


def _tiles(document: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    there = document["checkpoints"]
    deleted = sum(c["why"] != "damaged" for c in document["dropped"])
    more = f"{deleted:,} more were dropped" if deleted else "none was ever dropped"
    yield "checkpoints", f"{len(there):,}", f"{more}; {words.size(sum(c['nbytes'] for c in there))}", ""
    newest = next((c for c in reversed(there) if not c["fault"]), None)
    if newest is not None:
        yield "latest", f"step {newest['step']:,}", _when(newest["created"]), ""
    bad = [
        name for name, f in document["report"]["findings"].items() if f.get("verdict") not in ("sound", None)
    ]
    faults = [c["name"] for c in there if c["fault"]]
    trouble = sorted({*bad, *faults})
    numbers = document["report"]["numbers"]
    wrong = [
        name
        for name, n in numbers.items()
        if (n["nan"]["count"] or n["inf"]["count"]) and name not in trouble
    ]
    checked = sum(bool(c["last_verified"]) for c in there)
    if trouble or wrong:
        told = [f"{len(trouble):,} not sound"] if trouble else []
        told += [f"{len(wrong):,} with NaN"] if wrong else []
        yield "health", ", ".join(told), words.some([*trouble, *wrong], 2), "error"
    else:
        more = f"{checked:,} of {len(there):,} verified since they were saved"
        yield "health", "no damage seen", more, "good"
    for m in [m for m in document["metrics"] if m["best"] is not None][:2]:
        best = m["best"]
        yield (
            f"best {m['name']}",
            number(best["value"]),
            f"at step {best['step']:,}; last {number(m['last'])}",
            "",
        )
    stall = document["saves"].get("stall")
    if stall:
        yield "stall of a save", seconds(stall["median"]), f"median; most {seconds(stall['most'])}", ""


def _few_digits(value: Any) -> str:
    found = as_number(value)
    return f"{found:.4g}" if found is not None and math.isfinite(found) else number(value)


def _when(created: str | None) -> str:
    """``2026-11-21 09:30 UTC``."""
    return f"{created[:10]} {created[11:16]} UTC" if created else ""


# -- sections --------------------------------------------------------------------------------------------------------
def _section(title: str, inner: str, said: str = "") -> str:
    text = f'<p class="sub">{esc(said)}</p>' if said else ""
    return f"<section><h2>{esc(title)}</h2>{text}{inner}</section>"


def _metrics(document: Mapping[str, Any]) -> str:
    cards = metric_plots(document, _FAMILIES)
    if not cards:
        return _section("Metrics", '<p class="none">No checkpoint has a metric.</p>')
    unknown = [m["name"] for m in document["metrics"] if m["kinds"] == ["unspecified"]]
    said = "A star is the best, a ring a checkpoint from which another line of training went on, × a value that is no finite "
    said += "number. Dropped checkpoints are in the curves."
    if unknown:
        said += f" What was measured of which state is not recorded for {words.some(unknown, 4)}."
    return _section(
        "Metrics over checkpoints", f'<div class="grid2">{"".join(cards)}</div>{_kinds(document)}', said
    )


def _kinds(document: Mapping[str, Any]) -> str:
    told = [m for m in document["metrics"] if m["kinds"] != ["unspecified"]]
    if not told:
        return ""
    return details("What these numbers are", listed(f"{m['name']}: {', '.join(m['kinds'])}" for m in told))


def _lines(document: Mapping[str, Any]) -> str:
    lineages = document["lineages"]
    if len(lineages) < 2 and not document["set_aside"]:
        return ""
    told = []
    for n, entry in enumerate(lineages):
        begun = f"continues {entry['continues']}" if n and entry["continues"] else "the first"
        told.append(
            f"lineage {entry['lineage']}: {begun}; {plural(entry['steps'], 'save')} from {entry['first']} to {entry['last']}"
            f", {entry['live']:,} still there"
        )
    told += [f"{name}: damaged, set aside" for name in document["set_aside"]]
    said = "A new line begins where training went on from a checkpoint that was not the newest: chosen, or because newer ones "
    said += "were damaged or of another model. Hollow: dropped; ×: damaged."
    return _section(
        "Lines of training", f'<div class="card">{lineage_tree(document)}</div>{listed(told)}', said
    )


def _cost(document: Mapping[str, Any]) -> str:
    plots = cost_plots(document)
    saves = document["saves"]
    if not plots or "stall" not in saves:
        return ""
    said = f"Training stood still for {seconds(saves['stall']['sum'])} in all. "
    if saves["bytes_reused"]:
        said += f"{words.share(saves['bytes_reused'], saves['bytes'])} of the bytes were reused from the step before. "
    return _section("What saving cost", f'<div class="grid2">{"".join(plots)}</div>', said)


def _numbers(document: Mapping[str, Any]) -> str:
    report = document["report"]
    if not report["numbers"]:
        return ""
    rows = []
    unfolded = []
    for name, n in report["numbers"].items():
        if n["fault"]:
            rows.append(cell(name, "mono") + f'<td class="text error" colspan="6">{esc(n["fault"])}</td>')
            continue
        wrong = [n[word]["count"] for word in ("nan", "inf", "dead")]
        rows.append(
            cell(name, "mono")
            + cell(number(n["norm"]) if n["norm"] is not None else "", "num")
            + "".join(
                cell(f"{count:,}", "num error" if count and k < 2 else "num warning" if count else "num dim")
                for k, count in enumerate(wrong)
            )
            + cell(f"{n['still']['count']:,}", "num dim")
            + cell(f"{n['tensors']:,}", "num dim")
        )
        if n["unread"]:
            unfolded.append(
                details(
                    f"{name}: not readable", listed(f"{k}: {v}" for k, v in n["unread"].items()), open=True
                )
            )
    unfolded = [*_kinds_of_wrong(report["numbers"]), *unfolded]
    heads = ("checkpoint", "norm of all weights", "NaN", "infinite", "all zero", "unchanged", "tensors read")
    said = "Numbers of tensors. Unchanged: trainable weights with the values of the checkpoint before."
    inner = (
        norm_plot(document)
        + f"<h3 style='margin-top:18px'>{esc('Tensors that are not finite, dead, or stand still')}</h3>"
    )
    inner += (
        f'<p class="sub">{esc(said)}</p>'
        + table(heads, rows, numbers=range(1, 7))
        + _few("tensors", unfolded)
    )
    return _section(
        "Norms of weights",
        inner,
        "L2 norms of the largest layers, as multiples of the first shown; checkpoints of the newest line that lie there.",
    )


def _kinds_of_wrong(numbers: Mapping[str, Any]) -> Iterator[str]:
    """Which tensors are not as they should be, each once with the checkpoints in which it is."""
    for word, text in (("nan", "NaN"), ("inf", "infinite values"), ("dead", "nothing but zeros")):
        where: dict[str, list[str]] = {}
        for checkpoint, n in numbers.items():
            for tensor in () if n["fault"] else n[word]["tensors"]:
                where.setdefault(tensor, []).append(checkpoint)
        if where:
            said = (
                f"{tensor}: in {plural(len(found), 'checkpoint')}, from {found[0]}"
                + (f" to {found[-1]}" if len(found) > 1 else "")
                for tensor, found in where.items()
            )
            yield details(f"{plural(len(where), 'tensor')} with {text}", listed(said), open=word != "dead")


def _few(what: str, parts: Sequence[str], most: int = 12) -> str:
    """The first of many unfolding parts; the rest in one."""
    if len(parts) <= most:
        return "".join(parts)
    return "".join(parts[:most]) + details(
        f"{len(parts) - most:,} more of such {what}", "".join(parts[most:])
    )


def _findings(document: Mapping[str, Any]) -> str:
    report = document["report"]
    rows = []
    for c in document["checkpoints"]:
        found = report["findings"].get(c["name"])
        check = c["last_verified"]
        verified = f"{check['verdict']}, {check['at']}" if check else "never"
        if c["fault"] or found is None:
            rows.append(
                cell(c["name"], "mono")
                + cell("damaged", "error")
                + cell("")
                + cell(verified)
                + f'<td class="text">{esc(c["fault"] or "")}</td>'
            )
            continue
        verdict = str(found.get("verdict", "unknown"))
        codes: dict[str, int] = {}
        for f in found["findings"]:
            codes[f"{f['code']} {f['slug']}"] = codes.get(f"{f['code']} {f['slug']}", 0) + 1
        said = ", ".join(f"{code}" + (f" × {count:,}" if count > 1 else "") for code, count in codes.items())
        said = said or found.get("fault") or "nothing found"
        rows.append(
            cell(c["name"], "mono")
            + cell(verdict, _STYLES.get(verdict, ""))
            + cell(found.get("proof", ""))
            + cell(verified)
            + f'<td class="text{"" if codes else " dim"}">{esc(said)}</td>'
        )
    left = sorted({text for f in report["findings"].values() for text in f.get("not_looked_at", ())})
    said = f"The doctor's look at each checkpoint, depth {report['depth']}."
    note = details("What the doctor did not look at", listed(left)) if left else ""
    heads = ("checkpoint", "verdict", "proof", "last verified", "findings")
    return (
        _section("Health", table(heads, rows) + _each_finding(report["findings"]) + note, said)
        if rows
        else ""
    )


def _each_finding(findings: Mapping[str, Any]) -> str:
    """Every finding once, with the checkpoints that have it; the gravest first."""
    where: dict[tuple[str, ...], list[str]] = {}
    first: dict[tuple[str, ...], Mapping[str, Any]] = {}
    for checkpoint, report in findings.items():
        for f in report["findings"]:
            same: tuple[str, ...] = (f["code"], f["slug"], f["severity"], f["message"])
            where.setdefault(same, []).append(checkpoint)
            first.setdefault(same, f)
    parts = []
    for one in sorted(where, key=lambda one: _RANK.get(one[2], 3)):
        f = first[one]
        severity = f["severity"] if f["severity"] in _RANK else ""
        place = f["where"].get("tensor") or f["where"].get("file") or ""
        remedy = f"<br><span class=dim>{esc(f['remedy'])}</span>" if f.get("remedy") else ""
        parts.append(
            f'<p><b class="{severity}">{esc(f["code"])} {esc(f["slug"])}</b> {esc(f["message"])} '
            f'<span class="dim mono">{esc(place)}</span><br>in {esc(words.some(where[one], 4))}{remedy}</p>'
        )
    if not parts:
        return ""
    grave = any(f["severity"] in ("error", "warning") for f in first.values())
    return details(f"{plural(len(parts), 'finding')} in full", "".join(parts), open=grave)


def _environment(document: Mapping[str, Any]) -> str:
    changes = document["report"]["changes"]
    if not changes:
        said = "Every checkpoint was made with the same libraries, devices, settings and code, as far as they are recorded."
        return _section("Environment", "", said)
    rows = []
    for change in changes:
        for n, c in enumerate(change["changes"]):
            between = f"{change['from']} → {change['to']}" if n == 0 else ""
            rows.append(
                cell(between, "mono")
                + cell(c["name"], "warning" if c["matters"] else "")
                + f'<td class="text">{esc(words.value(c["then"], 200))} → {esc(words.value(c["now"], 200))}</td>'
                + f'<td class="text dim">{esc(c["why"])}</td>'
            )
    said = "What differs between one checkpoint and the next, dropped ones included; marked: what can change numbers."
    return _section("Environment", table(("between", "what", "then → now", "why it matters"), rows), said)


# -- all of them -----------------------------------------------------------------------------------------------------
def _all(document: Mapping[str, Any]) -> str:
    names = [m["name"] for m in document["metrics"]][:_COLUMNS]
    best = {m["name"]: m["best"]["step"] for m in document["metrics"] if m["best"] is not None}
    line = set(document["line"]["places"])
    rows = []
    for c in sorted([*document["checkpoints"], *document["dropped"]], key=lambda c: c["place"]):
        state = "damaged" if c["fault"] else gone(c) if c["dropped"] else "pinned" if c["pinned"] else ""
        style = "error" if c["fault"] or c["why"] == "damaged" else "dim"
        values = ""
        for name in names:
            is_best = best.get(name) == c["step"] and c["place"] in line
            value = as_number(c["metrics"].get(name))
            values += cell("" if value is None else number(value), "num good" if is_best else "num")
        stall = c["timings"].get("stall")
        rows.append(
            cell(f"{c['place'] + 1:,}", "num dim") + cell(c["name"], "mono") + cell(_when(c["created"]), "dim")
            + cell(words.size(c["nbytes"]) if c["nbytes"] else "", "num") + values
            + cell("" if stall is None else seconds(stall), "num")
            + cell(c["lineage"], "mono dim") + cell(state, style)
        )  # fmt: skip
    heads = ("save", "checkpoint", "saved", "size", *names, "stall", "lineage", "")
    inner = table(heads, rows, numbers=(0, 3, *range(4, 5 + len(names))))
    more = len(document["metrics"]) - len(names)
    said = (
        f"{more:,} more metrics are not in this table; `holdfast history --format json` has them."
        if more > 0
        else ""
    )
    return _section("All checkpoints", inner, said)


def _foot(document: Mapping[str, Any]) -> str:
    report = document["report"]
    left = report["not_looked_at"]
    gaps = document["line"]["gaps"]
    if gaps:
        left = [*left, f"what {words.some(gaps)} measured: nothing is known of it"]
    note = (
        f"<p>Not looked at:</p>{listed(left)}" if left else "<p>Everything that lies there was looked at.</p>"
    )
    made = f"Made by holdfast {report['holdfast']}, {report['made']}, depth {report['depth']}."
    return f"<footer><p>{esc(made)}</p>{note}</footer>"
