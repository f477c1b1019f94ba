"""SARIF logs against what the published schema of version 2.1.0 demands.

Source: sarif-schema-2.1.0.json (OASIS, errata 01): the ``required`` properties, enumerations, bounds and
``additionalProperties: false`` of the objects that we write, kept here as a table.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from holdfast._core.finding import Place, Report
from holdfast._render import render
from holdfast._render.document import report_document
from holdfast._rules.registry import rules
from render.builders import EVIL, checkpoint, finding

LEVELS = {"none", "note", "warning", "error"}
# object -> (required, all properties that the schema allows and that we may use)
OBJECTS: dict[str, tuple[set[str], set[str]]] = {
    "log": ({"version", "runs"}, {"$schema", "version", "runs", "inlineExternalProperties", "properties"}),
    "run": ({"tool"}, {"tool", "invocations", "results", "columnKind", "artifacts", "properties"}),
    "tool": ({"driver"}, {"driver", "extensions", "properties"}),
    "toolComponent": ({"name"}, {"name", "version", "semanticVersion", "informationUri", "rules", "properties"}),
    "reportingDescriptor": (
        {"id"},
        {"id", "name", "shortDescription", "fullDescription", "defaultConfiguration", "help", "helpUri", "properties"},
    ),
    "invocation": ({"executionSuccessful"}, {"executionSuccessful", "toolExecutionNotifications", "exitCode"}),
    "notification": ({"message"}, {"message", "level", "locations", "descriptor", "properties"}),
    "result": (
        {"message"},
        {
            "ruleId", "ruleIndex", "level", "message", "locations", "relatedLocations", "partialFingerprints",
            "properties", "kind",
        },
    ),
    "location": (set(), {"id", "physicalLocation", "logicalLocations", "message", "properties"}),
    "physicalLocation": (set(), {"artifactLocation", "region", "contextRegion", "address", "properties"}),
    "artifactLocation": (set(), {"uri", "uriBaseId", "index", "description", "properties"}),
    "region": (set(), {"byteOffset", "byteLength", "startLine", "properties"}),
    "logicalLocation": (set(), {"name", "fullyQualifiedName", "kind", "decoratedName", "parentIndex", "index"}),
    "message": (set(), {"text", "markdown", "id", "arguments", "properties"}),
}  # fmt: skip


def check(thing: Any, kind: str) -> dict[str, Any]:
    assert isinstance(thing, dict), kind
    required, allowed = OBJECTS[kind]
    assert required <= set(thing), (kind, required - set(thing))
    assert set(thing) <= allowed, (kind, set(thing) - allowed)
    return thing


def check_message(thing: Any) -> None:
    message = check(thing, "message")
    assert isinstance(message["text"], str)  # the schema: text or id
    assert message["text"]


def check_location(thing: Any) -> None:
    location = check(thing, "location")
    physical = check(location["physicalLocation"], "physicalLocation")
    assert "artifactLocation" in physical or "address" in physical  # the schema: anyOf
    uri = check(physical["artifactLocation"], "artifactLocation")["uri"]
    # format uri-reference (RFC 3986, 4.1): its characters only, and every % begins an escape
    assert re.fullmatch(r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+", uri), uri
    if "region" in physical:
        assert check(physical["region"], "region")["byteOffset"] >= -1
        assert isinstance(physical["region"]["byteOffset"], int)
    if "id" in location:
        assert location["id"] >= -1
    if "message" in location:
        check_message(location["message"])
    for logical in location.get("logicalLocations", ()):
        check(logical, "logicalLocation")
        assert isinstance(logical["fullyQualifiedName"], str)


def check_log(text: str) -> dict[str, Any]:
    log = check(json.loads(text), "log")
    assert log["version"] == "2.1.0"
    assert log["$schema"].endswith("sarif-schema-2.1.0.json")
    assert len(log["runs"]) == 1
    run = check(log["runs"][0], "run")
    assert run["columnKind"] in ("utf16CodeUnits", "unicodeCodePoints")
    driver = check(check(run["tool"], "tool")["driver"], "toolComponent")
    for rule in driver["rules"]:
        check(rule, "reportingDescriptor")
        for part in ("shortDescription", "fullDescription", "help"):
            if part in rule:
                assert set(rule[part]) == {"text"}  # multiformatMessageString: text is required
                assert rule[part]["text"]
        assert rule.get("defaultConfiguration", {}).get("level", "warning") in LEVELS
    ids = [rule["id"] for rule in driver["rules"]]
    assert len(ids) == len(set(ids))
    for invocation in run["invocations"]:
        check(invocation, "invocation")
        for notice in invocation.get("toolExecutionNotifications", ()):
            check(notice, "notification")
            check_message(notice["message"])
            assert notice["level"] in LEVELS
            for location in notice.get("locations", ()):
                check_location(location)
    for result in run["results"]:
        check(result, "result")
        check_message(result["message"])
        assert result["level"] in LEVELS
        assert ids[result["ruleIndex"]] == result["ruleId"]
        assert all(isinstance(v, str) for v in result["partialFingerprints"].values())
        for location in (*result["locations"], *result.get("relatedLocations", ())):
            check_location(location)
        related = [location["id"] for location in result.get("relatedLocations", ())]
        assert len(related) == len(set(related))
    return log


PATHS = [
    "run/ckpt-3",
    "/abs/a b.pt",
    "it's.pt",
    "new\nline.pt",
    "ünïcødé 模型.pt",
    "-v.pt",
    "a%20b:c.pt",
    "\udcff.pt",
    EVIL,
]


@pytest.mark.parametrize("path", PATHS)
def test_a_report_is_what_the_schema_demands(path: str) -> None:
    related = (finding(code="N101", where=Place(path, 3)), finding(code="N102", where=Place(None, None, "t")))
    bad = finding(where=Place(path, 40960, "encoder/kernel"), related=related)
    note = finding(
        code="F116", slug="leftover", severity="note", where=Place(), remedy=None, evidence={path: path}
    )
    report = Report((checkpoint(bad, note, path=path), checkpoint(path=path), checkpoint(bad, path="other")))
    errors = [{"path": path, "message": "Permission denied"}, {"path": None, "message": ""}]
    document = report_document(report, errors=errors)
    log = check_log(render(document, "sarif", rules=rules()))
    assert [r["ruleId"] for r in log["runs"][0]["results"]] == ["F102", "F116", "F102"]
    assert log["runs"][0]["invocations"][0]["executionSuccessful"] is False


def test_nothing_found_and_differences() -> None:
    log = check_log(render(report_document(Report((checkpoint(),))), "sarif", rules=rules()))
    assert log["runs"][0]["results"] == []
    differences = [
        {"code": "T205", "slug": "renamed", "message": "a is b"},
        {"code": "T201", "slug": "missing-in-first", "message": EVIL},
        {"code": "T205", "slug": "renamed", "message": "c is d"},
    ]
    document = {"command": "diff", "a": {"path": "a.pt"}, "b": {"path": "b c.pt"}, "differences": differences}
    log = check_log(render(document, "sarif"))
    assert [r["ruleId"] for r in log["runs"][0]["results"]] == ["T205", "T201", "T205"]
