"""The examples of ``docs/vault.md``, carried out, and the ranks of one process that they make."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from holdfast import Vault
from holdfast._storage.local_sink import LocalSink

DOCS = Path(__file__).resolve().parents[2] / "docs" / "vault.md"


def documented(title: str) -> dict[str, Any]:
    """The first block of Python below a heading of the page, carried out."""
    text = DOCS.read_text(encoding="utf-8").split(f"### {title}\n", 1)[1]
    found = re.search(r"```python\n(.*?)```", text, re.S)
    assert found is not None
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(found[1], f"docs/vault.md, {title}", "exec"), names)
    return names


RANKS = documented("A coordinator of your own")


def together(
    path: Path, work: Callable[[Vault, int], Any], *, sinks: dict[int, LocalSink] | None = None, **given: Any
) -> list[Any]:
    """What ``work`` gives or raises on each of two ranks."""
    table = RANKS["Table"](2)
    found: list[Any] = [None, None]

    def run(rank: int) -> None:
        coordinator = RANKS["ThreadRank"](rank, table)
        try:
            with Vault(path, coordinator=coordinator, sink=(sinks or {}).get(rank), **given) as vault:
                found[rank] = work(vault, rank)
        except BaseException as error:  # noqa: BLE001 - given to the test
            found[rank] = error

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive(), "a rank waits for one that is gone"
    return found
