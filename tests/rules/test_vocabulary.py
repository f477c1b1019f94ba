"""Every rule has its page, every fault its rule."""

from __future__ import annotations

import re

import pytest

from holdfast._core.fault import Fault
from holdfast._facts.causes import CAUSES
from holdfast._rules.registry import DEPTHS, FAMILIES, rule_named, rules, told_by
from memory_catalog import found, subject

FAULTS = [
    "truncated",
    "checksum",
    "malformed",
    "limit",
    "trailing-bytes",
    "overlap",
    "hole",
    "duplicate-key",
    "part-missing",
    "shards-mixed",
    "index-disagrees",
    "state-file-dangling",
    "state-file-moved",
    "leftover",
    "half-download",
    "html-page",
    "lfs-pointer",
    "empty-file",
    "zero-file",
    "text-mode-copy",
    "error-document",
    "not-recognised",
    "not-readable",
    "wrong-extension",
    "not-stored",
    "pickle-global",
    "pickle-opcode",
    "lambda-layer",
    "custom-object",
    "name-clash",
    "view-whole-storage",
    "device-tag",
    "version",
    "slice-coverage",
    "unreadable",
    "seal-damaged",
    "seal-mismatch",
    "tensor-missing",
]


@pytest.mark.parametrize("slug", FAULTS)
def test_a_fault_is_told_by_the_one_rule_of_its_slug(slug: str) -> None:
    fault = Fault(slug, "something is so", file="a b.pt", offset=12, seen=1, expected=2, tensors=("w",))
    of = subject(None, fault)
    speaking = [r.slug for r in rules() if list(r.check(r, of))]
    assert speaking == [slug]
    finding = found(slug, of)[0]
    assert finding.where.file in ("a b.pt", "model.bin")
    assert "something is so" in finding.message or slug in ("pickle-global", "custom-object")
    assert finding.cause in CAUSES


@pytest.mark.parametrize("slug", FAULTS)
def test_without_the_fault_its_rule_is_silent(slug: str) -> None:
    other = Fault("version" if slug != "version" else "checksum", "another", file="x")
    assert found(slug, subject(None, other)) == []


@pytest.mark.parametrize("rule", rules(), ids=lambda r: r.code)
def test_a_rule_is_documented(rule) -> None:
    assert re.fullmatch(r"[FTOEDMSNRXH]\d{3}", rule.code)
    assert rule.code[0] in FAMILIES
    assert rule.depth in DEPTHS
    assert rule.cause is None or rule.cause in CAUSES
    first = rule.doc.strip().splitlines()[0]
    assert first.endswith(".") and len(first) < 110
    for part in ("Evidence:", "What to do:", "Example:"):
        assert part in rule.doc, f"{rule.code} says nothing under {part}"


def test_codes_and_slugs_find_their_rule() -> None:
    for rule in rules():
        assert rule_named(rule.code.lower()) is rule
        assert rule_named(rule.slug) is rule
    assert len({r.slug for r in rules()}) == len(rules())
    assert rule_named("Z999") is None


@pytest.mark.parametrize(
    "slug, part",
    [
        ("lfs-pointer", "git lfs pull --include '**/big model.pt'"),
        ("half-download", "Resume the download"),
        ("html-page", "/resolve/"),
        ("text-mode-copy", "binary mode"),
        ("truncated", "curl -C -"),
        ("part-missing", "'dir/big model.pt'"),
        ("device-tag", 'map_location="cpu"'),
        ("trailing-bytes", "truncate -s 40 "),
        ("leftover", "rm -r -- 'dir/big model.pt'"),
    ],
)
def test_remedies_can_be_pasted(slug: str, part: str) -> None:
    fault = Fault(slug, "so it is", file="dir/big model.pt", offset=40, attributes={"device": "cuda:0"})
    assert part in (found(slug, subject(None, fault))[0].remedy or "")


def test_the_readers_own_remedy_wins() -> None:
    fault = Fault("html-page", "a page", file="m.pt", attributes={"remedy": "Ask Anna."})
    assert found("html-page", subject(None, fault))[0].remedy == "Ask Anna."


def test_a_path_like_an_option_is_harmless_in_a_remedy() -> None:
    finding = found("leftover", subject(None, Fault("leftover", "x", file="-rf")))[0]
    assert "./-rf" in (finding.remedy or "")


def test_a_finding_by_the_rule_s_name() -> None:
    told = told_by("nothing-loaded", "no file was named", file="a.pt")
    assert (told.code, told.severity, told.message, told.where.file) == (
        "T233",
        "error",
        "no file was named",
        "a.pt",
    )
    assert told_by("T233", "x", severity="note").severity == "note"
    with pytest.raises(LookupError, match="no rule is called no-such-rule"):
        told_by("no-such-rule", "x")
