from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from holdfast._render import Page, render
from render.builders import EVIL


def difference(
    code: str, slug: str, a: str | None, b: str | None, message: str = "", **more: Any
) -> dict[str, Any]:
    given = {
        "code": code,
        "slug": slug,
        "cause": "renamed",
        "a": a,
        "b": b,
        "message": message,
        "evidence": {},
    }
    return {**given, "edit": None, **more}


def document(*differences: dict[str, Any], **more: Any) -> dict[str, Any]:
    given = {
        "schema_version": 1,
        "command": "diff",
        "a": {"path": "a.pt", "format": "torch-zip"},
        "b": {"path": "b file.safetensors", "format": "safetensors"},
        "depth": "structure",
        "summary": "24 tensors matched",
        "differences": list(differences),
        "plan": ["rename:a.*->b.*"],
        "unsettled": ["x could be y or z"],
        "not_looked_at": ["values"],
        "plan_toml": "edits = []\n",
    }
    return {**given, **more}


def renamed(count: int) -> list[dict[str, Any]]:
    pairs = [(f"layers.{i}.w", f"block.{i}.kernel") for i in range(count)]
    return [difference("T205", "renamed", a, b, f"{a} is {b}") for a, b in pairs]


def test_like_differences_fold_into_one_line() -> None:
    text = render(document(*renamed(24)))
    assert "layers.{0..23}.w → block.{0..23}.kernel  (24 ×)" in text
    assert "renamed  24  T205 renamed" in text
    assert "layers.3.w" not in text


def test_differences_of_other_evidence_stay_apart() -> None:
    one = difference(
        "T203", "other-shape", "l.0.w", "l.0.w", "first", evidence={"a_shape": [2], "b_shape": [3]}
    )
    other = difference(
        "T203", "other-shape", "l.1.w", "l.1.w", "second", evidence={"a_shape": [2], "b_shape": [4]}
    )
    text = render(document(one, other))
    assert "first" in text
    assert "second" in text


def test_ambiguous_ones_show_all_candidates() -> None:
    text = render(
        document(
            difference(
                "T210", "ambiguous-match", None, None, "fits", candidates_a=["p", "q"], candidates_b=["r"]
            )
        )
    )
    assert "in A: p, q" in text
    assert "in B: r" in text
    assert "left open: x could be y or z" in text


def test_distances_are_sorted_by_the_farthest_and_fit_the_width() -> None:
    def other(name: str, relative: float) -> dict[str, Any]:
        far = {
            "elements": 1000,
            "different": 900,
            "max_abs": 0.1234567,
            "rms": 1e-9,
            "relative": relative,
            "cosine": 1.0,
        }
        return difference("T211", "other-values", name, name, "other", evidence={"distance": far})

    lines = render(document(other("near", 0.1), other("far", 0.9)), page=Page(width=70)).splitlines()
    rows = [line.strip() for line in lines if "elements" in line]
    assert [row.split()[0] for row in rows] == ["far", "near"]
    assert all(len(line) <= 70 for line in lines if "elements" in line)


def test_the_bound_tells_how_many_more_and_verbose_shows_all() -> None:
    many = [
        difference("T201", "missing-in-first", None, f"n{chr(97 + i)}x", f"tensor n{chr(97 + i)}x")
        for i in range(20)
    ]
    assert "… and 8 more (--max 0 shows all)" in render(document(*many))
    assert "tensor ntx" in render(document(*many), most=None)
    assert "tensor ntx" in render(document(*many), verbose=True)


def test_the_command_for_the_plan_is_ready_to_paste() -> None:
    assert "holdfast diff a.pt 'b file.safetensors' --plan plan.toml" in render(document(*renamed(1)))


def test_where_nothing_matched_no_plan_is_offered() -> None:
    gone = [difference("T201", "missing-in-first", None, "x", "x is in B and not in A")]
    text = render(document(*gone, matched={"pairs": 0}, plan=["drop:*", "keep-live:*"], unsettled=[]))
    assert "nothing of A has a place in B" in text and "--plan" not in text
    for matched in ({"pairs": 3}, {}):
        assert "--plan plan.toml" in render(document(*gone, matched=matched))


def test_a_long_name_stays_apart_from_its_distance() -> None:
    name = "model.layers." + "x" * 60
    far = difference("T211", "other-values", name, name, "other", evidence={"distance": {"relative": 0.5}})
    near = difference("T211", "other-values", "b", "b", "other", evidence={"distance": {"relative": 0.1}})
    assert f"{name}  relative 0.5" in render(document(far, near), page=Page(shorten=False))


def test_no_differences_and_quiet() -> None:
    assert "✔ 24 tensors matched." in render(document(plan=[], unsettled=[]))
    assert "T205" not in render(document(*renamed(2)), quiet=True)


def test_hostile_names_and_the_other_formats() -> None:
    found = document(difference("T205", "renamed", EVIL, EVIL, EVIL))
    text = render(found)
    assert not any(ord(c) < 32 and c != "\n" for c in text)
    line = render(found, "github")
    assert line.count("\n") == 1
    assert line.startswith("::error file=b file.safetensors,title=T205 renamed::")
    log = json.loads(render(found, "sarif"))
    assert log["runs"][0]["results"][0]["ruleId"] == "T205"
    assert json.loads(render(found, "json"))["command"] == "diff"
    assert not Path("plan.toml").exists()


def rate(group: int, b: float) -> dict[str, Any]:
    name = f"{group}/learning_rate"
    text = f"{name} is 0.1 in A and {b} in B"
    return difference("O207", "other-hyperparameter", name, name, text, evidence={"a": 0.1, "b": b})


def test_parameter_groups_of_other_values_stay_apart_and_those_of_the_same_fold() -> None:
    text = render(document(rate(0, 0.2), rate(1, 0.3), rate(2, 0.2)))
    assert "{0,2}/learning_rate  (2 ×)" in text
    assert "1/learning_rate is 0.1 in A and 0.3 in B" in text
