"""The public functions. Each is a thin, lazy call into the room that does the work."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Union

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ._compare.delta import Delta
    from ._core.catalog import Catalog
    from ._core.fault import Progress
    from ._core.finding import Report

__all__ = ["compare", "examine", "inspect", "open", "seal", "verify"]

AnyPath = Union[str, "os.PathLike[str]"]
"""What a path may be given as."""


def open(path: AnyPath) -> Catalog:
    """Open one stored checkpoint as a catalog: names, shapes, dtypes, roles; values are read when asked for.

    ``path`` may be a file, a TensorFlow prefix, a shard, an index, a ``checkpoint`` state file or a folder.
    Only headers are read; no framework is needed and nothing that the file contains is run.

    Raises :class:`CheckpointNotFound`; :class:`AmbiguousPath` where the path holds several checkpoints (it
    lists them); :class:`NotRecognised` for what is no checkpoint (the message says what it is: an HTML page,
    a Git-LFS pointer, zeros ...); :class:`NotReadable` for formats without a reader;
    :class:`DamagedCheckpoint` where nothing can be listed. What is wrong but can be read around is in
    ``catalog.faults``.
    """
    from ._layouts.opening import open_path

    return open_path(path)


def inspect(path: AnyPath) -> dict[str, Any]:
    """What ``holdfast inspect --format json`` prints for ``path``, as a dict (see ``schema_version`` in it).

    Shapes are lists of int, dtypes names such as ``"bfloat16"``, sizes in bytes. Costs what the headers cost,
    not the data. Raises like :func:`open`.
    """
    from ._render.document import inspect_document

    with open(path) as catalog:
        return inspect_document(catalog)


def verify(
    path: AnyPath,
    jobs: int | None = None,
    progress: Progress | None = None,
    seal_file: AnyPath | None = None,
    recursive: bool = False,
) -> Report:
    """Check every byte of ``path`` that carries evidence: the format's own checksums, a seal, a recorded hash.

    ``jobs`` is the number of threads (``None``: as many as help); ``progress`` is called with byte counts;
    ``seal_file`` is a seal that lies elsewhere; ``recursive`` verifies every checkpoint below a folder. The
    report names what failed, and what has no evidence at all.
    Raises :class:`CheckpointNotFound`, and :class:`SealError` where ``seal_file`` cannot serve.
    """
    from ._examine.verifying import verify_path

    return verify_path(path, jobs=jobs, progress=progress, seal_file=seal_file, recursive=recursive)


def seal(
    path: AnyPath,
    seal_file: AnyPath | None = None,
    *,
    overwrite: bool = False,
    force: bool = False,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> str:
    """Write the digests of the checkpoint at ``path`` beside it (``<name>.holdfast.json``); gives that path.

    ``seal_file`` puts the seal elsewhere. ``overwrite`` replaces a seal that says otherwise; ``force`` seals
    (and records) a checkpoint whose own checksums fail. ``jobs`` is the number of threads (``None``: as many
    as help); ``progress`` is called with byte counts.

    Raises :class:`SealError` where the checkpoint is damaged already, changes meanwhile or another seal
    stands, and what :func:`open` raises.
    """
    from ._integrity.seal import seal_path

    return seal_path(path, seal_file, overwrite=overwrite, force=force, jobs=jobs, progress=progress)


def examine(
    path: AnyPath | Iterable[AnyPath],
    depth: str = "full",
    *,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    jobs: int | None = None,
    progress: Progress | None = None,
    recursive: bool = False,
) -> Report:
    """Examine the checkpoints at ``path`` (or at several): verdict, proof and findings of each.

    ``depth`` is ``"header"`` (headers alone), ``"structure"`` (small tensors too) or ``"full"`` (all evidence,
    all values). ``select`` and ``ignore`` take codes, beginnings of codes (``"N"``, ``"T2"``) or slugs;
    ``recursive`` takes every checkpoint below a folder. ``jobs`` is the number of threads (``None``: as many
    as help); ``progress`` is called with byte counts. No framework is imported, nothing of a file is run.

    Raises :class:`CheckpointNotFound`, and :class:`UsageError` for a depth or code that does not exist; damage
    is in the report and never raised.
    """
    from ._examine.examine import examine as run

    return run(
        path, depth=depth, select=select, ignore=ignore, jobs=jobs, progress=progress, recursive=recursive
    )


def compare(a: AnyPath | Catalog, b: AnyPath | Catalog, depth: str = "structure") -> Delta:
    """Compare two checkpoints across formats: typed differences, and the plan that makes ``a`` into ``b``.

    ``a`` and ``b`` are paths or open catalogs: ``a`` what is there, ``b`` what is expected. ``depth`` is
    ``"header"`` (names, shapes, dtypes), ``"structure"`` (also samples of the values) or ``"full"`` (every
    value, with distances).

    Raises :class:`UsageError` for another depth, and what :func:`open` raises for a path.
    """
    from ._compare.compare import compare as run

    return run(a, b, depth=depth)
