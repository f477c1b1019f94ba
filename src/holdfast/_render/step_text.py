"""One step of a run for people: what it measured and what that means, where it came from, what it records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .._core.shell import quote
from .._core.words import plural
from . import words
from .history_text import gone, number, seconds
from .page import Page

__all__ = ["diff_style", "draw", "environment_facts", "environment_lines"]

_HANG = 15
_STATES = (("data", "data position"), ("preprocess", "preprocessing"), ("metrics", "metric states"))


def draw(document: Mapping[str, Any], page: Page, *, verbose: bool = False) -> None:
    """Write the document of one step onto ``page``; with the code's difference where the document has it."""
    step = document["step"]
    page.line((f"{document['path']}/{step['name']}", "path"), f"  step {step['step']:,}")
    left = "" if step["why"] == "damaged" else ": its tensors are gone"
    state = step["fault"] or (f"{gone(step)} {step['dropped']}{left}" if step["dropped"] else None)
    if state:
        page.wrapped(state, indent=2, style="error" if step["fault"] else "warning")
    if step["fault"] and not step["dropped"]:
        page.line("  ", (f"holdfast doctor {quote(document['path'] + '/' + step['name'])}", "command"))
    _row(
        page,
        "saved",
        [step["created"], f"holdfast {document['holdfast']}" if document.get("holdfast") else None],
    )
    _lineage(document, page)
    _metrics(document["metrics"], page)
    _state(document, page)
    if document["recorded"] is not None:
        _recorded(document["recorded"], page)
    _cost(step, document.get("telemetry") or {}, page)
    check = step["last_verified"]
    if not step["dropped"]:
        _row(
            page, "verified", [f"{check['verdict']}, {check['at']}" if check else "never since it was saved"]
        )
    if step["note"]:
        _row(page, "note", [step["note"]])
    if document["environment"]:
        page.blank()
        page.line(("environment", "bold"))
        for label, facts in environment_lines(document["environment"], verbose=verbose):
            _row(page, label, facts)
    _code(document, page)


def _row(page: Page, label: str, facts: Sequence[Any]) -> None:
    shown = [fact for fact in facts if fact not in (None, "")]
    if shown:
        page.facts(shown, indent=2, label=(label, "dim"), hang=_HANG)


def _lineage(document: Mapping[str, Any], page: Page) -> None:
    step, line = document["step"], document["line"]
    if step["fault"]:
        return
    facts = [f"lineage {step['lineage']}" if step["lineage"] else None]
    facts.append(f"continues {step['parent']}" if step["parent"] else "the first of its run")
    if len(line) > 1:
        facts.append(f"{plural(len(line) - 1, 'step')} before it, from {line[0]}")
    if document["continued_by"]:
        facts.append(f"continued by {words.some(document['continued_by'])}")
    _row(page, "line", facts)
    if step["variant"]:
        _row(page, "variant", [step["variant"]])


def _metrics(metrics: Sequence[Mapping[str, Any]], page: Page) -> None:
    if not metrics:
        _row(page, "metrics", ["none"])
    for n, metric in enumerate(metrics):
        meaning = ", ".join(f"{key} {words.value(value)}" for key, value in metric["meaning"].items())
        kind = metric["kind"] + (f" ({meaning})" if meaning else "")
        _row(page, "" if n else "metrics", [f"{metric['name']} {number(metric['value'])}", kind])
        if metric["why_not"]:
            page.wrapped(metric["why_not"], indent=2 + _HANG + 2, style="dim")


def _state(document: Mapping[str, Any], page: Page) -> None:
    roles = document["tensors"]
    _row(
        page, "state",
        [f"{plural(r['tensors'], 'tensor')} of role {role}, {words.size(r['nbytes'])}" for role, r in roles.items()],
    )  # fmt: skip
    _row(page, "files", [f"{file['name']} {words.size(file['nbytes'])}" for file in document["files"]])


def _recorded(recorded: Mapping[str, Any], page: Page) -> None:
    probe, contract = recorded["probe"], recorded["contract"]
    layers = "" if not probe or probe["layers"] is None else f" of {plural(probe['layers'], 'layer')}"
    _row(page, "probe", [f"recorded{layers}: restore(prove=True) replays it" if probe else "none"])
    fields = (contract or {}).get("fields") or []
    of = f" of {words.some(fields)}" if fields else ""
    _row(page, "data contract", [f"recorded{of}" if contract else "none"])
    random = recorded["random_state"]
    _row(page, "random state", [words.some(random, 8) if random else "none"])
    for part, label in _STATES:
        states = recorded["states"].get(part) or {}
        _row(
            page,
            label,
            [_state_told(name, row) for name, row in states.items()] or (["none"] if part == "data" else []),
        )
    if recorded["accumulating"]:
        _row(
            page, "accumulating", [f"saved in the middle of it: {words.value(recorded['accumulating'], 200)}"]
        )
    for optimizer in recorded["optimizers"]:
        at = f"step {optimizer['step']:,}" if isinstance(optimizer["step"], int) else None
        _row(
            page,
            "optimizer",
            [optimizer["class"] or optimizer["name"], at, words.some(optimizer["slots"], 6)],
        )
    _row(page, "resume", recorded.get("resume") or [])
    if recorded.get("resume_fault"):
        _row(page, "resume", [recorded["resume_fault"]])
    if recorded["architecture"]:
        _row(page, "architecture", [plural(recorded["architecture"], "module")])
    if recorded.get("config") is not None:
        _row(page, "configuration", [words.value(recorded["config"], 400)])


def _state_told(name: str, row: Any) -> str:
    if not isinstance(row, Mapping):
        return name
    of = row.get("class") or row.get("kind")
    value = f" = {words.value(row['value'], 60)}" if row.get("value") is not None else ""
    return f"{name}{value}" + (f" ({words.value(of)})" if of else "")


def _cost(step: Mapping[str, Any], telemetry: Mapping[str, Any], page: Page) -> None:
    times = step["timings"]
    facts = [
        f"{name} {seconds(times[name])}" for name in ("stall", "write", "fsync", "total") if name in times
    ]
    if facts and isinstance(telemetry.get("bytes"), int):
        facts.append(f"{words.size(telemetry['bytes'])} of tensors")
    if step["bytes_reused"]:
        facts.append(f"{words.size(step['bytes_reused'])} reused")
    _row(page, "save", facts)


# -- environment and code --------------------------------------------------------------------------------------------
def environment_lines(
    environment: Mapping[str, Any], *, verbose: bool = False
) -> list[tuple[str, list[str]]]:
    """Label and facts of each part of an environment that a person asks for first; ``verbose``: of all."""
    found: list[tuple[str, list[str]]] = []
    for label in ("python", "libraries", "host", "platform", "cpu", "driver", "variables", "command"):
        facts = environment_facts(label, environment.get(label))
        if facts:
            found.append((label, facts))
    for label, part in environment.items():
        if verbose and label not in {name for name, _ in found} and label != "holdfast":
            found.append((label, environment_facts(label, part)))
    return found


def environment_facts(label: str, part: Any) -> list[str]:
    """One part of an environment in short facts."""
    if part in (None, "", {}, []):
        return []
    if label == "command" and isinstance(part, list):
        return [" ".join(map(str, part))]
    if isinstance(part, Mapping):
        return [f"{key} {words.value(value)}" for key, value in part.items() if value not in (None, "")]
    return [words.value(part, 200)]


def _code(document: Mapping[str, Any], page: Page) -> None:
    code = document["code"]
    if code is None:
        return
    page.blank()
    page.line(("code", "bold"))
    dirty = {True: "with uncommitted changes", False: "nothing uncommitted"}.get(code.get("dirty"))
    _row(page, "commit", [code.get("commit"), code.get("branch"), dirty])
    _row(page, "root", [code.get("root")])
    untracked = code.get("untracked")
    if isinstance(untracked, list) and untracked:
        _row(page, "untracked", [words.some(list(map(str, untracked)), 8)])
    if code.get("diff_fault"):
        _row(page, "difference", [f"{code['diff_file']} cannot be read: {code['diff_fault']}"])
    elif code["diff"] is None:
        if code["diff_file"]:
            _row(page, "difference", ["recorded: --code shows it"])
        return
    if code.get("diff_cut"):
        _row(page, "difference", [f"cut: it has {code['diff_cut']:,} bytes in all"])
    page.blank()
    for line in (code["diff"] or "").splitlines():
        page.line((line.expandtabs(4), diff_style(line)))


def diff_style(line: str) -> str:
    """How a line of a difference is shown."""
    if line.startswith(("diff ", "index ", "--- ", "+++ ")):
        return "bold"
    if line.startswith("@@"):
        return "note"
    return {"+": "good", "-": "warning"}.get(line[:1], "")
