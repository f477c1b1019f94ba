"""TensorFlow's folders: bundles and their parts, the ``checkpoint`` state file, SavedModels, leftovers of
saves.

Sources: naming.cc for the parts; tensorflow/python/training/checkpoint_state.proto and
checkpoint_management.py for the state file; tensorflow/core/kernels/save_restore_v2_ops.cc and
python/checkpoint/functional_saver.py for the temporary folder ``<prefix>_temp*/part-…`` of a save that was
not finished; tensor_bundle.cc for ``.tempstate<number>``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from .._core.errors import CheckpointNotFound, DamagedCheckpoint, HoldfastError
from .._core.fault import Fault
from .._formats.tensorflow.entries import parse_header
from .._formats.tensorflow.shards import shard_name
from .._formats.tensorflow.table import Table
from .._storage import Source, Store

__all__ = [
    "Bundle",
    "CheckpointState",
    "Found",
    "find_bundles",
    "leftovers",
    "locate",
    "part_of",
    "read_state_file",
    "state_faults",
]

STATE_FILE = "checkpoint"
_PART = re.compile(r"(?P<prefix>.+)\.(?:index|data-(?P<shard>\d{5,7})-of-(?P<count>\d{5,7}))")
_STATE_LIMIT = 16 << 20
_MANY = 1 << 16


@dataclass(frozen=True, slots=True)
class Bundle:
    """The parts of one bundle in a folder: names of the index (or ``None``), of the shards there, of those
    missing.
    """

    prefix: str
    index: str | None
    present: tuple[str, ...]
    missing: tuple[str, ...]


class CheckpointState(NamedTuple):
    """A state file: the newest checkpoint, all that are kept (oldest first), and when they were saved
    (seconds).
    """

    model_checkpoint_path: str
    all_paths: tuple[str, ...] = ()
    timestamps: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """One TensorFlow checkpoint in a folder.

    ``format``: ``tf-bundle`` or ``savedmodel``; ``main``: the file to open (``None``: shards without index);
    ``parts``: all files that are there, the main one first; ``missing``: those that are not; ``note``: how
    the typed name was understood.
    """

    prefix: str
    format: str
    main: str | None
    parts: tuple[str, ...]
    missing: tuple[str, ...] = ()
    note: str | None = None
    faults: tuple[Fault, ...] = ()


def part_of(name: str) -> str | None:
    """The prefix whose part a file is by its name (``.index``, ``.data-00000-of-00002``), or ``None``."""
    match = _PART.fullmatch(name)
    return match["prefix"] if match else None


def find_bundles(store: Store, folder: str = "") -> list[Bundle]:
    """The bundles in a folder by the names of their parts, those with the higher number first.

    The shards' own names tell how many there should be; where only the index is there, its header does.
    Raises :class:`CheckpointNotFound` when there is no such folder.
    """
    base = f"{folder}/" if folder else ""
    indices: set[str] = set()
    shards: dict[str, dict[int, set[int]]] = {}
    for entry in store.entries(folder):
        match = None if entry.is_folder else _PART.fullmatch(entry.name)
        if match is None:
            continue
        if match["shard"] is None:
            indices.add(match["prefix"])
        else:
            shards.setdefault(match["prefix"], {}).setdefault(int(match["count"]), set()).add(
                int(match["shard"])
            )
    found = []
    for prefix in sorted(indices | shards.keys(), key=_newest_first):
        there = shards.get(prefix, {})
        index = f"{base}{prefix}.index" if prefix in indices else None
        told = _shards_of(store, index) if index else None
        count = told if told is not None else max(there, default=0)
        present = [
            shard_name(base + prefix, shard, n)
            for n, numbers in sorted(there.items())
            for shard in sorted(numbers)
        ]
        missing = [
            shard_name(base + prefix, shard, count)
            for shard in range(min(count, _MANY))
            if shard not in there.get(count, ())
        ]
        if index is None:
            missing.insert(0, f"{base}{prefix}.index")
        found.append(Bundle(base + prefix, index, tuple(present), tuple(missing)))
    return found


def _shards_of(store: Store, index: str) -> int | None:
    """How many shards an index's header counts, or ``None`` where it cannot be read."""
    try:
        source = store.open(index)
        try:
            key, value = next(iter(Table(source)), (b"?", memoryview(b"")))
            return parse_header(value).num_shards if key == b"" else None
        finally:
            source.close()
    except HoldfastError:
        return None


def _newest_first(prefix: str) -> tuple[int, str]:
    numbers = re.findall(r"\d{1,18}", prefix)
    return (-int(numbers[-1]) if numbers else 1, prefix)


# -- the state file ----------------------------------------------------------------------------------------
_TOKEN = re.compile(
    rb"""\s*(?:\#[^\n]*(?:\n\s*|\Z))*(?P<name>[A-Za-z_]\w*)\s*:\s*
    (?:(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|(?P<number>[-+.\w]+))\s*[,;]?""",
    re.VERBOSE,
)
_BLANK = re.compile(rb"[ \t\r\n]*")
_COMMENTS = re.compile(rb"\s*(?:\#[^\n]*(?:\n\s*|\Z))*")
_LOOKED_UP = 2000  # newest paths of a state file that are looked for on disk
_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|(.))", re.DOTALL)
_LETTERS = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v"}


def _unquoted(raw: bytes) -> str:
    """A quoted text-format string: C escapes, octal for what is not ASCII."""

    def plain(match: re.Match[bytes]) -> bytes:
        if match[1]:
            return bytes([int(match[1], 8) & 0xFF])
        if match[2]:
            return bytes([int(match[2], 16)])
        return _LETTERS.get(match[3], match[3])

    return _ESCAPE.sub(plain, raw[1:-1]).decode("utf-8", "backslashreplace")


def read_state_file(source: Source) -> CheckpointState:
    """A ``checkpoint`` file: ``CheckpointState`` in protobuf's text format.

    Raises :class:`DamagedCheckpoint` for anything else (other things are called ``checkpoint`` too: a
    msgpack file of flax, a folder of an Orbax run).
    """
    if source.size > _STATE_LIMIT:
        raise DamagedCheckpoint("too long for a state file", file=source.name, found=f"{source.size} bytes")
    data = source.read(0, source.size)
    latest: str | None = None
    paths: list[str] = []
    stamps: list[float] = []
    at = _BLANK.match(data, 0).end()  # type: ignore[union-attr]
    while at < len(data):
        match = _TOKEN.match(data, at)
        if match is None:
            if _COMMENTS.fullmatch(data, at):
                break
            raise DamagedCheckpoint(
                "not a TensorFlow state file", file=source.name, offset=at, found=repr(data[at : at + 40])
            )
        name, value = match["name"], match["text"]
        if name == b"model_checkpoint_path" and value:
            latest = _unquoted(value)
        elif name == b"all_model_checkpoint_paths" and value:
            paths.append(_unquoted(value))
        elif name == b"all_model_checkpoint_timestamps" and match["number"]:
            try:
                stamps.append(float(match["number"]))
            except ValueError:
                raise DamagedCheckpoint(
                    "a timestamp that is no number", file=source.name, offset=at
                ) from None
        at = _BLANK.match(data, match.end()).end()  # type: ignore[union-attr]
    if latest is None:
        raise DamagedCheckpoint("a state file that names no checkpoint", file=source.name)
    return CheckpointState(latest, tuple(paths), tuple(stamps))


def _here(store: Store, path: str) -> str | None:
    """The prefix in ``store`` that a state file's path means, if it is that of a bundle there (relative
    paths too).
    """
    plain = path.replace("\\", "/")
    for name in ([] if _absolute(plain) else [plain]) + [plain.rsplit("/", 1)[-1]]:
        if name and ".." not in name.split("/") and (store.exists(f"{name}.index") or store.exists(name)):
            return name
    return None


def _absolute(path: str) -> bool:
    return path.startswith("/") or bool(re.match(r"[A-Za-z]:|\w+://", path))


def state_faults(store: Store, state: CheckpointState, name: str = STATE_FILE) -> list[Fault]:
    """What a state file says that is not so: names a checkpoint that is not there, or paths of another place.

    Slugs ``state-file-dangling`` (``attributes["latest"]`` tells whether it is the newest) and
    ``state-file-moved``.
    """
    faults = []
    file = store.shown(name)
    home = Path(store.path or ".").absolute().as_posix()
    moved: list[str] = []
    for path in dict.fromkeys((state.model_checkpoint_path, *state.all_paths[-_LOOKED_UP:])):
        latest = path == state.model_checkpoint_path
        if _here(store, path) is None:
            faults.append(
                Fault(
                    "state-file-dangling",
                    "the state file names a checkpoint that is not there",
                    file,
                    seen=path,
                    expected="a checkpoint in this folder",
                    attributes={"latest": latest},
                )
            )
        elif _absolute(path) and path.replace("\\", "/").rpartition("/")[0] != home:
            moved.append(path)
    if moved:
        faults.append(
            Fault(
                "state-file-moved",
                "the state file holds paths of another place; the files themselves are here",
                file,
                seen=moved[0],
                expected=f"{home}/{moved[0].rpartition('/')[2]}",
                attributes={"paths": tuple(moved), "latest": state.model_checkpoint_path in moved},
            )
        )
    return faults


# -- leftovers --------------------------------------------------------------------------------------------
def leftovers(store: Store, folder: str = "") -> list[Fault]:
    """Temporary files of saves that did not finish: ``<prefix>_temp*/`` folders, ``*.tempstate<number>``."""
    faults = []
    base = f"{folder}/" if folder else ""
    try:
        entries = store.entries(folder)
    except CheckpointNotFound:
        return []
    for entry in entries:
        if entry.is_folder and re.fullmatch(r".+_temp(_[0-9a-f]+)?", entry.name):
            try:
                inside = store.entries(base + entry.name)
            except HoldfastError:
                continue
            if inside and not all(e.name.startswith("part-") for e in inside):
                continue
            stem = entry.name.rpartition("_temp")[0]
            size = sum(e.size or 0 for e in inside)
        elif not entry.is_folder and re.search(r"\.tempstate\d+$", entry.name):
            stem = re.sub(r"(\.index|\.data-\d+-of-\d+)?\.tempstate\d+$", "", entry.name)
            size = entry.size or 0
        else:
            continue
        faults.append(
            Fault(
                "leftover",
                f"{entry.name!r} ({size} bytes) was left behind by a save that did not finish (TensorFlow)",
                store.shown(base + entry.name),
                seen=entry.name,
                attributes={"prefix": base + stem, "bytes": size, "writer": "TensorFlow"},
            )
        )
    return faults


# -- what a name means -------------------------------------------------------------------------------------
def locate(store: Store, name: str = "") -> list[Found]:
    """The TensorFlow checkpoints that a name in a folder means; ``""`` is the folder itself. Newest first.

    A prefix, an index, a shard, a state file, a folder of checkpoints, a SavedModel's folder or its
    ``variables`` folder. An empty list: nothing of TensorFlow's.
    """
    if name and store.is_folder(name):
        return locate(store.sub(name), "")
    if not name:
        return _folder(store)
    folder, _, base = name.rpartition("/")
    where = store.sub(folder) if folder else store
    if base in ("saved_model.pb", "saved_model.pbtxt"):
        return [found for found in _folder(where) if found.format == "savedmodel"]
    if base == STATE_FILE and where.exists(base):
        return _by_state(where)
    try:
        bundles = {bundle.prefix: bundle for bundle in find_bundles(where)}
    except CheckpointNotFound:
        return []
    if base in bundles:
        return [_found(bundles[base], "a prefix was named", leftovers(where))]
    prefix = part_of(base)
    if prefix not in bundles:
        return []
    note = None if base.endswith(".index") else f"a shard was named ({base}); it belongs to {prefix}"
    return [_found(bundles[prefix], note, leftovers(where))]


def _found(bundle: Bundle, note: str | None, left: list[Fault]) -> Found:
    parts = (*([bundle.index] if bundle.index else []), *bundle.present)
    own = tuple(fault for fault in left if fault.attributes.get("prefix") == bundle.prefix)
    return Found(bundle.prefix, "tf-bundle", bundle.index, parts, bundle.missing, note, own)


def _folder(store: Store) -> list[Found]:
    try:
        names = {entry.name for entry in store.entries() if not entry.is_folder}
    except CheckpointNotFound:
        return []
    if "saved_model.pb" not in names:
        return _by_state(store)
    parts = ["saved_model.pb"]
    missing: tuple[str, ...] = ()
    for bundle in find_bundles(store, "variables") if store.is_folder("variables") else []:
        if bundle.prefix == "variables/variables":
            parts += [*([bundle.index] if bundle.index else []), *bundle.present]
            missing = bundle.missing
    parts += [name for name in ("keras_metadata.pb", "fingerprint.pb") if name in names]
    return [Found("", "savedmodel", "saved_model.pb", tuple(parts), missing)]


def _state_of(store: Store) -> CheckpointState | None:
    """The folder's state file; ``None`` where there is none, or another thing of that name."""
    if not store.exists(STATE_FILE) or store.is_folder(STATE_FILE):
        return None
    try:
        source = store.open(STATE_FILE)
        try:
            return read_state_file(source)
        finally:
            source.close()
    except HoldfastError:
        return None


def _is_empty(store: Store) -> bool:
    """Whether the state file is there and has no bytes."""
    return any(e.name == STATE_FILE and not e.is_folder and e.size == 0 for e in store.entries())


def _by_state(store: Store) -> list[Found]:
    """All bundles of a folder; what the state file calls the newest comes first.

    What is wrong with the state file, and leftovers that belong to none of them, are told of the first one.
    """
    bundles = find_bundles(store)
    faults: list[Fault] = []
    state = _state_of(store)
    if state is None and bundles and _is_empty(store):
        faults = [
            Fault(
                "state-file-dangling",
                "the state file is empty: tf.train.latest_checkpoint finds nothing, and a run that asks it "
                "begins anew",
                store.shown(STATE_FILE),
                seen="0 bytes",
                expected="the name of the newest checkpoint",
                attributes={"latest": True},
            )
        ]
    if state is not None:
        faults = state_faults(store, state)
        told = [state.model_checkpoint_path, *reversed(state.all_paths[-_LOOKED_UP:])]
        order = [here for path in told if (here := _here(store, path)) is not None]
        place = {prefix: i for i, prefix in reversed(list(enumerate(order)))}
        bundles.sort(key=lambda bundle: place.get(bundle.prefix, len(order)))
    left = leftovers(store)
    found = [_found(bundle, None, left) for bundle in bundles]
    claimed = {id(fault) for item in found for fault in item.faults}
    loose = [fault for fault in left if id(fault) not in claimed]
    if found and (faults or loose):
        found[0] = replace(found[0], faults=(*found[0].faults, *faults, *loose))
    return found
