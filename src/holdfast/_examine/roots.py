"""Causes that only many faults together show."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from .._core.catalog import Catalog
from .._core.fault import Fault

__all__ = ["mixed_shards"]

MOST = 0.9  # tensors that two saves have in common (counters, zeros) may pass


def mixed_shards(catalog: Catalog, faults: Sequence[Fault]) -> list[Fault]:
    """A ``shards-mixed`` fault for each data file whose tensors nearly all fail their checksums.

    Damage hits places; a file of which nine tenths of the bytes, in two tensors or more, contradict the
    checksums that *another* file (the index) holds was written by another save. Only checkpoints of several
    files are looked at.
    """
    if len(catalog.files) < 2:
        return []
    failing: dict[str, set[str]] = defaultdict(set)
    for fault in faults:
        if fault.slug == "checksum" and fault.file is not None and fault.tensor is not None:
            failing[fault.file].add(fault.tensor)
    if not failing:
        return []
    held: dict[str, dict[str, int]] = defaultdict(dict)
    for spec in catalog.values():
        for part in spec.stored:
            held[part.file][spec.name] = held[part.file].get(spec.name, 0) + part.nbytes
    found = []
    for file, names in failing.items():
        here = {catalog[n].name for n in names if n in catalog} & set(held.get(file, ()))
        total = sum(held.get(file, {}).values())
        bad = sum(held[file][n] for n in here)
        if len(here) >= 2 and total and bad >= MOST * total and file != catalog.files[0]:
            found.append(
                Fault(
                    "shards-mixed",
                    f"{len(here)} of {len(held[file])} tensors in this file contradict their checksums: "
                    "it is of another save than the index",
                    file=file,
                    seen=f"{bad:,} of {total:,} bytes disagree",
                    expected="the data file of the same save as the index",
                    tensors=tuple(n for n in catalog if n in here),
                )
            )
    return found
