"""Findings as SARIF 2.1.0, for code-scanning services.

Source: OASIS, "Static Analysis Results Interchange Format (SARIF) Version 2.1.0", sections 3.13 (sarifLog),
3.14 (run), 3.27 (result), 3.28 (location), 3.30.11 (byteOffset), 3.49 (reportingDescriptor); 3.10.2 (what a
``file`` URI may hold), 3.11.5 and 3.11.6 (braces and links in messages).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from .._version import __version__
from .delta_text import delta_lines
from .places import file_of
from .plain import plain
from .rules_text import RuleLike, rule_document

__all__ = ["SCHEMA", "of", "uri"]

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def of(document: Mapping[str, Any], *, rules: Iterable[RuleLike] = ()) -> dict[str, Any]:
    """A document as a SARIF log; raises ``ValueError`` for one that holds no findings (``inspect``)."""
    command = document.get("command")
    if command == "diff":
        return delta(delta_lines(document), str(document["b"]["path"]), version=__version__)
    if command not in ("doctor", "verify", "scrub", "check"):
        raise ValueError(f"SARIF holds findings; {command or 'inspect'} has none")
    return report(document, version=__version__, rules=rules)


def report(document: Mapping[str, Any], *, version: str, rules: Iterable[RuleLike] = ()) -> dict[str, Any]:
    """A ``doctor``, ``verify``, ``scrub`` or ``check`` document as a SARIF log; findings folded under another one are related
    locations.
    """
    known = {rule.code: rule for rule in rules}
    codes: dict[str, int] = {}
    results = []
    for checkpoint in document["checkpoints"]:
        for finding in checkpoint["findings"]:
            index = codes.setdefault(finding["code"], len(codes))
            results.append(_result(finding, checkpoint, index))
    described = [_rule(code, known.get(code), results, index) for code, index in codes.items()]
    notices = [
        {
            "level": "error",
            "message": _message(str(error["message"]) or "failed"),
            "locations": [_location(error["path"] or "")],
        }
        for error in document.get("errors", ())
    ]
    return log(results, described, version=version, notices=notices)


def delta(differences: list[tuple[str, str, str]], path: str, *, version: str) -> dict[str, Any]:
    """Differences, given as (code, kind, sentence), as a SARIF log."""
    codes: dict[str, int] = {}
    results = []
    for code, kind, text in differences:
        name = code or kind
        results.append(
            {
                "ruleId": name,
                "ruleIndex": codes.setdefault(name, len(codes)),
                "level": "error",
                "message": _message(text),
                "locations": [_location(path)],
                "partialFingerprints": {"holdfast/v1": _print(name, path, text)},
            }
        )
    return log(results, [{"id": name} for name in codes], version=version)


def log(
    results: list[dict[str, Any]],
    rules: list[dict[str, Any]],
    *,
    version: str,
    notices: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """The frame: one log, one run."""
    invocation: dict[str, Any] = {"executionSuccessful": not notices}
    if notices:
        invocation["toolExecutionNotifications"] = notices
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "holdfast", "version": version, "rules": rules}},
                "invocations": [invocation],
                "columnKind": "unicodeCodePoints",
                "results": results,
            }
        ],
    }


def _result(finding: Mapping[str, Any], checkpoint: Mapping[str, Any], index: int) -> dict[str, Any]:
    where = finding["where"]
    file = file_of(finding, checkpoint)
    text = str(finding["message"])
    if finding["remedy"]:
        text += f"\n{finding['remedy']}"
    result: dict[str, Any] = {
        "ruleId": finding["code"],
        "ruleIndex": index,
        "level": finding["severity"],
        "message": _message(text),
        "locations": [_location(file, where["offset"], where["tensor"])],
        "partialFingerprints": {
            "holdfast/v1": _print(finding["code"], file, where["tensor"], where["offset"], finding["message"])
        },
        "properties": {
            "checkpoint": checkpoint["path"],
            "verdict": checkpoint["verdict"],
            "proof": checkpoint["proof"],
            "cause": finding["cause"],
            "evidence": finding["evidence"],
        },
    }
    related = [
        {
            **_location(r["where"]["file"] or file, r["where"]["offset"], r["where"]["tensor"]),
            "id": i,
            "message": _message(str(r["message"])),
        }
        for i, r in enumerate(finding["related"], 1)
    ]
    if related:
        result["relatedLocations"] = related
    return result


def _message(text: str) -> dict[str, str]:
    """A message that a viewer shows as it is meant.

    Braces would be placeholders and are doubled (3.11.5). Brackets followed by a parenthesis would be a link
    (3.11.6), which a tensor's name could put there: a space takes them apart.
    """
    text = str(plain(text))
    return {"text": text.replace("{", "{{").replace("}", "}}").replace("](", "] (")}


def _location(file: str, offset: int | None = None, tensor: str | None = None) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": {"uri": uri(file)}}
    if offset is not None and offset >= 0:
        physical["region"] = {"byteOffset": int(offset)}
    location: dict[str, Any] = {"physicalLocation": physical}
    if tensor is not None:
        location["logicalLocations"] = [{"fullyQualifiedName": tensor, "kind": "member"}]
    return location


def uri(path: str) -> str:
    """A path as a URI reference (RFC 3986): relative ones stay relative, absolute ones become ``file:///``.

    As 3.10.2 of the specification asks, a ``file`` URI has no empty segment, no ``.`` and no ``..``; the
    latter are resolved by the file system, since links may lie in between.
    """
    slashed = path.replace(os.sep, "/") if os.sep != "/" else path
    absolute = slashed.startswith("/")
    if absolute and "\0" not in slashed and ".." in slashed.split("/"):
        slashed = os.path.realpath(slashed).replace(os.sep, "/")
    if absolute:
        slashed = "/" + "/".join(segment for segment in slashed.split("/") if segment not in ("", "."))
    text = quote(slashed, safe="/~!$&'()*+,;=@", errors="surrogateescape")
    return f"file://{text}" if absolute else text or "."


def _rule(code: str, rule: RuleLike | None, results: list[dict[str, Any]], index: int) -> dict[str, Any]:
    if rule is None:
        return {"id": code}
    page = rule_document(rule)
    described: dict[str, Any] = {
        "id": code,
        "name": "".join(word.capitalize() for word in page["slug"].split("-")),
        "shortDescription": {"text": page["summary"]},
        "fullDescription": {"text": page["doc"]},
        "defaultConfiguration": {"level": page["severity"]},
        "properties": {"slug": page["slug"], "cause": page["cause"]},
    }
    if page["remedy"]:
        described["help"] = {"text": page["remedy"]}
    return described


def _print(*parts: object) -> str:
    """A fingerprint that stays the same from run to run, so that a service can tell a new result from an
    old one.
    """
    return hashlib.sha256("\0".join(map(str, parts)).encode("utf-8", "backslashreplace")).hexdigest()[:32]
