"""Shards of one checkpoint: by their index, or, where that is gone, by their names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace

from .._core.catalog import Catalog
from .._core.errors import HoldfastError
from .._core.fault import Fault
from .._core.words import plural
from .._formats.junk import UNFINISHED
from .._formats.registry import Format, format_named, recognise
from .._formats.safetensors.header import demand_sane
from .._storage import Source, Store
from .folders import SHARD
from .target import Target

__all__ = ["SHARD", "index_of_shard", "siblings", "target_of_index"]


def target_of_index(
    store: Store, name: str, source: Source, form: Format, faults: tuple[Fault, ...] = ()
) -> Target:
    """The checkpoint of an index file; its parts are the shards that are named in it and stay in its
    folder."""
    parts = [name]
    with suppress(HoldfastError):  # opening it will tell what is wrong with the index
        parts.extend(sorted(_named_in(source)))
    return Target(store.shown(name), store, name, form, parts=tuple(parts), faults=faults)


def _named_in(source: Source) -> set[str]:
    """File names in a ``weight_map``; values may be lists of names (Keras). Names that leave the folder are
    left out.
    """
    import json

    from .._core.errors import DamagedCheckpoint

    raw = source.read(0, min(source.size, 256 << 20))
    demand_sane(source, raw)
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise DamagedCheckpoint(f"the index is not valid JSON: {error}", file=source.name) from error
    given = document.get("weight_map") if isinstance(document, dict) else None
    found: set[str] = set()
    for value in given.values() if isinstance(given, dict) else ():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, str) and re.fullmatch(r"(?!.*\.\.)[^/\\\0][^\\\0]*", item):
                found.add(item)
    return found


def index_of_shard(store: Store, name: str) -> str | None:
    """The index that a shard ``x-00001-of-00003.safetensors`` belongs to, where it lies beside it."""
    match = SHARD.fullmatch(name)
    if match is None:
        return None
    wanted = f"{match['stem']}{match['suffix']}.index.json"
    return wanted if store.exists(wanted) else None


def siblings(store: Store, name: str, names: Iterable[str] | Mapping[str, object]) -> Target | None:
    """Shards ``x-00001-of-00003`` without an index: one checkpoint of those that are there, the rest reported
    missing.

    ``None`` where ``name`` is no such shard, where its index lies beside it, or where it is not of a sharded
    format.
    """
    match = SHARD.fullmatch(name)
    if match is None or name.lower().endswith(UNFINISHED) or index_of_shard(store, name) is not None:
        return None  # a download in progress is no shard yet
    count = int(match["count"])
    if not 0 < count <= 10_000:
        return None
    there = sorted(
        n
        for n in names
        if (m := SHARD.fullmatch(n))
        and (m["stem"], m["count"], m["suffix"]) == (match["stem"], match["count"], match["suffix"])
    )
    wanted = [f"{match['stem']}-{i:05d}-of-{match['count']}{match['suffix']}" for i in range(1, count + 1)]
    if count == 1 and there == wanted:
        return None  # a whole in one shard: an ordinary file
    source = store.open(there[0])
    try:
        form = recognise(source)
    finally:
        source.close()
    sharded = {
        "safetensors": "safetensors-sharded",
        "torch-zip": "torch-sharded",
        "torch-legacy": "torch-sharded",
    }
    kind = format_named(sharded.get(form.name, "")) if form is not None else None
    if kind is None:
        return None
    missing = [n for n in wanted if n not in there]
    index = f"{match['stem']}{match['suffix']}.index.json"
    faults = [
        Fault(
            "part-missing",
            f"the index {index!r} of these shards is not there; their tensors are read, but whether all "
            "are there only the "
            "index could tell",
            file=store.shown(index),
            expected=index,
            attributes={
                "part": index,
                "kind": "index",
                "remedy": "Download or copy the index too; loaders need it.",
            },
        )
    ]
    if missing:
        faults.append(
            Fault(
                "part-missing",
                f"{len(missing)} of {plural(count, 'shard')} missing "
                f"({', '.join(missing[:3])}{' ...' if len(missing) > 3 else ''})",
                file=store.shown(missing[0]),
                seen=plural(len(there), "shard"),
                expected=plural(count, "shard"),
                attributes={"part": missing[0], "names": missing[:100]},
            )
        )
    merged = replace(kind, open=_open_siblings(tuple(there)))
    shown = store.shown(f"{match['stem']}{match['suffix']}")
    note = f"{plural(len(there), 'shard')} without an index, read together"
    return Target(shown, store, there[0], merged, note=note, parts=tuple(there), faults=tuple(faults))


def _open_siblings(names: tuple[str, ...]) -> Callable[[Source, Store], Catalog]:
    def open_them(source: Source, store: Store) -> Catalog:
        from .._formats.shard_index import ShardedCatalog

        return ShardedCatalog(source, store, names)

    return open_them
