"""TensorFlow's checkpoints as targets: what :func:`.tensorflow.locate` finds, V1 checkpoints, junk under
their names."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from .._core.errors import HoldfastError
from .._core.fault import Fault
from .._core.words import plural
from .._formats.junk import classify
from .._formats.registry import format_named, recognise
from .._storage import Store
from .._storage.source import Entry
from .state_file import STATE_FILE, CheckpointState, read_state_file, state_faults
from .target import Target
from .tensorflow import Found, locate, part_of

__all__ = ["for_file", "for_prefix", "in_folder"]

_V1_SHARD = re.compile(r"(?P<prefix>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})")
_V1_GLOB = re.compile(r"-\?{5}-of-\d{5}$")  # how a state file names all shards of one
_META = ".meta"  # the graph that tf.train.Saver writes beside each checkpoint
_PROGRAMS = ("saved_model.pb", "saved_model.pbtxt", "saved_model.cpb")  # binary, text, in chunks (TF 2.14)
_OF_SAVED_MODEL = frozenset({"variables", "assets", "assets.extra", "keras_metadata.pb", "fingerprint.pb"})


def in_folder(store: Store, entries: list[Entry]) -> tuple[list[Target], set[str]]:
    """All TensorFlow checkpoints directly in a folder, newest first, and the names in it that they claim."""
    names = {e.name: e for e in entries}
    if not any(
        n in (STATE_FILE, "saved_model.pb", "saved_model.pbtxt") or part_of(n) or _V1_SHARD.fullmatch(n)
        for n in names
    ):
        return [], set()
    targets: list[Target] = []
    used: set[str] = set()
    for found in locate(store, ""):
        target = _target(store, found)
        targets.append(target)
        used.update(part.split("/", 1)[0] for part in target.parts)
        used.add(found.prefix + _META)
        used.update(_base(fault.file) for fault in found.faults if fault.slug == "leftover")
        if found.format == "savedmodel":
            used |= _OF_SAVED_MODEL
    first_format = _first_format(store, names)
    for target in first_format:
        used.update({*target.parts, _base(target.path) + _META})
    state = _state_of(store) if STATE_FILE in names else None
    if state is not None:
        used.add(STATE_FILE)
        first_format += _named_by(state, store, names, used)
        if not targets:
            _tell_of_state(store, state, first_format)
            if not first_format:
                targets.append(_state_alone(store, state))
    return [*targets, *first_format], {name for name in used if name in names}


def _state_of(store: Store) -> CheckpointState | None:
    """The folder's state file; ``None`` where the file called ``checkpoint`` is another thing."""
    try:
        source = store.open(STATE_FILE)
    except HoldfastError:
        return None
    try:
        return read_state_file(source)
    except HoldfastError:
        return None
    finally:
        source.close()


def _tell_of_state(store: Store, state: CheckpointState, first_format: list[Target]) -> None:
    """Faults of the state file, told of the first V1 checkpoint; that it dangles is dropped where V1 shards
    bear the name."""
    bases = {_base(target.path) for target in first_format}
    faults = [
        f
        for f in state_faults(store, state)
        if f.slug != "state-file-dangling" or _V1_GLOB.sub("", _base(f.seen)) not in bases
    ]
    if first_format and faults:
        first_format[0] = replace(first_format[0], faults=(*first_format[0].faults, *faults))


def _state_alone(store: Store, state: CheckpointState) -> Target:
    """A state file beside which there is no checkpoint at all."""
    faults = tuple(state_faults(store, state))
    return Target(
        store.shown(STATE_FILE), store, None, format_named("tf-bundle"), parts=(STATE_FILE,), faults=faults
    )


def for_file(store: Store, name: str) -> Target | None:
    """What a typed file means where it is a part of a TensorFlow checkpoint, its graph, or a state file."""
    if name == STATE_FILE:
        state = _state_of(store)
        if state is None:
            return None
        wanted = _V1_GLOB.sub("", _base(state.model_checkpoint_path))
        targets, _ = in_folder(store, store.entries())
        newest = next((t for t in targets if _base(t.path) == wanted), None)
        if newest is not None:
            return replace(newest, note=f"the state file's newest: {wanted}")
        return _state_alone(store, state)
    if name.endswith(_META):
        found = [f for f in locate(store, name[: -len(_META)]) if f.main is not None]
        if found:
            return _target(store, found[0], "the graph beside a checkpoint was named; this is the checkpoint")
    if part_of(name) is not None or name in ("saved_model.pb", "saved_model.pbtxt"):
        found = locate(store, name)
        return _target(store, found[0]) if found else None
    if _V1_SHARD.fullmatch(name):
        targets = _first_format(store, {e.name: e for e in store.entries()})
        return next((t for t in targets if name in t.parts), None)
    return None


def for_prefix(store: Store, name: str) -> Target | None:
    """The checkpoint of a prefix (``run/model.ckpt-3``), where no file bears that name itself."""
    try:
        found = locate(store, name)
        if found:
            return _target(store, found[0])
        targets = _first_format(store, {e.name: e for e in store.entries()})
    except HoldfastError:
        return None
    return next((t for t in targets if _base(t.path) == name), None)


def _target(store: Store, found: Found, note: str | None = None) -> Target:
    shown = store.shown(found.prefix) if found.prefix else (store.path or ".")
    form, note = format_named(found.format), note or found.note
    if found.main is not None:
        faults = (*found.faults, *_program_gone(store, found))
        return _checked(Target(shown, store, found.main, form, note, found.parts, faults))
    index = found.missing[0] if found.missing else f"{found.prefix}.index"
    data = plural(len(found.parts), "data file")
    gone = Fault(
        "part-missing",
        f"the index {index!r} is not there: bytes without names in {data}",
        file=store.shown(index),
        seen=data,
        expected=index,
        attributes={"part": index, "remedy": "Copy the .index file from where the checkpoint was written."},
    )
    return Target(shown, store, None, form, note, found.parts, (gone, *found.faults))


def _program_gone(store: Store, found: Found) -> list[Fault]:
    """That a bundle is the ``variables/variables`` of a SavedModel whose program is not there.

    The bundle's name is one that nothing else writes; a plain checkpoint in a folder called ``variables`` has
    another. A warning where more of the SavedModel is left (tensorflow/python/saved_model/constants.py: its
    ``assets``, its fingerprint; Keras 2's metadata), a note where only the variables are, which may be all
    that was wanted.
    """
    if found.format != "tf-bundle" or found.prefix != "variables":
        return []
    here = Path(store.path or ".")
    if here.absolute().name != "variables":
        return []
    home = here.parent if here.name else here / ".."
    if any((home / name).exists() for name in _PROGRAMS):
        return []
    left = sorted(name for name in _OF_SAVED_MODEL - {"variables"} if (home / name).exists())
    return [
        Fault(
            "part-missing",
            "these are the variables of a SavedModel whose program, saved_model.pb, is not there: the values "
            "read, tf.saved_model.load does not",
            file=str(home / "saved_model.pb"),
            seen=f"variables and {', '.join(left)}" if left else "variables alone",
            expected="saved_model.pb",
            attributes={
                "part": "saved_model.pb",
                "severity": "warning" if left else "note",
                "remedy": "Copy saved_model.pb from where the model was exported; without it, the values can be "
                "loaded into a model built from its code (tf.train.Checkpoint).",
            },
        )
    ]


def _checked(target: Target) -> Target:
    """A target whose index is junk (a page, a pointer, zeros) loses its format; a damaged one is for its
    reader."""
    if target.main is None:
        return target
    try:
        source = target.store.open(target.main)
    except HoldfastError as error:
        return replace(target, error=error)
    try:
        if recognise(source) is None:
            junk = classify(source)
            if junk.slug != "not-recognised":
                return replace(target, format=None, faults=(junk, *target.faults))
    finally:
        source.close()
    return target


def _base(path: object) -> str:
    return str(path or "").replace("\\", "/").rsplit("/", 1)[-1]


def _named_by(state: CheckpointState, store: Store, names: dict[str, Entry], used: set[str]) -> list[Target]:
    """V1 checkpoints of one file that the state file names; claims them and their graphs."""
    targets = []
    for path in dict.fromkeys((state.model_checkpoint_path, *reversed(state.all_paths))):
        name = _base(path)
        if name in used or name not in names or names[name].is_folder:
            continue
        inner = store.open(name)
        try:
            form = recognise(inner)
        finally:
            inner.close()
        if form is not None and form.name == "tf-v1":
            used.update({name, name + _META})
            targets.append(Target(store.shown(name), store, name, form, parts=(name,)))
    return targets


def _first_format(store: Store, names: dict[str, Entry]) -> list[Target]:
    """Sharded V1 checkpoints: ``model.ckpt-3-00000-of-00002`` and its fellows, each a table of its own."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name, entry in names.items():
        match = None if entry.is_folder else _V1_SHARD.fullmatch(name)
        if match is not None and part_of(name) is None:
            groups.setdefault((match["prefix"], match["count"]), []).append(name)
    targets = []
    for (prefix, count), parts in sorted(groups.items()):
        source = store.open(parts[0])
        try:
            form = recognise(source)
        finally:
            source.close()
        if form is None or form.name != "tf-v1":
            continue
        wanted = [f"{prefix}-{i:05d}-of-{count}" for i in range(min(int(count), 10_000))]
        missing = [n for n in wanted if n not in parts]
        faults: tuple[Fault, ...] = ()
        if missing:
            shards = plural(int(count), "shard")
            faults = (
                Fault(
                    "part-missing",
                    f"{len(missing)} of {shards} missing ({', '.join(missing[:3])})",
                    file=store.shown(missing[0]),
                    expected=shards,
                    seen=plural(len(parts), "shard"),
                    attributes={"part": missing[0]},
                ),
            )
        targets.append(
            Target(store.shown(prefix), store, parts[0], form, parts=tuple(sorted(parts)), faults=faults)
        )
    return targets
