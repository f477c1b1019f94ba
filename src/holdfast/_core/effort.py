"""How much reading a catalog may cause: a few times the bytes that are stored, however often they are named.

Names are cheap and bytes are not: a file of some megabytes can hold tens of thousands of tensors that all lie on the
same bytes (views of one storage, expanded scalars, spans that overlap), and reading them all would take terabytes
of work. Honest checkpoints name their bytes once or a few times over.
"""

from __future__ import annotations

from collections.abc import Iterable

from .errors import LimitExceeded
from .spec import TensorSpec

__all__ = ["excess", "most_tensors", "too_often"]

TIMES = 16
SLACK = 256 << 20


_ROOMY = 250_000
"""Up to so many tensors count by what they take in the file; beyond, by the memory that listing them takes."""


def most_tensors(size: int, each: int = 256) -> int:
    """How many tensors ``size`` bytes of files may list, of a format in which an honest one takes ``each`` bytes or more
    with all that is written of it.

    Listing one costs 1 to 2.5 KB of memory, whatever it holds. So crowds of tiny ones are held against their own bytes only
    up to 250,000 (some 600 MB at most); larger files may list one for every 512 bytes, which keeps memory near twice their
    size.

    Bytes of a one-element tensor of a short name, measured: 270 and more in a zip of torch's (a record at a multiple of 64,
    its local header and directory entry, the pickle's call), 215 in an ``.npz``, 148 in torch's older stream, 80 in
    safetensors.
    """
    return max(25_000 + size // 512, min(25_000 + size // each, _ROOMY))


def excess(specs: Iterable[TensorSpec]) -> frozenset[str]:
    """Names of the tensors that should not be read, because those before them (in order) have already been given
    16 times the stored bytes of all, plus 256 MiB. Mostly none.
    """
    chosen = list(specs)
    if sum(spec.nbytes for spec in chosen) <= SLACK:
        return frozenset()
    room = SLACK + TIMES * _stored(chosen)
    over = []
    for spec in chosen:
        if spec.nbytes > room:
            over.append(spec.name)
        else:
            room -= spec.nbytes
    return frozenset(over)


def too_often(name: str | None = None) -> LimitExceeded:
    """What is raised, or told, in place of reading such a tensor (``None``: any of them)."""
    return LimitExceeded(
        "its bytes are named by so many tensors that reading them all would be endless; this one was left out",
        tensor=name,
        remedy="It can be read by itself. If the writer is honest, save clones in place of views.",
    )


def _stored(specs: Iterable[TensorSpec]) -> int:
    """Bytes of the union of all stored runs; compressed ones, which have no place, count by themselves."""
    runs: dict[str, list[tuple[int, int]]] = {}
    apart: dict[object, int] = {}
    for spec in specs:
        for run in spec.stored:
            if run.offset is None:
                apart[(run.file, spec.shares or spec.key)] = run.nbytes
            else:
                runs.setdefault(run.file, []).append((run.offset, run.offset + run.nbytes))
    total = sum(apart.values())
    for places in runs.values():
        reached = 0
        for start, end in sorted(places):
            total += max(0, end - max(start, reached))
            reached = max(reached, end)
    return total
