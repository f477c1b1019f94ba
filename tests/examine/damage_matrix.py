"""The doctor's damage matrix: every kind of damage that is visible in the files, on real checkpoints.

One row for each mutation and format, with the outcome that is expected; ``python tests/examine/damage_matrix.py``
prints the table. Expectations:

``silent``       neither an error nor a warning
``slug/verdict`` an error of one of these slugs (``a|b``), alone at its level, and that verdict (or ``a|b``)
``warn:slug/v``  a warning of one of these, no error
``note:slug/v``  a note of one of these, nothing graver
``any:slug``     told under one of these slugs as error or warning
``blind``        nothing in the file can tell it: silent, and the proof must not claim the bytes
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import damage_values as values
from damage_bases import BASES, Base
from damage_bytes import DATA_MUTATIONS, Mutator, head_flipped
from damage_folders import FOLDER_ROWS
from damage_sound import SOUND, Writes

from holdfast._core.finding import CheckpointReport, Finding
from holdfast._examine.examine import examine
from holdfast._integrity.seal import write_seal
from holdfast._layouts.opening import open_target
from holdfast._layouts.resolve import resolve


@dataclass(frozen=True)
class Row:
    """``base``: the format; ``mutate`` changes its fresh copy, or ``writes`` makes a sound file of its own."""

    base: str
    mutation: str
    expect: str
    mutate: Mutator | None = None
    writes: Writes | None = None

    @property
    def id(self) -> str:
        return f"{self.base}: {self.mutation}"


# --- expectations of damaged bytes ---------------------------------------------------------------------------

CHECKED = {
    *("torch-state", "torch-train", "lightning", "npz", "keras-archive", "torch-sharded"),
    *("tf-object", "tf-run", "tf-name", "savedmodel"),
}
"""Formats with a checksum over every value."""
PARTS = {
    "safetensors-sharded",
    "torch-sharded",
    "keras-sharded",
    "tf-object",
    "tf-run",
    "tf-name",
    "savedmodel",
}
"""Checkpoints of several files: damage to one leaves the others."""
TF = {"tf-object", "tf-run", "tf-name", "savedmodel"}
JUNK = {
    "0 bytes": "empty-file",
    "all zero": "zero-file",
    "HTML page": "html-page",
    "error document": "error-document",
    "LFS pointer": "lfs-pointer",
}


def _expected(name: str, mutation: str) -> str:
    checked, parts = name in CHECKED, name in PARTS
    some = "damaged|lost" if parts else "lost"
    if mutation in JUNK:
        return f"{JUNK[mutation]}|truncated|shards-mixed/{some}" if parts else f"{JUNK[mutation]}/lost"
    if mutation == "exponent bit flipped":
        return "checksum/damaged" if checked else "absurd-values/damaged"
    if mutation == "mantissa bit flipped":
        return "checksum/damaged" if checked else "blind"
    if mutation == "4 KB zeroed":
        return "checksum/damaged" if checked else "zeroed-pages/damaged"
    if mutation == "4 KB garbage":
        return "checksum/damaged" if checked else "absurd-values|nan|infinite/damaged"
    if mutation == "4 KB misdirected":
        return "checksum/damaged" if checked else "blind"
    if mutation.startswith("text copy (C"):
        return "text-mode-copy|truncated|malformed|checksum|shards-mixed|trailing-bytes/damaged|lost"
    if mutation.startswith("text copy"):
        return "text-mode-copy|truncated|shards-mixed|checksum|malformed|not-recognised/damaged|lost"
    if mutation in ("one byte cut", "half cut", "nine tenths cut"):
        return "truncated|malformed/damaged|lost"
    if mutation == "second half zero":
        return "checksum|truncated|malformed|zeroed-pages|dead-tensor|shards-mixed/damaged|lost"
    if mutation == "head, then garbage":
        return "checksum|truncated|malformed|limit|shards-mixed|absurd-values/damaged|lost"
    if mutation == "bytes appended":
        return "any:trailing-bytes|checksum|malformed"
    if mutation == "one byte lost inside":
        return "truncated|malformed|checksum|shards-mixed/damaged|lost"
    if mutation == "one byte added inside":
        return "any:trailing-bytes|checksum|malformed|truncated|shards-mixed|absurd-values"
    raise KeyError(mutation)


def _rows() -> Iterator[Row]:
    for name in BASES:
        yield Row(name, "untouched", "silent", lambda folder, base: None)
        for mutation, mutate in DATA_MUTATIONS.items():
            yield Row(name, mutation, _expected(name, mutation), mutate)
        if name in TF:
            yield Row(
                name, "index bit flipped", "checksum|malformed|truncated|limit/damaged|lost", head_flipped
            )
        yield Row(
            name,
            "sealed, mantissa bit flipped",
            "checksum/damaged",
            sealed(DATA_MUTATIONS["mantissa bit flipped"]),
        )
        yield Row(
            name, "sealed, 4 KB misdirected", "checksum/damaged", sealed(DATA_MUTATIONS["4 KB misdirected"])
        )
        yield Row(name, "sealed, untouched", "silent", sealed(lambda folder, base: None))
    for name, handles in values.HANDLES.items():
        for mutation, (handle, edit, expect) in values.VALUES.items():
            if handle in handles:
                yield Row(name, mutation, expect, values.edit_value(name, handle, edit))
    for name in ("torch-train", "torch-legacy", "lightning", "torch-state"):
        for mutation, (change, expect) in values.TORCH.items():
            yield Row(name, mutation, expect, values.edit_torch(change))
    for name in ("torch-train", "torch-legacy", "lightning"):
        for mutation, (change, expect) in values.TORCH_OPTIMIZER.items():
            yield Row(name, mutation, expect, values.edit_torch(change))
    for name in ("safetensors", "npz"):
        for mutation, (change_arrays, expect) in values.ARRAYS.items():
            yield Row(name, mutation, expect, values.edit_arrays(change_arrays))
    for name in ("keras-archive", "keras-weights", "keras-h5"):
        for mutation, (change_h5, expect) in values.H5.items():
            yield Row(name, mutation, expect, values.edit_h5(change_h5))
    for mutation, (change_bundle, expect) in values.BUNDLE.items():
        yield Row("tf-object", mutation, expect, values.edit_bundle(change_bundle))
    for name, mutation, expect, mutate in FOLDER_ROWS:
        yield Row(name, mutation, expect, mutate)
    for sound in SOUND:
        yield Row(sound.base, sound.title, sound.expect, writes=sound)


def sealed(mutate: Mutator) -> Mutator:
    """Seal first, then damage."""

    def change(folder: Path, base: Base) -> None:
        (target, *_) = resolve(folder / base.main)
        catalog = open_target(target)
        try:
            write_seal(target, catalog)
        finally:
            catalog.close()
        mutate(folder, base)

    return change


ROWS = tuple(_rows())


# --- running -------------------------------------------------------------------------------------------------


class Bench:
    """Bases written once below ``root``; each row gets a copy."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._written: dict[str, tuple[Path, Base]] = {}
        self._count = 0

    def missing(self, row: Row) -> str | None:
        modules = row.writes.modules if row.writes is not None else BASES[row.base].modules
        if row.writes is not None:
            import importlib.util

            return next((m for m in modules if importlib.util.find_spec(m) is None), None)
        return BASES[row.base].missing

    def base(self, name: str) -> tuple[Path, Base]:
        if name not in self._written:
            folder = self.root / "bases" / name
            folder.mkdir(parents=True)
            self._written[name] = folder, BASES[name].write(folder)
        return self._written[name]

    def run(self, row: Row) -> tuple[CheckpointReport, ...]:
        self._count += 1
        folder = self.root / f"row{self._count}"
        if row.writes is not None:
            folder.mkdir(parents=True)
            main = row.writes.write(folder)
        else:
            assert row.mutate is not None
            source, base = self.base(row.base)
            shutil.copytree(source, folder)
            row.mutate(folder, base)
            main = base.main
            if row.mutation.endswith(" left"):
                main = "."
            if row.mutation.startswith("half download"):
                main += ".part"
            if not (folder / main).exists() and not list(folder.glob(main + ".*")):
                main = "."
        try:
            return examine(folder / main, jobs=1).checkpoints
        finally:
            shutil.rmtree(folder)


@dataclass(frozen=True)
class Outcome:
    """``word``: ``caught``, ``silent``, ``blind``, or what is wrong (``missed``, ``false alarm``, ``other code``,
    ``more than one``, ``verdict``)."""

    word: str
    text: str

    @property
    def right(self) -> bool:
        return self.word in ("caught", "silent", "blind")


def judge(row: Row, reports: tuple[CheckpointReport, ...]) -> Outcome:
    findings = [f for r in reports for f in r.findings]
    errors = [f for f in findings if f.severity == "error"]
    warnings = [f for f in findings if f.severity == "warning"]
    shown = ", ".join(f"{f.code} {f.slug}" for f in (*errors, *warnings)) or "silent"
    verdicts = "+".join(dict.fromkeys(r.verdict for r in reports))
    text = f"{shown} [{verdicts}]"
    if any(f.slug == "internal" for f in findings):
        return Outcome("bug", text)
    if row.expect in ("silent", "blind"):
        if errors or warnings:
            return Outcome("false alarm", text)
        if (
            row.expect == "blind"
            and row.mutation in DATA_MUTATIONS
            and all(r.proof in ("checksums", "sealed") for r in reports)
        ):
            return Outcome("false proof", text)
        return Outcome(row.expect, text)
    level, _, rest = row.expect.rpartition(":")
    slugs, _, verdict = rest.partition("/")
    accepted = set(slugs.split("|"))
    at: list[Finding] = {
        "": errors,
        "warn": warnings,
        "note": [f for f in findings if f.severity == "note"],
        "any": [*errors, *warnings],
    }[level]
    graver = {"warn": errors, "note": [*errors, *warnings]}.get(level, [])
    if graver:
        return Outcome("too grave", text)
    hits = [f for f in at if f.slug in accepted]
    if not hits:
        return Outcome("other code" if at and level != "note" else "missed", text)
    if level == "" and len(errors) > 1:
        return Outcome("more than one", text)
    if verdict and not any(v in verdict.split("|") for v in verdicts.split("+")):
        return Outcome("verdict", text)
    return Outcome("caught", ", ".join(f"{f.code} {f.slug}" for f in hits[:1]) + f" [{verdicts}]")


@lru_cache(maxsize=1)
def _bench() -> Bench:
    return Bench(Path(tempfile.mkdtemp(prefix="damage-")))


def main() -> int:
    """Print the table; 1 where anything is missed or falsely alarmed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="rows whose id contains this")
    parser.add_argument("--wrong", action="store_true", help="only rows that do not come out as expected")
    parser.add_argument("--keep-going", action="store_true", help="go on where a row itself fails")
    parser.add_argument("--from", dest="start", type=int, default=0, help="begin at this row")
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    warnings.simplefilter("ignore")
    bench, totals, wrong = _bench(), Counter[str](), 0
    per: dict[str, Counter[str]] = defaultdict(Counter)
    try:
        for row in ROWS[options.start :]:
            if options.only not in row.id:
                continue
            gone = bench.missing(row)
            if gone is not None:
                totals[f"skipped: {gone} is not installed"] += 1
                continue
            try:
                outcome = judge(row, bench.run(row))
            except Exception as trouble:
                if not options.keep_going:
                    raise
                outcome = Outcome("bug", f"{type(trouble).__name__}: {trouble}")
            totals[outcome.word] += 1
            per[row.base][outcome.word if outcome.right else "wrong"] += 1
            wrong += not outcome.right
            if not (options.wrong and outcome.right):
                print(f"{row.base:20} {row.mutation:42} {outcome.word:12} {outcome.text}", flush=True)
    finally:
        shutil.rmtree(bench.root, ignore_errors=True)
    print()
    for name, words in per.items():
        print(
            f"{name:20} "
            + "   ".join(f"{word} {words[word]:>3}" for word in ("caught", "silent", "blind", "wrong"))
        )
    print("\n" + "   ".join(f"{word}: {n}" for word, n in totals.most_common()))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
