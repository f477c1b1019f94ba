"""TensorFlow's folders: bundles and their parts, SavedModels, leftovers of saves.

Sources: naming.cc for the parts; tensorflow/core/kernels/save_restore_v2_ops.cc and
python/checkpoint/functional_saver.py for the temporary folder ``<prefix>_temp*/part-…`` of a save that was
not finished; tensor_bundle.cc for ``.tempstate<number>``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from .._core.errors import CheckpointNotFound, HoldfastError
from .._core.fault import Fault
from .._formats.tensorflow.entries import parse_header
from .._formats.tensorflow.shards import shard_name
from .._formats.tensorflow.table import Table
from .._storage import Store
from .state_file import STATE_FILE, by_age, is_empty, state_faults, state_of

__all__ = ["Bundle", "Found", "find_bundles", "leftovers", "locate", "part_of"]

_PART = re.compile(r"(?P<prefix>.+)\.(?:index|data-(?P<shard>\d{5,7})-of-(?P<count>\d{5,7}))")
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


def _by_state(store: Store) -> list[Found]:
    """All bundles of a folder; what the state file calls the newest comes first.

    What is wrong with the state file, and leftovers that belong to none of them, are told of the first one.
    """
    bundles = find_bundles(store)
    faults: list[Fault] = []
    state = state_of(store)
    if state is None and bundles and is_empty(store):
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
        order = by_age(store, state)
        place = {prefix: i for i, prefix in reversed(list(enumerate(order)))}
        bundles.sort(key=lambda bundle: place.get(bundle.prefix, len(order)))
    left = leftovers(store)
    found = [_found(bundle, None, left) for bundle in bundles]
    claimed = {id(fault) for item in found for fault in item.faults}
    loose = [fault for fault in left if id(fault) not in claimed]
    if found and (faults or loose):
        found[0] = replace(found[0], faults=(*found[0].faults, *faults, *loose))
    return found
