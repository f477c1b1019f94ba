"""One finding for people: severity and code, message, place, evidence, cause, and what to type next."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from . import words
from .escape import cells, safe
from .page import Page

__all__ = ["draw_finding"]

_PROGRAMS = (
    "holdfast ",
    "git ",
    "huggingface-cli ",
    "hf ",
    "curl ",
    "wget ",
    "pip ",
    "python ",
    "gunzip ",
    "unzip ",
)
_LAST = re.compile(r"([:.,]?)\s*`([^`]+)`\.?$")
_LABEL = 10
_IN_BYTES = ("truncated", "trailing-bytes", "hole")
"""Rules whose evidence, where it is a number, counts bytes."""
_FOR_MACHINES = frozenset(
    {
        "errno",
        "kind",
        "latest",
        "missing",
        "names",
        "part",
        "part_bytes",
        "parts",
        "paths",
        "places",
        "suffix",
        "was",
        "writer",
    }
)
"""Evidence that the headline says in words; in JSON always, in text under --verbose."""


def draw_finding(f: Mapping[str, Any], page: Page, path: str, *, verbose: bool) -> None:
    """One finding: severity and code, message, place, evidence, what to do. ``path``: what need not be said again."""
    page.blank()
    page.line("  ", (f["severity"], f["severity"]), " ", (f["code"], "bold"), " ", (f["slug"], "dim"))
    page.wrapped(words.grouped(f["message"]), indent=4, style="bold" if f["severity"] == "error" else "")
    where = f["where"]
    place = _place(where, path)
    if place:
        _field(page, "at", place)
    for name in ("seen", "expected"):
        if f["evidence"].get(name) is not None:
            _field(page, name, _evidence_text(f["evidence"][name], verbose, in_bytes=f["slug"] in _IN_BYTES))
    more = [
        f"{name.replace('_', ' ')} {_evidence_text(value, verbose, in_bytes=name in ('size', 'length'))}"
        for name, value in f["evidence"].items()
        if name not in ("seen", "expected")
        and value not in (None, [], {}, "")
        and name != "framework"
        and (verbose or name not in _FOR_MACHINES)
    ]
    if more:
        page.facts(more, indent=6, label=("evidence", "dim"), hang=_LABEL)
    if len(f["tensors"]) > 1 or (f["tensors"] and f["tensors"][0] != where["tensor"]):
        most = 20 if verbose else 3
        _field(page, "tensors", f"{words.count(len(f['tensors']))}: {words.some(f['tensors'], most)}")
    if f["evidence"].get("framework"):
        _field(page, "otherwise", str(f["evidence"]["framework"]))
    if f["cause"]:
        _field(page, "cause", f["cause"].replace("-", " "))
    if f["edit"]:
        loss = {True: " (lossless)", False: " (loses data)"}.get(f["lossless"], "")
        _field(page, "edit", f"{f['edit']}{loss}")
    if f["remedy"]:
        _remedy(f["remedy"], page)
    _related(f["related"], f["code"], page, verbose)


def _place(where: Mapping[str, Any], path: str) -> str:
    parts = []
    if where["file"] is not None and (where["file"] != path or where["offset"]):
        parts.append(str(where["file"]))
    if where["offset"] is not None and (where["offset"] or parts):
        parts.append(f"byte {words.count(where['offset'])}")
    if where["tensor"] is not None:
        parts.append(f"tensor {where['tensor']}")
    return ", ".join(parts)


def _evidence_text(value: Any, verbose: bool, *, in_bytes: bool = False) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        if in_bytes:
            return words.plural(value, "byte")
        if abs(value) >= 10_000:
            return words.count(value)
    if isinstance(value, dict):
        return _pairs(value, verbose)
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return words.some([_pairs(item, verbose) for item in value], 50 if verbose else 4)
    if isinstance(value, list) and not verbose and len(value) > 6:
        return words.some([words.value(item, 60) for item in value], 6)
    return words.grouped(words.value(value, 2000 if verbose else 240))


def _pairs(value: Mapping[str, Any], verbose: bool) -> str:
    """``encoder/kernel: 1 of 2``; a name in a pickle as ``module.Class at byte 304``."""
    if {"module", "name"} <= value.keys():
        place = f" at byte {words.count(value['position'])}" if isinstance(value.get("position"), int) else ""
        return f"{value['module']}.{value['name']}{place}"
    told = [f"{key}: {words.value(item, 2000 if verbose else 60)}" for key, item in value.items()]
    return words.some(told, 50 if verbose else 6)


def _field(page: Page, name: str, text: str, style: str = "") -> None:
    shown = name.replace("_", " ")
    hang = max(_LABEL, cells(safe(shown)) + 1)
    page.wrapped(text, indent=6, label=(shown, "dim"), hang=hang, style=style)


def _remedy(remedy: str, page: Page) -> None:
    """The advice; a command at its end (between backticks) stands on a line of its own, ready to paste."""
    text, command = remedy.strip(), ""
    match = _LAST.search(text)
    if match is not None and (match[1] == ":" or match[2].startswith(_PROGRAMS)):
        text, command = text[: match.start()].rstrip() + match[1], match[2]
    elif text.startswith(_PROGRAMS) and "\n" not in text and "`" not in text and not text.endswith("."):
        text, command = "", text
    label = "next"
    for paragraph in filter(None, text.split("\n")):
        _field(page, label, paragraph)
        label = " "
    if command:
        page.line(" " * 6, (label.ljust(_LABEL), "dim"), ("  " if text else ""), (command, "command"))


def _related(related: Sequence[Mapping[str, Any]], code: str, page: Page, verbose: bool) -> None:
    if not related:
        return
    # Those of the same rule are in the headline's own count.
    others = [other for other in related if other["code"] != code]
    if not verbose and not others:
        return
    shown = related if verbose else others[:3]
    related = related if verbose else others
    _field(
        page,
        "so also",
        words.plural(len(related), "finding that follows", "findings that follow") + " from this one",
    )
    for other in shown:
        page.wrapped(
            f"{other['code']} {other['slug']}: {words.grouped(other['message'])}",
            indent=6 + _LABEL,
            style="dim",
        )
    if len(related) > len(shown):
        page.line(" " * (6 + _LABEL), (f"and {len(related) - len(shown)} more (--verbose shows all)", "dim"))
