"""Files that are about to be loaded, or were just saved: examined once for each content."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .._core.errors import HoldfastError
from .._core.finding import CheckpointReport
from .._core.words import plural
from .._examine.examine import examine_target
from .._integrity.seal import find_seal
from .._layouts.folder_scan import target_of_file
from .._layouts.opening import the_one
from .._layouts.shards import SHARD
from .._layouts.target import Target
from .._storage import LocalFolder

if TYPE_CHECKING:
    from .guard import Options

__all__ = ["Files"]

_MOST_FILES = 10_000

_PROOF = {
    "sealed": "every byte is as it was sealed",
    "checksums": "all checksums are right",
    "partial": "the checksums that it has are right",
    "structure-only": "it carries no checksums",
}


class Files:
    """Reports on checkpoints, kept as long as their files do not change."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._known: dict[str, tuple[object, CheckpointReport]] = {}
        self._places: dict[str, str] = {}

    def examined(
        self, path: str, *, fresh: bool = False, sealed: bool = True, alone: bool = False
    ) -> CheckpointReport | None:
        """The report on the checkpoint at ``path``; ``None`` where there is none, or several: the call itself will tell.

        ``fresh``: look again, though the file seems to be the same (two saves may lie within one tick of the clock).
        ``sealed``: hold it against the seal beside it, which is of the content before where it was just written.
        ``alone``: of a shard only itself, as the others and the index are written after it.
        """
        try:
            target = (_shard(path) if alone else None) or the_one(path)
        except HoldfastError:
            return None
        state = _state(target)
        known = self._known.get(target.path)
        if known is not None and known[0] == state and not fresh:
            return known[1]
        depth = "full" if self.options.verify else "structure"
        report = examine_target(target, depth=depth, sealed=sealed, quick=True)
        if sealed or find_seal(target) is None:
            self._known[target.path] = (state, report)
        return report

    def place(self, path: str) -> str:
        """The checkpoint to which a file belongs: the index of its shards, else itself."""
        if path not in self._places:
            try:
                self._places[path] = the_one(path).path
            except HoldfastError:
                return path
        return self._places[path]

    def moved(self, old: str, new: str, report: CheckpointReport) -> None:
        """A checkpoint that was examined has another path now."""
        self._known.pop(old, None)
        try:
            target = the_one(new)
        except HoldfastError:
            return
        if find_seal(target) is None:
            self._known[target.path] = (_state(target), replace(report, path=target.path))

    def seal_of_another(self, path: str) -> bool:
        """Whether a seal lies beside the checkpoint and is not of its content."""
        try:
            target = the_one(path)
        except HoldfastError:
            return False
        if find_seal(target) is None:
            return False
        return any(f.severity == "error" for f in examine_target(target, depth="full", quick=True).findings)

    def sentence(self, report: CheckpointReport) -> str:
        """What the file is, and how much its soundness rests on."""
        what = report.writer or report.format or "unknown format"
        told = f"{report.verdict}, {_PROOF[report.proof]}" if report.verdict == "sound" else report.verdict
        return f"{what}; {plural(report.tensors, 'tensor')}; {told}"


def _shard(path: str) -> Target | None:
    head, name = os.path.split(path)
    if not SHARD.fullmatch(name) or not Path(path).is_file():
        return None
    return target_of_file(LocalFolder(head or ".", head), name)


def _state(target: Target) -> tuple[tuple[str, int, int, int], ...]:
    """Changes when a file of the checkpoint does: of a folder all its files, of a prefix or an index those beside it."""
    place = Path(target.path)
    if place.is_dir():
        files = sorted(place.rglob("*"))
    elif place.is_file() and place.suffix != ".json":
        files = [place]
    else:
        files = sorted(place.parent.iterdir()) if place.parent.is_dir() else []
    found = []
    for file in files[:_MOST_FILES]:
        try:
            about = file.stat()
        except OSError:
            continue
        found.append((str(file), about.st_size, about.st_mtime_ns, about.st_ino))
    return tuple(found)
