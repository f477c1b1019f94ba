"""The report: balanced, self-contained, and nothing of a record reaches it unescaped."""

from __future__ import annotations

import math
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from holdfast._render.history_html import page_of
from holdfast._render.history_plots import families, restored_from
from holdfast._render.svg import Bar, Line, Point, bar_chart, line_chart, nice_ticks, short, wants_log

VOID = {"meta", "br"}
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=y>\x1b[31m\u202e\n&amp;"


class Checked(HTMLParser):
    """Every tag closed in its order; no script, no handler, no address."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.seen: set[str] = set()
        self.shown = ""
        self.feed(text)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        assert tag not in (
            "script",
            "iframe",
            "object",
            "embed",
            "link",
            "img",
            "image",
            "use",
            "base",
            "form",
            "a",
        )
        for name, value in attrs:
            assert name not in (
                "src",
                "href",
                "xlink:href",
                "srcset",
                "action",
                "data",
            ) and not name.startswith("on")
            assert "url(" not in (value or "") and "//" not in (value or "").replace("aria-label", "")
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.stack.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.stack and self.stack[-1] == "style":
            assert "url(" not in data and "@import" not in data
        else:
            self.shown += data


def row(place: int, step: int, lineage: str = "a", parent: str | None = None, **given: Any) -> dict[str, Any]:
    return {
        "name": f"step-{step:08d}", "step": step, "place": place, "created": "2026-01-02T03:04:05Z", "sequence": place + 1,
        "lineage": lineage, "parent": parent, "variant": "v", "metrics": {}, "measured": {}, "nbytes": 1000,
        "bytes_reused": 400, "timings": {"stall": 0.01, "write": 0.2, "total": 0.3}, "pinned": False, "fault": None,
        "note": None, "last_verified": None, "dropped": None, "why": None, **given,
    }  # fmt: skip


def numbers(**given: Any) -> dict[str, Any]:
    none = {"count": 0, "tensors": []}
    return {
        "norm": 3.0, "layers": {"a": 2.0}, "nan": none, "inf": none, "dead": none, "still": none, "tensors": 4, "unread": {},
        "fault": None, **given,
    }  # fmt: skip


def document(rows: list[dict[str, Any]], names: tuple[str, ...] = ("loss",), **report: Any) -> dict[str, Any]:
    live = [r for r in rows if not r["dropped"]]
    lineages = list(dict.fromkeys(r["lineage"] for r in rows if not r["fault"]))
    line = [r["place"] for r in rows if not r["fault"] and r["lineage"] == lineages[-1]]
    return {
        "command": "history", "path": "runs/net",
        "checkpoints": live, "dropped": [r for r in rows if r["dropped"]],
        "line": {"places": line, "steps": [], "gaps": []},
        "metrics": [
            {"name": n, "values": [], "min": 0.1, "max": 1.0, "last": 0.1, "best": {"value": 0.1, "step": 2, "mode": "min"},
             "not_finite": 0, "kinds": ["unspecified"]} for n in names
        ],
        "lineages": [{"lineage": n, "first": "x", "continues": None, "last": "y", "steps": 1, "live": 1} for n in lineages],
        "saves": {"stall": {"median": 0.01, "most": 0.1, "sum": 1.0}, "bytes": 10, "bytes_reused": 4},
        "set_aside": [], "unfinished": [],
        "report": {
            "made": "2026-01-02T03:04:05Z", "holdfast": "1", "depth": "structure", "not_looked_at": [], "findings": {},
            "layers": ["a"], "numbers": {r["name"]: numbers() for r in live if not r["fault"]}, "changes": [], **report,
        },
    }  # fmt: skip


def test_a_plain_run() -> None:
    rows = [
        row(n, n + 1, parent=f"step-{n:08d}" if n else None, metrics={"loss": 1 / (n + 1)}) for n in range(3)
    ]
    page = page_of(document(rows))
    found = Checked(page)
    assert {"svg", "path", "circle", "table", "style"} <= found.seen
    assert "http:" not in page and "https:" not in page and "default-src 'none'" in page
    wanted = "Metrics over checkpoints|What saving cost|Norms of weights|All checkpoints|step-00000003|Health"
    for text in wanted.split("|"):
        assert text in found.shown, text
    assert page.count('class="star"') == 1
    assert "Lines of training" not in found.shown  # there is one


def test_two_lines_a_damaged_step_and_dropped_ones() -> None:
    rows = [
        row(0, 1, metrics={"loss": 1.0}, dropped="2026-01-02T03:04:05Z"),
        row(1, 2, parent="step-00000001", metrics={"loss": "NaN"}),
        row(2, 3, parent="step-00000002", metrics={"loss": 0.5}),
        row(3, 4, fault="its record cannot be used", lineage=""),
        row(4, 5, lineage="b", parent="step-00000002", metrics={"loss": 0.4}),
    ]
    assert restored_from([r for r in rows if not r["fault"]]) == {1}
    page = page_of(document(rows))
    shown = Checked(page).shown
    assert (
        "Lines of training" in shown
        and "its record cannot be used" in shown
        and "training went on from here" not in shown
    )
    assert page.count('class="ring"') == 0  # the point is not finite, so it stands at the top as ×
    assert "node c0 gone" in page and 'class="bad"' in page and "edge c1 jump" in page
    assert "1 not sound" in shown


def test_nothing_of_a_record_gets_out_of_its_place() -> None:
    rows = [
        row(
            n, n + 1, lineage=HOSTILE + str(n // 2), parent=HOSTILE, variant=HOSTILE, metrics={HOSTILE: 0.5 + n, "loss": 1},
            measured={HOSTILE: {"kind": HOSTILE}}, note=HOSTILE, why=HOSTILE,
            last_verified={"at": HOSTILE, "verdict": HOSTILE}, name=f"{HOSTILE}{n}", created=HOSTILE,
        )
        for n in range(4)
    ]  # fmt: skip
    rows.append(row(4, 9, fault=HOSTILE, lineage=""))
    finding = {
        "code": HOSTILE, "slug": HOSTILE, "severity": HOSTILE, "message": HOSTILE, "where": {"file": HOSTILE, "tensor": None},
        "remedy": HOSTILE,
    }  # fmt: skip
    bad = {"count": 1, "tensors": [HOSTILE]}
    health = {"verdict": HOSTILE, "proof": HOSTILE, "findings": [finding], "not_looked_at": [HOSTILE]}
    change = {"name": HOSTILE, "then": HOSTILE, "now": [HOSTILE], "matters": True, "why": HOSTILE}
    made = document(
        rows,
        (HOSTILE, "loss"),
        layers=[HOSTILE],
        not_looked_at=[HOSTILE],
        findings={r["name"]: health for r in rows},
        changes=[{"from": HOSTILE, "to": HOSTILE, "changes": [change]}],
    )
    for each in made["report"]["numbers"].values():
        each.update(layers={HOSTILE: 1.0}, nan=bad, dead=bad, unread={HOSTILE: HOSTILE})
    made["metrics"][0]["kinds"] = [HOSTILE]
    made["path"] = f"runs/{HOSTILE}"
    made["set_aside"] = [HOSTILE]
    made["line"]["gaps"] = [HOSTILE]
    page = page_of(made)
    shown = Checked(page).shown
    assert "<script" not in page and "<img" not in page and "\x1b" not in page and "\u202e" not in page
    assert shown.count("<script>alert(1)</script>") > 40  # it is all there, to be read
    assert "\\x1b[31m\\u202e\\n" in shown


def test_empty_and_odd_runs() -> None:
    Checked(page_of(document([row(0, 1)], ())))
    Checked(page_of(document([row(0, 1, timings={}, metrics={"loss": "Infinity"}, bytes_reused=None)], ())))
    empty = document([row(0, 1)], ())
    empty |= {
        "checkpoints": [],
        "dropped": [],
        "lineages": [],
        "saves": {"bytes": 0, "bytes_reused": 0},
        "metrics": [],
    }
    empty["line"] = {"places": [], "steps": [], "gaps": []}
    empty["report"]["numbers"] = {}
    shown = Checked(page_of(empty)).shown
    assert "No checkpoint has a metric" in shown


def test_metrics_of_one_family_share_a_plot() -> None:
    assert families(["loss", "acc", "val_loss", "test/loss", "lr", "Train_Loss"]) == [
        ["loss", "val_loss", "test/loss", "Train_Loss"], ["acc"], ["lr"],
    ]  # fmt: skip
    assert families(["val_", "val"]) == [["val_"], ["val"]]
    five = ["loss", "val_loss", "test_loss", "train_loss", "eval_loss"]
    assert families(five) == [five[:4], five[4:]]


# -- plots -----------------------------------------------------------------------------------------------------------
def test_ticks() -> None:
    assert nice_ticks(0, 10) == [0, 2, 4, 6, 8, 10]
    assert nice_ticks(0.13, 0.58) == pytest.approx([0.2, 0.3, 0.4, 0.5])
    assert nice_ticks(5, 5) == [5] and nice_ticks(5, math.inf) == [5]
    assert len(nice_ticks(1e18, 1e18 + 256)) <= 51
    assert [short(v) for v in (0, 0.25, 1200, 12_000, 3e6, 3e-5, math.nan)] == [
        "0",
        "0.25",
        "1200",
        "12k",
        "3M",
        "3e-05",
        "NaN",
    ]


def test_where_a_curve_goes() -> None:
    points = [Point(1, 1.0), Point(2, math.nan), Point(3, None), Point(4, 2.0), Point(5, 3.0)]
    svg = line_chart([Line("x", points)], label="l")
    path = re.search(r'class="line c0" d="([^"]*)"', svg)
    assert path is not None and path[1].count("M") == 2 and path[1].count("L") == 1
    assert svg.count("×") == 1 and svg.count("<circle") == 3
    assert "log scale" not in svg
    assert "log scale" in line_chart([Line("x", [Point(1, 1e-3), Point(2, 1.0)])], label="l")
    assert wants_log([1, 101]) and not wants_log([1, 100]) and not wants_log([0, 1000]) and not wants_log([])


@pytest.mark.parametrize(
    "values", [[1e308, -1e308], [5e-324, 1e-323], [0.0], [math.inf], [math.nan, 1.0], [1e-300, 1e300]]
)
def test_numbers_at_the_edge_stay_within_the_plot(values: list[float]) -> None:
    svg = line_chart([Line("x", [Point(n, v, "t") for n, v in enumerate(values)])], label="l")
    Checked(svg)
    for x, y in re.findall(r'c[xy]="([-\d.]+)" c[xy]="([-\d.]+)"', svg):
        assert 0 <= float(x) <= 480 and 0 <= float(y) <= 230
    assert not re.search(r'(?:[xyrd]|[xy][12])="[^"]*(?:nan|inf)', svg)


def test_many_points_are_thinned_out_and_marked_ones_stay() -> None:
    points = [Point(n, float(n), f"p{n}", frozenset({"best"} if n == 7777 else ())) for n in range(20_000)]
    svg = line_chart([Line("x", points)], label="l")
    assert (
        svg.count("<circle") < 700 and svg.count('class="star"') == 1 and "p7777" in svg and "p19999" in svg
    )


def test_bars() -> None:
    svg = bar_chart(
        [Bar(((2e6, 0), (1e6, 2)), "first", "1"), Bar(((0, 0), (3e6, 2)), "second", "2")],
        label="l",
        unit="bytes",
    )
    Checked(svg)
    assert svg.count("<rect") == 3 and ">MB<" in svg and "first" in svg
    assert "nothing" in bar_chart([], label="l", unit="bytes")
    assert "nothing" in bar_chart([Bar(((0, 0),))], label="l", unit="seconds")
    assert ">milliseconds<" in bar_chart([Bar(((0.002, 0),))], label="l", unit="seconds")
