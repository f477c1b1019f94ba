"""One finding per root cause."""

from __future__ import annotations

from dataclasses import replace

from holdfast._core.finding import Finding, Place
from holdfast._examine.fold import fold
from holdfast._rules.registry import rule_named


def told(
    slug: str,
    file: str | None = None,
    offset: int | None = None,
    tensors: tuple[str, ...] = (),
    severity=None,
) -> Finding:
    rule = rule_named(slug)
    assert rule is not None
    return Finding(
        rule.code, slug, severity or rule.severity, f"{slug} {offset}", Place(file, offset), tensors=tensors
    )


def slugs(findings: list[Finding]) -> list[str]:
    return [f.slug for f in findings]


def test_many_tensors_of_one_file_are_one_finding() -> None:
    (one,) = fold([told("checksum", "s1", n * 100, (f"t{n}",)) for n in range(500)])
    assert len(one.tensors) == 500 and "500 tensors" in one.message
    assert len(one.related) <= 50
    assert len(fold([told("checksum", "s1", 0, ("a",)), told("checksum", "s2", 0, ("b",))])) == 2


def test_a_file_that_its_seal_misses_too_is_missing_once() -> None:
    seen = replace(told("part-missing", "step/a", None, ("w",)), evidence={"expected": "a"})
    sealed = replace(
        told("part-missing", "step/a", None, ("w",)), evidence={"kind": "seal", "expected": "9 bytes"}
    )
    (one,) = fold([seen, sealed])
    assert one.evidence == {"kind": "seal", "expected": "a"} and one.tensors == ("w",)
    assert len(fold([sealed])) == 1
    other = replace(sealed, where=Place("step/b"))
    assert len(fold([seen, other])) == 2


def test_a_cut_file_explains_what_fails_behind_the_cut() -> None:
    findings = fold(
        [
            told("checksum", "f", 900, ("b",)),
            told("truncated", "f", 800, ("b",)),
            told("nan", "f", 900, ("b",)),
        ]
    )
    assert slugs(findings) == ["truncated"]
    assert sorted(slugs(list(findings[0].related))) == ["checksum", "nan"]


def test_a_missing_shard_takes_its_tensors_along() -> None:
    missing = told("part-missing", "s2", None, ("a", "b"))
    findings = fold([missing, told("truncated", "s2", 0, ("a",)), told("slice-coverage", None, None, ("b",))])
    assert slugs(findings) == ["part-missing"]
    assert slugs(fold([missing, told("truncated", "s1", 0, ("c",))])) == ["truncated", "part-missing"]


def test_a_wrong_shard_explains_all_its_checksums() -> None:
    findings = fold([told("checksum", "s2", 5, ("a", "b")), told("shards-mixed", "s2", None, ("a", "b"))])
    assert slugs(findings) == ["shards-mixed"]


def test_a_checksum_explains_absurd_values_of_the_same_tensor_only() -> None:
    bad = told("checksum", "f", 5, ("a",))
    assert slugs(fold([bad, told("absurd-values", "f", 9, ("a",))])) == ["checksum"]
    assert slugs(fold([bad, told("absurd-values", "f", 9, ("b",))])) == ["checksum", "absurd-values"]


def test_junk_explains_everything_about_that_file() -> None:
    findings = fold(
        [told("not-recognised", "m.pt"), told("wrong-extension", "m.pt"), told("html-page", "m.pt")]
    )
    assert slugs(findings) == ["html-page"]
    assert len(fold([told("html-page", "m.pt"), told("not-recognised", "n.pt")])) == 2


def test_the_gravest_comes_first_and_unrelated_findings_stay() -> None:
    findings = fold([told("device-tag"), told("hole", "f"), told("nan", "f", 0, ("w",))])
    assert slugs(findings) == ["nan", "hole", "device-tag"]
    assert all(not f.related for f in findings)
    assert fold([]) == []
