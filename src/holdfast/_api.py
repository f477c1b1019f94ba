"""The public functions. Each is a thin, lazy call into the room that does the work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._core.catalog import Catalog
    from ._core.fault import Progress
    from ._core.finding import Report

__all__ = ["compare", "examine", "inspect", "open", "seal", "verify"]

AnyPath = "str | os.PathLike[str]"


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


def inspect(path: AnyPath, depth: str = "header") -> dict[str, Any]:
    """What ``holdfast inspect --format json`` prints for ``path``, as a dict (see ``schema_version`` in it).

    Costs what the headers cost, not the data. Raises like :func:`open`.
    """
    from ._render.document import inspect_document

    with open(path) as catalog:
        return inspect_document(catalog)


def verify(
    path: AnyPath,
    jobs: int | None = None,
    progress: Progress | None = None,
    seal_file: AnyPath | None = None,
) -> Report:
    """Check every byte of ``path`` that carries evidence: the format's own checksums, a seal, a recorded hash.

    ``jobs`` is the number of threads (``None``: as many as help); ``progress`` is called with byte counts;
    ``seal_file`` is a seal that lies elsewhere. The report names what failed, and what has no evidence at all.
    Raises :class:`CheckpointNotFound`, and :class:`SealError` where ``seal_file`` cannot serve.
    """
    from ._examine.verifying import verify_path

    return verify_path(path, jobs=jobs, progress=progress, seal_file=seal_file)


def seal(path: AnyPath, seal_file: AnyPath | None = None, **options: Any) -> str:
    """Write the digests of the checkpoint at ``path`` beside it (``<name>.holdfast.json``); gives that path.

    ``options`` are those of ``holdfast._integrity.seal.seal_path`` (``overwrite``, ``force``, ``jobs``,
    ``progress``). Raises :class:`SealError` where the checkpoint is damaged already or changes meanwhile, or
    where another seal stands.
    """
    from ._integrity.seal import seal_path

    return seal_path(path, seal_file=seal_file, **options)


def examine(path: AnyPath, depth: str = "full", **options: Any) -> Report:
    """Examine the checkpoints at ``path``: verdict, proof and findings of each; runs no framework.

    ``depth`` is ``"header"``, ``"structure"`` or ``"full"``; ``options`` are those of
    ``holdfast._examine.examine`` (``select``, ``ignore``, ``jobs``, ``progress``).
    """
    from ._examine.examine import examine as run

    return run(path, depth=depth, **options)


def compare(a: Any, b: Any, **options: Any) -> Any:
    """Compare two checkpoints (paths or catalogs) across formats; gives the differences and the plan that
    settles them.
    """
    from ._compare.compare import compare as run

    return run(a, b, **options)
