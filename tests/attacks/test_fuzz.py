"""Mutation fuzzing of every reader over the small zoo: only Holdfast's own errors, bounded time and memory, no crash.

``make test`` runs a bounded sample, ``make test-long`` a long one. A failing case is named by file and seed:
``mutate(data, seed)`` makes it again, or ``mutate_inside`` for odd seeds of formats with checksums.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from cage import cage
from mutate import mutate, mutate_inside

ZOO = Path(__file__).resolve().parent.parent / "zoo"
CASES = [json.loads(line) for line in (ZOO / "INDEX.jsonl").read_text().splitlines()]


def fuzz(case: dict[str, object], seeds: range, folder: Path) -> list[str]:
    """Examine mutated copies of a case; each mutation hits one of its files, the others stay whole."""
    home = ZOO / str(case["folder"])
    files = [str(f) for f in case["files"] if str(f) != "checkpoint"]  # type: ignore[attr-defined]
    paths = []
    for seed in seeds:
        copy = folder / str(seed)
        shutil.copytree(home, copy, ignore=shutil.ignore_patterns("truth.*"))
        hit = files[seed % len(files)]
        whole = (home / hit).read_bytes()
        inside = mutate_inside(whole, seed) if seed % 2 else None
        (copy / hit).write_bytes(mutate(whole, seed) if inside is None else inside)
        paths.append(copy / hit)
    return [str(c) for c in cage(paths) if not c.good]


@pytest.mark.parametrize("case", CASES, ids=[c["folder"] for c in CASES])
def test_mutations(case: dict[str, object], tmp_path: Path) -> None:
    assert fuzz(case, range(25), tmp_path) == []


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("case", CASES, ids=[c["folder"] for c in CASES])
def test_many_mutations(case: dict[str, object], tmp_path: Path) -> None:
    for start in range(1000, 3000, 200):
        folder = tmp_path / str(start)
        folder.mkdir()
        assert fuzz(case, range(start, start + 200), folder) == []
        shutil.rmtree(folder)
