"""``holdfast history RUN``: the checkpoints of a vault, in the order of saving."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .._core.errors import CheckpointNotFound
from .options import Settings, shared

if TYPE_CHECKING:
    from .._vault.scrub import LastCheck

__all__ = ["command"]


@click.command("history")
@click.argument("run", metavar="RUN")
@shared(formats=("text", "json"), findings=False, jobs=False)
def command(run: str, settings: Settings) -> None:
    """List the checkpoints of a vault: step, time, size, metrics, lineage, and where the model's structure changed.

    A step whose record cannot be used is listed with the reason; it does not vanish. Nothing is verified here:
    `holdfast verify RUN` does that.

    \b
    Examples:
      holdfast history runs/bert
      holdfast history runs/bert --format json
    """
    from .._render import render
    from .._render.document import SCHEMA_VERSION
    from .._vault.names import DAMAGED, MANIFEST, PARTIAL
    from .._vault.scrub import last_checked
    from .._vault.vault import Vault

    folder = Path(run)
    if not folder.is_dir():
        raise CheckpointNotFound("no such folder", file=run, expected="the folder of a vault")
    names = sorted(entry.name for entry in folder.iterdir())
    checkpoints = Vault(run).checkpoints()
    checked = last_checked(run, checkpoints)
    if not checkpoints and MANIFEST not in names:
        raise CheckpointNotFound(
            "this folder is no vault", file=run, expected=f"{MANIFEST} and folders step-...",
            remedy=f"`holdfast {run}` looks at whatever checkpoints lie there.",
        )  # fmt: skip
    document: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "command": "history",
        "path": run,
        "checkpoints": [
            {
                "name": c.name,
                "step": c.step,
                "created": c.created.strftime("%Y-%m-%dT%H:%M:%SZ") if c.created else None,
                "sequence": c.sequence,
                "lineage": c.lineage,
                "parent": c.parent,
                "variant": c.variant,
                "metrics": dict(c.metrics or {}),
                "nbytes": c.nbytes,
                "pinned": c.pinned,
                "fault": c.fault,
                "note": c.note,
                "last_verified": _told(checked.get(c.name)),
            }
            for c in checkpoints
        ],
        "set_aside": [name for name in names if name.startswith(DAMAGED)],
        "unfinished": [name for name in names if name.startswith(PARTIAL)],
    }
    settings.write(render(document, settings.format, page=settings.page(), quiet=settings.quiet))


def _told(check: LastCheck | None) -> dict[str, str] | None:
    return None if check is None else {"at": f"{check.at:%Y-%m-%dT%H:%M:%SZ}", "verdict": check.verdict}
