"""``doctor`` and ``verify`` for people: a headline that stands alone, then evidence, cause, and what to
type next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .._core.shell import quote
from . import words
from .escape import cells, safe
from .finding_text import draw_finding
from .page import Page

__all__ = ["draw", "summary"]

_MARK = {
    "sound": ("✔", "good"),
    "repairable": ("✘", "warning"),
    "damaged": ("✘", "error"),
    "lost": ("✘", "error"),
    "unknown": ("?", "warning"),
}
_PROOF = {
    "sealed": "every byte is proved by its seal",
    "checksums": "the bytes of all tensors match their checksums",
    "partial": "checksums cover part of the bytes",
    "structure-only": "structure only, the files carry no checksums",
}
_JUDGED = {
    "sealed": "judged by its seal",
    "checksums": "judged by its checksums",
    "partial": "judged by checksums over part of the bytes",
    "structure-only": "judged by structure, the files carry no checksums",
}
_ORDER = ("sound", "unknown", "repairable", "damaged", "lost")


def draw(document: Mapping[str, Any], page: Page, *, quiet: bool = False, verbose: bool = False) -> None:
    """Write a ``doctor``, ``verify`` or ``scrub`` document onto ``page``. ``quiet`` leaves sound ones out."""
    checkpoints = document["checkpoints"]
    verify = document["command"] in ("verify", "scrub")
    for checkpoint in checkpoints:
        told = bool(checkpoint["findings"]) and not _only_notes(checkpoint)
        if quiet and checkpoint["verdict"] == "sound" and not told:
            continue
        _checkpoint(checkpoint, page, verify=verify, verbose=verbose, alone=len(checkpoints) == 1)
    if len(checkpoints) > 1:
        page.blank()
        page.line((summary(checkpoints), "bold"))
        _next(checkpoints, page, verify=verify)
    left = document.get("left")
    if left and not quiet:
        more = f" and {len(left) - 3:,} more" if len(left) > 3 else ""
        page.wrapped(f"for a later scrub: {', '.join(left[:3])}{more}", style="dim")


def summary(checkpoints: Sequence[Mapping[str, Any]]) -> str:
    """``12 checkpoints: 9 sound, 2 damaged, 1 unknown``."""
    counts = [(v, sum(c["verdict"] == v for c in checkpoints)) for v in _ORDER]
    told = ", ".join(f"{words.count(number)} {verdict}" for verdict, number in counts if number)
    return f"{words.plural(len(checkpoints), 'checkpoint')}: {told}"


def _next(checkpoints: Sequence[Mapping[str, Any]], page: Page, *, verify: bool) -> None:
    """After many: what to type to see more of those that were told in a line."""
    unread = next((c for c in checkpoints if _unread(c)), None)
    if unread is not None:
        page.line(("what reads the others: ", "dim"), (f"holdfast doctor {quote(unread['path'])}", "command"))


def _unread(c: Mapping[str, Any]) -> bool:
    """Known by its content, and without a reader."""
    return c["verdict"] == "unknown" and any(f["slug"] == "not-readable" for f in c["findings"])


def _called(c: Mapping[str, Any]) -> str:
    """The verdict as a person says it."""
    if _live(c):
        return "ready" if c["verdict"] == "sound" else "not ready"
    if "fits" in c["attributes"]:
        return ("fits" if c["attributes"]["fits"] else "does not fit") + f" · file {c['verdict']}"
    if c["verdict"] != "unknown":
        return str(c["verdict"])
    slugs = {f["slug"] for f in c["findings"]}
    if _unread(c) or "unreadable" in slugs:
        return "not read"
    return "not recognised" if not slugs or "not-recognised" in slugs else "no checkpoint here"


def _only_notes(checkpoint: Mapping[str, Any]) -> bool:
    return all(f["severity"] == "note" for f in checkpoint["findings"])


def _checkpoint(c: Mapping[str, Any], page: Page, *, verify: bool, verbose: bool, alone: bool) -> None:
    quiet = c["verdict"] == "sound" or _unread(c)
    brief = quiet and _only_notes(c) and not alone and not verbose
    if not brief:
        page.blank()
    mark, style = _MARK[c["verdict"]]
    if c["attributes"].get("fits") is False:
        mark, style = _MARK["damaged"]
    told = [_called(c), _proof(c)]
    if brief and _unread(c):
        told.append(f"{c['format']}: known by its content, and this version has no reader for it")
    for severity in ("error", "warning", "note"):
        number = sum(f["severity"] == severity for f in c["findings"])
        if number and (brief or not alone) and not (brief and _unread(c)):
            told.append(words.plural(number, severity))
    more = [t for t in told[1:] if t]
    wide = cells(mark) + cells(safe(c["path"])) + cells(" · ".join([told[0], *more])) + 3
    beside = "".join(f" · {t}" for t in more)
    if page.shorten and wide > page.width:  # a terminal would break the line anywhere
        page.line((mark, style), " ", (c["path"], "path"), "  ", (told[0], style))
        page.wrapped(" · ".join(more), indent=2, style="dim")
    else:
        page.line((mark, style), " ", (c["path"], "path"), "  ", (told[0], style), (beside, "dim"))
    if brief:
        return
    facts = [c["format"] or "no checkpoint format that Holdfast knows"]
    if c["tensors"]:
        facts += [words.plural(c["tensors"], "tensor"), words.size(c["nbytes"])]
    if c["writer"]:
        facts.append(f"written by {c['writer']}")
    page.facts(facts, indent=2, style="dim")
    if c["resolved"]:
        page.wrapped(c["resolved"], indent=2, style="dim")
    for finding in c["findings"]:
        draw_finding(finding, page, c["path"], verbose=verbose)
    page.blank()
    _left(c, page, verbose)
    _fit(c, page, verbose)
    if verify or verbose:
        _evidence(c, page, verbose)
    _looked(c, page, verbose)
    if alone and c["verdict"] == "sound" and c["proof"] != "sealed" and _depth(c) == "full" and _sealable(c):
        page.wrapped("a seal beside it makes every byte provable:", indent=2, label=("next", "dim"), hang=15)
        page.line(" " * 19, (f"holdfast seal {quote(c['path'])}", "command"))
    page.blank()


def _live(c: Mapping[str, Any]) -> bool:
    return bool(c["format"] == "live")


def _sealable(c: Mapping[str, Any]) -> bool:
    """No live objects, and no step of a vault, whose record is its seal."""
    return c["format"] not in ("live", "holdfast-step")


def _depth(c: Mapping[str, Any]) -> str:
    return str(c["attributes"].get("depth") or "full")


def _proof(c: Mapping[str, Any]) -> str:
    if c["verdict"] in ("unknown", "lost") or _live(c):
        return ""
    if _depth(c) != "full":
        return f"structure only, checksums and values not looked at (depth {_depth(c)})"
    if c["verdict"] == "sound" and c["proof"] == "partial" and c["bytes_total"]:
        return f"checksums cover {words.share(c['bytes_proved'], c['bytes_total'])} of the bytes"
    return (_PROOF if c["verdict"] == "sound" else {**_PROOF, **_JUDGED})[c["proof"]]


# -- what is left, what was looked at ------------------------------------------------------------------------
def _left(c: Mapping[str, Any], page: Page, verbose: bool) -> None:
    loads, lost = c["loads"], c["lost"]
    if c["verdict"] == "sound" or (loads is None and lost is None):
        return
    most = 50 if verbose else 4
    if loads is not None:
        total = len(loads) + len(lost or ())
        text = f"{words.count(len(loads))} of {words.plural(total, 'tensor')}" if total else "nothing"
        if loads and lost:
            text += f": {words.some(loads, most)}"
        if loads and any(
            f["slug"] == "checksum" and not f["tensors"] and not f["where"]["tensor"] for f in c["findings"]
        ):
            text += "; which of them were changed the checksum does not tell, so trust none"
        page.wrapped(text, indent=2, label=("still loads", "good" if loads else "error"), hang=15)
    if lost:
        page.wrapped(
            f"{words.count(len(lost))}: {words.some(lost, most)}", indent=2, label=("lost", "error"), hang=15
        )


def _fit(c: Mapping[str, Any], page: Page, verbose: bool) -> None:
    """``check``: how much would be restored, the edits that settle the rest, and the next step."""
    about = c["attributes"]
    if "next_step" not in about:
        return
    if "fits" in about:
        good = bool(about["fits"])
        text = f"{words.count(about['restores'])} of {words.plural(about['of'], 'live tensor')} would be restored"
        lost = about.get("lost", 0)
        if lost:
            text += f"; {words.count(lost)} more {'is' if lost == 1 else 'are'} lost in the file"
        if not good:
            text += "; a restore refuses until the errors are settled"
        page.wrapped(
            text,
            indent=2,
            label=("fits" if good else "does not fit", "good" if good and not lost else "error"),
            hang=15,
        )
        others = [
            f"{row['name']} ({words.plural(row['tensors'], 'tensor')})" for row in about.get("others") or ()
        ]
        if others:
            text = f"{words.some(others, 20 if verbose else 4)}: not asked for"
            page.wrapped(text, indent=2, label=("also there", "dim"), hang=15)
        label = "settled by"
        for edit in about.get("plan") or ():
            page.wrapped(str(edit), indent=2, label=(label, "dim"), hang=15)
            label = " "
    runs = about["next_step"] == "the next step will run"
    fails = "the next step will fail" in about["next_step"]
    unsure = not fails and (
        not about.get("fits", True)
        or about["next_step"].startswith(("no optimizer", "the next step will run, but"))
    )
    style = "good" if runs else "warning" if unsure else "error"
    page.wrapped(about["next_step"], indent=2, label=("next step", style), hang=15)


def _evidence(c: Mapping[str, Any], page: Page, verbose: bool) -> None:
    """What proved the bytes, as ``verify`` found it, and what nothing proves."""
    proved, total = c["bytes_proved"], c["bytes_total"]
    if total:
        text = f"{words.size(proved)} of {words.size(total)} ({words.share(proved, total)})"
        page.wrapped(text, indent=2, label=("proved", "dim"), hang=15)
    by_kind: dict[str, list[int]] = {}
    for row in c["attributes"].get("evidence") or ():
        if isinstance(row, dict):
            tally = by_kind.setdefault(str(row.get("kind", "?")), [0, 0])
            tally[0] += int(row.get("count") or 1)
            tally[1] += int(row.get("bytes") or row.get("nbytes") or 0)
    label = "by"
    for kind, (number, nbytes) in by_kind.items():
        page.wrapped(
            f"{kind}: {words.plural(number, 'check')} over {words.size(nbytes)}",
            indent=2,
            label=(label, "dim"),
            hang=15,
        )
        label = " "
    without = c["attributes"].get("without") or ()
    if without:
        text = words.some([str(item) for item in without], 50 if verbose else 4)
        page.wrapped(text, indent=2, label=("no evidence", "warning"), hang=15)


def _looked(c: Mapping[str, Any], page: Page, verbose: bool) -> None:
    for label, sentences in (
        ("looked at", c["looked_at"] if verbose else ()),
        ("not looked at", c["not_looked_at"]),
    ):
        shown = sentences if verbose else sentences[:5]
        name = label
        for sentence in shown:
            page.wrapped(sentence, indent=2, label=(name, "dim"), hang=15, style="dim")
            name = " "
        if len(sentences) > len(shown):
            page.line(" " * 17, (f"and {len(sentences) - len(shown)} more (--verbose shows all)", "dim"))
