"""A missing part that lies in its folder under another name: as browsers, file managers, unfinished downloads and iCloud
call it.

Sources: Chromium, "Save as" and Firefox's download manager (`` (1)`` before the ending), Windows Explorer (`` - Copy``),
macOS's Finder and iCloud (`` copy``, `` 2``; ``.NAME.icloud`` stands for a file that is not on the disk).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from .._core.errors import HoldfastError
from .._core.shell import quote
from .._formats.junk import UNFINISHED
from .._storage import Store
from .._storage.source import Entry

__all__ = ["OtherName", "lies_as"]

_MARK = r"(?: ?\(\d{1,3}\)| - Copy(?: \(\d+\))?| copy(?: \d+)?| \d)"
_ADDED = (".txt", ".zip", ".bin", ".dat")
_NUMBERED = re.compile(r"(?P<front>.+-\d{5}-of-)\d{5}(?P<end>.*)")


@dataclass(frozen=True, slots=True)
class OtherName:
    """``said``: where the part is, as a clause of a sentence; ``remedy``: what gives it its name back."""

    name: str
    said: str
    remedy: str


def lies_as(
    store: Store, part: str, *, size: int | None = None, not_among: Collection[str] = ()
) -> OtherName | None:
    """The file that the missing ``part`` of ``store`` likely is, or ``None``. ``size``: its bytes, where they are known;
    ``not_among``: files that are parts already."""
    if not part or "/" in part or "\\" in part:
        return None
    try:
        files = [e for e in store.entries() if not e.is_folder and e.link is None]
    except HoldfastError:
        return None
    shown = store.shown(part)
    for name in (e.name for e in files):
        if name == f".{part}.icloud":
            return OtherName(
                name,
                "it lies in iCloud and not on this disk",
                f"`brctl download {quote(shown)}` fetches it (Finder: Download Now).",
            )
    renamed = sorted(
        e.name
        for e in files
        if _renumbered(e, part, size) or (e.name not in not_among and _renamed(e.name, part) and e.size)
    )
    if renamed:
        more = f" (or another of {len(renamed)})" if len(renamed) > 1 else ""
        return OtherName(
            renamed[0],
            f"{renamed[0]!r} beside it is likely that file{more}, renamed by a browser or a copy",
            f"Give it its name back, and look again: `mv {quote(store.shown(renamed[0]))} {quote(shown)}`",
        )
    for name in (e.name for e in files):
        if any(name.lower() == part.lower() + ending for ending in UNFINISHED):
            return OtherName(
                name,
                f"{name!r} beside it is its download, not finished",
                "Let the download finish, or start it again; the program that does it renames the file when it is whole.",
            )
    return None


def _renumbered(entry: Entry, part: str, size: int | None) -> bool:
    """The same number of another count of shards, and exactly as long as it must be."""
    mine, other = _NUMBERED.fullmatch(part), _NUMBERED.fullmatch(entry.name)
    if mine is None or other is None or size is None or entry.size != size or entry.name == part:
        return False
    return (other["front"], other["end"]) == (mine["front"], mine["end"])


def _renamed(name: str, part: str) -> bool:
    if (
        name.lower() == part.lower()
        or name in {part + ending for ending in _ADDED}
        or name == f"Copy of {part}"
    ):
        return name != part
    places = [at for at, letter in enumerate(part) if letter == "." and at] + [len(part)]
    return any(
        re.fullmatch(re.escape(part[:at]) + _MARK + re.escape(part[at:]), name) is not None for at in places
    )
