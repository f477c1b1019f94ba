"""200 random flips in each sealed checkpoint of the small zoo, written by the real frameworks, through the public API."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

import holdfast

ZOO = Path(__file__).resolve().parent.parent / "zoo"
CASES = [json.loads(line) for line in (ZOO / "INDEX.jsonl").read_text(encoding="utf-8").splitlines()]
FLIPS = 200


def main_file(folder: Path, files: list[str]) -> Path:
    """What a person would name: an index before its shards, the program before its variables."""
    for ending in ("saved_model.pb", ".index", ".index.json", ".weights.json", ""):
        for file in files:
            if file.endswith(ending) and file != "checkpoint":
                return folder / file
    raise AssertionError(files)


@pytest.mark.parametrize("case", CASES, ids=[case["folder"] for case in CASES])
def test_every_flip_is_found_and_placed(case: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "ckpt"
    shutil.copytree(ZOO / case["folder"], folder, ignore=shutil.ignore_patterns("truth.*"))
    path = main_file(folder, case["files"])
    seal = json.loads(Path(holdfast.seal(path)).read_text(encoding="utf-8"))
    assert holdfast.verify(path).proof == "sealed"
    sizes = {entry["name"]: entry["size"] for entry in seal["files"]}
    assert len(sizes) == len([f for f in case["files"] if f != "checkpoint"])
    rng = random.Random(case["id"])
    home = folder / "sm" if (folder / "sm").exists() else folder
    for _ in range(FLIPS):
        name = rng.choices(list(sizes), list(sizes.values()))[0]
        file = home / name if (home / name).exists() else folder / name
        whole = file.read_bytes()
        at = rng.randrange(len(whole))
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << rng.randrange(8)]) + whole[at + 1 :])
        report = holdfast.verify(path)
        file.write_bytes(whole)
        told = [
            f
            for f in [*report.findings, *(r for f in report.findings for r in f.related)]
            if f.slug == "checksum" and f.evidence.get("kind") == "blake3"
        ]
        assert told, f"byte {at} of {name}: {[f.slug for f in report.findings]}"
        assert report.verdict in ("damaged", "lost"), report.verdict
        (finding,) = told
        assert finding.where.file is not None and Path(finding.where.file).name == Path(name).name
        assert finding.where.offset is not None and finding.where.offset <= at
        assert finding.where.tensor is not None or finding.evidence["zone"] in (
            "header",
            "gap",
            "end",
            "file",
        )
    assert holdfast.verify(path).proof == "sealed"
