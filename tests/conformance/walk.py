"""Walk folders of real checkpoints with known true values, and count what Holdfast gets right.

Three folders: the version zoo and the public files beside the repository (skipped by name where absent), and the small zoo
of our own (``tests/zoo``), laid out like the version zoo. A case is counted under its format: *exact* when every true tensor
is found and equal bit for bit; *names* is the share of true names that are a tensor's name or key; *findings* tells whether a
broken file gets a finding of a right kind; a *false alarm* is an error-level finding on a sound file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import holdfast
from shared import FILES, ROOT, ZOO, file_cases, same_bits, truth_of, zoo_cases

OWN = ROOT / "tests" / "zoo"

# Formats of READ, as the folders' indexes call them.
ZOO_FORMATS = (
    "tf_checkpoint_v2",
    "tf_checkpoint_v2_object",
    "tf_savedmodel",
    "keras_h5_model",
    "keras_h5_weights",
    "keras_v3",
    "keras_weights_h5_v3",
    "keras_weights_h5_sharded",
    "torch_zip",
    "torch_legacy",
    "torch_sharded_index",
    "safetensors",
    "safetensors_sharded",
    "npz",
    "npy",
)
FILE_FORMATS = (
    "tf-bundle",
    "savedmodel",
    "keras-archive",
    "keras-h5-legacy",
    "keras-weights-h5",
    "torch-zip",
    "torch-legacy",
    "safetensors",
)

# What is wrong with broken files and which findings are right; by words of the index's own description.
BROKEN = {
    "mangled": {"text-mode-copy"},
    "shard": {"part-missing"},
    "missing": {"part-missing", "malformed"},
    "pointer": {"lfs-pointer"},
}
# Files that the index files under a format of READ but that another room reads: their tar is only named so far.
NAMED_ONLY = ("reader_tar_",)


@dataclass
class Outcome:
    """What came of one case."""

    id: str
    format: str
    exact: bool = False
    names_right: int = 0
    names_all: int = 0
    framework_right: int = 0
    framework_all: int = 0
    broken: bool = False
    finding_right: bool | None = None
    alarms: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)


def main_files(case: dict[str, Any], folder: Path) -> list[Path]:
    """The file(s) a person would name to open a case's checkpoint."""
    files = case["files"]
    kind = case["format"]
    if kind.startswith("tf_checkpoint"):
        return sorted(folder.rglob("*.index"))
    if kind == "tf_savedmodel":
        return [folder / next(f for f in files if f.endswith("saved_model.pb"))]
    if kind in ("torch_sharded_index", "safetensors_sharded"):
        return [folder / next(f for f in files if f.endswith("index.json"))]
    if kind == "keras_weights_h5_sharded":
        return [folder / next(f for f in files if f.endswith(".weights.json"))]
    return [folder / f for f in files]


def _not_stored(case: dict[str, Any], truth: dict[str, Any], name: str) -> bool:
    """Names of the truth that no reader of the file alone can know: derived values, and what the file does not hold."""
    if name.endswith(".dequantized") or ".nested." in name:
        return True  # derived from what is stored
    if "lora" in case["id"] and "lora_" in name:
        return True  # the index says so: the live lora_a and lora_b are not in the file
    # Python objects' addresses in the process that made the truth, not those in the file.
    return case["id"] == "torch-1.0.0/whole_optimizer" and "/state/" in name


def _lookup(
    catalogs: dict[str, Any], truth: dict[str, Any], case: dict[str, Any], name: str
) -> Iterator[tuple[Any, str]]:
    """Where a true name is to be looked for: several checkpoints of one folder have prefixed names.

    Where the framework's own name is nowhere in the file (a `.weights.h5` without layer names), the datasets that the truth
    says hold it are looked at instead; the names are then counted under *framework names*.
    """
    if name.startswith("older:"):
        yield next(iter(catalogs.values())), name[6:]
        return
    if case["format"] == "npy":
        stem, _, rest = name.partition(".")
        for path, catalog in catalogs.items():
            if Path(path).stem == stem:
                yield catalog, rest or name
                yield catalog, name
        return
    for wanted in (name, *(truth.get("stored_as") or {}).get(name, ())):
        for catalog in reversed(list(catalogs.values())):
            yield catalog, wanted


def same_in_pieces(catalog: Any, name: str) -> bool:
    """Whether pieces of some forty bytes, put together, are what reading the whole gives. Tensors beyond 1 MiB: of 64 KiB."""
    whole = catalog.read(name).reshape(-1)
    parts = list(catalog.pieces(name, 40 if whole.nbytes <= 1 << 20 else 1 << 16))
    joined = np.concatenate(parts) if parts else whole[:0]
    if whole.dtype == object:
        return joined.tolist() == whole.tolist()
    return joined.dtype == whole.dtype and joined.tobytes() == whole.tobytes()


def walk_zoo_case(case: dict[str, Any], root: Path, *, examine: bool = True) -> Outcome:
    """Open a zoo case and compare names and values with its truth."""
    outcome = Outcome(case["id"], case["format"])
    folder = root / case["folder"]
    truth, values = truth_of(case) if root == ZOO else own_truth(folder)
    try:
        catalogs = {str(p): holdfast.open(p) for p in main_files(case, folder)}
    except Exception as error:  # noqa: BLE001 - a table of what fails must survive what fails
        outcome.trouble.append(f"open: {type(error).__name__}: {error}")
        outcome.names_all = len(truth["names"])
        return outcome
    wrong = 0
    for name, entry in truth["names"].items():
        if _not_stored(case, truth, name):
            continue
        outcome.names_all += 1
        places = [(c, w) for c, w in _lookup(catalogs, truth, case, name) if w in c]
        if not places:
            wrong += 1
            outcome.trouble.append(f"{name}: not found")
            continue
        outcome.names_right += 1
        catalog, wanted = places[0]
        try:
            array = catalog.read(wanted)
        except Exception as error:  # noqa: BLE001
            wrong += 1
            outcome.trouble.append(f"read {name}: {type(error).__name__}: {error}")
            continue
        if case["id"].endswith("odd_objects") and name == "storage":
            array = array.astype("f8")  # a bare storage: the truth made it a list of Python floats
        if name in values and not same_bits(array, entry, values[name]):
            wrong += 1
            outcome.trouble.append(f"{name}: values differ ({array.dtype}{array.shape} against {entry})")
        elif not same_in_pieces(catalog, wanted):
            wrong += 1
            outcome.trouble.append(f"{name}: read in pieces the values differ")
    outcome.exact = wrong == 0
    _framework_names(outcome, truth, catalogs)
    if examine:
        for path in catalogs:
            _alarms(outcome, path)
    for catalog in catalogs.values():
        catalog.close()
    return outcome


def _framework_names(outcome: Outcome, truth: dict[str, Any], catalogs: dict[str, Any]) -> None:
    """For formats whose keys are not the framework's names: how many `stored_as` names a tensor bears as its name."""
    stored = truth.get("stored_as") or {}
    for full, keys in stored.items():
        bare = full.removesuffix(":0")  # TensorFlow 1's output index, no part of a variable's name
        stored_at = {k.split(".weights.h5:")[-1] for k in keys} | set(keys)
        outcome.framework_all += 1
        for catalog in catalogs.values():
            found = next(
                (
                    catalog[k]
                    for k in sorted(stored_at)
                    if k in catalog and full in (catalog[k].name, *catalog[k].aliases)
                ),
                None,
            )
            if found is None and full in catalog and catalog[full].key in stored_at:
                found = catalog[full]
            if found is not None and (found.name in (full, bare) or full in found.aliases):
                outcome.framework_right += 1
                break


def _alarms(outcome: Outcome, path: str) -> None:
    report = holdfast.examine(path)
    for finding in report.findings:
        line = f"{finding.code} {finding.slug}: {finding.message}"
        if finding.severity == "error":
            outcome.alarms.append(line)
        elif finding.severity == "warning":
            outcome.warnings.append(line)


def own_truth(folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The truth of a case of our own zoo."""
    truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    with np.load(folder / "truth.npz", allow_pickle=False) as arrays:
        return truth, {n: arrays[e.get("npz_key", n)] for n, e in truth["names"].items()}


def walk_public_file(case: dict[str, Any], *, examine: bool = True) -> Outcome:
    """Open a public file and compare names, dtypes, shapes and SHA-256 of the values with the recorded truth."""
    outcome = Outcome(case["id"], case["format"], broken=bool(case["broken"]))
    path = _public_main(case)
    truth = case["truth"] or {}
    if any(part in case["id"] for part in NAMED_ONLY):
        try:
            holdfast.open(path)
            outcome.trouble.append("opened, although there is no reader")
        except holdfast.NotReadable:
            outcome.exact = True
        except holdfast.HoldfastError as error:
            outcome.trouble.append(f"{type(error).__name__}: {error}")
        return outcome
    if case["broken"] and examine:
        report = holdfast.examine(path)
        wanted = next((slugs for word, slugs in BROKEN.items() if word in case["broken"]), set())
        seen = {f.slug for f in report.findings}
        outcome.finding_right = bool(wanted & seen)
        if not outcome.finding_right:
            outcome.trouble.append(f"expected one of {sorted(wanted)}, found {sorted(seen)}")
    try:
        catalog = holdfast.open(path)
    except Exception as error:  # noqa: BLE001
        outcome.exact = bool(case["broken"]) and isinstance(error, holdfast.HoldfastError)
        if not outcome.exact:
            outcome.trouble.append(f"open: {type(error).__name__}: {error}")
            outcome.names_all = truth.get("n_tensors") or 0
        return outcome
    entries = truth.get("sample") or {}
    if truth.get("all"):
        entries = json.loads((FILES / truth["all"]).read_text(encoding="utf-8"))
    wrong = 0
    for name, entry in entries.items():
        if not isinstance(entry, dict) or "dtype" not in entry:
            continue
        outcome.names_all += 1
        prefix, _, inner = name.rpartition("::")
        if prefix and not path.name.startswith(f"{prefix}."):
            outcome.names_all -= 1  # another checkpoint of the same folder
            continue
        found = next((n for n in (name, name.split("(")[0], inner) if n in catalog), None)
        if found is None:
            wrong += 1
            outcome.trouble.append(f"{name}: not found")
            continue
        # The truth of some PyTorch files joins nested dicts by dots where the zoo (and we) join them by slashes.
        outcome.names_right += found in (
            catalog[found].name,
            catalog[found].key,
            catalog[found].key.replace("/", "."),
        )
        if list(catalog[found].shape) != list(entry["shape"]):
            wrong += 1
            outcome.trouble.append(f"{name}: shape {catalog[found].shape} against {entry['shape']}")
        elif entry.get("sha256") and not case["broken"]:
            array = catalog.read(found)
            if (
                array.dtype != object
                and hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest() != entry["sha256"]
            ):
                wrong += 1
                outcome.trouble.append(f"{name}: values differ")
    outcome.exact = wrong == 0
    catalog.close()
    if examine and not case["broken"]:
        _alarms(outcome, str(path))
    return outcome


def _public_main(case: dict[str, Any]) -> Path:
    paths = [FILES / p for p in case["paths"]]
    for ending in (".index", "saved_model.pb"):
        for path in paths:
            if path.name.endswith(ending):
                return path
    return paths[0]


def cases() -> Iterator[tuple[str, dict[str, Any]]]:
    """All cases as (folder, case): folder is ``own``, ``zoo`` or ``files``."""
    index = OWN / "INDEX.jsonl"
    if index.exists():
        for line in index.read_text(encoding="utf-8").splitlines():
            yield "own", json.loads(line)
    for case in zoo_cases(*ZOO_FORMATS):
        yield "zoo", case
    for case in file_cases(*FILE_FORMATS):
        yield "files", case


def walk(which: str, case: dict[str, Any], *, examine: bool = True) -> Outcome:
    """The outcome of one case."""
    if which == "files":
        return walk_public_file(case, examine=examine)
    return walk_zoo_case(case, OWN if which == "own" else ZOO, examine=examine)
