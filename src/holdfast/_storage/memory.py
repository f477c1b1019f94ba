"""How much memory is left: of the machine, and of the control group that this process lives in.

Sources: proc(5) (``/proc/meminfo``, ``/proc/self/cgroup``); the kernel's Documentation/admin-guide/cgroup-v2.rst
(``memory.max``, ``memory.current``, ``memory.stat``) and cgroup-v1/memory.rst (``memory.limit_in_bytes``,
``memory.usage_in_bytes``, ``total_*`` rows).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

__all__ = ["Memory", "memory", "peak_resident", "resident"]

_NO_LIMIT = 1 << 60
"""Version 1 writes a number near 2**63 where there is no limit."""


class Memory(NamedTuple):
    """Bytes. ``free``: can be had without swapping. ``swap``: free swap. ``most``: all that this process could ever have."""

    free: int
    swap: int
    most: int


def memory(root: str = "/") -> Memory | None:
    """What is left now; ``None`` where the system does not tell. ``root``: where ``/proc`` and ``/sys`` are.

    Page cache that a control group is charged for counts as free: the kernel drops it before it kills.
    """
    rows = _rows(Path(root, "proc/meminfo"), 1024)
    if "MemAvailable" not in rows:
        return None
    free, swap, most = rows["MemAvailable"], rows.get("SwapFree", 0), rows.get("MemTotal", _NO_LIMIT)
    most += rows.get("SwapTotal", 0)
    for limit, used, cached in _groups(root):
        free = min(free, max(0, limit - used + cached))
        most = min(most, limit + rows.get("SwapTotal", 0))
    return Memory(free, swap, most)


def _groups(root: str) -> list[tuple[int, int, int]]:
    """(limit, used, droppable page cache) of each control group with a limit, up to the topmost."""
    try:
        lines = Path(root, "proc/self/cgroup").read_text("ascii", errors="replace").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            base, names = Path(root, "sys/fs/cgroup"), ("memory.max", "memory.current", "")
        elif "memory" in controllers.split(","):
            base = Path(root, "sys/fs/cgroup/memory")
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")
        else:
            continue
        inner = [part for part in path.split("/") if part not in ("", "..")]
        for depth in range(
            len(inner), -1, -1
        ):  # in a container the path may be the host's: the top is there always
            here = base.joinpath(*inner[:depth])
            limit, used = _number(here / names[0]), _number(here / names[1])
            if limit is None or used is None or limit >= _NO_LIMIT:
                continue
            stat = _rows(here / "memory.stat", 1)
            cached = sum(stat.get(f"{names[2]}{row}", 0) for row in ("inactive_file", "active_file"))
            found.append((limit, used, min(cached, used)))
    return found


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text("ascii").strip())
    except (OSError, ValueError):  # not there, or "max"
        return None


def _rows(path: Path, unit: int) -> dict[str, int]:
    found = {}
    try:
        for line in path.read_text("ascii", errors="replace").splitlines():
            words = line.replace(":", " ").split()
            if len(words) >= 2 and words[1].isdigit():
                found[words[0]] = int(words[1]) * unit
    except OSError:
        return {}
    return found


def resident() -> int | None:
    """Bytes of memory that this process has now (proc(5), ``VmRSS``); ``None`` where the system does not tell."""
    return _rows(Path("/proc/self/status"), 1024).get("VmRSS")


def peak_resident() -> int | None:
    """The most bytes of memory that this process ever had (getrusage(2): kilobytes, on macOS bytes).

    Linux keeps these counters for each processor and adds them up now and then: what is resident now may be a little more.
    """
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return max(most if sys.platform == "darwin" else most * 1024, resident() or 0)
