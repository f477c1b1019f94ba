"""A page that needs nothing but itself: no script, no font, no address. Light and dark, narrow and wide, and on paper.

All text that comes from a record passes through :func:`esc`. The page forbids itself to load anything (a
Content-Security-Policy of ``default-src 'none'``), so that even a hole in that would reach nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from .escape import safe

__all__ = ["cell", "details", "esc", "listed", "page", "table"]


def esc(text: object) -> str:
    """Text for HTML: control characters, bidirectional overrides and the like as escapes, then ``& < > " '``."""
    return escape(safe(text), quote=True)


def cell(text: object, kind: str = "") -> str:
    """A cell of a table; ``kind`` is a class of the page (``num``, ``dim``, ``error`` ...), never text of a record."""
    return f'<td class="{kind}">{esc(text)}</td>' if kind else f"<td>{esc(text)}</td>"


def table(heads: Sequence[str], rows: Iterable[str], *, numbers: Iterable[int] = ()) -> str:
    """A table that scrolls by itself where it is too wide; ``rows`` are made of :func:`cell`, ``numbers`` are columns of
    numbers."""
    right = set(numbers)
    made = "".join(
        f'<th class="num">{esc(head)}</th>' if n in right else f"<th>{esc(head)}</th>"
        for n, head in enumerate(heads)
    )
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{made}</tr></thead><tbody>{body}</tbody></table></div>'


def details(summary: str, inner: str, *, open: bool = False) -> str:
    """What unfolds on a click; ``inner`` is HTML, ``summary`` text."""
    return f"<details{' open' if open else ''}><summary>{esc(summary)}</summary>{inner}</details>"


def listed(items: Iterable[object]) -> str:
    """A list of texts."""
    return "<ul>" + "".join(f"<li>{esc(item)}</li>" for item in items) + "</ul>"


def page(title: str, body: str) -> str:
    """The whole document."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{esc(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


_LIGHT = (
    "--ink:#1c2330;--soft:#5b6575;--faint:#8b94a3;--page:#f6f7f9;--card:#fff;--edge:#dfe3e9;--grid:#e9ecf1;"
    "--good:#14804a;--warn:#9a5b00;--bad:#c0262d;--c0:#2f6fdb;--c1:#d9730d;--c2:#12946a;--c3:#c2348f;--c4:#7a4fd0;"
    "--c5:#0f8ea8;--c6:#7f8c00;--c7:#b5462f;--c8:#6b7688;--star:#e0a100"
)
_DARK = (
    "--ink:#e6e9ef;--soft:#a3adbd;--faint:#7c8798;--page:#12161d;--card:#1a202a;--edge:#2c3542;--grid:#262e3a;"
    "--good:#4cc38a;--warn:#e2a63b;--bad:#ff7b7b;--c0:#6ea8ff;--c1:#ffa552;--c2:#3ddba4;--c3:#ff7fcb;--c4:#b493ff;"
    "--c5:#48cbe6;--c6:#c8d44a;--c7:#ff9177;--c8:#9aa6b8;--star:#ffd24a"
)
_COLORS = "".join(
    f".c{n}{{--c:var(--c{n})}}" for n in range(9)
)  # one variable for strokes, fills and swatches
_STYLE = (
    f":root{{color-scheme:light dark;{_LIGHT}}}"
    f"@media(prefers-color-scheme:dark){{:root{{{_DARK}}}}}"
    "*{box-sizing:border-box}"
    "body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,"
    "'Helvetica Neue',Arial,sans-serif}"
    "main{max-width:1120px;margin:0 auto;padding:28px 20px 60px}"
    "h1{font-size:24px;line-height:1.25;margin:0 0 4px;overflow-wrap:anywhere}"
    "h2{font-size:17px;margin:38px 0 10px}h3{font-size:14px;margin:0 0 6px;overflow-wrap:anywhere}"
    "p{margin:4px 0 10px}.sub,.none,.dim{color:var(--soft)}"
    "code,pre,.mono{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:13px}"
    ".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(165px,1fr));gap:12px;margin:18px 0 4px}"
    ".tile,.card{background:var(--card);border:1px solid var(--edge);border-radius:8px;padding:12px 14px;min-width:0}"
    ".tile b{display:block;font-size:20px;font-weight:600;line-height:1.3;overflow-wrap:anywhere}"
    ".tile span{color:var(--soft);font-size:13px;overflow-wrap:anywhere}"
    ".grid2{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr));gap:14px}"
    "svg{display:block;width:100%;height:auto;overflow:visible}"
    ".line{fill:none;stroke:var(--c);stroke-width:1.8;stroke-linejoin:round}"
    ".line.dense{stroke-width:1.1}"
    ".line.aside{stroke-width:1.4;stroke-dasharray:4 4;opacity:.6}"
    ".dot{fill:var(--c);stroke:transparent;stroke-width:9;pointer-events:all}.dot.aside{opacity:.55}"
    ".node{stroke:var(--c);stroke-width:1.6;fill:var(--c)}.node.gone{fill:var(--card)}.edge{stroke:var(--c);fill:none;"
    "stroke-width:1.6}.edge.jump{stroke-dasharray:3 3}"
    ".bar{fill:var(--c)}.grid{stroke:var(--grid)}.base{stroke:var(--edge)}.axis{fill:var(--soft);font-size:11px}"
    ".star{fill:var(--star);stroke:var(--card);stroke-width:1}.ring{fill:none;stroke:var(--ink);stroke-width:1.4}"
    ".bad{fill:var(--bad);font-size:16px;font-weight:700}"
    ".legend{display:flex;flex-wrap:wrap;gap:3px 14px;margin:8px 0 0;padding:0;list-style:none;font-size:13px}"
    ".legend li{overflow-wrap:anywhere;min-width:0}"
    ".swatch{display:inline-block;width:14px;height:3px;border-radius:2px;background:var(--c);vertical-align:middle;"
    "margin-right:6px}.swatch.aside{background:none;border-top:2px dashed var(--c);height:0}"
    ".wide{overflow-x:auto;border:1px solid var(--edge);border-radius:8px;background:var(--card)}"
    "table{border-collapse:collapse;width:100%;font-size:13.5px}"
    "th,td{text-align:left;padding:6px 11px;border-bottom:1px solid var(--grid);vertical-align:top;white-space:nowrap}"
    "td.text{white-space:normal;min-width:220px;overflow-wrap:anywhere}tbody tr:last-child td{border-bottom:0}"
    "th{color:var(--soft);font-weight:600}.num{text-align:right;font-variant-numeric:tabular-nums}"
    ".good{color:var(--good)}.warning{color:var(--warn)}.error{color:var(--bad)}.note{color:var(--soft)}"
    "td.error,td.warning,td.good{font-weight:600}"
    "details{margin:8px 0;background:var(--card);border:1px solid var(--edge);border-radius:8px;padding:8px 14px}"
    "summary{cursor:pointer;overflow-wrap:anywhere}details ul{margin:8px 0;padding-left:20px}li{overflow-wrap:anywhere}"
    "footer{margin-top:44px;color:var(--soft);font-size:13px;border-top:1px solid var(--edge);padding-top:12px}"
    f"{_COLORS}"
    "@media print{:root{color-scheme:light;"
    + _LIGHT
    + ";--page:#fff}body{font-size:10pt}main{max-width:none;padding:0}"
    ".card,.tile,tr,details{break-inside:avoid}.wide{overflow:visible}table{font-size:7.5pt}td,th{padding:3px 5px}"
    ".grid2{grid-template-columns:1fr 1fr}td.text{min-width:0}td.mono{font-size:inherit}h2,h3,h2+p{break-after:avoid}}"
)
