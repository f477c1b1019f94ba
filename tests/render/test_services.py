"""SARIF and GitHub workflow commands."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest

from holdfast._core.finding import Place, Report
from holdfast._render import render
from holdfast._render.document import inspect_document, report_document
from holdfast._render.sarif import uri
from holdfast._rules.registry import rules
from render.builders import EVIL, checkpoint, finding, transformer


def report() -> Report:
    warning = finding(
        code="N102",
        slug="infinite",
        severity="warning",
        where=Place(None, None, EVIL),
        message=EVIL,
        remedy=None,
    )
    note = finding(code="F116", slug="leftover", severity="note", related=(finding(),))
    return Report((checkpoint(finding(), warning, note), checkpoint()))


def test_sarif_has_what_the_schema_requires() -> None:
    log = json.loads(render(report(), "sarif", rules=rules()))
    assert log["version"] == "2.1.0"
    assert log["$schema"].endswith("sarif-schema-2.1.0.json")
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] == "holdfast"
    assert [result["level"] for result in run["results"]] == ["error", "warning", "note"]
    for result in run["results"]:
        assert result["message"]["text"]
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["locations"]
        for location in [*result["locations"], *result.get("relatedLocations", [])]:
            urlsplit(location["physicalLocation"]["artifactLocation"]["uri"])
            region = location["physicalLocation"].get("region")
            assert region is None or region["byteOffset"] >= 0
        assert all(result["partialFingerprints"].values())
    for described in driver["rules"]:
        assert described["shortDescription"]["text"]
        assert described["defaultConfiguration"]["level"] in ("error", "warning", "note", "none")
    assert run["invocations"] == [{"executionSuccessful": True}]


def test_sarif_fingerprints_stay_from_run_to_run_and_tell_findings_apart() -> None:
    def prints() -> list[str]:
        log = json.loads(render(report(), "sarif"))
        return [result["partialFingerprints"]["holdfast/v1"] for result in log["runs"][0]["results"]]

    assert prints() == prints()
    assert len(set(prints())) == 3


def test_sarif_tells_paths_that_could_not_be_looked_at() -> None:
    error = {"path": "gone.pt", "message": "nothing is there"}
    document = report_document(Report(()), errors=[error])
    invocation = json.loads(render(document, "sarif"))["runs"][0]["invocations"][0]
    assert invocation["executionSuccessful"] is False
    assert invocation["toolExecutionNotifications"][0]["message"]["text"] == "nothing is there"


def test_uris() -> None:
    assert uri("run/a b%.pt") == "run/a%20b%25.pt"
    assert uri("/abs/x") == "file:///abs/x"
    assert uri("a\udcff") == "a%FF"
    assert "\n" not in uri(EVIL)
    assert ":" not in uri("c:d")


def test_github_commands_are_one_line_each_with_level_and_place() -> None:
    lines = render(report(), "github").splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("::error file=run/ckpt-3.data-00000-of-00001,title=F102 checksum::The bytes")
    assert lines[1].startswith("::warning file=run/ckpt-3,title=N102 infinite::")
    assert lines[2].startswith("::notice ")
    assert all(line.isprintable() for line in lines)


def test_a_document_without_findings_has_no_annotations() -> None:
    for format in ("sarif", "github"):
        with pytest.raises(ValueError, match="inspect has none"):
            render(inspect_document(transformer(1)), format)
