"""``run`` in a notebook: the watched calls as a table, with what was found of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .html import esc

__all__ = ["run_html"]

_COLORS = {"error": "#c62828", "warning": "#b26a00", "note": "#1565c0", None: "#2e7d32"}
_MARK = {"error": "✘", "warning": "!", "note": "·", None: "✔"}
_CELL = "padding:.2em .8em .2em 0;text-align:left;vertical-align:top"


def run_html(document: Mapping[str, Any]) -> str:
    """A fragment of HTML that stands by itself: no script, no style sheet, every text escaped."""
    rows = "".join(_row(call) for call in document["calls"])
    if not rows:
        return "<p>holdfast: no load and no save was watched yet</p>"
    head = "".join(f'<th style="{_CELL}">{esc(word)}</th>' for word in ("", "line", "call", "what it did"))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _row(call: Mapping[str, Any]) -> str:
    worst = "error" if call["error"] else call["worst"]
    said = [esc(text) for text in (call["error"], call["sentence"]) if text]
    for finding in call["findings"]:
        color = _COLORS[finding["severity"]]
        text = f'<span style="color:{color}">{esc(finding["code"])}</span> {esc(finding["message"])}'
        if finding["remedy"]:
            text += f"<br><i>{esc(finding['remedy'])}</i>"
        said.append(text)
    path = f"<br>{esc(call['path'])}" if call["path"] else ""
    mark = f'<span style="color:{_COLORS[worst]}">{_MARK[worst]}</span>'
    cells = (mark, esc(call["site"]), f"<code>{esc(call['api'])}</code>{path}", "<br>".join(said))
    return "<tr>" + "".join(f'<td style="{_CELL}">{text}</td>' for text in cells) + "</tr>"
