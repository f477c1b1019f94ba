"""What a report over a run says beside its history: the doctor's findings, norms, and what of the environment changed.

How much is read goes by ``depth``; the report says what was not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from ..._core.errors import HoldfastError
from ..._core.fault import Progress
from ..._core.finding import Report
from ..._core.words import plural
from ..._examine.examine import examine
from ..._record.environment_changes import environment_changes
from ..._render.document import report_document
from ..._render.plain import plain
from ..._version import __version__
from ..folder.saved import DIFF, SavedStep
from .documents import Run
from .norms import numbers_of_steps

__all__ = ["report_of"]


def report_of(
    run: Run, *, depth: str = "structure", jobs: int | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """The part of the document that only a report has. ``depth``: ``header`` (no tensor is read), ``structure`` (weights and
    buffers, for norms), ``full`` (every byte and all values). ``progress``: called with byte counts. Damage is in the
    report, never raised."""
    live = {c.name: c for c in run.checkpoints if c.fault is None}
    findings = {name: _findings(c.path, depth, jobs, progress) for name, c in live.items()}
    layers: list[str] = []
    numbers: dict[str, Any] = {}
    if depth != "header":
        announce = getattr(progress, "checkpoint", None)
        count = len(live)
        begun = iter(range(1, count + 1))

        def begin(path: str, nbytes: int) -> None:
            if announce is not None:
                announce(path, next(begun, count), count, nbytes)

        paths = {name: c.path for name, c in live.items()}
        found, layers = numbers_of_steps(
            paths, all_roles=depth == "full", jobs=jobs, progress=progress, begin=begin
        )
        numbers = {name: one.as_document(layers) for name, one in found.items()}
    made = plain(
        {
            "made": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "holdfast": __version__,
            "depth": depth,
            "not_looked_at": _left_out(depth, run),
            "findings": findings,
            "layers": layers,
            "numbers": numbers,
            "changes": list(_changes(run)),
        }
    )
    assert isinstance(made, dict)
    return made


def _findings(path: str, depth: str, jobs: int | None, progress: Progress | None) -> dict[str, Any]:
    """The doctor's report of one checkpoint."""
    try:
        report: Report = examine(path, depth=depth, jobs=jobs, progress=progress)
    except HoldfastError as error:  # dropped or taken away meanwhile
        return {"verdict": "unknown", "fault": error.message, "findings": [], "not_looked_at": []}
    (found,) = report_document(report)["checkpoints"][:1] or [{}]
    return dict(found)


def _left_out(depth: str, run: Run) -> list[str]:
    left = []
    if depth == "header":
        left.append("values of tensors (norms, NaN, dead tensors)")
    if depth == "structure":
        left.append("values of optimizer slots, and digests of the files: `--depth full` reads every byte")
    gone = sum(not row.live and row.why != "damaged" for row in run.rows)
    if gone:
        left.append(f"tensors of {plural(gone, 'dropped checkpoint')}: they are gone")
    broken = sum(c.fault is not None for c in run.checkpoints)
    if broken:
        many = plural(broken, "checkpoint")
        left.append(f"{many} whose record cannot be used: `holdfast doctor` looks there")
    return left


def _changes(run: Run) -> Iterator[dict[str, Any]]:
    """Where two checkpoints, one saved after the other, were made with something else; those that were dropped included."""
    before: SavedStep | None = None
    for row in run.rows:
        if row.fault is not None or not row.environment:
            continue
        if before is not None and row.environment != before.environment:
            changes = [
                {"name": c.name, "then": c.then, "now": c.now, "matters": c.matters, "why": c.why}
                for c in environment_changes(before.environment, row.environment)
            ]
            changes += _code_changes(before.environment.get("code"), row.environment.get("code"))
            changes += _word_changes(before.environment, row.environment)
            if changes:
                yield {"from": before.name, "to": row.name, "changes": changes}
        before = row


def _code_changes(then: Any, now: Any) -> Iterator[dict[str, Any]]:
    """Another commit, or other changes that were not committed."""
    was = then if isinstance(then, Mapping) else {}
    here = now if isinstance(now, Mapping) else {}
    for key in ("commit", "branch", "dirty"):
        if was.get(key) != here.get(key):
            yield {
                "name": f"code.{key}", "then": was.get(key), "now": here.get(key), "matters": key != "branch",
                "why": "other code may compute something else" if key != "branch" else "",
            }  # fmt: skip
    first, second = was.get("diff_digest"), here.get("diff_digest")
    if first and second and first != second:
        yield {
            "name": DIFF, "then": str(first)[:12], "now": str(second)[:12], "matters": True, "why": "other uncommitted changes",
        }  # fmt: skip


def _word_changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for key in ("host", "command"):
        if then.get(key) != now.get(key) and then.get(key) and now.get(key):
            shown = [
                " ".join(map(str, v)) if isinstance(v, (list, tuple)) else v for v in (then[key], now[key])
            ]
            yield {"name": key, "then": shown[0], "now": shown[1], "matters": False, "why": ""}
