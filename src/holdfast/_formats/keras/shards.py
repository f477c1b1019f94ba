"""Sharded Keras weights: ``<name>.weights.json`` and the ``.weights.h5`` parts it maps to.

Layout (``keras/src/saving/saving_lib.py``, ``ShardedH5IOStore``): ``{"metadata": {"total_size"},
"weight_map":
{"/layers/dense/vars": file or [files]}}``; an object's variables may be spread over consecutive parts.
"""

from __future__ import annotations

from typing import Any

from ..._core.errors import DamagedCheckpoint, HoldfastError
from ..._core.fault import Fault
from ..._core.spec import TensorSpec
from ..._storage import Source, Store
from ..hdf5.file import H5File
from ..registry import Format
from .catalog import H5Catalog
from .config import parsed
from .weights import WeightsReader

__all__ = ["FORMATS", "open_shards", "recognise_shards"]

_LIMIT = 256 << 20


def recognise_shards(source: Source) -> bool:
    """JSON whose ``weight_map`` has group paths that end in ``vars``."""
    head = source.head(4096).lstrip()
    if not head.startswith(b"{") or b'"weight_map"' not in head:
        if not head.startswith(b"{") or source.size <= 4096 or source.size > _LIMIT:
            return False
        head = source.head(1 << 20)
    return b'"weight_map"' in head and (b'vars"' in head or b"/vars" in head)


def open_shards(source: Source, store: Store) -> H5Catalog:
    """Open an index with all its parts. A part that is missing or damaged is a fault; the others are read.

    Raises :class:`DamagedCheckpoint` where the index is no such index.
    """
    if source.size > _LIMIT:
        raise DamagedCheckpoint("the index is larger than any model's", file=source.name, found=source.size)
    index = parsed(source.read(0, source.size), source.name, "the index", source.size)
    mapping = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(mapping, dict):
        raise DamagedCheckpoint("the index has no weight_map", file=source.name, expected="an object")
    wanted, faults = _parts(mapping, source)
    opened: list[H5File] = []
    missing: dict[str, HoldfastError] = {}
    for name in wanted:
        try:
            opened.append(H5File(store.open(store.safe(name)), len(opened)))
        except HoldfastError as why:
            missing[name] = why
    reader = WeightsReader(opened, {f.source.name: (f.source.name, 0) for f in opened})
    groups = {f.source.name: f.groups for f in opened}
    for name, error in missing.items():
        lost = tuple(g for g, parts in wanted_groups(mapping).items() if name in parts)
        faults.append(
            Fault(
                "part-missing"
                if not isinstance(error, DamagedCheckpoint) or isinstance(error, FileNotFoundError)
                else "truncated",
                f"the part {name} cannot be read: {error.message}",
                file=store.shown(name),
                seen=error.found,
                expected="a part that the index names",
                tensors=lost,
            )
        )
    specs: list[TensorSpec] = list(reader.specs)
    specs.extend(_lost(mapping, missing, reader))
    faults.extend(_disagreements(mapping, groups, missing, source, store))
    faults.extend(_unlisted(mapping, reader, source))
    faults.extend(_size(index, reader, missing, source))
    attributes: dict[str, Any] = {"writer": "Keras 3.10 or newer", "parts": len(wanted)}
    step = next((o.step for o in reader.optimizers if o.step is not None), None)
    if step is not None:
        attributes["step"] = step
    return H5Catalog(
        specs,
        reader.datasets,
        (*opened, *(f.source for f in opened), source),
        format="keras-weights-sharded",
        files=(source.name, *(f.source.name for f in opened)),
        attributes=attributes,
        optimizers=reader.optimizers,
        faults=[*faults, *(f for f in reader.faults if not (missing and f.slug == "tensor-missing"))],
    )


def wanted_groups(mapping: dict[str, Any]) -> dict[str, list[str]]:
    """Group path -> names of the parts that hold its variables."""
    found = {}
    for group, parts in mapping.items():
        names = parts if isinstance(parts, list) else [parts]
        found[str(group).strip("/")] = [p for p in names if isinstance(p, str)]
    return found


def _parts(mapping: dict[str, Any], source: Source) -> tuple[list[str], list[Fault]]:
    names = dict.fromkeys(p for parts in wanted_groups(mapping).values() for p in parts)
    faults = []
    for group, parts in mapping.items():
        items = parts if isinstance(parts, list) else [parts]
        if not items or not all(isinstance(p, str) for p in items):
            faults.append(
                Fault(
                    "malformed", f"the index maps {group} to no file", file=source.name, seen=str(parts)[:100]
                )
            )
    return list(names), faults


def _lost(
    mapping: dict[str, Any], missing: dict[str, HoldfastError], reader: WeightsReader
) -> list[TensorSpec]:
    """Something to name where whole objects went with a missing part; how many variables they had is not
    recorded.
    """
    found = []
    for group, parts in wanted_groups(mapping).items():
        if not any(p in missing for p in parts):
            continue
        there = {key for key in reader.datasets if key.startswith(group + "/")}
        if not there:
            found.append(
                TensorSpec(
                    name=group,
                    shape=(),
                    dtype="object",
                    role="other",
                    dialect="keras",
                    nbytes=0,
                    attributes={"missing_part": parts[0], "not_stored": True},
                )
            )
    return found


def _disagreements(
    mapping: dict[str, Any],
    groups: dict[str, Any],
    missing: dict[str, HoldfastError],
    source: Source,
    store: Store,
) -> list[Fault]:
    faults = []
    for group, parts in wanted_groups(mapping).items():
        for part in parts:
            if part in missing:
                continue
            if group not in groups.get(store.shown(part), {}):
                faults.append(
                    Fault(
                        "index-disagrees",
                        f"the index says that {part} holds {group}, and it does not",
                        file=store.shown(part),
                        seen=part,
                        expected=group,
                    )
                )
    return faults


def _unlisted(mapping: dict[str, Any], reader: WeightsReader, source: Source) -> list[Fault]:
    """Variables in the parts that the index lacks (Keras would not load them)."""
    listed = wanted_groups(mapping)
    lacking = dict.fromkeys(
        k.rpartition("/")[0] for k in reader.datasets if k.rpartition("/")[0] not in listed
    )
    return [
        Fault(
            "index-disagrees", f"the parts hold {group}, which the index lacks", file=source.name, seen=group
        )
        for group in lacking
    ]


def _size(
    index: Any, reader: WeightsReader, missing: dict[str, HoldfastError], source: Source
) -> list[Fault]:
    """``total_size`` against what the parts hold, where all of them are there."""
    metadata = index.get("metadata") if isinstance(index, dict) else None
    total = metadata.get("total_size") if isinstance(metadata, dict) else None
    found = sum(d.nbytes for d in reader.datasets.values())
    if missing or not isinstance(total, (int, float)) or isinstance(total, bool) or abs(total - found) < 1:
        return []
    return [
        Fault(
            "index-disagrees",
            "the parts hold another number of bytes than the index says",
            file=source.name,
            seen=found,
            expected=int(total),
        )
    ]


FORMATS: tuple[Format, ...] = (
    Format(
        "keras-weights-sharded",
        "Keras weights in parts",
        recognise_shards,
        open_shards,
        (".weights.json", ".json"),
        "keras",
    ),
)
