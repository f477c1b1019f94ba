"""What an index and its shards must agree on, and what proves that shards belong to different saves."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from .._core.dtypes import is_float
from .._core.fault import Fault
from .._core.words import plural

if TYPE_CHECKING:
    from .shard_index import Shard

__all__ = ["compare_with_map", "look_for_mixture"]

_OF = re.compile(r"(\d{5})-of-(\d{5})")
_NUMBER = re.compile(r"\d+")


def compare_with_map(
    file: str, weight_map: Mapping[str, str], metadata: Mapping[str, Any], shards: Mapping[str, Shard]
) -> Iterator[Fault]:
    """``index-disagrees``: mapped but not there, there but not mapped, ``total_size`` unequal to the sum."""
    total = 0
    complete = True
    for shard in shards.values():
        if shard.catalog is None:
            complete = False
            continue
        # An alias counts: save_model of safetensors drops a tied name, the index may still list it.
        absent = [name for name in shard.mapped if name not in shard.catalog]
        orphans = [name for name in shard.catalog if name not in weight_map]
        total += shard.catalog.nbytes
        if absent:
            yield Fault(
                "index-disagrees",
                f"shard {shard.name!r} lacks {plural(len(absent), 'tensor')} that the index maps to it "
                f"({absent[0]!r} ...)",
                file=file,
                tensor=absent[0],
                seen=plural(len(shard.catalog), "other tensor"),
                expected=", ".join(absent[:3]),
                tensors=tuple(absent),
                attributes={"part": shard.name},
            )
        if orphans:
            yield Fault(
                "index-disagrees",
                f"shard {shard.name!r} holds {plural(len(orphans), 'tensor')} that the index does not name "
                f"({orphans[0]!r} ...); "
                "loaders that go by the index leave such tensors out",
                file=file,
                tensor=orphans[0],
                seen=", ".join(orphans[:3]),
                expected="every tensor named by the index",
                attributes={"part": shard.name, "names": orphans[:100]},
            )
    size = metadata.get("total_size")
    if complete and isinstance(size, (int, float)) and size != total:
        plain = sum(
            spec.nbytes for s in shards.values() if s.catalog is not None for spec in s.catalog.values()
        )
        if size != plain:  # tied tensors may be counted once or twice
            yield Fault(
                "index-disagrees",
                f"the index says the tensors take {size} bytes, they take {total}",
                file=file,
                seen=total,
                expected=size,
                attributes={"field": "total_size"},
            )


def look_for_mixture(file: str, shards: list[Shard]) -> Iterator[Fault]:
    """``shards-mixed`` where the files prove it: one tensor in two shards, names of different sets, other
    metadata.
    """
    counts = {match.group(2): s.name for s in shards if (match := _OF.search(s.name))}
    if len(counts) > 1:
        names = " and ".join(repr(n) for n in list(counts.values())[:2])
        yield Fault(
            "shards-mixed",
            f"the index names shards of different sets: {names}",
            file=file,
            seen=", ".join(f"of-{c}" for c in sorted(counts)),
            expected="one set",
        )
    homes: dict[str, str] = {}
    double: list[tuple[str, str, str]] = []
    for shard in shards:
        for name in shard.catalog or ():
            other = homes.setdefault(name, shard.name)
            if other != shard.name:
                double.append((name, other, shard.name))
    if double:
        name, first, second = double[0]
        yield Fault(
            "shards-mixed",
            f"{plural(len(double), 'tensor')} stored in two shards ({name!r} in {first!r} and {second!r})",
            file=file,
            tensor=name,
            seen=f"{first}, {second}",
            expected="every tensor in one shard",
            attributes={"names": [n for n, _, _ in double[:100]]},
        )
    yield from _other_metadata(file, shards)
    yield from _other_dtypes(file, shards)


def _other_metadata(file: str, shards: list[Shard]) -> Iterator[Fault]:
    """Header metadata that describe the save (step, epoch, run, format ...) and differ between shards."""
    said: dict[str, dict[str, str]] = {}
    for shard in shards:
        if shard.catalog is None:
            continue
        for key, value in shard.catalog.attributes.items():
            if key in _OF_A_SAVE and isinstance(value, (str, int, float)):
                said.setdefault(key, {}).setdefault(str(value), shard.name)
    for key, values in said.items():
        if len(values) > 1:
            yield Fault(
                "shards-mixed",
                f"the shards disagree on {key!r}: "
                + ", ".join(f"{v!r} in {s!r}" for v, s in list(values.items())[:3]),
                file=file,
                seen=", ".join(list(values)[:3]),
                expected="one value",
                attributes={"key": key},
            )


_OF_A_SAVE = frozenset(
    {"format", "step", "global_step", "epoch", "run_id", "save_id", "writer", "DCP_VERSION", "keras_version"}
)


def _other_dtypes(file: str, shards: list[Shard]) -> Iterator[Fault]:
    """The same kind of tensor (a name but for its numbers) with one float type throughout one shard, another
    elsewhere.

    No proof (a writer may cast layer by layer), so it is marked likely.
    """
    kinds: dict[str, dict[str, set[str]]] = {}
    for shard in shards:
        for name, spec in (shard.catalog or {}).items():
            if is_float(spec.dtype):
                kinds.setdefault(_NUMBER.sub("#", name), {}).setdefault(shard.name, set()).add(spec.dtype)
    shared = {k: v for k, v in kinds.items() if len(v) > 1}
    split = [
        (kind, places)
        for kind, places in shared.items()
        if all(len(d) == 1 for d in places.values()) and len(set().union(*places.values())) > 1
    ]
    # Only where every kind that spans shards splits so: then the shards differ, not the layers.
    if split and len(split) == len(shared):
        kind, places = split[0]
        yield Fault(
            "shards-mixed",
            "the shards hold the same kinds of tensors in different types: "
            + ", ".join(f"{kind!r} is {next(iter(d))} in {s!r}" for s, d in list(places.items())[:2]),
            file=file,
            seen=", ".join(sorted(set().union(*places.values()))),
            expected="one type",
            attributes={"likely": True},
        )
