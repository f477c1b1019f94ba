"""Which data it was: a digest that neither the order of the samples nor the batch size changes."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from .batches import batches_of

__all__ = ["Identity", "data_identity", "digests_of_samples", "is_identity"]

_WRAP = (1 << 64) - 1
_LOWEST = 8
_MOST_SEEN = 1 << 21


class Identity:
    """Sums the digests of samples up as batches come (a multiset's hash by addition: Clarke et al., "Incremental Multiset
    Hash Functions", 2003; against accident, not against an adversary).

    samples: how many there were. lowest: the least 8 digests, by which two sets are seen to overlap (Broder, "On the
    resemblance and containment of documents", 1997). passes: (samples, sum) after each batch.
    """

    def __init__(self) -> None:
        self.samples = 0
        self.lowest: list[int] = []
        self.seen: set[int] = set()
        self._sum = 0
        self._after: set[tuple[int, int]] = {(0, 0)}

    def add(self, values: np.ndarray) -> None:
        """The samples of a batch, along its first axis; numbers count by their float32 value."""
        found = digests_of_samples(values)
        self._sum = (self._sum + sum(found)) & _WRAP
        self.seen.update(found if len(self.seen) < _MOST_SEEN else ())
        self.lowest = sorted({*self.lowest, *found})[:_LOWEST]
        self.samples += len(values)
        self._after.add((self.samples, self._sum))

    @property
    def text(self) -> str:
        """As :class:`holdfast._record.metrics.Metric` keeps it in ``data``."""
        least = "".join(f"{n:016x}" for n in self.lowest)
        return f"samples:{self.samples}:{self._sum:016x}:{least}"

    def holds(self, text: str) -> bool:
        """Whether exactly these samples came one after the other, before, between or after others."""
        _, count, total, _ = text.split(":")
        n, wanted = int(count), int(total, 16)
        return any(
            (done + n, (total_so_far + wanted) & _WRAP) in self._after for done, total_so_far in self._after
        )

    def overlaps(self, text: str) -> bool:
        """Whether any of the least digests of the other set came here too: some samples are in both."""
        least = text.split(":")[3]
        return any(int(least[n : n + 16], 16) in self.seen for n in range(0, len(least), 16))


def is_identity(text: str | None) -> bool:
    """Whether a text is one that :func:`data_identity` gives."""
    return text is not None and re.fullmatch(r"samples:\d+:[0-9a-f]{16}:(?:[0-9a-f]{16})*", text) is not None


def digests_of_samples(values: np.ndarray) -> list[int]:
    """One number of 64 bits for each sample."""
    from blake3 import blake3

    if values.dtype.kind in "fiub":
        values = values.astype(np.float32)
    rows = np.ascontiguousarray(values.reshape(len(values), -1))
    texts = (row.tobytes() if row.dtype.kind != "O" else repr(row.tolist()).encode() for row in rows)
    return [int.from_bytes(blake3(text).digest(8), "little") for text in texts]


def data_identity(source: Any, field: str | None = None) -> str:
    """The identity of a data set: ``samples:<how many>:<digest>:<some>``, the same for any order and batch size.

    ``source`` is an array, a tuple or dict of arrays, or a loader of such batches; what counts is the first field (what the
    model is fed), or ``field``. Raises :class:`UsageError` for what gives no batches.
    """
    found = Identity()
    for batch in batches_of(source):
        found.add(batch[field] if field is not None else next(iter(batch.values())))
    return found.text
