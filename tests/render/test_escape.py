from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast._render.escape import cells, clip, github_data, github_property, safe
from holdfast._render.page import Page


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\nb\r\tc", "a\\nb\\r\\tc"),
        ("\x9b2J", "\\x9b2J"),
        ("a\u202eb", "a\\u202eb"),
        ("a\u2066b\u2069", "a\\u2066b\\u2069"),
        ("a\u200bb\ufeff", "a\\u200bb\\ufeff"),
        ("a\u2028b", "a\\u2028b"),
        ("a\u3164b", "a\\u3164b"),
        ("a\xa0b", "a\\xa0b"),
        ("\udcff", "\\udcff"),
        ("\U000e0041", "\\U000e0041"),
        ("x\x7f", "x\\x7f"),
    ],
)
def test_what_is_not_plainly_visible_becomes_an_escape(hostile: str, shown: str) -> None:
    assert safe(hostile) == shown


def test_ordinary_names_stay_as_they_are() -> None:
    for name in ("model.layers.0.weight", "encoder/größe:0", "层/权重", "a [bold]b[/]"):
        assert safe(name) == name


@given(st.text(st.characters(codec=None)))
def test_no_character_that_moves_the_cursor_survives(text: str) -> None:
    shown = safe(text)
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in shown)
    shown.encode("utf-8")


@given(st.text(st.characters(codec=None)), st.integers(6, 40))
def test_clip_keeps_within_its_columns(text: str, width: int) -> None:
    shown = safe(text)
    clipped = clip(shown, width)
    assert cells(clipped) <= width
    assert clipped == shown or cells(shown) > width


def test_clip_keeps_both_ends() -> None:
    assert clip("encoder.layer.attention.weight", 15) == "encoder….weight"
    assert cells(clip("层" * 20, 10)) <= 10


def test_a_page_escapes_every_piece_and_colours_by_itself() -> None:
    page = Page(color=True)
    page.line(("evil\x1b[0m[red]", "error"), " \x1b[2J")
    page.wrapped("one\x1b[2J two", label=("l\x1bl", "dim"))
    page.facts(["a\x1b", "b"])
    text = page.text()
    assert "evil\\x1b[0m[red]" in text
    codes = text.split("\x1b")[1:]
    assert codes
    assert all(code.startswith(("[1;31m", "[0m", "[2m")) for code in codes)
    plain = Page()
    plain.line(("evil\x1b[0m", "error"))
    assert plain.text() == "evil\\x1b[0m\n"


def test_a_terminal_without_utf8_gets_ascii() -> None:
    page = Page(unicode=False)
    page.line("✔ a · b × c …")
    assert page.text() == "+ a - b x c ...\n"


def test_workflow_commands_cannot_be_forged() -> None:
    assert github_data("a%\r\nb") == "a%25%0D%0Ab"
    assert github_property("a:b,c%") == "a%3Ab%2Cc%25"
