"""SARIF logs against what the published schema of version 2.1.0 demands.

Source: sarif-schema-2.1.0.json (OASIS, errata 01): of the objects that we write, the properties that we write with
their types, bounds, enumerations and formats, which are required, and which arrays hold no item twice, kept here as a
table. ``additionalProperties`` is false for all of them, so that a property outside the table fails: look it up in the
schema before adding it. From the specification's text: 3.10.2 (``file`` URIs), 3.11.5 and 3.11.6 (braces and links).
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from holdfast._core.finding import Place, Report
from holdfast._render import render
from holdfast._render.document import report_document
from holdfast._render.sarif import uri
from holdfast._rules.registry import rules
from render.builders import EVIL, checkpoint, finding

LEVEL = {"none", "note", "warning", "error"}
KIND = {"notApplicable", "pass", "fail", "review", "open", "informational"}

# object -> its properties. What they may be: a set (one of these), a number (an integer not below it), a name in
# angle brackets (an object of this table), one in square brackets (an array of them; `!` forbids equal items), "{}" (a
# mapping to strings), "any" (a property bag), or a JSON type or string format. `*` marks what is required.
OBJECTS: dict[str, dict[str, Any]] = {
    "log": {"$schema": "uri", "version*": {"2.1.0"}, "runs*": "[run]"},
    "run": {
        "tool*": "<tool>",
        "invocations": "[invocation]",
        "results": "[result]",
        "columnKind": {"utf16CodeUnits", "unicodeCodePoints"},
    },
    "tool": {"driver*": "<toolComponent>"},
    "toolComponent": {"name*": "string", "version": "string", "rules": "[reportingDescriptor!]"},
    "reportingDescriptor": {
        "id*": "string",
        "name": "string",
        "shortDescription": "<multiformatMessageString>",
        "fullDescription": "<multiformatMessageString>",
        "help": "<multiformatMessageString>",
        "defaultConfiguration": "<reportingConfiguration>",
        "properties": "any",
    },
    "reportingConfiguration": {"level": LEVEL},
    "multiformatMessageString": {"text*": "string"},
    "invocation": {"executionSuccessful*": "boolean", "toolExecutionNotifications": "[notification]"},
    "notification": {"message*": "<message>", "level": LEVEL, "locations": "[location!]"},
    "result": {
        "ruleId": "string",
        "ruleIndex": -1,
        "kind": KIND,
        "level": LEVEL,
        "message*": "<message>",
        "locations": "[location]",
        "relatedLocations": "[location!]",
        "partialFingerprints": "{}",
        "properties": "any",
    },
    "location": {
        "id": -1,
        "physicalLocation": "<physicalLocation>",
        "logicalLocations": "[logicalLocation!]",
        "message": "<message>",
    },
    # of physicalLocation one of address and artifactLocation, of region one of startLine, charOffset and byteOffset,
    # of message one of text and id is required: we write the ones marked
    "physicalLocation": {"artifactLocation*": "<artifactLocation>", "region": "<region>"},
    "artifactLocation": {"uri": "uri-reference"},
    "region": {"byteOffset*": -1},
    "logicalLocation": {"fullyQualifiedName": "string", "kind": "string"},
    "message": {"text*": "string"},
}
# RFC 3986, 4.1: its characters only, and every % begins an escape
URI = re.compile(r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+")


def check(thing: Any, kind: Any, at: str) -> None:
    """Hold a value to the table."""
    if isinstance(kind, set):
        assert thing in kind, (at, thing)
    elif isinstance(kind, int):
        assert type(thing) is int, (at, thing)
        assert thing >= kind, (at, thing)
    elif kind == "any":
        assert isinstance(thing, dict), at
        tags = thing.get("tags", [])  # the one property of a bag that the schema knows
        assert isinstance(tags, list), at
        assert all(isinstance(tag, str) for tag in tags), at
    elif kind == "{}":
        assert all(isinstance(value, str) for value in thing.values()), at
    elif kind == "boolean":
        assert isinstance(thing, bool), at
    elif kind[0] == "[":
        assert isinstance(thing, list), at
        for i, item in enumerate(thing):
            check(item, f"<{kind.strip('[!]')}>", f"{at}[{i}]")
        if kind.endswith("!]"):
            assert len({json.dumps(item, sort_keys=True) for item in thing}) == len(thing), at
    elif kind[0] == "<":
        table = OBJECTS[kind.strip("<>")]
        assert isinstance(thing, dict), at
        assert {name[:-1] for name in table if name.endswith("*")} <= set(thing), at
        known = {name.rstrip("*"): value for name, value in table.items()}
        for name, value in thing.items():
            assert name in known, (at, name)
            check(value, known[name], f"{at}.{name}")
    else:
        assert isinstance(thing, str), at
        assert kind == "string" or URI.fullmatch(thing), (at, thing)
        assert kind != "uri" or urlsplit(thing).scheme, (at, thing)


def check_log(text: str) -> dict[str, Any]:
    log = json.loads(text)
    json.dumps(log, ensure_ascii=False).encode("utf-8")  # no half of a surrogate pair
    check(log, "<log>", "$")
    assert log["$schema"].endswith("sarif-schema-2.1.0.json")
    (run,) = log["runs"]
    described = run["tool"]["driver"]["rules"]
    ids = [rule["id"] for rule in described]
    assert len(ids) == len(set(ids))
    for rule in described:  # 3.12: a text is not empty
        assert all(
            rule[part]["text"] for part in ("shortDescription", "fullDescription", "help") if part in rule
        )
    messages = [n["message"] for i in run["invocations"] for n in i.get("toolExecutionNotifications", ())]
    for result in run["results"]:
        assert ids[result["ruleIndex"]] == result["ruleId"]
        related = [location["id"] for location in result.get("relatedLocations", ())]
        assert len(related) == len(set(related))
        messages += [result["message"], *(r["message"] for r in result.get("relatedLocations", ()))]
    for message in messages:
        assert message["text"]
        assert not re.search(r"[{}]", re.sub(r"\{\{|\}\}", "", message["text"]))  # no placeholder
        assert "](" not in message["text"]  # no link
    return log


PATHS = [
    "run/ckpt-3",
    "/abs/a b.pt",
    "it's.pt",
    "new\nline.pt",
    "ünïcødé 模型.pt",
    "-v.pt",
    "a%20b:c.pt",
    "http://x/y.pt",
    "//two/./slashes.pt",
    "a{0}[b](c).pt",
    "\udcff.pt",
    "",
    EVIL,
]


@pytest.mark.parametrize("path", PATHS)
def test_a_report_is_what_the_schema_demands(path: str) -> None:
    same = finding(code="N102", where=Place(None, None, "t"))
    related = (finding(code="N101", where=Place(path, 3)), same, same)
    bad = finding(where=Place(path, 40960, "encoder/kernel"), related=related)
    tensor = finding(
        code="N101", slug="nan", message=f"{path} {{0}}", where=Place(None, None, EVIL), remedy=EVIL
    )
    note = finding(
        code="F116", slug="leftover", severity="note", where=Place(), remedy=None, evidence={path: path}
    )
    report = Report(
        (checkpoint(bad, tensor, note, path=path), checkpoint(path=path), checkpoint(bad, path="other"))
    )
    errors = [{"path": path, "message": "Permission denied {1}"}, {"path": None, "message": ""}]
    log = check_log(render(report_document(report, errors=errors), "sarif", rules=rules()))
    assert [r["ruleId"] for r in log["runs"][0]["results"]] == ["F102", "N101", "F116", "F102"]
    assert log["runs"][0]["invocations"][0]["executionSuccessful"] is False


def test_every_rule_is_described_as_the_schema_demands() -> None:
    every = [finding(code=rule.code, slug=rule.slug, severity=rule.severity) for rule in rules()]
    log = check_log(render(report_document(Report((checkpoint(*every),))), "sarif", rules=rules()))
    assert len(log["runs"][0]["tool"]["driver"]["rules"]) == len(every) > 50
    bare = check_log(render(report_document(Report((checkpoint(*every),))), "sarif"))
    assert all(set(rule) == {"id"} for rule in bare["runs"][0]["tool"]["driver"]["rules"])


def test_nothing_found_and_differences() -> None:
    log = check_log(render(report_document(Report((checkpoint(),))), "sarif", rules=rules()))
    assert log["runs"][0]["results"] == []
    differences = [
        {"code": "T205", "slug": "renamed", "message": "a is b"},
        {"code": "T201", "slug": "missing-in-first", "message": EVIL},
        {"code": "T205", "slug": "renamed", "message": "c{2} is [d](http://e)"},
    ]
    document = {"command": "diff", "a": {"path": "a.pt"}, "b": {"path": "b c.pt"}, "differences": differences}
    log = check_log(render(document, "sarif"))
    assert [r["ruleId"] for r in log["runs"][0]["results"]] == ["T205", "T201", "T205"]
    assert "c{{2}} is [d] (http://e)" in log["runs"][0]["results"][2]["message"]["text"]


def test_a_file_uri_has_no_empty_and_no_dotted_segments(tmp_path: Path) -> None:
    home = tmp_path.resolve()
    (home / "d2" / "in").mkdir(parents=True)
    (home / "d1").symlink_to(home / "d2" / "in")
    assert uri(f"{home}/d1/../m.pt") == f"file://{home}/d2/m.pt"  # not .../m.pt: the link was followed first
    assert uri("//a/./b//c") == "file:///a/b/c"
    assert uri("/") == "file:///"
    assert uri("./a/../b") == "./a/../b"


def test_the_table_refuses_what_the_schema_refuses() -> None:
    good = json.loads(render(report_document(Report((checkpoint(finding()),))), "sarif"))
    for path, value in {
        "level": "diff",
        "kind": "bad",
        "ruleIndex": -2,
        "baseline": "new",
        "message": {},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": "a b"}}}],
        "partialFingerprints": {"a": 1},
        "relatedLocations": [{}, {}],
        "properties": {"tags": [1]},
    }.items():
        bad = json.loads(json.dumps(good))
        bad["runs"][0]["results"][0][path] = value
        with pytest.raises(AssertionError):
            check(bad, "<log>", "$")
    check(good, "<log>", "$")
