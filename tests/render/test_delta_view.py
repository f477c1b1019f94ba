"""The text of a comparison is the same from its whole document and from what the text view reads of it."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast._compare.compare import compare
from holdfast._render import render
from holdfast._render.delta_fold import fold, pattern
from holdfast._render.delta_view import delta_view
from holdfast._render.document import delta_document
from holdfast.testing import NumpyCatalog as Memory

NAME = st.sampled_from(
    [
        *(
            "layers.0.w",
            "layers.1.w",
            "layers.10.w",
            "module.layers.0.w",
            "h_3.kernel",
            "h_4.kernel",
            "a#1",
            "a1",
        ),
        *(
            "b\n2",
            "b\n3",
            "c\0.4",
            "c\0.5",
            "ü.7",
            "ü.8",
            "\udc80.1",
            "\udc81.1",
            "x" * 250 + "1",
            "q",
            "01",
            "1",
        ),
        "",
    ]
)
SHAPE = st.sampled_from([(), (1,), (3,), (3, 4), (4, 3)])
MODEL = st.dictionaries(NAME, SHAPE, max_size=9)


@settings(max_examples=150, deadline=None)
@given(MODEL, MODEL, st.sampled_from(["header", "structure", "full"]))
def test_view_and_document_draw_the_same(a: dict[str, Any], b: dict[str, Any], depth: str) -> None:
    values = [
        {name: np.arange(np.prod(shape)).reshape(shape) + side for name, shape in model.items()}
        for side, model in enumerate((a, b))
    ]
    delta = compare(Memory(values[0]), Memory(values[1]), depth=depth)
    document, view = delta_document(delta), delta_view(delta)
    for how in ({}, {"verbose": True}, {"most": None}, {"most": 1}, {"quiet": True}):
        assert render(view, "text", **how) == render(document, "text", **how)
    assert [(d["code"], d["slug"]) for d in view["differences"]] == [
        (d["code"], d["slug"]) for d in document["differences"]
    ]
    assert list(view["plan"]) == document["plan"]


def entry(a: str, b: str, **evidence: Any) -> dict[str, Any]:
    return {"code": "T205", "slug": "renamed", "a": a, "b": b, "message": "", "evidence": evidence}


def test_thousands_of_alike_names_are_one_entry_with_their_numbers() -> None:
    members = [entry(f"layers.{i}.w", f"h.{i}.w", by="rule") for i in range(3000)]
    (group,) = fold(members)
    assert group == members
    assert pattern([m["a"] for m in group]) == "layers.{0..2999}.w"


@pytest.mark.parametrize("number", ["0", "7", "42"])
def test_other_evidence_is_told_apart(number: str) -> None:
    one, other = entry(f"a.{number}", "b.1", certain=True), entry("a.9", "b.1", certain=False)
    assert fold([one, other]) == [[one], [other]]
    assert fold([one, entry("a.9", "b.1", certain=1)])[0] == [
        one
    ]  # a truth value and a number are two things
    same = entry("a.9", "b.1", certain=True)
    assert fold([one, same]) == [[one, same]]
    measured = entry("a.9", "b.1", certain=True, rms=0.25)
    assert fold([one, measured]) == [[one, measured]]  # measures differ from tensor to tensor


@given(st.lists(st.text("a1290#\n\0\1bü.", max_size=6), max_size=12))
def test_folding_goes_by_the_name_without_its_numbers(names: list[str]) -> None:
    for group in fold([entry(name, name) for name in names]):
        forms = {re.sub("[0-9]+", "7", m["a"]) for m in group}
        assert len(forms) == 1
        assert len(group) == 1 or re.search("[0-9]", group[0]["a"])
    apart = {re.sub("[0-9]+", "7", n) for n in names if re.search("[0-9]", n)}
    folded = [g for g in fold([entry(n, n) for n in names]) if re.search("[0-9]", g[0]["a"])]
    assert len(folded) == len(apart)
