"""One folder, file by file: which checkpoints lie directly in it, which files belong to which, and what is
junk.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import lru_cache

from .._core.errors import HoldfastError
from .._core.fault import Fault
from .._formats.broken_zip import broken_zip
from .._formats.junk import UNFINISHED, classify, unfinished
from .._formats.registry import Format, formats, recognise, suffix_of
from .._formats.text_copies import copied_as_text
from .._storage import Source, Store
from .._storage.source import Entry
from . import tf_targets
from .beside import dead_link, told_of_two_saves, without_apple_double
from .folders import SHARD
from .leftovers import leftovers
from .shards import siblings, target_of_index
from .target import Target

__all__ = ["Scan", "scan_folder", "target_of_file"]

# Names that no checkpoint bears; they are not even opened.
_NEVER = """
.py .pyc .txt .md .rst .csv .tsv .yaml .yml .toml .cfg .ini .log .html .htm .css .js .ts .ipynb .png .jpg
.jpeg .gif .svg .webp .pdf .mp4 .wav .mp3 .flac .c .cc .cpp .h .hpp .cu .rs .go .java .sh .bat .gin .jsonl
.xml .lock .toc .gitattributes .gitignore .proto .so .dylib .dll .exe .whl .parquet .arrow .db .sqlite
.sha256 .md5 .asc .sig .model .tfevents .lz4 .zst .bz2 .xz .7z .rar .onnx_data .spm .vocab .tfrecord .idx
"""
_SKIPPED = frozenset(_NEVER.split())
# Endings under which a file that is no checkpoint is worth a word.
_ALWAYS = """
.pt .pth .ckpt .h5 .hdf5 .keras .safetensors .npz .npy .th .pth.tar .weights.h5 .msgpack .gguf .onnx .eqx .ptl
"""
_EXPECTED = frozenset(_ALWAYS.split())
_WEIGHT_WORDS = re.compile(
    r"(?:pytorch_model|model|adapter_model|diffusion_pytorch_model|optimizer|weights|checkpoint|training_args|"
    r"scheduler)"
)
_QUIET = frozenset(
    {"pickle", "zip", "tar", "gzip", "savedmodel-graph", "tf-meta-graph", "orbax", "sharded-index"}
)
_SHARED = frozenset(
    {".bin", ".ckpt", ".checkpoint", ".model", ".pb", ".json", ".pth.tar"}
)  # endings that many formats bear


@dataclass(slots=True)
class Scan:
    """What lies directly in one folder."""

    targets: list[Target] = field(default_factory=list)
    loose: list[tuple[str, Fault]] = field(default_factory=list)  # leftovers that belong to none of them
    folders: list[str] = field(default_factory=list)  # still to be looked into


def scan_folder(store: Store, entries: list[Entry], *, junk: bool = True) -> Scan:
    """Look at each file of a folder once.

    ``junk``: whether files that only bear a checkpoint's name are given too, as targets without format.
    """
    scan = Scan(folders=[e.name for e in entries if e.is_folder])
    used: set[str] = set()
    entries = without_apple_double(store, entries)
    found, claimed = tf_targets.in_folder(store, entries)
    scan.targets.extend(found)
    used |= claimed
    left = [(name, fault) for name, fault in leftovers(store, entries) if name not in used]
    temporary = {name for name, _ in left}
    files = {e.name: e for e in entries if not e.is_folder and e.link is None and e.name not in temporary}
    # Indexes first: they claim their shards.
    for name in sorted(files, key=lambda n: (not n.endswith(".json"), n)):
        if name in used or not _worth_opening(files[name]):
            continue
        if name.endswith(".json") and not name.endswith((".index.json", ".weights.json")):
            continue
        used.add(name)
        shard = SHARD.fullmatch(name)
        if shard is not None:
            target = siblings(store, name, files)
            if target is not None and target.main is not None:
                used.update(target.parts)
                scan.targets.append(target)
                continue
        target = target_of_file(store, name, listed=True)
        if target is None or (target.format is None and not junk):
            continue
        used.update(target.parts)
        scan.targets.append(target)
    for entry in entries:
        if entry.link is not None and entry.name not in used and entry.name not in temporary:
            dead = dead_link(store, entry, bears_a_name=_named_as_one(entry.name)) if junk else None
            scan.targets.extend([dead] if dead is not None else [])
    scan.targets = told_of_two_saves(store, scan.targets, files)
    scan.folders = [f for f in scan.folders if f not in used and f not in temporary]
    _hand_out(scan, left)
    return scan


def _worth_opening(entry: Entry) -> bool:
    name = entry.name.lower()
    if name.startswith(("events.out.tfevents", ".git")) or name in (
        "license",
        "readme",
        "makefile",
        "dockerfile",
        "md5sums",
    ):
        return False
    if name.endswith(".holdfast.json"):
        return False
    suffix = suffix_of(name)
    return suffix not in _SKIPPED and not (suffix == "" and name.startswith("."))


def _hand_out(scan: Scan, left: list[tuple[str, Fault]]) -> None:
    """Each leftover to the checkpoint whose name, or a part's of it, it begins with, else it stands alone."""
    for name, fault in left:
        best, longest = -1, 0
        for index, target in enumerate(scan.targets):
            for part in (target.path.replace("\\", "/").rsplit("/", 1)[-1], *target.parts):
                if len(part) > longest and name.lstrip(".").startswith(part):
                    best, longest = index, len(part)
        if best >= 0:
            target = scan.targets[best]
            scan.targets[best] = replace(target, faults=(*target.faults, fault))
        else:
            scan.loose.append((name, fault))


def target_of_file(store: Store, name: str, *, listed: bool = False) -> Target | None:
    """The checkpoint that a file is, told by content; junk gives a target without format.

    ``listed``: the file was met in a folder, not typed; then what nobody would take for a checkpoint gives
    ``None``.
    """
    shown = store.shown(name)
    try:
        source = store.open(name)
    except HoldfastError as error:
        return None if listed else Target(shown, store, name, None, parts=(name,), error=error)
    try:
        form = recognise(source)
        if form is None:
            if listed and not _expected(name, source):
                return None
            fault = classify(source)
            if (
                listed
                and fault.slug == "not-recognised"
                and suffix_of(name) not in _EXPECTED
                and "link" not in fault.attributes
            ):
                return None
            return Target(shown, store, name, None, parts=(name,), faults=(fault,))
        if listed and form.name in _QUIET and not _expected(name, source):
            return None
        return _recognised(store, name, source, form)
    except HoldfastError as error:
        return Target(shown, store, name, None, parts=(name,), error=error)
    finally:
        source.close()


def _recognised(store: Store, name: str, source: Source, form: Format) -> Target:
    faults = []
    if form.open is None:
        copied = copied_as_text(source)
        if copied is not None:
            return Target(store.shown(name), store, name, None, parts=(name,), faults=(copied,))
        broken = broken_zip(source) if form.name == "zip" else None
        if broken is not None:
            return Target(store.shown(name), store, name, None, parts=(name,), faults=(broken,))
    elif form.name not in ("tf-bundle", "savedmodel"):
        copied = copied_as_text(source)
        if copied is not None:
            faults.append(copied)
    half = unfinished(source)
    if half is not None:
        faults.append(half)
    wrong = _wrong_extension(name, source.name, form)
    if wrong is not None and half is None:
        faults.append(wrong)
    if form.open is not None and (form.name.endswith("-sharded")):
        return target_of_index(store, name, source, form, tuple(faults))
    return Target(store.shown(name), store, name, form, parts=(name,), faults=tuple(faults))


def _expected(name: str, source: Source) -> bool:
    """Whether someone would take the file for a checkpoint by its name."""
    if _named_as_one(name):
        return True
    suffix = suffix_of(name)
    if suffix in (".pkl", ".pickle", ".zip", ".tar", ".pb"):
        return source.head(1) != b"{"
    return False


def _named_as_one(name: str) -> bool:
    """Whether a file's name alone says that it is a checkpoint."""
    suffix = suffix_of(name)
    return (
        suffix in _EXPECTED
        or suffix in UNFINISHED
        or (suffix == ".bin" and _WEIGHT_WORDS.match(name) is not None)
    )


@lru_cache(maxsize=1)
def _suffixes() -> dict[str, tuple[str, ...]]:
    """ending -> names of the formats that bear it."""
    found: dict[str, list[str]] = {}
    for form in formats():
        for suffix in form.suffixes:
            found.setdefault(suffix, []).append(form.name)
    return {k: tuple(v) for k, v in found.items()}


def _wrong_extension(name: str, shown: str, form: Format) -> Fault | None:
    """A known ending of another format than the content's."""
    suffix = suffix_of(name)
    if form.name == "keras-h5-legacy" and suffix == ".keras":
        return Fault(
            "wrong-extension",
            "the name ends in .keras, but the content is HDF5: Keras 3 takes a file of this name for a zip and says "
            "`File not found`; Keras 2 loads it",
            file=shown,
            seen=form.name,
            expected="keras-archive",
            attributes={"remedy": "Rename it to .h5, under which every version loads it.", "suffix": suffix},
        )
    if not form.suffixes or suffix in form.suffixes or suffix in _SHARED:
        return None
    owners = _suffixes().get(suffix)
    if not owners:
        return None
    return Fault(
        "wrong-extension",
        f"the name ends in {suffix}, but the content is {form.title}",
        file=shown,
        seen=form.name,
        expected=" or ".join(owners[:3]),
        attributes={
            "remedy": "Loaders that go by the ending will refuse it or read it wrongly; rename it to "
            f"{form.suffixes[0]}.",
            "suffix": suffix,
        },
    )
