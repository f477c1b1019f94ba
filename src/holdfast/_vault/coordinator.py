"""The seam for saves of several processes: who writes what, and that all of them commit or none does.

One process is a group of one: the same code runs, and every word of the group is its own. A distributed save needs a
subclass with ``rank``, ``size`` and one collective operation (:meth:`Coordinator.gather`), over whatever engine carries
the run: ``torch.distributed.all_gather_object``, ``jax.experimental.multihost_utils``, an MPI communicator.

The order of collectives is the same on every rank: ``starting``, the folder's name, ``beginning``, ``writing``, the
parts, ``committing``. Each phase ends with a gather of failures, so nobody waits for a rank that has given up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Any, NamedTuple, TypeVar

from .._core.errors import HoldfastError, SaveFailed
from .._record.schema import FileRecord, TensorRecord

__all__ = ["Coordinator", "Part", "merged"]

Word = TypeVar("Word")


class Part(NamedTuple):
    """What one rank has written: its files and its tensors, as the record has them; and what it has that rank 0 is to write:
    states beside the model with their small files. ``metrics``: what it was given, by name."""

    files: tuple[FileRecord, ...] = ()
    tensors: tuple[TensorRecord, ...] = ()
    states: Mapping[str, Mapping[str, Any]] = {}
    documents: Mapping[str, bytes] = {}
    metrics: Mapping[str, float | str] = {}


class Coordinator:
    """The group that saves together; by default this process alone.

    ``rank`` and ``size``: which one of how many this is. Rank 0 leads: it has the vault's lock, names the step, writes
    record and ``state.json``, renames, and drops what retention lets go. Every rank writes the tensors that it was given.
    """

    rank = 0
    size = 1

    def gather(self, word: Word) -> list[Word]:
        """Every rank's word, in order of rank, on every rank. Called by all ranks in the same order; pickled on its way
        where processes are several. What it raises (a rank that died, a time limit) fails the save."""
        return [word]

    @property
    def leads(self) -> bool:
        """Whether this rank writes what there is once."""
        return self.rank == 0

    def share(self, word: Word) -> Word:
        """Rank 0's word, on every rank."""
        return self.gather(word)[0]

    def place(self, file: str) -> str:
        """What this rank calls its part of a tensor file: ``model.safetensors`` on rank 0, ``model.rank1.safetensors``
        on rank 1."""
        if self.rank == 0:
            return file
        path = PurePosixPath(file)
        return str(path.with_name(f"{path.stem}.rank{self.rank}{path.suffix}"))

    @contextmanager
    def phase(self, doing: str) -> Iterator[None]:
        """What every rank does at the same time: it is over when all are, and where one fails all raise.

        The rank that failed raises its own error, the others :class:`SaveFailed` naming it.
        """
        try:
            yield
        except BaseException as error:
            self.fail(error)
            raise
        try:
            words = self.gather(None)
        except Exception as error:
            raise SaveFailed(
                f"the ranks lost each other at {doing}: {type(error).__name__} {error}".rstrip(),
                remedy="A rank has ended or hangs; its log says more. The checkpoints before stand as they were.",
            ) from error
        failed = [(rank, word) for rank, word in enumerate(words) if word is not None]
        if failed:
            rank, word = failed[0]
            more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
            raise SaveFailed(
                f"rank {rank}{more} failed at {doing}: {word}; nothing was committed",
                remedy="The log of that rank says more. The checkpoints before stand as they were.",
            )

    def fail(self, error: BaseException) -> None:
        """Take this rank's part in the end of a phase: it has failed."""
        told: Any = error.message if isinstance(error, HoldfastError) else f"{type(error).__name__}: {error}"
        self.gather(told)


def merged(parts: Sequence[Part]) -> Part:
    """All ranks' parts as one. A tensor that several ranks wrote is a replica, and must be the same on all of them.

    Raises :class:`SaveFailed` naming one that is not.
    """
    if len(parts) == 1:
        return parts[0]
    tensors: dict[str, TensorRecord] = {}
    for rank, part in enumerate(parts):
        for row in part.tensors:
            first = tensors.setdefault(row.name, row)
            if (first.digest, first.dtype, first.shape) != (row.digest, row.dtype, row.shape):
                raise SaveFailed(
                    "two ranks saved different values under one name; nothing was committed",
                    tensor=row.name, expected=f"{first.dtype}{list(first.shape)} {first.digest}",
                    found=f"{row.dtype}{list(row.shape)} {row.digest} on rank {rank}",
                    remedy="Name each rank's part differently, or save replicas where they agree.",
                )  # fmt: skip
    return Part(tuple(file for part in parts for file in part.files), tuple(tensors.values()))
